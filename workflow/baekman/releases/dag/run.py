"""The run of the tasks of a release by Snakemake, with a profile: on this machine or as jobs of a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from baekman import data
from baekman.engine import slurm
from baekman.releases.dag.tasks import Tasks, written
from baekman.tools.environment import KEY_VARIABLES
from baekman.tools.processes import STARTED_BY, stopping

_STDERR = 2  # the descriptor: in a notebook ``sys.stderr`` has none


class JobsFailed(Exception):
    """Jobs of a release failed; Snakemake has reported which. The command line exits with 1."""


def run_dag(folder: Path, tasks: Mapping[str, Tasks], *, profile: str, workers: int) -> None:
    """Run ``tasks`` by ``rules/release.smk``; messages of Snakemake go to stderr.

    Args:
        folder: The folder of the unfinished package, an absolute path.
        tasks: The tasks by kind.
        profile: A profile of Snakemake: a folder, or a name in ``profiles/``.
        workers: Jobs at the same time on this machine.

    When this process is stopped, Snakemake and its jobs are stopped as by Ctrl-C, and waited for.

    Raises:
        InputRefused: ``profile`` is one of Slurm, and no job can be submitted here.
        JobsFailed: Some jobs failed; the others are done, and the next run goes on.
    """
    home = data.workflow_folder()
    named = Path(profile) if Path(profile).is_dir() else home / "profiles" / profile
    slurm.require(slurm.executor_of(named))
    resources = home / "profiles" / "default"  # threads, memory and time of the rules
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(home / "rules" / "release.smk"), "--nocolor"]
    command += ["--directory", str(folder), "--workflow-profile", str(resources), "--cores", str(workers)]
    command += ["--profile", str(named.resolve())] if named != resources else []
    with written(folder, tasks):
        failed = _run(command, folder)
    if failed:
        raise JobsFailed("jobs of the release failed: Snakemake's messages above name them; run the same command again")


def _run(command: Sequence[str], folder: Path) -> int:
    """Run ``command`` in ``folder``, in a process group of its own and without keys; return its exit code."""
    environment = {name: value for name, value in os.environ.items() if name not in KEY_VARIABLES}
    environment |= {STARTED_BY: str(os.getpid()), "PWD": str(folder)}
    # a background command of a shell ignores Ctrl-C, and a process that it starts would inherit that
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, process_group=0, stdin=subprocess.DEVNULL, stdout=_STDERR
        )
    finally:
        signal.signal(signal.SIGINT, interrupt)
    with stopping(process):
        return process.wait()
