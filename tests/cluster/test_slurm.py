"""A cluster of Slurm runs the workflow's jobs by their profile, and a batch's tasks on Dask workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.store import create_store
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from support import PROJECT, slurm
from support.plans import Workspace
from support.small_cohort import BASES, member
from support.store_tools import baekman, hashes, write_list, write_reference


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """The environment for the commands of a running Slurm: optional on a laptop, required in CI."""
    if not slurm.is_installed():
        message = "no Slurm: Debian's packages slurmctld, slurmd and slurm-client are not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with slurm.server() as environment:
        yield environment


def test_workers_from_slurm_write_the_bytes_of_one_process(
    cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = write_reference(tmp_path / "ref.fa", {"c1": BASES})
    members = [member(tmp_path, number) for number in range(5)]
    whole = create_store(tmp_path / "whole", reference=reference)
    add_batch(whole, batch="b", members=members)
    create_store(tmp_path / "here" / "cohort", reference=reference)
    write_list(tmp_path / "list.tsv", [(person.participant_id, Path(person.gvcf)) for person in members])
    chosen = {"BAEKMAN_SCHEDULER": "slurm:2", "DASK_JOBQUEUE__SLURM__INTERFACE": "lo"}
    for name, value in {**cluster, **chosen}.items():
        monkeypatch.setenv(name, value)
    command = ["cohort", "add", "--cohort", "cohort", "--batch", "b", "--gvcfs", tmp_path / "list.tsv"]
    baekman(*command, cwd=tmp_path / "here")
    for folder in ("batches", "sites"):
        assert hashes(tmp_path / "here" / "cohort" / folder) == hashes(tmp_path / "whole" / folder)
    assert slurm.slurm_says(cluster, "squeue", "--noheader", "--states", "PENDING,RUNNING") == ""
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["cohort", "logs"]


LOSING = """
import os, pathlib, subprocess, sys, time
from baekman.engine.local import Engine

def run(index):
    first = not pathlib.Path("lost").exists()
    pathlib.Path("lost").touch()
    if first:
        subprocess.run(["scancel", os.environ["SLURM_JOB_ID"]], check=True)
        time.sleep(600)
    return index

if __name__ == "__main__":
    with Engine(scheduler="slurm:1").open() as map_tasks:
        print(map_tasks("losing", run, 3))
"""


def test_a_worker_whose_job_ends_is_replaced(cluster: dict[str, str], tmp_path: Path) -> None:
    settings = {"DASK_JOBQUEUE__SLURM__INTERFACE": "lo", "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "1s"}
    done = subprocess.run(
        [sys.executable, "-c", LOSING], env=slurm.environment_of({**cluster, **settings}), cwd=tmp_path,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("[0, 1, 2]\n", 0), done.stderr


def test_the_jobs_of_the_workflow_run_by_its_profile(cluster: dict[str, str], tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    delivery = workspace.receive("gvcf")
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--directory", tmp_path,
        "--profile", PROJECT / "profiles" / "slurm", "--config", f"delivery={delivery}", "--until", "reference",
        # unlike a real cluster, this one keeps no accounts and answers every second
        "--slurm-no-account", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env=slurm.environment_of(cluster),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert "submitted with SLURM jobid" in done.stdout
    assert (tmp_path / "reference" / "genome.fa.fai").is_file()


def test_a_missing_slurm_is_refused_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputRefused) as refused, Engine(scheduler="slurm:2").open():
        pass
    assert str(refused.value) == (
        "--scheduler: expected Slurm's sbatch on PATH with slurm:N, found none; "
        "run this on a machine that submits jobs, or give --workers N"
    )
