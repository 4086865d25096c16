"""A Slurm that keeps accounts: every end is seen within a minute, also while the accounts are away or wrong."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import PROJECT
from support.plans import PlannedWorkspace
from support.servers import slurm
from support.servers.slurm_accounts import AccountedSlurm

pytestmark = pytest.mark.cluster

SECONDS = 60  # in which the end of a job is seen
LOADED = 30  # more of them for the tests' own waits, on a machine with other work

# a job of each rule writes its number to <rule>.id and runs until it is ended, or until there is a file to wait for
RULE = """
rule {name}:
    output: "{name}"
    log: "logs/{name}"
    resources: runtime={minutes}
    shell: "echo $SLURM_JOB_ID > {name}.new; mv {name}.new {name}.id; {command}"
"""


def snakefile(folder: Path, *, minutes: int = 60, **commands: str) -> None:
    """Write a workflow with a rule for each of ``commands``, by its name; jobs may run ``minutes``."""
    rules = [RULE.format(name=name, minutes=minutes, command=command) for name, command in commands.items()]
    (folder / "Snakefile").write_text(f"rule all:\n    input: {list(commands)}\n" + "".join(rules))


@contextmanager
def snakemake(cluster: AccountedSlurm, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the workflow in ``folder`` by the executor of ``profiles/slurm``; what it prints is in ``printed``."""
    words = ["--executor", "baekman-slurm", "--jobs", "10", "--keep-going", "--default-resources", "mem_mb=100"]
    with (folder / "printed").open("wb") as printed:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "snakemake"), *words],
            env=slurm.environment_of(cluster.environment), cwd=folder, stdout=printed, stderr=printed,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def until(true: Callable[[], bool], *, seconds: float = SECONDS + LOADED) -> None:
    """Wait until ``true()``, for so many ``seconds`` at most."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def number(folder: Path, rule: str) -> str:
    """Return Slurm's number of the job of ``rule``, when it runs."""
    until((folder / f"{rule}.id").exists)
    return (folder / f"{rule}.id").read_text().strip()


def state(cluster: AccountedSlurm, job: str) -> str:
    """Return the first word of the state of ``job`` in the accounts."""
    rows = cluster.accounts_say(f"--jobs={job}", "--format=JobID,State")
    return rows[-1][1].split()[0] if rows else ""


def log_of(folder: Path, rule: str) -> str:
    """Return what the log of ``rule`` says, when it is there."""
    path = folder / "logs" / rule
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text()


def test_the_jobs_of_the_workflow_run_by_its_profile(accounted_cluster: AccountedSlurm, tmp_path: Path) -> None:
    delivery = PlannedWorkspace(tmp_path).receive("gvcf")
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--directory", tmp_path,
        "--profile", PROJECT / "profiles" / "slurm", "--config", f"delivery={delivery}", "--until", "reference",
    ]  # fmt: skip
    done = subprocess.run(
        command, env=slurm.environment_of(accounted_cluster.environment), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "reference" / "genome.fa.fai").is_file()
    assert list((tmp_path / ".snakemake" / "slurm_runs").iterdir()) == []


def test_each_end_is_seen_within_a_minute_with_its_state(accounted_cluster: AccountedSlurm, tmp_path: Path) -> None:
    """``squeue`` forgets a job sooner than it is asked again."""
    commands = {"fails": "echo cause > {log}; exit 3", "cancelled": "scancel $SLURM_JOB_ID; sleep 600"}
    snakefile(tmp_path, minutes=1, ok="touch {output}", late="sleep 600", **commands)
    with snakemake(accounted_cluster, tmp_path) as run:
        assert run.wait(timeout=300) == 1
    assert (tmp_path / "ok").exists() and log_of(tmp_path, "fails") == "cause\n"
    for rule, expected in (("late", "TIMEOUT"), ("cancelled", "CANCELLED")):
        log = tmp_path / "logs" / rule
        assert f"Slurm's state is {expected}: " in log.read_text()
        job = (tmp_path / f"{rule}.id").read_text().strip()
        ends = slurm.slurm_says(
            {**accounted_cluster.environment, "SLURM_TIME_FORMAT": "%s"},
            *("sacct", "--allocations", "--parsable2", "--noheader", f"--jobs={job}", "--format=End"),
        )
        assert 0 <= log.stat().st_mtime - int(ends) <= SECONDS


def test_accounts_that_hang_and_come_back_delay_no_end(accounted_cluster: AccountedSlurm, tmp_path: Path) -> None:
    here = "until [ -e {} ]; do sleep 0.2; done; touch {{output}}"
    snakefile(tmp_path, well=here.format("away"), last=here.format("back"), early="sleep 600", late="sleep 600")
    with snakemake(accounted_cluster, tmp_path) as run:
        jobs = {rule: number(tmp_path, rule) for rule in ("well", "last", "early", "late")}
        until(lambda: {state(accounted_cluster, job) for job in jobs.values()} == {"RUNNING"})
        accounted_cluster.pause_accounts()
        try:
            (tmp_path / "away").touch()
            accounted_cluster.says("scancel", jobs["early"])
            until(lambda: jobs["early"] not in accounted_cluster.says("squeue", "--noheader", "--format", "%i").split())
            begin = time.monotonic()
            assert "Slurm has no record of it" in log_of(tmp_path, "early")
            assert time.monotonic() - begin <= SECONDS
            until((tmp_path / "well").exists)
        finally:
            accounted_cluster.resume_accounts()
        until(lambda: state(accounted_cluster, jobs["early"]) == "CANCELLED", seconds=300)
        accounted_cluster.says("scancel", jobs["late"])
        assert "Slurm's state is CANCELLED: " in log_of(tmp_path, "late")
        (tmp_path / "back").touch()
        assert run.wait(timeout=SECONDS + LOADED) == 1
    printed = (tmp_path / "printed").read_text()
    assert "Slurm's accounts give no answer (sacct: no answer in 10 seconds); a job that ends badly" in printed
    assert printed.count("Slurm's accounts answer again") == 1 and (tmp_path / "last").exists()


def test_a_job_that_slurm_lost_is_lost_though_the_accounts_say_that_it_runs(
    accounted_cluster: AccountedSlurm, tmp_path: Path
) -> None:
    snakefile(tmp_path, lost="trap '' TERM; sleep 600")
    with snakemake(accounted_cluster, tmp_path) as run:
        job = number(tmp_path, "lost")
        until(lambda: state(accounted_cluster, job) == "RUNNING")
        accounted_cluster.stop_accounts()
        try:
            accounted_cluster.lose_jobs()
        finally:
            accounted_cluster.start_accounts()
        begin = time.monotonic()
        assert "Slurm has no record of it" in log_of(tmp_path, "lost")
        assert time.monotonic() - begin <= SECONDS
        assert state(accounted_cluster, job) == "RUNNING"
        assert run.wait(timeout=SECONDS + LOADED) == 1
