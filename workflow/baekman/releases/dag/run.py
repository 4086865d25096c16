"""The run of the tasks of a release by Snakemake, with a profile: on this machine or as jobs of a cluster."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from baekman import data
from baekman.releases.dag.tasks import Tasks, written


class JobsFailed(Exception):
    """Jobs of a release failed; Snakemake has reported which. The command line exits with 1."""


def run_dag(folder: Path, tasks: Mapping[str, Tasks], *, profile: str, workers: int) -> None:
    """Run ``tasks`` by ``rules/release.smk``; messages of Snakemake go to stderr.

    Args:
        folder: The folder of the unfinished package, an absolute path.
        tasks: The tasks by kind.
        profile: A profile of Snakemake: a folder, or a name in ``profiles/``.
        workers: Jobs at the same time on this machine.

    Raises:
        JobsFailed: Some jobs failed; the others are done, and the next run goes on.
    """
    home = data.workflow_folder()
    named = Path(profile) if Path(profile).is_dir() else home / "profiles" / profile
    resources = home / "profiles" / "default"  # threads, memory and time of the rules
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(home / "rules" / "release.smk"), "--nocolor"]
    command += ["--directory", str(folder), "--workflow-profile", str(resources), "--cores", str(workers)]
    command += ["--profile", str(named.resolve())] if named != resources else []
    with written(folder, tasks):
        done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        raise JobsFailed("jobs of the release failed: Snakemake's messages above name them; run the same command again")
