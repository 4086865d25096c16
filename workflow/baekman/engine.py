"""Running the tasks of a plan: in a plain loop, on local workers, or on a Dask cluster; the same bytes each way.

Every chunked step follows one contract: a plan says how many tasks there are, ``run(i)`` does one of them with
atomic output and returns at once when that is there already, and finishing is the caller's.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from baekman.errors import WorkerDied

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

T = TypeVar("T")

PR_SET_PDEATHSIG = 1  # of prctl(2)
PIECES = 32  # that a worker is handed of a plan, or as many as there are tasks


class MapTasks(Protocol):
    """Does the tasks of a plan; ``title`` is what a bar calls them."""

    def __call__(self, title: str, run: Callable[[int], T], count: int) -> list[T]:
        """``run(0)`` to ``run(count - 1)``, in any order; what they return, in theirs.

        The first failure is raised as it was; tasks that finished keep their output.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where tasks run. ``workers`` 0 or 1 is a plain loop in this process; more are processes of Dask's, forked from
    this one, so that they begin with all that it has read.

    ``scheduler`` is the address of a running Dask scheduler (``tcp://…``) or the path of its scheduler file;
    with it ``workers`` does not count.
    """

    workers: int = 1
    scheduler: str | None = None

    @contextmanager
    def open(self) -> Iterator[MapTasks]:
        """Yield what does tasks, until the block ends."""
        if self.scheduler is None:
            yield partial(_in_processes, self.workers)
            return
        import dask
        from distributed import Client, KilledWorker

        settings = {"distributed.comm.timeouts.connect": "60s"}
        arguments = {"scheduler_file": self.scheduler} if Path(self.scheduler).exists() else {"address": self.scheduler}
        with dask.config.set(settings), Client(**arguments) as client:
            try:
                yield _on(client)
            except KilledWorker:
                raise WorkerDied from None


@contextmanager
def _progress(title: str, count: int) -> Iterator[Callable[[int], None]]:
    """Yield what is told how many more tasks are done; shows a bar where somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task(title, total=count)
        yield lambda done: progress.advance(shown, done)


def _loop(title: str, run: Callable[[int], T], count: int) -> list[T]:
    found = []
    with _progress(title, count) as advance:
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
            with _progress(title, count) as advance, Callback(posttask=lambda *_: advance(1)):
                found = get(tasks, list(tasks), pool=pool, optimize_graph=False, chunksize=_piece(count, workers))
                return list(found)
        except BrokenProcessPool:
            raise WorkerDied from None
        except BaseException:
            stop.set()  # what runs is waited for, and nothing else is begun
            raise


def _piece(count: int, workers: int) -> int:
    """How many tasks a worker is handed at a time: several where there are many, so that handing out costs little."""
    return max(count // (PIECES * workers), 1)


_held: Callable[[int], Any]
_stop: Event


def _hold(run: Callable[[int], Any], stop: Event, parent: int) -> None:
    """Make a forked worker ready for ``_run_held``; it dies with its parent, by Ctrl-C too, and without a word."""
    global _held, _stop
    _held, _stop = run, stop
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _run_held(index: int) -> Any:
    return None if _stop.is_set() else _held(index)


def _on(client: Any) -> MapTasks:
    from distributed import as_completed

    def map_tasks(title: str, run: Callable[[int], T], count: int) -> list[T]:
        found: dict[int, list[T]] = {}
        with _progress(title, count) as advance:
            threads = max(sum(client.nthreads().values()), 1)  # workers may still be on their way
            step = _piece(count, threads)
            pieces = (range(count)[at : at + step] for at in range(0, count, step))
            # what the tasks share goes to each worker once; as a task it is made again when a worker is lost
            shared = client.submit(_itself, run, pure=False)
            # a bounded number of tasks is known to the scheduler at once, however long the plan is
            window = max(4 * threads, 16)
            first = [client.submit(_run_all, shared, piece, pure=False) for piece in islice(pieces, window)]
            running = as_completed(first)
            for future in running:
                begin, results = future.result()
                found[begin] = results
                advance(len(results))
                for piece in islice(pieces, 1):
                    running.add(client.submit(_run_all, shared, piece, pure=False))
        return [result for begin in sorted(found) for result in found[begin]]

    return map_tasks


def _itself(run: Callable[[int], Any]) -> Callable[[int], Any]:
    return run


def _run_all(run: Callable[[int], T], indices: range) -> tuple[int, list[T]]:
    return indices.start, [run(index) for index in indices]


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))
