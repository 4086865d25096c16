"""The tasks of a plan: how they are called, and how many a worker gets at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")

PIECES = 32  # of a plan for each worker, if there are as many tasks


class MapTasks(Protocol):
    """Runs the tasks of a plan; ``title`` is their name on the progress bar."""

    def __call__(self, title: str, run: Callable[[int], T], count: int) -> list[T]:
        """Call ``run(0)`` to ``run(count - 1)`` in any order; return their results in the order of the numbers.

        The first failure is raised as it was; finished tasks keep their output.
        """
        ...


def tasks_at_a_time(count: int, *, workers: int) -> int:
    """Return how many tasks a worker gets at a time: several of many tasks, so that handing them out costs little."""
    return max(count // (PIECES * workers), 1)
