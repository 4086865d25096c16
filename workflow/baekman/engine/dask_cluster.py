"""A Dask cluster that does the tasks of a plan: one that runs already, or one whose workers are jobs of Slurm."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from baekman.engine.tasks import MapTasks, piece, progress
from baekman.errors import InputRefused, Problem, WorkerDied

T = TypeVar("T")

SLURM = re.compile(r"slurm:([1-9]\d{0,4})")
SLURM_LOGS = "logs/dask"
REPLACE_MILLISECONDS = 10_000
SETTINGS = {"distributed.comm.timeouts.connect": "60s"}


@contextmanager
def open_cluster(scheduler: str) -> Iterator[MapTasks]:
    """Yield what does tasks, until the block ends.

    ``scheduler`` is the address of a running Dask scheduler (``tcp://…``), the path of its scheduler file, or
    ``slurm:N``: N workers, which Slurm starts when it has room for them and which end with the block. Raises
    InputRefused where there is no Slurm, and WorkerDied when workers die of a task.
    """
    import dask
    from distributed import Client, KilledWorker

    slurm = SLURM.fullmatch(scheduler)
    with dask.config.set(SETTINGS):
        try:
            if slurm:
                with _slurm_cluster(int(slurm[1])) as cluster, Client(cluster) as client:
                    yield _on(client, workers=int(slurm[1]))
            else:
                arguments = {"scheduler_file": scheduler} if Path(scheduler).exists() else {"address": scheduler}
                with Client(**arguments) as client:
                    # some may still be on their way
                    yield _on(client, workers=max(sum(client.nthreads().values()), 1))
        except KilledWorker:
            raise WorkerDied from None


@contextmanager
def _slurm_cluster(workers: int) -> Iterator[Any]:
    """Workers of one thread each; Dask's configuration (``jobqueue.slurm``) says what a job of them asks for.

    What they are told is encrypted, by a key that is made for them.
    """
    import dask
    from tornado.ioloop import PeriodicCallback

    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise InputRefused(
            Problem(
                file="--scheduler",
                expected="the package dask-jobqueue with slurm:N",
                found="none",
                action="install baekman[slurm], or give --workers N",
            )
        ) from None
    if shutil.which("sbatch") is None:
        raise InputRefused(
            Problem(
                file="--scheduler",
                expected="Slurm's sbatch on PATH with slurm:N",
                found="none",
                action="run this on a machine that submits jobs, or give --workers N",
            )
        )
    settings = dask.config.get("jobqueue.slurm")
    cores = settings["cores"] or 1
    with tempfile.TemporaryDirectory(prefix=".dask-", dir=".") as keys:
        cluster = SLURMCluster(
            cores=cores,
            processes=cores,
            memory=settings["memory"] or f"{4 * cores} GB",
            security=True,
            shared_temp_directory=str(Path(keys).absolute()),
            log_directory=settings["log-directory"] or SLURM_LOGS,
            scheduler_options={"dashboard": False, **settings["scheduler-options"]},
        )
        with cluster:
            # again and again: a worker whose job has ended, since its time was over for one, is replaced
            scale = PeriodicCallback(partial(cluster.scale, workers), REPLACE_MILLISECONDS)
            cluster.scale(workers)
            cluster.loop.add_callback(scale.start)
            yield cluster
            cluster.loop.add_callback(scale.stop)


def _on(client: Any, *, workers: int) -> MapTasks:
    from distributed import as_completed

    def map_tasks(title: str, run: Callable[[int], T], count: int) -> list[T]:
        found: dict[int, list[T]] = {}
        with progress(title, count) as advance:
            step = piece(count, workers)
            pieces = (range(count)[at : at + step] for at in range(0, count, step))
            # what the tasks share goes to each worker once; as a task it is made again when a worker is lost
            shared = client.submit(_itself, run, pure=False)
            # a bounded number of tasks is known to the scheduler at once, however long the plan is
            window = max(4 * workers, 16)
            first = [client.submit(_run_all, shared, some, pure=False) for some in islice(pieces, window)]
            running = as_completed(first)
            for future in running:
                begin, results = future.result()
                found[begin] = results
                advance(len(results))
                for some in islice(pieces, 1):
                    running.add(client.submit(_run_all, shared, some, pure=False))
        return [result for begin in sorted(found) for result in found[begin]]

    return map_tasks


def _itself(run: Callable[[int], Any]) -> Callable[[int], Any]:
    return run


def _run_all(run: Callable[[int], T], indices: range) -> tuple[int, list[T]]:
    return indices.start, [run(index) for index in indices]
