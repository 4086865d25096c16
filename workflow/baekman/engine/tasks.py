"""What every way of running the tasks of a plan shares: how it is called, its bar, and how tasks are handed out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")

PIECES = 32  # that a worker is handed of a plan, or as many as there are tasks


class MapTasks(Protocol):
    """Does the tasks of a plan; ``title`` is what a bar calls them."""

    def __call__(self, title: str, run: Callable[[int], T], count: int) -> list[T]:
        """``run(0)`` to ``run(count - 1)``, in any order; what they return, in theirs.

        The first failure is raised as it was; tasks that finished keep their output.
        """
        ...


@contextmanager
def progress(title: str, count: int) -> Iterator[Callable[[int], None]]:
    """Yield what is told how many more tasks are done; shows a bar where somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task(title, total=count)
        yield lambda done: bar.advance(shown, done)


def piece(count: int, workers: int) -> int:
    """How many tasks a worker is handed at a time: several where there are many, so that handing out costs little."""
    return max(count // (PIECES * workers), 1)
