"""The progress of long work on stderr: a bar on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

Show = Callable[[str, int, int], None]  # the work, the number of its parts that are done, the number of all

LINE_SECONDS = 60.0  # between lines of progress where stderr is no terminal

_is_quiet = False
_lines: Show | None = None  # of the command that runs
_printing = threading.Lock()
# a fork while a line is printed would copy the lock of stderr for ever
os.register_at_fork(before=_printing.acquire, after_in_parent=_printing.release, after_in_child=_printing.release)


def is_quiet() -> bool:
    """Return whether only results and errors are printed."""
    return _is_quiet


@contextmanager
def quiet() -> Iterator[None]:
    """Show no progress in this block."""
    global _is_quiet
    before, _is_quiet = _is_quiet, True
    try:
        yield
    finally:
        _is_quiet = before


@contextmanager
def minute_lines(work: str, *, seconds: float = LINE_SECONDS) -> Iterator[None]:
    """Print the newest progress of this block on stderr each ``seconds``, where that is no terminal.

    ``work`` is its name before any progress is shown. The bars within the block show nothing then but in these lines.
    """
    global _lines
    if _is_quiet or sys.stderr.isatty():
        yield
        return
    before = _lines
    with _progress_lines(work, seconds) as _lines:
        try:
            yield
        finally:
            _lines = before


@contextmanager
def progress_bar(*, line_seconds: float | None = None) -> Iterator[Show]:
    """Show a progress bar on stderr when that is a terminal.

    Otherwise print a line on stderr each ``line_seconds``; without it the lines of ``minute_lines`` show the progress.
    """
    if _is_quiet:
        yield _show_nothing
        return
    if not sys.stderr.isatty():
        if line_seconds:
            with _progress_lines("starting", line_seconds) as show:
                yield show
        else:
            yield _lines or _show_nothing
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
def _progress_lines(work: str, seconds: float) -> Iterator[Show]:
    """Print the newest progress on stderr each ``seconds``, from a thread, as nothing may happen for hours."""
    newest = (work, 0, 0)
    ended = threading.Event()

    def show(work: str, done: int, total: int) -> None:
        nonlocal newest
        newest = (work, done, total)

    def print_lines() -> None:
        while not ended.wait(seconds):
            work, done, total = newest
            count = f": {done} of {total} done" if total else ""
            with _printing:
                print(f"{minute()}  {work}{count}", file=sys.stderr, flush=True)

    printer = threading.Thread(target=print_lines, name="progress", daemon=True)
    try:
        printer.start()
    except RuntimeError:  # too little memory for a thread: the work may go on without lines
        yield _show_nothing
        return
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
    """Show the number of files on stderr; their names may hold confidential values."""
    count = itertools.count(1)
    if _is_quiet or not sys.stderr.isatty():
        show = _show_nothing if _is_quiet or _lines is None else _lines
        yield lambda _path: show(f"{next(count):,} files and folders", 0, 0)
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda _path: status.update(f"{next(count):,} files and folders")
