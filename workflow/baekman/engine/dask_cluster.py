"""A Dask cluster that runs the tasks of a plan: one that is there already, or workers that are jobs of Slurm."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from baekman.engine.progress import task_bar
from baekman.engine.scheduler_address import ENCRYPTED, SLURM, scheduler_address
from baekman.engine.slurm import WorkerWait
from baekman.engine.tasks import MapTasks, tasks_at_a_time
from baekman.errors import InputRefused, Problem, WorkerDied
from baekman.tools.processes import keep_from_others

T = TypeVar("T")

SLURM_LOGS = "logs/dask"
REPLACE_MILLISECONDS = 10_000
WALLTIME = "08:00:00"  # of a worker's job, unless Dask's configuration has another
DASK_WALLTIME = "00:30:00"  # Dask's default
SETTINGS = {"distributed.comm.timeouts.connect": "60s"}

# Dask cannot do without its HTTP servers. They show keys, paths and stack traces to everybody who asks: so they
# listen on the loopback address only, and serve no page.
LOOPBACK = "127.0.0.1:0"
SCHEDULER_WITHOUT_HTTP = {"dashboard": False, "dashboard_address": LOOPBACK}
WORKER_WITHOUT_HTTP = ("--no-dashboard", "--dashboard-address", LOOPBACK)
NO_ROUTES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
WORKER_ENVIRONMENT = ("export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'",)


@contextmanager
def open_cluster(scheduler: str, *, insecure: bool = False) -> Iterator[MapTasks]:
    """Yield the function that runs tasks, until the block ends.

    ``scheduler``: the address of a running Dask scheduler (``tls://…``), the path of its scheduler file, or
    ``slurm:N``. For the last, Slurm starts N workers when it has room for them; they end with the block.
    ``insecure`` allows a scheduler without TLS.
    Raises InputRefused when there is no Slurm, for a scheduler without TLS, and for TLS without certificates here;
    WorkerDied when a task kills its workers.
    """
    import dask
    from distributed import Client, KilledWorker

    address = scheduler_address(scheduler, insecure=insecure)
    slurm = SLURM.fullmatch(address)
    with dask.config.set(SETTINGS):
        try:
            if slurm:
                with _slurm_cluster(int(slurm[1])) as (cluster, wait), Client(cluster) as client:
                    yield partial(_map_tasks, client, int(slurm[1]), wait.check)
            else:
                if address.startswith(ENCRYPTED):
                    _require_certificates()
                with _client_of(address) as client:
                    # more workers may still be on their way
                    yield partial(_map_tasks, client, max(sum(client.nthreads().values()), 1), lambda: None)
        except KilledWorker:
            raise WorkerDied from None


def _client_of(address: str) -> Any:
    """Return a client of the scheduler at ``address``; refuse one that gives no answer within a minute."""
    from distributed import Client

    try:
        return Client(address)
    except OSError:
        raise InputRefused(
            Problem(
                file="--scheduler",
                expected="a scheduler that answers",
                found="no answer",
                action="start it, or correct the address and the certificates of Dask's configuration",
            )
        ) from None


def _require_certificates() -> None:
    from distributed.security import Security

    if Security().get_connection_args("client").get("ssl_context") is None:
        raise InputRefused(
            Problem(
                file="--scheduler",
                expected="a certificate and a key for TLS in Dask's configuration",
                found="none",
                action="set distributed.comm.tls.ca-file, and cert and key under distributed.comm.tls.client",
            )
        )


@contextmanager
def _slurm_cluster(workers: int) -> Iterator[tuple[Any, WorkerWait]]:
    """Yield a cluster of workers with one thread each, and the watch over the wait for them.

    Dask's configuration (``jobqueue.slurm``) describes their jobs. Messages are encrypted, with a key that is made
    for the cluster. Its HTTP servers serve nothing (``NO_ROUTES``).
    """
    import dask
    from tornado.ioloop import PeriodicCallback

    cluster_class = _cluster_class()
    settings = dask.config.get("jobqueue.slurm")
    cores = settings["cores"] or 1
    memory = settings["memory"] or f"{4 * cores} GB"
    walltime = _walltime(settings["walltime"])
    print(
        f"{workers} workers as jobs of Slurm: {cores} cores, {memory} and {walltime} each", file=sys.stderr, flush=True
    )
    with tempfile.TemporaryDirectory(prefix=".dask-", dir=".") as keys, dask.config.set(NO_ROUTES):
        cluster = cluster_class(
            cores=cores,
            processes=cores,
            memory=memory,
            walltime=walltime,
            security=True,
            shared_temp_directory=str(Path(keys).absolute()),
            log_directory=settings["log-directory"] or SLURM_LOGS,
            scheduler_options={**settings["scheduler-options"], **SCHEDULER_WITHOUT_HTTP},
            worker_extra_args=[*(settings["worker-extra-args"] or settings["extra"] or ()), *WORKER_WITHOUT_HTTP],
            job_script_prologue=[
                *(settings["job-script-prologue"] or settings["env-extra"] or ()),
                *WORKER_ENVIRONMENT,
            ],
        )
        with cluster:
            # repeated, to replace a worker if its job ends, for example at its time limit
            scale = PeriodicCallback(partial(cluster.scale, workers), REPLACE_MILLISECONDS)
            cluster.scale(workers)
            cluster.loop.add_callback(scale.start)
            yield (
                cluster,
                WorkerWait(
                    count=lambda: len(cluster.scheduler.workers),
                    jobs=lambda: [str(worker.job_id) for worker in list(cluster.workers.values()) if worker.job_id],
                ),
            )
            cluster.loop.add_callback(scale.stop)


def _cluster_class() -> Any:
    """Return the class of clusters on Slurm; refuse where the extra or ``sbatch`` is missing."""
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
    return SLURMCluster


def _walltime(value: str) -> str:
    """Return the time limit of a worker's job: that of the user, instead of Dask's default of half an hour ours."""
    import dask

    chosen = dask.config.get("jobqueue.slurm.walltime", default=None, config=dask.config.collect())
    return WALLTIME if value == DASK_WALLTIME and chosen is None else value


def _map_tasks(
    client: Any, workers: int, check: Callable[[], None], title: str, run: Callable[[int], T], count: int
) -> list[T]:
    from distributed import as_completed

    results: dict[int, list[T]] = {}
    with task_bar(title, count) as advance:
        step = tasks_at_a_time(count, workers=workers)
        pieces = (range(count)[at : at + step] for at in range(0, count, step))
        # each worker gets the shared part once; as a task it is made again when a worker is lost
        shared = client.submit(_itself, run, pure=False)
        # the scheduler knows a bounded number of tasks at once, however long the plan is
        window = max(4 * workers, 16)
        running = as_completed([client.submit(_run_all, shared, piece, pure=False) for piece in islice(pieces, window)])
        while running.count():
            while running.is_empty():
                check()
                with running.thread_condition:
                    running.thread_condition.wait(timeout=0.1)
            future = next(running)
            first, of_piece = future.result()
            results[first] = of_piece
            advance(len(of_piece))
            for piece in islice(pieces, 1):
                running.add(client.submit(_run_all, shared, piece, pure=False))
    return [result for first in sorted(results) for result in results[first]]


def _itself(run: Callable[[int], Any]) -> Callable[[int], Any]:
    return run


def _run_all(run: Callable[[int], T], indices: range) -> tuple[int, list[T]]:
    keep_from_others()  # a worker has the umask of whoever started it
    return indices.start, [run(index) for index in indices]
