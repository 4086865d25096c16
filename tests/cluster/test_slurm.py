"""A cluster of Slurm runs the workflow's jobs by their profile, and a batch's tasks on Dask workers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from baekman.cohort.add import add_batch
from baekman.cohort.store import create_store
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from support import PROJECT
from support.plans import PlannedWorkspace
from support.servers import slurm
from support.small_cohort import BASES, member
from support.store_tools import baekman, hashes, write_list, write_reference


def test_workers_from_slurm_write_the_bytes_of_one_process(
    cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = write_reference(tmp_path / "ref.fa", {"c1": BASES})
    members = [member(tmp_path, number) for number in range(5)]
    whole = create_store(tmp_path / "whole", reference=reference)
    add_batch(whole, batch="b", members=members)
    create_store(tmp_path / "here" / "cohort", reference=reference)
    write_list(tmp_path / "list.tsv", [(person.participant_id, Path(person.gvcf)) for person in members])
    made_here = {path for path in (tmp_path / "here").rglob("*") if path.is_file()}
    chosen = {"BAEKMAN_SCHEDULER": "slurm:2", "DASK_JOBQUEUE__SLURM__INTERFACE": "lo"}
    for name, value in {**cluster, **chosen}.items():
        monkeypatch.setenv(name, value)
    command = ["cohort", "add", "--cohort", "cohort", "--batch", "b", "--gvcfs", tmp_path / "list.tsv"]
    done = baekman(*command, cwd=tmp_path / "here")
    for folder in ("batches", "sites"):
        assert hashes(tmp_path / "here" / "cohort" / folder) == hashes(tmp_path / "whole" / folder)
    written = [path for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert {path for path in written if path.stat().st_mode & 0o137} <= made_here
    assert any(path.parts[-3:-1] == ("logs", "dask") for path in written)
    assert "2 workers as jobs of Slurm: 1 cores, 4 GB and 08:00:00 each" in done.stderr
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


LISTENING = """
import json, os, pathlib, socket
from baekman.engine.local import Engine

def sockets(process):
    # inodes and addresses of the sockets on which a process listens (IPv4, and IPv6 as the bytes of the kernel)
    inodes = set()
    for link in pathlib.Path(f"/proc/{process}/fd").iterdir():
        try:
            inodes.add(os.readlink(link))
        except OSError:
            pass
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                address, port = fields[1].split(":")
                yield address, int(port, 16)

def get(port, page):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {page} HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n".encode())
        try:
            return connection.recv(64).decode("latin-1").split("\\r\\n")[0]
        except OSError:
            return ""

def run(index):
    return [os.getpid(), os.getppid()]

if __name__ == "__main__":
    with Engine(scheduler="slurm:1").open() as map_tasks:
        processes = {*map_tasks("asking", run, 1)[0], os.getpid()}
        answers = []
        for process in processes:
            for address, port in sockets(process):
                pages = ("/health", "/metrics", "/status", "/json/counts.json", "/info/main/workers.html", "/")
                answers.append((address, [get(port, page) for page in pages]))
        print(json.dumps(answers))
"""


def test_scheduler_and_workers_of_slurm_speak_no_http_to_anybody(cluster: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTENING],
        env=slurm.environment_of({**cluster, "DASK_JOBQUEUE__SLURM__INTERFACE": "lo"}), cwd=tmp_path,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    servers = [(address, lines) for address, lines in answers if any(line.startswith("HTTP/") for line in lines)]
    assert len(answers) >= 5 and len(servers) >= 2  # of the scheduler and a worker; the others speak TLS
    for address, lines in servers:
        assert address == "0100007F"  # 127.0.0.1, also where the messages go to other machines
        assert {line.split()[1] for line in lines} == {"404"}


def test_the_jobs_of_the_workflow_run_by_its_profile(cluster: dict[str, str], tmp_path: Path) -> None:
    """This Slurm keeps no accounts, and forgets a job two seconds after its end."""
    workspace = PlannedWorkspace(tmp_path)
    delivery = workspace.receive("gvcf")
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--directory", tmp_path,
        "--profile", PROJECT / "profiles" / "slurm", "--config", f"delivery={delivery}", "--until", "reference",
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
    assert list((tmp_path / ".snakemake" / "slurm_runs").iterdir()) == []


def test_a_run_is_refused_before_intake_where_no_job_can_be_submitted(tmp_path: Path) -> None:
    workspace = PlannedWorkspace(tmp_path)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    profile = ("--profile", PROJECT / "profiles" / "slurm")
    snakemake = (sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--config")
    commands: dict[int, tuple[str | Path, ...]] = {
        3: (Path(sys.executable).parent / "baekman", "deliver", inbox, "--workspace", tmp_path, *profile),
        1: (*snakemake, f"delivery={inbox}", f"workspace={tmp_path}", *profile),
    }
    (tmp_path / "bin").mkdir()
    for program in ("bash", "which"):  # of Snakemake
        (tmp_path / "bin" / program).symlink_to(shutil.which(program) or "")
    path = {"PATH": str(tmp_path / "bin")}
    for code, command in commands.items():
        done = subprocess.run(
            list(map(str, command)),
            env={**os.environ, **path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        expected = "--profile: expected Slurm's commands on PATH, found no sbatch, no squeue, no scancel"
        assert expected in done.stderr, done.stderr
    assert not (workspace.folder / "deliveries").exists()


@pytest.mark.cluster
def test_the_executor_of_the_plugin_is_advised_against(cluster: dict[str, str], tmp_path: Path) -> None:
    delivery = PlannedWorkspace(tmp_path).receive("gvcf")
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "config.yaml").write_text("executor: slurm\njobs: 1\n")
    command = [sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--profile", "profile"]
    command += ["--config", f"delivery={delivery}", "--until", "nothing"]
    done = subprocess.run(
        list(map(str, command)),
        env={**slurm.environment_of(cluster), "PWD": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "write executor: baekman-slurm into the profile" in done.stderr, done.stderr


def test_a_missing_slurm_is_refused_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputRefused) as refused, Engine(scheduler="slurm:2").open():
        pass
    assert str(refused.value) == (
        "--scheduler: expected Slurm's sbatch on PATH with slurm:N, found none; "
        "run this on a machine that submits jobs, or give --workers N"
    )
