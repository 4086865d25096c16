"""Whole deliveries through a real Slurm: the bytes of a local run, no identifier in Slurm, and jobs that end badly."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from baekman.privacy import leakscan
from baekman.privacy.leak_patterns import matcher_of
from baekman.registry.confidential import read_identifiers
from support import PROJECT
from support.canaries import make_canaries
from support.delivery_builder import write_reference
from support.servers import slurm
from support.store_tools import hashes

BIN = Path(sys.executable).parent
PROFILE = ("--profile", PROJECT / "profiles" / "slurm")
NOT_RESULTS = ("hashes.json", "inputs")  # of a batch: a digest of the times of its gVCFs, and the digest of that

pytestmark = pytest.mark.cluster


def run(*words: str | Path, folder: Path, timeout: float = 1800, **environment: str) -> str:
    """Run a program in ``folder`` to its end; return its stderr. Raise AssertionError when it fails."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BAEKMAN_")}
    done = subprocess.run(
        list(map(str, words)),
        env={**kept, **environment, "PWD": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def received(workspace: Path) -> list[str]:
    """Return the deliveries of a workspace in the order of their batches."""
    batches = (workspace / "cohort" / "batches").iterdir()
    return [path.name for path in sorted(batches, key=lambda path: path.stat().st_mtime_ns)]


def results(workspace: Path) -> dict[str, str]:
    """Return the hash of each file of tables, sites and batches; a batch is named by its number."""
    files = hashes(workspace / "tables") | hashes(workspace / "cohort" / "sites")
    for number, batch in enumerate(received(workspace), start=1):
        found = hashes(workspace / "cohort" / "batches" / batch)
        files |= {f"batch {number}: {name}": value for name, value in found.items() if name not in NOT_RESULTS}
    return files


def test_the_demo_through_slurm_has_the_bytes_of_a_local_run(
    remembering_cluster: dict[str, str], tmp_path: Path
) -> None:
    """The first delivery by plain ``snakemake``, with intake as a run of its own; the second by ``watch``."""
    genome = tmp_path / "genome"
    run(sys.executable, PROJECT / "scripts" / "make_test_genome.py", "--output", genome, folder=tmp_path)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    run(BIN / "baekman", "registry", "init", "--workspace", here, folder=tmp_path)
    run(BIN / "baekman", "registry", "import", genome / "registration.tsv", "--workspace", here, folder=tmp_path)
    shutil.copytree(here, there)
    config = genome / "demo_config.yaml"
    for name in ("first", "second"):
        words = ("deliver", genome / "deliveries" / name, "--workspace", here, "--config", config)
        run(BIN / "baekman", *words, folder=tmp_path)
    snakemake = (BIN / "snakemake", "--snakefile", PROJECT / "Snakefile", "--configfile", config, *PROFILE)
    values = ("--config", f"delivery={genome / 'deliveries' / 'first'}", f"workspace={there}")
    run(*snakemake, *values, folder=tmp_path, **remembering_cluster)
    words = ("--once", "--quiet-seconds", "0", "--workspace", there, "--config", config, *PROFILE)
    run(BIN / "baekman", "watch", genome / "deliveries", *words, folder=tmp_path, **remembering_cluster)
    local, on_slurm = results(here), results(there)
    assert len(received(there)) == 2 and len(local) > 50
    assert {name for name in local.keys() | on_slurm.keys() if local.get(name) != on_slurm.get(name)} == set()
    # every rule ran as a job of Slurm, with the threads and memory of the profile
    jobs = slurm.slurm_says(remembering_cluster, "squeue", "--states=all", "--noheader", "--format", "%k|%C|%m|%l|%T")
    rules = {}
    for line in jobs.splitlines():
        comment, *numbers = line.split("|")
        rules[re.sub(r"^rule_|_wildcards_.*$", "", comment)] = tuple(numbers)
    assert {"reference", "depth", "metrics", "verdicts", "call_piece", "batch"} <= rules.keys()
    aligned = {rules[rule] for rule in ("align_reads", "inspect_and_align") if rule in rules}
    assert aligned == {("8", "24000M", "1-00:00:00", "COMPLETED")}
    assert {numbers[-1] for numbers in rules.values()} == {"COMPLETED"}


@contextmanager
def seen_processes(output: Path) -> Iterator[None]:
    """Write the command lines and environments of all processes of Slurm's jobs to ``output``, as they are seen."""
    seen: set[bytes] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.1):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    environment = (process / "environ").read_bytes()
                    if b"SLURM_JOB_ID=" in environment:
                        seen.update((environment, (process / "cmdline").read_bytes()))
                except OSError:
                    continue

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        output.write_bytes(b"\n".join(sorted(seen)))
        assert len(seen) > 20


def test_slurm_sees_no_identifier_no_path_of_the_delivery_and_no_key(
    remembering_cluster: dict[str, str], tmp_path: Path
) -> None:
    """Both commands run in the folder of the delivery, with paths that lead through it."""
    canaries = make_canaries(tmp_path / "in", write_reference(tmp_path / "reference"))
    written, workspace = tmp_path / "written", tmp_path / "written" / "workspace"
    workspace.mkdir(parents=True)
    key = tmp_path / "keys" / "kvexqwyzkey"
    key.parent.mkdir()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"reference: {tmp_path / 'reference' / 'tiny.fa'}\naligned_input: accept\ngates: {{qc: report}}\n"
    )
    keys = {"BAEKMAN_REGISTRY_KEY": str(key)}
    named = ("--workspace", workspace)
    run(BIN / "baekman", "registry", "init", *named, folder=tmp_path, **keys)
    run(BIN / "baekman", "registry", "import", canaries.registration, *named, folder=tmp_path, **keys)
    relative = Path(os.path.relpath(config, canaries.first))
    with seen_processes(written / "processes"):
        words = (
            "deliver",
            ".",
            "--workspace",
            os.path.relpath(workspace, canaries.first),
            "--config",
            relative,
            *PROFILE,
        )
        run(BIN / "baekman", *words, folder=canaries.first, **remembering_cluster, **keys)
        snakefile = os.path.relpath(PROJECT / "Snakefile", canaries.second)
        values = ("--configfile", relative, *PROFILE, "--config", "delivery=.", f"workspace={workspace}")
        run(BIN / "snakemake", "--snakefile", snakefile, *values, folder=canaries.second, **remembering_cluster, **keys)
    home = Path(remembering_cluster["PATH"].split(":")[0]).parent
    shutil.copytree(home, written / "slurm", ignore=shutil.ignore_patterns("bin"))
    shown = slurm.slurm_says(remembering_cluster, "scontrol", "show", "job", "--details")
    (written / "shown").write_text(shown)
    assert shown.count("JobId=") > 20
    (written / "key").write_text("")
    extra = tmp_path / "listed.txt"
    words_of_key = [key.name, *re.findall(r"[A-Za-z0-9+/_-]{16,}", key.read_text())]
    extra.write_text(canaries.listed.read_text() + "\n".join([*words_of_key, str(canaries.folder)]) + "\n")
    matcher = matcher_of(read_identifiers(extra))
    scanned = leakscan.scan([written], matcher=matcher, exclude=[workspace / "return", workspace / "registry"])
    assert [f"{leak.place} {leak.encoding} {leak.file} {leak.where}" for leak in scanned.leaks] == []
    # the positive control
    (written / "key").write_text(f"{key}\n{canaries.first}\n")
    assert leakscan.scan([written / "key"], matcher=matcher).leaks


ENDINGS = """
rule all:
    input: "ok", "cancelled", "never", "fails"

rule ok:
    output: "ok"
    shell: "touch {output}"

rule cancelled:
    output: "cancelled"
    log: "logs/cancelled"
    shell: "scancel $SLURM_JOB_ID; sleep 600"

rule never:
    output: "never"
    log: "logs/never"
    resources: runtime=600
    shell: "touch {output}"

rule fails:
    output: "fails"
    log: "logs/fails"
    shell: "echo cause > {log}; exit 3"
"""


def test_jobs_that_end_badly_or_never_start_end_the_run_with_words(cluster: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(ENDINGS)
    slurm.slurm_says(cluster, "scontrol", "update", "PartitionName=main", "MaxTime=100")
    try:
        command = ["snakemake", "--executor", "baekman-slurm", "--jobs", "10", "--keep-going"]
        command += ["--default-resources", "runtime=60", "mem_mb=100", "--baekman-slurm-say-minutes", "0"]
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            env=slurm.environment_of(cluster),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
    finally:
        slurm.slurm_says(cluster, "scontrol", "update", "PartitionName=main", "MaxTime=INFINITE")
    assert done.returncode == 1 and (tmp_path / "ok").exists(), done.stdout
    logs = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert logs["fails"] == "cause\n"
    assert "Slurm's state is CANCELLED" in logs["cancelled"] or "no record" in logs["cancelled"]
    assert "was cancelled; Slurm's reason is PartitionTimeLimit" in logs["never"]
    assert slurm.slurm_says(cluster, "squeue", "--noheader", "--states", "PENDING,RUNNING") == ""
