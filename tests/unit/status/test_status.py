"""`baekman status`: each delivery with stage, jobs, end and waiting specimens, while runs are under way or after."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from baekman import pseudonyms
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from baekman.files.sidecar import write_checked
from baekman.status.delivery import delivery_folders, status_of
from baekman.status.estimate import estimated_end, mean_seconds
from baekman.status.output import document
from baekman.verdicts import Gate, Reason, Verdict, write_verdicts
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.run_state import RunCounts, RunRecorder, RunState, read_run_state
from baekman.workspace.runs.stages import STAGE_OF_RULE
from typer.testing import CliRunner, Result

RULES = Path(__file__).parents[3] / "rules"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace without deliveries, and without a registry."""
    (tmp_path / "deliveries").mkdir()
    return Workspace(tmp_path)


@pytest.fixture
def folder(workspace: Workspace) -> DeliveryFolder:
    """Return a delivery that was received: one specimen accepted, one held, one rejected."""
    return received(workspace)


def received(workspace: Workspace, *, day: int = 1) -> DeliveryFolder:
    folder = workspace.delivery(pseudonyms.new("D"))
    write_checked(folder.summary, json.dumps({"received": f"2026-11-{day:02}T00:00:00+00:00"}))
    severities = (("", None), ("contact_missing", "hold"), ("checksum_wrong", "reject"))
    write_verdicts(folder.verdicts("intake"), [verdict("intake", *severity) for severity in severities])
    return folder


def verdict(gate: Gate, code: str, severity: Any, **ids: str) -> Verdict:
    reasons = [Reason(code=code, severity=severity)] if severity else []
    ids = {"specimen_id": pseudonyms.new("S"), "participant_id": pseudonyms.new("P")} | ids
    return Verdict.of(**ids, gate=gate, reasons=reasons)  # type: ignore[arg-type]


def run(workspace: Workspace, *arguments: str) -> Result:
    if not app.registered_groups:
        groups.register(app)
    return CliRunner().invoke(app, ["status", "--workspace", str(workspace.root), *arguments])


def shown(workspace: Workspace, *arguments: str) -> dict[str, Any]:
    """Return the JSON document of the command."""
    ran = run(workspace, "--json", *arguments)
    assert ran.exit_code == 0, ran.output
    return dict(json.loads(ran.stdout))


def test_the_stage_of_each_rule_is_the_name_of_its_file() -> None:
    files = [file for file in RULES.glob("*.smk") if file.stem != "release"]  # no stage of a delivery
    lines = [(file.stem, line.split()) for file in files for line in file.read_text().splitlines()]
    rules = {words[1].rstrip(":"): stage for stage, words in lines if words[:1] in (["rule"], ["checkpoint"])}
    stages = {rule: stage for rule, stage in rules.items() if rule not in {*rules.values(), "all"}}
    assert stages == STAGE_OF_RULE


def test_a_workspace_without_deliveries_is_shown(workspace: Workspace) -> None:
    assert run(workspace).stdout == "no deliveries\n"
    document = shown(workspace)
    assert (document["schema"], document["deliveries"]) == ("1", [])


def test_a_received_delivery_shows_verdicts_and_who_waits(workspace: Workspace, folder: DeliveryFolder) -> None:
    (delivery,) = shown(workspace)["deliveries"]
    assert (delivery["state"], delivery["stage"]) == ("received", "align")
    assert delivery["verdicts"] == {"accept": 1, "hold": 1, "reject": 1}
    (waiting,) = delivery["waiting"]
    assert waiting["gate"] == "intake" and waiting["reasons"] == ["contact_missing"]
    assert waiting["since"] == "2026-11-01T00:00:00+00:00"


def test_a_copy_of_a_workspace_does_not_change_since_when_a_specimen_waits(
    workspace: Workspace, folder: DeliveryFolder
) -> None:
    write_verdicts(folder.verdicts("qc"), [verdict("qc", "coverage_low", "hold")])
    ended = "2026-11-02T00:00:00+00:00"
    folder.run_state.write_text(json.dumps({"state": "done", "updated": ended}))
    os.utime(folder.verdicts("qc"), (4e9, 4e9))  # a copy gives files the time at which it is made, at the earliest
    waits = [each for each in shown(workspace)["deliveries"][0]["waiting"] if each["gate"] == "qc"]
    assert [each["since"] for each in waits] == [ended]


def test_a_specimen_that_a_later_gate_rejected_or_that_is_in_the_cohort_waits_for_nobody(
    workspace: Workspace, folder: DeliveryFolder
) -> None:
    rejected = {"specimen_id": pseudonyms.new("S"), "participant_id": pseudonyms.new("P")}
    in_cohort = verdict("qc", "coverage_low", "hold")
    write_verdicts(folder.verdicts("intake"), [verdict("intake", "late", "hold", **rejected), in_cohort])
    write_verdicts(folder.verdicts("qc"), [verdict("qc", "identity_wrong", "reject", **rejected)])
    write_checked(folder.batch, json.dumps({"participants": [in_cohort.participant_id], "snapshot": 1}))
    (delivery,) = shown(workspace)["deliveries"]
    assert delivery["waiting"] == []


def test_a_run_under_way_shows_its_jobs_and_is_stopped_after_a_kill(
    workspace: Workspace, folder: DeliveryFolder
) -> None:
    program = f"""
import sys, time
from pathlib import Path
from baekman.workspace.paths import DeliveryFolder
from baekman.workspace.run_state import RunCounts, RunRecorder
with RunRecorder(DeliveryFolder(Path({str(folder.path)!r}))) as recorder:
    cluster = "2 jobs wait in Slurm since 14:02: 2 for Resources"
    recorder.note(RunCounts(rule="align_reads", done=3, total=9, running={{"align_reads": 2}}, cluster=cluster))
    time.sleep(1.5)
    print("written", flush=True)
    sys.stdin.read()
"""
    running = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert running.stdout and running.stdout.readline() == b"written\n"
        (delivery,) = shown(workspace)["deliveries"]
        assert (delivery["state"], delivery["stage"]) == ("running", "align")
        assert (delivery["jobs"]["done"], delivery["jobs"]["total"]) == (3, 9)
        table = run(workspace).stdout
        assert "running    align             3/9" in table and "\n  2 jobs wait in Slurm since 14:02: 2 for" in table
    finally:
        running.kill()
        running.communicate()
    (delivery,) = shown(workspace)["deliveries"]
    assert delivery["state"] == "stopped" and "deliver` again" in delivery["next"]


def test_a_run_that_is_interrupted_or_fails_says_so(workspace: Workspace, folder: DeliveryFolder) -> None:
    with pytest.raises(KeyboardInterrupt), RunRecorder(folder):
        raise KeyboardInterrupt
    assert shown(workspace)["deliveries"][0]["state"] == "stopped"
    with RunRecorder(folder) as recorder:
        recorder.note(RunCounts(rule="depth", done=1, total=2, failed={"depth": 1}))
        recorder.end("failed")
    table = run(workspace).stdout
    assert " failed " in table and "failed: depth, 1 job" in table and "mend the cause" in table


def test_the_state_is_written_at_most_once_a_second_and_a_disk_fault_stops_nothing(
    workspace: Workspace, folder: DeliveryFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = []

    def write(path: Path, text: str, *, durable: bool) -> None:
        writes.append(json.loads(text)["counts"]["done"])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("baekman.workspace.run_state.write_text", write)
    with RunRecorder(folder) as recorder:
        for done in range(1000):
            recorder.note(RunCounts(rule="depth", done=done, total=1000))
        recorder.end("done")
    assert writes == [0, 999]


def test_a_second_run_on_one_delivery_leaves_the_state_of_the_first(folder: DeliveryFolder) -> None:
    with RunRecorder(folder) as first:
        first.note(RunCounts(rule="depth", done=1, total=2))
        with RunRecorder(folder) as second:
            second.end("failed")
        first.end("done")
    state = read_run_state(folder)
    assert state and (state.state, state.counts.done) == ("done", 1)


def test_a_run_with_nothing_to_do_leaves_the_state_of_a_finished_delivery(folder: DeliveryFolder) -> None:
    folder.report.mkdir()
    folder.run_manifest.touch()
    for counts in (RunCounts(rule="depth", done=2, total=2), RunCounts()):
        with RunRecorder(folder) as recorder:
            recorder.note(counts)
            recorder.end("done")
    state = read_run_state(folder)
    assert state and state.counts.done == 2


def test_the_end_is_estimated_from_the_seconds_of_each_rule(workspace: Workspace) -> None:
    for rule, seconds in (("align_reads", 90), ("depth", 10)):
        for participant in ("P1", "P2"):
            file = workspace.root / "benchmarks" / rule / f"{participant}.tsv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"s\th:m:s\n{seconds}\t0:01:00\n", encoding="utf-8")
    assert mean_seconds(workspace, "align_reads") == 90 and mean_seconds(workspace, "batch") is None
    counts = RunCounts(
        rule="depth", done=1, total=5, planned={"align_reads": 2, "depth": 2, "qc": 1}, finished={"align_reads": 1}
    )
    started = (NOW - timedelta(minutes=9)).isoformat()
    state = RunState(
        state="running", started=started, first_job=started, updated=started, host="", process=1, counts=counts
    )
    # 90 of 200 seconds of work took 9 minutes
    assert estimated_end(workspace, state, now=NOW) == NOW + timedelta(minutes=11)


def test_a_participant_is_shown_in_each_delivery(workspace: Workspace, folder: DeliveryFolder) -> None:
    received(workspace, day=2)
    held = json.loads(folder.verdicts("intake").read_text())[1]
    document = shown(workspace, "--participant", held["participant"])
    assert [delivery["delivery"] for delivery in document["deliveries"]] == [folder.id]
    (participant,) = document["participants"]
    assert (participant["specimen"], participant["stage"]) == (held["specimen"], "intake")
    assert participant["verdicts"] == [{"gate": "intake", "verdict": "hold", "reasons": ["contact_missing"]}]
    assert held["specimen"] in run(workspace, "--participant", held["participant"]).stdout


@pytest.mark.parametrize("option", ["--delivery", "--participant"])
def test_an_unknown_id_is_refused_and_not_repeated(workspace: Workspace, option: str) -> None:
    refusal = run(workspace, option, "Hong Gildong").exception
    assert isinstance(refusal, InputRefused) and option in str(refusal) and "Hong" not in str(refusal)


def test_a_damaged_delivery_hides_no_other(workspace: Workspace, folder: DeliveryFolder) -> None:
    other = received(workspace, day=2)
    folder.verdicts("intake").write_text("[]", encoding="utf-8")
    ran = run(workspace, "--json")
    assert ran.exit_code == 1
    states = {delivery["delivery"]: delivery["state"] for delivery in json.loads(ran.stdout)["deliveries"]}
    assert states == {folder.id: "damaged", other.id: "received"}


def test_no_key_and_no_registry_is_opened(
    workspace: Workspace, folder: DeliveryFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.root / "registry").mkdir()
    (workspace.root / "registry" / "registry.key").write_text("no key\n")
    opened: list[str] = []
    watched = {"open"}  # a hook stays for the life of the process
    sys.addaudithook(lambda event, values: opened.append(str(values[0])) if event in watched else None)
    assert run(workspace).exit_code == 0
    watched.clear()
    assert opened and not [path for path in opened if f"{workspace.root}/registry" in path]


def test_memory_is_bounded_with_many_deliveries(workspace: Workspace) -> None:
    def statuses(folders: list[DeliveryFolder]) -> Iterator[Any]:
        for folder in folders:
            gc.collect()
            yield status_of(workspace, folder, now=NOW)

    def peak(folders: list[DeliveryFolder]) -> int:
        tracemalloc.start()
        for _ in document(statuses(folders), participants=(), inboxes=(), now=NOW):
            pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    folder = received(workspace)
    write_verdicts(folder.verdicts("qc"), [verdict("qc", "coverage_low", "hold") for _ in range(200)])
    folders = delivery_folders(workspace, [])
    gc.freeze()  # a collection looks at what this test makes, not at the modules of all tests
    try:
        few = peak(folders)
        assert peak(folders * 20) < 1.2 * few + 100_000
    finally:
        gc.unfreeze()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_workspace_that_may_only_be_read_is_shown(workspace: Workspace, folder: DeliveryFolder) -> None:
    with RunRecorder(folder) as recorder:
        recorder.end("done")
    workspace.root.chmod(0o500)
    try:
        assert run(workspace).exit_code == 0
    finally:
        workspace.root.chmod(0o700)
