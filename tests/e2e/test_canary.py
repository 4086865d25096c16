"""The canary test: no byte that a run leaves holds a registered or delivered value."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from baekman.cohort import snapshot, store
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.settings import BatchSettings
from baekman.freezes.freeze import freeze
from baekman.privacy import leakscan
from baekman.privacy.leak_patterns import Identifier, matcher_of
from baekman.registry.confidential import read_identifiers
from baekman.registry.records import open_registry
from baekman.registry.specimen import SpecimenRecord
from baekman.tables import files as table_files
from baekman.tables.make import make_tables
from support import PROJECT
from support.canaries import INSTITUTION, LABELS, Canaries, make_canaries, plant
from support.delivery_builder import write_reference

BIN = Path(sys.executable).parent

pytestmark = pytest.mark.slow


@dataclass
class World:
    """A run of all commands; all their output lies below ``written``."""

    written: Path
    canaries: Canaries
    codes: dict[str, int] = field(default_factory=dict)
    delivered: str = ""

    @property
    def workspace(self) -> Path:
        """The workspace of the commands."""
        return self.written / "workspace"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment variables of a command: its home and temporary folder are below ``written``."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("BAEKMAN_", "XDG_"))}
        folders = {name: str(self.written / name.lower()) for name in ("TMPDIR", "HOME")}
        return {**kept, **folders, "PATH": f"{BIN}:{os.environ['PATH']}", **more}

    def start(
        self, name: str, *words: str | Path, folder: Path | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a command in ``folder``; its stdout and stderr go to a file below ``written``."""
        with (self.written / "messages" / f"{len(self.codes):02d}").open("wb") as messages:
            self.codes[name] = -1
            return subprocess.Popen(
                list(map(str, words)),
                stdout=messages,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder or self.written,
                env=self.environment(**environment),
                start_new_session=True,
            )

    def run(self, name: str, *words: str | Path, folder: Path | None = None, **environment: str) -> int:
        """Run a command; return its exit code, which is kept as that of ``name``."""
        process = self.start(name, *words, folder=folder, **environment)
        self.codes[name] = process.wait(timeout=300)
        return self.codes[name]

    def copy(self, folder: Path) -> World:
        """Return a copy with a workspace of its own, which a test may change."""
        other = World(folder, self.canaries, delivered=self.delivered)
        shutil.copytree(self.workspace, other.workspace, symlinks=True)
        for name in ("tmpdir", "home", "messages"):
            (folder / name).mkdir()
        return other

    def baekman(self, name: str, *words: str | Path, folder: Path | None = None, **environment: str) -> int:
        """Run a command of ``baekman`` in the workspace."""
        return self.run(name, BIN / "baekman", *words, "--workspace", self.workspace, folder=folder, **environment)

    def deliver_until(self, name: str, is_there: Callable[[], bool]) -> None:
        """Kill a delivery, with all that it started, as soon as ``is_there``."""
        words = ("deliver", self.canaries.first, "--workspace", self.workspace)
        process = self.start(name, BIN / "baekman", *words)
        while process.poll() is None and not is_there():
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        self.codes[name] = process.wait()

    def output(self, name: str) -> str:
        """Return the messages of a command."""
        return (self.written / "messages" / f"{list(self.codes).index(name):02d}").read_text()

    def files(self) -> dict[str, bytes]:
        """Return every file of the workspace except locks, by path."""
        return {
            path.relative_to(self.workspace).as_posix(): path.read_bytes()
            for path in sorted(self.workspace.rglob("*"))
            if path.is_file() and not path.name.endswith(".lock")
        }

    def names(self, *ids: str) -> set[str]:
        """Return the top folders of the workspace that contain ``ids``."""
        matcher = matcher_of([Identifier(value=value, place="line 1") for value in ids])
        result = leakscan.scan([self.workspace], matcher=matcher)
        return {Path(leak.file).relative_to(self.workspace).parts[0] for leak in result.leaks}

    def participant(self, number: int) -> str:
        """Return the participant ID of the specimen ``number``."""
        return self.record(number).participant_id

    def record(self, number: int) -> SpecimenRecord:
        """Return the registry's record of the specimen ``number``."""
        record = open_registry(self.workspace).specimen(INSTITUTION, LABELS[number])
        assert record is not None
        return record

    def scan(self) -> list[str]:
        """Return a line for each leak below ``written``, except in the return reports."""
        matcher = matcher_of(read_identifiers(self.canaries.listed))
        result = leakscan.scan([self.written], matcher=matcher, exclude=[self.workspace / "return"])
        assert result.unread == []
        return [f"{leak.place} {leak.encoding} {leak.file} {leak.where}" for leak in result.leaks]


def failing_tool(folder: Path, name: str) -> Path:
    """Make a folder with a program ``name`` that prints its arguments and fails."""
    folder.mkdir()
    (folder / name).write_text('#!/bin/sh\necho "cannot: $@" >&2\nexit 9\n')
    (folder / name).chmod(0o755)
    return folder


def spying_tool(folder: Path, name: str) -> Path:
    """Make a folder with a program ``name`` that notes its environment and folder in ``TMPDIR``, and does the work."""
    folder.mkdir()
    real = shutil.which(name, path=f"{BIN}:{os.environ['PATH']}")
    noted = 'for of in self $PPID; do tr "\\0" "\\n" < /proc/$of/environ; readlink /proc/$of/cwd; done'
    (folder / name).write_text(f'#!/bin/sh\n{{ {noted}; }} > "$TMPDIR/environment.$$"\nexec {real} "$@"\n')
    (folder / name).chmod(0o755)
    return folder


def standing_in(delivery: Path) -> dict[str, str]:
    """Return what shells, sudo and others set for a user who stands in the folder of a delivery."""
    return {
        "PWD": str(delivery),
        "OLDPWD": str(delivery.parent),
        "_": str(delivery / "run.sh"),
        "SUDO_COMMAND": f"/usr/bin/baekman deliver {delivery}",
        "SSH_ORIGINAL_COMMAND": f"baekman deliver {delivery}/",
        "SLURM_SUBMIT_DIR": str(delivery.parent),
        "NEXT_DELIVERY": f"now:{delivery}",
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Refusal, crash, failure, retry, success and rejection, one after the other."""
    home = tmp_path_factory.mktemp("w")
    reference = write_reference(home / "reference")
    canaries = make_canaries(home / "in", reference)
    world = World(home / "written", canaries)
    for name in ("workspace", "tmpdir", "home", "messages"):
        (world.written / name).mkdir(parents=True)
    (world.workspace / "config.yaml").write_text(
        f"reference: {reference}\naligned_input: accept\ngates: {{intake: enforce, qc: report}}\n"
    )
    broken = failing_tool(home / "broken", "mosdepth")
    world.baekman("init", "registry", "init")
    world.baekman("import", "registry", "import", canaries.registration)
    world.baekman("malformed import", "registry", "import", canaries.malformed_registration)
    world.baekman("malformed", "deliver", canaries.malformed)
    deliveries, participants = world.workspace / "deliveries", world.workspace / "participants"
    world.deliver_until("killed in intake", lambda: any(deliveries.glob("D*/*")))
    world.deliver_until("killed in work", lambda: any(participants.glob("*/qc/*")))
    world.baekman("failed", "deliver", canaries.first, PATH=f"{broken}:{BIN}:{os.environ['PATH']}")
    spy = {"PATH": f"{spying_tool(home / 'spy', 'mosdepth')}:{BIN}:{os.environ['PATH']}"}
    first, second = canaries.first, canaries.second
    world.baekman("retried", "deliver", ".", folder=first, **standing_in(first), **spy)
    world.delivered = world.output("retried").splitlines()[-1]
    settings = ("delivery=.", f"workspace={world.workspace}")
    words = ("-s", PROJECT / "Snakefile", "--config", *settings)
    world.run("snakemake", BIN / "snakemake", *words, folder=second, **standing_in(second), **spy)
    # Snakemake prints its folder and the place of its log to the user, who stands in the folder of the delivery
    messages = world.written / "messages" / f"{len(world.codes) - 1:02d}"
    messages.write_text(messages.read_text().replace(str(second), "the folder of the delivery"))
    world.baekman("received", "receive", canaries.third)
    world.baekman("changed", "receive", canaries.changed)
    world.baekman("shown", "registry", "show")
    return world


def test_the_run_ended_in_every_way(world: World) -> None:
    assert world.codes == {
        "init": 0,
        "import": 0,
        "malformed import": 3,
        "malformed": 3,
        "killed in intake": -9,
        "killed in work": -9,
        "failed": 0,  # one specimen is held (``not_processed``), and the others go on
        "retried": 0,
        "snakemake": 0,
        "received": 0,
        "changed": 3,
        "shown": 0,
    }, world.output("retried") + world.output("snakemake")
    tables = {path.name.split(".")[0] for path in (world.workspace / "tables").rglob("*.parquet")}
    assert tables == {world.participant(number) for number in (0, 1, 2)}
    messages = world.output("retried")
    assert messages.count("reject") >= 8 and "identifier" in messages
    assert "depth failed (logs/depth/P" in world.output("failed") and "| cannot:" in world.output("failed")
    staged = world.workspace / "deliveries" / world.delivered / "staged"
    assert not staged.exists()
    noted = [path.read_text() for path in (world.written / "tmpdir").glob("environment.*")]
    assert len(noted) == 3 and all(f"\n{world.workspace}\n" in text for text in noted)


def test_every_canary_is_in_the_input_and_the_scan_finds_it_there(world: World) -> None:
    """The positive control: the scan sees every canary."""
    identifiers = read_identifiers(world.canaries.listed)
    result = leakscan.scan([world.canaries.folder], matcher=matcher_of(identifiers), exclude=[world.canaries.listed])
    assert {leak.place for leak in result.leaks} == {identifier.place for identifier in identifiers}


def test_no_canary_stands_in_any_byte_that_was_written(world: World) -> None:
    assert world.scan() == []


def test_a_planted_canary_is_found_by_the_command(world: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(world.workspace, copy, ignore=shutil.ignore_patterns("return", "cohort", "reference"))
    command = (BIN / "baekman", "leakscan", copy, "--identifiers", world.canaries.listed)
    clean = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (clean.returncode, clean.stdout) == (0, "")
    planted = list(plant(copy, world.canaries.values))
    scanned = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert scanned.returncode == 1
    for path, value in planted:
        assert f"line {world.canaries.values.index(value) + 1}:" in scanned.stdout
        assert value in path.name or path.name in scanned.stdout
        assert value not in scanned.stdout + scanned.stderr


# whoever withdraws stays known in these: see REMAINS in withdrawal.py
APART = {"audit", "receipts", "withdrawn", "registry"}


def frozen(opened: store.Store, output: Path) -> dict[str, bytes]:
    """Return the sites and tables of a freeze, by path."""
    freeze(opened, output=output)
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*/*.parquet")}


def test_a_withdrawal_reaches_every_layer_of_a_finished_workspace(world: World, tmp_path: Path) -> None:
    other = world.copy(tmp_path / "other")
    leaver, stayers = other.record(0), [other.participant(number) for number in (1, 2)]
    ids = (leaver.participant_id, leaver.specimen_id)
    assert other.names(*ids) - APART == {
        ".snakemake",
        "benchmarks",
        "cohort",
        "deliveries",
        "denied.txt",  # no consent to a scope of records
        "logs",
        "participants",
        "tables",
    }
    assert other.baekman("withdraw", "withdraw", leaver.participant_id) == 0
    assert other.names(*ids) == APART
    output = other.output("withdraw")  # the receipt on stdout, a summary on stderr
    receipt, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
    assert f"{leaver.participant_id}: withdrawn on " in output
    assert receipt["left"] == []
    assert {f"participants/{ids[0]}/aligned.cram", f"logs/align_reads/{ids[0]}.log"} <= set(receipt["removed"])
    report = other.workspace / "deliveries" / other.delivered / "report"
    assert stayers[0] in (report / "multiqc.html").read_text() + (report / "verdicts.html").read_text()

    opened = store.open_store(other.workspace / "cohort")
    alone = store.create_store(
        tmp_path / "alone",
        reference=other.workspace / "reference" / "tiny.fa",
        shards_file=other.workspace / "reference" / "shards.tsv",
        thresholds=opened.thresholds,
    )
    members = [
        Member(
            participant_id=participant,
            gvcf=str(other.workspace / "participants" / participant / "calls.g.vcf.gz"),
            sex=sex,
        )
        for participant, sex in zip(stayers, ("female", "male"), strict=True)
    ]
    add_batch(
        alone,
        batch="all",
        members=members,
        settings=BatchSettings(rules=opened.rules, filters=snapshot.read_snapshot(opened).filters),
    )
    never = frozen(alone, tmp_path / "never")
    assert frozen(opened, tmp_path / "after") == never
    in_workspace = {
        name: content
        for name, content in other.files().items()
        if name.startswith("tables/") and name.endswith(".parquet")
    }
    make_tables(alone, output=tmp_path / "fresh" / "tables")
    fresh = (tmp_path / "fresh").rglob("*.parquet")
    assert in_workspace == {path.relative_to(tmp_path / "fresh").as_posix(): path.read_bytes() for path in fresh}

    before = other.files()
    assert other.baekman("again", "withdraw", leaver.participant_id) == 0
    assert "withdrawn before: nothing to do" in other.output("again")
    # each command notes the newest audit event that it has seen, here that of the withdrawal
    assert {**other.files(), "seen.json": before["seen.json"]} == before
    assert other.baekman("delivered again", "deliver", other.canaries.first) == 0
    assert "nothing to do: everything is there" in other.output("delivered again")
    assert other.names(*ids) == APART


def test_a_withdrawal_while_a_delivery_runs_keeps_the_participant_out(world: World, tmp_path: Path) -> None:
    other = world.copy(tmp_path / "other")
    leaver, stayer = other.record(3), other.participant(4)
    words = (BIN / "baekman", "deliver", other.canaries.third, "--workspace", other.workspace)
    running = other.start("deliver", *words)
    aligned = other.workspace / "participants" / leaver.participant_id / "aligned.cram"
    while running.poll() is None and not aligned.exists():
        time.sleep(0.05)
    assert other.baekman("withdraw", "withdraw", leaver.participant_id) == 0
    first = running.wait(timeout=300)
    # a job fails when its files are taken away; the others go on, and the same command does the rest
    if first:
        assert other.run("again", *words) == 0, other.output("again")
    latest = snapshot.read_snapshot(store.open_store(other.workspace / "cohort"))
    assert latest.participants == 4
    assert table_files.table_path(other.workspace / "tables", stayer).is_file()
    assert other.names(leaver.participant_id, leaver.specimen_id) - APART == set()
