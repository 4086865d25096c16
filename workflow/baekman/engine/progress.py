"""The progress of long work, on stderr when that is a terminal."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Show = Callable[[str, int, int], None]  # the work, the number of its parts that are done, the number of all


@contextmanager
def progress_bar() -> Iterator[Show]:
    """Show a progress bar on stderr when that is a terminal; show nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda _work, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(work: str, done: int, total: int) -> None:
            bar.update(task, description=work, completed=done, total=total or None)

        yield show


@contextmanager
def task_bar(title: str, count: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar of ``count`` tasks; yield a function that adds to the number of finished tasks."""
    with progress_bar() as show:
        finished = 0
        show(title, finished, count)

        def advance(tasks: int) -> None:
            nonlocal finished
            finished += tasks
            show(title, finished, count)

        yield advance


@contextmanager
def file_count() -> Iterator[Callable[[Path], None]]:
    """Show the number of files on stderr when that is a terminal; their names may hold confidential values."""
    if not sys.stderr.isatty():
        yield lambda _path: None
        return
    from rich.console import Console

    count = itertools.count(1)
    with Console(stderr=True).status("") as status:
        yield lambda _path: status.update(f"{next(count):,} files and folders")
