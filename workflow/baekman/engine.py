"""Running the tasks of a plan: in a plain loop, on local workers, or on a Dask cluster; the same bytes each way.

Every chunked step follows one contract: a plan says how many tasks there are, ``run(i)`` does one of them with
atomic output and returns at once when that is there already, and finishing is the caller's.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

# Reading, sorting, counting and compressing let go of the interpreter's lock, so threads share a process well; a
# process more costs seconds of start, and memory. Beyond these the rest, which holds the lock, would be in the way.
THREADS_OF_A_PROCESS = 8
PIECES = 16  # that a thread is handed of a plan, or as many as there are tasks


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where tasks run. ``workers`` 0 or 1 is a plain loop in this process; more are Dask's threads, of this process as
    far as ``THREADS_OF_A_PROCESS`` go and else of the processes of a local cluster.

    ``scheduler`` is the address of a running Dask scheduler (``tcp://…``) or the path of its scheduler file;
    with it ``workers`` does not count.
    """

    workers: int = 1
    scheduler: str | None = None

    @contextmanager
    def open(self) -> Iterator[Callable[[str, Callable[[int], Any], int], None]]:
        """Yield ``map_tasks(title, run, count)``, which calls ``run(0) … run(count - 1)`` and waits for all.

        The first failure is raised as it was; tasks that finished keep their output.
        """
        if self.scheduler is None and self.workers <= 1:
            yield _loop
            return
        if self.scheduler is None and self.workers <= THREADS_OF_A_PROCESS:
            yield partial(_in_threads, self.workers)
            return
        import dask
        from distributed import Client, LocalCluster

        settings = {
            "distributed.worker.daemon": False,
            "distributed.admin.tick.limit": "1h",
            "distributed.comm.timeouts.connect": "60s",
            "distributed.scheduler.worker-saturation": 1.0,
        }
        with dask.config.set(settings):
            if self.scheduler is None:
                processes = -(-self.workers // THREADS_OF_A_PROCESS)
                with (
                    LocalCluster(
                        n_workers=processes,
                        threads_per_worker=-(-self.workers // processes),
                        # a failure is raised here and told once, without the traceback that a worker would log
                        silence_logs=logging.CRITICAL,
                        host="127.0.0.1",
                        dashboard_address="127.0.0.1:0",
                    ) as cluster,
                    Client(cluster) as client,
                ):
                    yield _on(client)
            else:
                arguments = (
                    {"scheduler_file": self.scheduler} if Path(self.scheduler).exists() else {"address": self.scheduler}
                )
                with Client(**arguments) as client:
                    yield _on(client)


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


def _loop(title: str, run: Callable[[int], Any], count: int) -> None:
    with _progress(title, count) as advance:
        for index in range(count):
            run(index)
            advance(1)


def _in_threads(threads: int, title: str, run: Callable[[int], Any], count: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from dask.callbacks import Callback
    from dask.threaded import get

    tasks = {f"task-{index}": (run, index) for index in range(count)}
    with (
        _progress(title, count) as advance,
        Callback(posttask=lambda *_: advance(1)),
        ThreadPoolExecutor(threads) as pool,  # after a failure what runs is waited for, and nothing else is begun
    ):
        get(tasks, list(tasks), pool=pool, num_workers=threads)


def _on(client: Any) -> Callable[[str, Callable[[int], Any], int], None]:
    from distributed import as_completed

    def map_tasks(title: str, run: Callable[[int], Any], count: int) -> None:
        with _progress(title, count) as advance:
            threads = max(sum(client.nthreads().values()), 1)  # workers may still be on their way
            # several tasks at a time where there are many, so that handing them out costs little beside small ones
            step = max(count // (PIECES * threads), 1)
            pieces = (range(count)[at : at + step] for at in range(0, count, step))
            # what the tasks share goes to each worker once; as a task it is made again when a worker is lost
            shared = client.submit(_itself, run, pure=False)
            # a bounded number of tasks is known to the scheduler at once, however long the plan is
            window = max(4 * threads, 16)
            first = [client.submit(_run_all, shared, piece, pure=False) for piece in islice(pieces, window)]
            running = as_completed(first)
            for future in running:
                advance(future.result())
                for piece in islice(pieces, 1):
                    running.add(client.submit(_run_all, shared, piece, pure=False))

    return map_tasks


def _itself(run: Callable[[int], Any]) -> Callable[[int], Any]:
    return run


def _run_all(run: Callable[[int], Any], indices: range) -> int:
    for index in indices:
        run(index)
    return len(indices)


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))
