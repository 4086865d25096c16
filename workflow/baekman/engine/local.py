"""Running the tasks of a plan: in a plain loop, on local workers, or on a Dask cluster; the same bytes each way.

Every chunked step follows one contract: a plan says how many tasks there are, ``run(i)`` does one of them with
atomic output and returns at once when that is there already, and finishing is the caller's.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from baekman.engine.tasks import MapTasks, piece, progress
from baekman.errors import WorkerDied
from baekman.tools.processes import end_with

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where tasks run. ``workers`` 0 or 1 is a plain loop in this process; more are processes of Dask's, forked from
    this one, so that they begin with all that it has read.

    ``scheduler`` is a Dask cluster (see ``cluster.open_cluster``); with it ``workers`` does not count.
    """

    workers: int = 1
    scheduler: str | None = None

    @contextmanager
    def open(self) -> Iterator[MapTasks]:
        """Yield what does tasks, until the block ends."""
        if self.scheduler is None:
            yield partial(_in_processes, self.workers)
            return
        from baekman.engine.dask_cluster import open_cluster

        with open_cluster(self.scheduler) as map_tasks:
            yield map_tasks


def _loop(title: str, run: Callable[[int], T], count: int) -> list[T]:
    found = []
    with progress(title, count) as advance:
        for index in range(count):
            found.append(run(index))
            advance(1)
    return found


def _in_processes(workers: int, title: str, run: Callable[[int], T], count: int) -> list[T]:
    workers = min(workers, count)
    if workers <= 1:
        return _loop(title, run, count)
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    from dask.callbacks import Callback
    from dask.multiprocessing import get

    context = multiprocessing.get_context("fork")
    stop = context.Event()
    tasks = {f"task-{index}": (_run_held, index) for index in range(count)}
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_hold, initargs=(run, stop, os.getpid())) as pool:
        pool.submit(int)  # forks all workers, before a bar has a thread that they would be without
        try:
            with progress(title, count) as advance, Callback(posttask=lambda *_: advance(1)):
                found = get(tasks, list(tasks), pool=pool, optimize_graph=False, chunksize=piece(count, workers))
                return list(found)
        except BrokenProcessPool:
            raise WorkerDied from None
        except BaseException:
            stop.set()  # what runs is waited for, and nothing else is begun
            raise


_held: Callable[[int], Any]
_stop: Event


def _hold(run: Callable[[int], Any], stop: Event, parent: int) -> None:
    """Make a forked worker ready for ``_run_held``; it dies with its parent, by Ctrl-C too, and without a word."""
    global _held, _stop
    _held, _stop = run, stop
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not end_with(parent, by=signal.SIGKILL):
        os._exit(1)


def _run_held(index: int) -> Any:
    return None if _stop.is_set() else _held(index)


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))
