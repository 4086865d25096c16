"""The jobs that add a delivery to the cohort and write its tables, also next to a withdrawal."""

from __future__ import annotations

import gzip
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from baekman import audit, steps
from baekman.call.completeness import note_path
from baekman.cohort import rewrite, snapshot
from baekman.cohort.add import add_batch
from baekman.cohort.store import open_store
from baekman.consent import ALL_SCOPES, ConsentEvent, Decision
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from baekman.registry.denied_list import update_denied_list
from baekman.steps import BYTES_PER_WORKER, worthwhile
from baekman.tables import files as table_files
from baekman.tables import make as tables
from baekman.verdicts import read_verdicts
from baekman.workspace.current_reads import CurrentReads, note_reads, read_current
from baekman.workspace.incomplete import remove_incomplete
from baekman.workspace.paths import ParticipantFolder
from support.finished_workspace import (
    FinishedWorkspace,
    add_to_cohort,
    withdraw,
    write,
    write_calls,
)


@pytest.mark.parametrize(
    ("sizes", "workers"),
    [
        ([], 1),
        ([100_000] * 7, 1),
        ([BYTES_PER_WORKER - 1], 1),
        ([BYTES_PER_WORKER], 2),
        ([BYTES_PER_WORKER // 2] * 5, 3),
        ([1 << 30] * 10, 8),
    ],
)
def test_a_small_delivery_starts_no_workers_and_a_large_one_all(tmp_path: Path, sizes: list[int], workers: int) -> None:
    files = [tmp_path / f"{number}.g.vcf.gz" for number in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        file.touch()
        os.truncate(file, size)
    files.append(tmp_path / "absent")
    assert worthwhile(Engine(workers=8), files) == Engine(workers=workers)
    cluster = worthwhile(Engine(workers=1, scheduler="slurm:40"), files).scheduler
    assert cluster == ("slurm:40" if workers > 1 else None)


def deliver_batch(workspace: FinishedWorkspace, name: str, tmp_path: Path) -> list[str]:
    """Run the workflow's job for a delivery of everybody; return the participants of its result."""
    home = workspace.delivery(name)
    if not home.accepted.is_file():
        write_accepted(workspace, name, workspace.participant_ids)
    write(home.specimens, workspace.home.specimens.read_bytes())
    settings = steps.CohortSettings(
        reference=tmp_path / "reference.fa", shards=tmp_path / "shards.tsv", thresholds={}, filters={}
    )
    steps.add_delivery(workspace, name, accepted=home.accepted, settings=settings, engine=Engine(), output=home.batch)
    listed: list[str] = json.loads(home.batch.read_text())["participants"]
    return listed


def write_accepted(workspace: FinishedWorkspace, name: str, participants: list[str]) -> None:
    lines = [
        f"{participant_id}\t{workspace.participant(participant_id).gvcf}\tfemale\n" for participant_id in participants
    ]
    write(workspace.delivery(name).accepted, "".join(lines))


def test_a_delivery_with_its_batch_compacted_before_the_job_ended_counts_as_added(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    """The job's result is lost and its participants are in another batch; with other gVCFs they are refused."""
    opened = open_store(workspace.cohort)
    rewrite.withdraw(opened, workspace.participant_ids)
    for participant_id in workspace.participant_ids[1:]:
        add_to_cohort(workspace, f"of-{participant_id}", [participant_id])
    write_accepted(workspace, "D1", workspace.participant_ids[1:])
    before = rewrite.compact(opened, below=1000)
    assert [entry.name.startswith("compact") for entry in before.batches] == [True]
    assert deliver_batch(workspace, "D1", tmp_path) == sorted(workspace.participant_ids[1:])
    assert snapshot.read_snapshot(opened).number == before.number
    write_calls(workspace.participant(workspace.participant_ids[1]).gvcf, workspace.participant_ids[1], 500)
    with pytest.raises(InputRefused, match="expected participants who are not in the cohort yet"):
        deliver_batch(workspace, "D1", tmp_path)


def test_a_participant_without_consent_since_intake_stays_out_of_the_batch(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    rewrite.withdraw(open_store(workspace.cohort), workspace.participant_ids)
    refused = ConsentEvent(
        participant_id=workspace.participant_ids[0],
        decision=Decision.REFUSED,
        scopes=ALL_SCOPES,
        valid_from=date(2025, 2, 1),
    )
    workspace.opened_registry.add_consent(refused)
    update_denied_list(workspace, registry=workspace.opened_registry)
    assert deliver_batch(workspace, "D1", tmp_path) == sorted(workspace.participant_ids[1:])


def test_a_withdrawal_while_the_batch_is_written_keeps_the_participant_out(
    workspace: FinishedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite.withdraw(open_store(workspace.cohort), workspace.participant_ids)
    real = add_batch
    kept = workspace.participant(workspace.participant_ids[1]).gvcf
    content = kept.read_bytes()

    def add(*arguments: Any, **options: Any) -> Any:
        withdraw(workspace)
        write(kept, content)  # the batch has read it before
        return real(*arguments, **options)

    monkeypatch.setattr("baekman.cohort.add.add_batch", add)
    listed = deliver_batch(workspace, "D1", tmp_path)
    assert listed == sorted([workspace.participant_ids[0], workspace.participant_ids[2]])
    monkeypatch.undo()
    assert workspace.leaks(1) == []
    # the job runs again, as after a kill, and finds the batch
    assert deliver_batch(workspace, "D1", tmp_path) == listed


def test_a_withdrawal_just_before_the_gate_of_the_calls_keeps_the_participant_out(
    workspace: FinishedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite.withdraw(open_store(workspace.cohort), workspace.participant_ids)
    real = steps.judge_calls

    def judge(*arguments: Any) -> set[str]:
        withdraw(workspace)  # which takes the rows out of specimens.tsv
        return real(*arguments)

    monkeypatch.setattr("baekman.steps.judge_calls", judge)
    listed = deliver_batch(workspace, "D1", tmp_path)
    assert listed == sorted([workspace.participant_ids[0], workspace.participant_ids[2]])
    assert workspace.leaks(1) == []


def test_tables_written_during_a_withdrawal_do_not_count_the_participant(
    workspace: FinishedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot is deleted while the tables of a batch are written."""
    real = tables.make_tables
    stayer = workspace.participant_ids[0]

    def make_tables(*arguments: Any, **options: Any) -> int:
        monkeypatch.setattr(tables, "make_tables", real)
        withdraw(workspace)
        return real(*arguments, **options)

    monkeypatch.setattr(tables, "make_tables", make_tables)
    batch = workspace.home.batch
    steps.write_tables(workspace, batch=batch, engine=Engine(), report=workspace.home.report / "tables.json")
    assert tables.stale_tables(open_store(workspace.cohort), workspace.tables) == []
    assert table_files.table_path(workspace.tables, stayer).is_file()
    assert workspace.leaks(1) == []


def test_a_swapped_gvcf_is_refused_before_it_is_added(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    rewrite.withdraw(open_store(workspace.cohort), workspace.participant_ids)
    first, second = (workspace.participant(participant_id).gvcf for participant_id in workspace.participant_ids[:2])
    first.rename(tmp_path / "x")
    second.rename(first)
    (tmp_path / "x").rename(second)
    owner, other = workspace.participant_ids[:2]
    with pytest.raises(InputRefused) as refused:
        deliver_batch(workspace, "D1", tmp_path)
    assert str(refused.value.problems[0]) in {
        f"participants/{a}/calls.g.vcf.gz: header: expected the sample {a}, found the sample {b}; files of two "
        "participants may have been swapped: find out how, and put each in its place"
        for a, b in ((owner, other), (other, owner))
    }


def test_a_gvcf_that_is_not_complete_stays_out_until_it_is_made_again(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    rewrite.withdraw(open_store(workspace.cohort), workspace.participant_ids[:2])
    name, participants = "D0000000000009", workspace.participant_ids[:2]
    write_accepted(workspace, name, participants)
    gvcfs = [workspace.participant(participant_id).gvcf for participant_id in participants]
    note = {"records": 5, "expected": 5, "uncalled": ["c1:40-60"]}
    write(note_path(gvcfs[0]), json.dumps(note))
    assert deliver_batch(workspace, name, tmp_path) == participants[1:]
    verdicts = {verdict.participant_id: verdict for verdict in read_verdicts(workspace.delivery(name).verdicts("call"))}
    (reason,) = verdicts[participants[0]].reasons
    assert (reason.code, reason.severity, reason.observed) == ("calls_incomplete", "hold", "none in c1:40-60")
    assert verdicts[participants[1]].verdict == "accept"
    # an older result goes with the next run of the delivery, a younger one stays
    assert remove_incomplete(workspace, name) == participants[:1]
    assert [gvcf.exists() for gvcf in gvcfs] == [False, True]
    write_calls(gvcfs[0], participants[0], 7)
    write(note_path(gvcfs[0]), json.dumps({**note, "uncalled": []}))
    later = workspace.delivery(name).verdicts("call").stat().st_mtime_ns + 1
    os.utime(gvcfs[0], ns=(later, later))
    assert remove_incomplete(workspace, name) == []
    assert deliver_batch(workspace, name, tmp_path) == sorted(participants)
    batches = [entry.name for entry in snapshot.read_snapshot(open_store(workspace.cohort)).batches]
    assert batches[-2:] == [name, f"{name}.2"]
    number = snapshot.read_snapshot(open_store(workspace.cohort)).number
    assert deliver_batch(workspace, name, tmp_path) == sorted(participants)
    assert snapshot.read_snapshot(open_store(workspace.cohort)).number == number


def test_a_gvcf_that_the_cohort_refuses_stops_nobody_else(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    rewrite.withdraw(open_store(workspace.cohort), workspace.participant_ids)
    name, (other, *bad) = "D0000000000009", workspace.participant_ids
    for participant_id in bad:
        gvcf = workspace.participant(participant_id).gvcf
        write(gvcf, gzip.compress(gzip.decompress(gvcf.read_bytes()).replace(b"END=99", b"END=9999")))
    write_accepted(workspace, name, bad)
    with pytest.raises(InputRefused, match="one that goes past the contig's end"):
        deliver_batch(workspace, name, tmp_path)
    write_accepted(workspace, name, workspace.participant_ids)
    assert deliver_batch(workspace, name, tmp_path) == [other]
    verdicts = {verdict.participant_id: verdict for verdict in read_verdicts(workspace.delivery(name).verdicts("call"))}
    assert verdicts[other].verdict == "accept"
    for participant_id in bad:
        (reason,) = verdicts[participant_id].reasons
        assert (reason.code, reason.severity) == ("gvcf_refused", "hold")
        assert str(reason.observed).endswith(
            "(record 1): expected a record within its contig, found one that goes past the contig's end"
        )
    assert remove_incomplete(workspace, name) == []
    assert deliver_batch(workspace, name, tmp_path) == [other]
    # an unreadable file of somebody who is in the cohort is not what stops the batch
    write_calls(workspace.participant(other).gvcf, other, 500)
    with pytest.raises(InputRefused, match="expected participants who are not in the cohort yet"):
        deliver_batch(workspace, name, tmp_path)


def test_a_gathered_gvcf_with_other_records_than_its_pieces_stays_out(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    rewrite.withdraw(open_store(workspace.cohort), workspace.participant_ids[:1])
    name, participants = "D0000000000009", workspace.participant_ids[:1]
    write_accepted(workspace, name, participants)
    note = {"records": 4, "expected": 5, "uncalled": []}
    write(note_path(workspace.participant(participants[0]).gvcf), json.dumps(note))
    assert deliver_batch(workspace, name, tmp_path) == []
    (verdict,) = read_verdicts(workspace.delivery(name).verdicts("call"))
    (reason,) = verdict.reasons
    assert (reason.code, reason.observed, reason.threshold) == ("records_lost", 4, 5)


# -- reads that came again


def test_who_came_again_by_a_decision_is_replaced_in_one_snapshot_and_the_others_are_added(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    again, other, new = workspace.participant_ids
    opened = open_store(workspace.cohort)
    rewrite.withdraw(opened, [new])
    before = snapshot.read_snapshot(opened)
    write_calls(workspace.participant(again).gvcf, again, 500)
    folder = workspace.participant(again)
    write(folder.cram, b"reads")
    note_reads(folder, delivery_id="D2", use="merge", count=lambda: 7)
    write_accepted(workspace, "D2", [again, new])
    assert deliver_batch(workspace, "D2", tmp_path) == sorted([again, new])
    now = snapshot.read_snapshot(opened)
    assert (now.number, now.participants) == (before.number + 2, 3)
    assert json.loads(workspace.delivery("D2").batch.read_text())["replaced"] == [again]
    actions = [event["action"] for event in audit.events(workspace.root)]
    assert actions.count("cohort.replace") == 1 and "cohort.add" in actions
    # the same job again, and that of the earlier delivery, change nothing
    deliver_batch(workspace, "D2", tmp_path)
    write_accepted(workspace, "D1", [other])
    deliver_batch(workspace, "D1", tmp_path)
    assert snapshot.read_snapshot(opened) == now


def test_earlier_reads_are_kept_once_however_often_they_are_taken_over(tmp_path: Path) -> None:
    folder = ParticipantFolder(tmp_path)
    folder.cram.write_bytes(b"first")
    for _ in range(2):
        note_reads(folder, delivery_id="D2", use="merge", count=lambda: 5)
        assert folder.earlier_cram.read_bytes() == b"first"
        folder.cram.unlink()  # as Snakemake does before it makes it again
        folder.cram.write_bytes(b"first and second")
    assert read_current(folder) == CurrentReads(delivery="D2", use="merge", earlier=5)
    note_reads(folder, delivery_id="D3", use="merge", count=lambda: 9)
    assert folder.earlier_cram.read_bytes() == b"first and second"
    note_reads(folder, delivery_id="D4", use="replace", count=lambda: 0)
    assert (read_current(folder), folder.earlier_cram.exists()) == (CurrentReads(delivery="D4", use="replace"), False)
