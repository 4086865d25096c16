"""The progress of long work, on stderr when that is a terminal."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

Show = Callable[[str, int, int], None]  # the work, the number of its parts that are done, the number of all


@contextmanager
def progress_bar(*, line_seconds: float | None = None) -> Iterator[Show]:
    """Show a progress bar on stderr when that is a terminal.

    Otherwise print a line on stderr each ``line_seconds``; nothing without it.
    """
    if not sys.stderr.isatty():
        with _progress_lines(line_seconds) if line_seconds else nullcontext(_show_nothing) as show:
            yield show
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(work: str, done: int, total: int) -> None:
            bar.update(task, description=work, completed=done, total=total or None)

        yield show


def _show_nothing(_work: str, _done: int, _total: int) -> None:
    """Show nothing."""


@contextmanager
def _progress_lines(seconds: float) -> Iterator[Show]:
    """Print the newest progress on stderr each ``seconds``, from a thread, as nothing may happen for hours."""
    newest = ("starting", 0, 0)
    ended = threading.Event()

    def show(work: str, done: int, total: int) -> None:
        nonlocal newest
        newest = (work, done, total)

    def print_lines() -> None:
        while not ended.wait(seconds):
            work, done, total = newest
            count = f": {done} of {total} done" if total else ""
            print(f"{minute()}  {work}{count}", file=sys.stderr, flush=True)

    printer = threading.Thread(target=print_lines, name="progress", daemon=True)
    printer.start()
    try:
        yield show
    finally:
        ended.set()
        printer.join()


def minute() -> str:
    """Return the local time to the minute, as lines of progress begin with it."""
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")


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
