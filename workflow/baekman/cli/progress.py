"""The progress of long work, on stderr when that is a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Show = Callable[[str, int, int], None]  # the work, how much of it is done, how much there is


@contextmanager
def progress_bar() -> Iterator[Show]:
    """Show a progress bar on stderr when that is a terminal; else show nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(work: str, done: int, total: int) -> None:
            bar.update(task, description=work, completed=done, total=total or None)

        yield show


@contextmanager
def file_count() -> Iterator[Callable[[Path], None]]:
    """Show the number of files on stderr when that is a terminal; their names may hold confidential values."""
    from rich.console import Console

    console = Console(stderr=True)
    count = itertools.count(1)
    if not console.is_terminal:
        yield lambda path: None
        return
    with console.status("") as status:
        yield lambda path: status.update(f"{next(count):,} files and folders")
