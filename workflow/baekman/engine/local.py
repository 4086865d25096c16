"""The engine that runs the tasks of a plan: a plain loop, local workers or a Dask cluster, with the same bytes.

Every chunked step follows one contract. A plan counts the tasks. ``run(i)`` does one task with atomic output, and
returns at once when that output is there already. The caller does the finish.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from baekman.engine.progress import task_bar
from baekman.engine.scheduler_address import scheduler_address
from baekman.engine.tasks import MapTasks, tasks_at_a_time
from baekman.errors import WorkerDied
from baekman.tools.processes import end_with

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.synchronize import Event

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The place where tasks run.

    ``workers`` 0 or 1: a plain loop in this process. More: Dask's processes, forked from this one, so that they share
    the memory of everything that it has read.
    ``scheduler``: a Dask cluster (see ``dask_cluster.open_cluster``); ``workers`` has no effect then. ``insecure``
    allows a scheduler without TLS; without it such a scheduler raises InputRefused.
    """

    workers: int = 1
    scheduler: str | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if self.scheduler is not None:
            scheduler_address(self.scheduler, insecure=self.insecure)

    @contextmanager
    def open(self) -> Iterator[MapTasks]:
        """Yield the function that runs tasks, until the block ends."""
        if self.scheduler is None:
            yield partial(_in_processes, self.workers)
            return
        from baekman.engine.dask_cluster import open_cluster

        with open_cluster(self.scheduler, insecure=self.insecure) as map_tasks:
            yield map_tasks


def _loop(title: str, run: Callable[[int], T], count: int) -> list[T]:
    results = []
    with task_bar(title, count) as advance:
        for index in range(count):
            results.append(run(index))
            advance(1)
    return results


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
    at_a_time = tasks_at_a_time(count, workers=workers)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_hold, initargs=(run, stop, os.getpid()))
    with _watched(pool) as failures:
        try:
            pool.submit(int)  # forks all workers before the progress bar starts its thread: a fork copies no thread
        except RuntimeError:
            _end_workers()
            raise MemoryError from None
        with pool:
            try:
                with task_bar(title, count) as advance, Callback(posttask=lambda *_: advance(1)):
                    return list(get(tasks, list(tasks), pool=pool, optimize_graph=False, chunksize=at_a_time))
            except BrokenProcessPool:
                raise MemoryError if failures else WorkerDied from None
            except BaseException:
                stop.set()  # running tasks are waited for, and no other task begins
                raise


@contextmanager
def _watched(pool: ProcessPoolExecutor) -> Iterator[list[object]]:
    """End the tasks and workers of ``pool`` when its own thread fails, as without memory: nothing else would end them.

    Yields a list that has the failure then.
    """
    from concurrent.futures.process import BrokenProcessPool

    before, failures = threading.excepthook, list[object]()
    inside: Any = pool

    def fail(args: threading.ExceptHookArgs) -> None:
        if args.thread is not inside._executor_manager_thread:
            before(args)
            return
        failures.append(args.exc_type)
        with inside._shutdown_lock:
            inside._broken = "its thread failed"  # no task is added any more
        _end_workers()
        for item in list(inside._pending_work_items.values()):
            if not item.future.done():
                item.future.set_exception(BrokenProcessPool())

    threading.excepthook = fail
    try:
        yield failures
    finally:
        threading.excepthook = before


def _end_workers() -> None:
    import multiprocessing

    for worker in multiprocessing.active_children():
        worker.kill()


_held: Callable[[int], Any]
_stop: Event


def _hold(run: Callable[[int], Any], stop: Event, parent: int) -> None:
    """Prepare a forked worker for ``_run_held``: it dies with its parent and by Ctrl-C, and prints nothing then."""
    global _held, _stop
    _held, _stop = run, stop
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if not end_with(parent, by=signal.SIGKILL):
        os._exit(1)


def _run_held(index: int) -> Any:
    return None if _stop.is_set() else _held(index)
