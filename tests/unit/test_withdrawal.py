"""A withdrawal reaches every layer, changes nothing the second time, and holds against running work."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
from datetime import date, timedelta
from pathlib import Path

import baekman
import pytest
from baekman import audit, withdrawal
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.cohort import rewrite, snapshot
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import create_store, open_store
from baekman.consent import ALL_SCOPES, ConsentEvent, Decision
from baekman.errors import InputRefused
from baekman.freezes.freeze import freeze
from baekman.freezes.verification import notes_on, verify_freeze
from baekman.freezes.withdrawal import leave_freeze
from baekman.registry.denied_list import update_denied_list
from baekman.registry.records import open_registry
from baekman.tables import files as table_files
from baekman.tables import make as tables
from baekman.workspace import run_lock
from baekman.workspace.denied import denied_participants, withdrawn_participants
from baekman.workspace.paths import Workspace
from support.finished_workspace import (
    DELIVERY,
    FinishedWorkspace,
    add_to_cohort,
    withdraw,
    write,
    write_calls,
    write_tables,
)
from support.kills import killed_before
from support.store_tools import hashes
from typer.testing import CliRunner


def test_nothing_of_the_participant_is_left(workspace: FinishedWorkspace) -> None:
    gone = workspace.participant_ids[1]
    assert workspace.leaks(1)
    receipt = withdraw(workspace)
    assert workspace.leaks(1) == []
    assert not [path for path in workspace.root.rglob(f"*{gone}*") if path.parent.name not in ("withdrawn", "receipts")]
    assert receipt["left"] == []
    assert receipt["changed"]
    saved = json.loads((workspace.receipt(gone)).read_text())
    assert saved == {key: value for key, value in receipt.items() if key != "changed"}
    removed = set(saved["removed"])
    assert f"participants/{gone}" in removed
    assert f"participants/{gone}/aligned.cram" in removed
    assert f"logs/align_reads/{gone}.log" in removed
    assert f"deliveries/{DELIVERY}/report/figures.html" in removed
    assert {f"deliveries/{DELIVERY}/{name}" for name in ("specimens.tsv", "batch.json", "report/verdicts.html")} <= set(
        saved["edited"]
    )
    assert workspace.opened_registry.is_withdrawn(gone)
    assert [event["object"] for event in audit.events(workspace.root)][1:] == [gone]


def test_the_others_keep_everything(workspace: FinishedWorkspace) -> None:
    before = workspace.files()
    withdraw(workspace)
    after = workspace.files()
    for number in (0, 2):
        kept = workspace.participant_ids[number]
        for name in before:
            if kept in name and not name.startswith("tables/"):
                assert after[name] == before[name]
        assert table_files.table_path(workspace.tables, kept).is_file()
    home = workspace.home
    assert [row.split("\t")[0] for row in home.specimens.read_text().splitlines()[1:]] == [
        workspace.participant_ids[0],
        workspace.participant_ids[2],
    ]
    assert json.loads(home.batch.read_text())["participants"] == [
        workspace.participant_ids[0],
        workspace.participant_ids[2],
    ]
    manifest = json.loads(home.run_manifest.read_text())
    assert manifest == {"gvcfs": {workspace.participant_ids[0]: "ab", workspace.participant_ids[2]: "ab"}, "n": 3}
    assert workspace.participant_ids[0] in (home.report / "verdicts.html").read_text()
    assert len(json.loads(home.verdicts("intake").read_text())) == 2
    assert after["logs/batch.log"].decode().splitlines()[-1] == "done"
    assert after["return/report.json"] == before["return/report.json"]


def test_a_second_withdrawal_changes_nothing(workspace: FinishedWorkspace) -> None:
    withdraw(workspace)
    before, stamps = workspace.files(), _stamps(workspace.root)
    receipt = withdraw(workspace)
    assert not receipt["changed"]
    assert workspace.files() == before
    assert _stamps(workspace.root) == stamps


def _stamps(path: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in path.rglob("*.json") if "cohort" not in file.parts}


def test_editing_a_table_does_not_make_it_newer(workspace: FinishedWorkspace) -> None:
    manifest = workspace.home.specimens
    os.utime(manifest, (1_700_000_000, 1_700_000_000))
    withdraw(workspace)
    assert manifest.stat().st_mtime == 1_700_000_000


def test_two_withdrawals_in_either_order_end_the_same(workspace: FinishedWorkspace) -> None:
    withdraw(workspace, 2)
    withdraw(workspace, 1)
    assert workspace.leaks(1) == workspace.leaks(2) == []
    store = open_store(workspace.cohort)
    assert snapshot.read_snapshot(store).participants == 1


def _withdraw_in_a_process(path: Path, participant: str) -> None:
    withdrawal.withdraw(Workspace(path), participant, registry=open_registry(path))


def test_two_withdrawals_at_the_same_time_both_hold(workspace: FinishedWorkspace) -> None:
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=_withdraw_in_a_process, args=(workspace.root, participant_id))
        for participant_id in workspace.participant_ids[1:]
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert workspace.leaks(1) == workspace.leaks(2) == []
    assert audit.verify(audit.log_file(workspace.root)) == []


def test_work_that_finishes_after_the_withdrawal_leaves_nothing(workspace: FinishedWorkspace) -> None:
    """The files, batch and tables of a running delivery come after the withdrawal."""
    gone = workspace.participant_ids[1]
    withdraw(workspace)
    write_calls(workspace.participant(gone).gvcf, gone, 1)
    add_to_cohort(workspace, "late", [gone])
    write_tables(workspace)
    write(workspace.logs / "align_reads" / f"{gone}.log", "")
    assert workspace.leaks(1)
    assert withdrawal.sweep(workspace) == [gone]
    assert workspace.leaks(1) == []
    assert withdrawal.sweep(workspace) == []


def test_the_next_sweep_finishes_a_withdrawal_that_was_killed(
    workspace: FinishedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    for place in ("_leave_cohort", "purge_files"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(withdrawal, place, stop)
            withdraw(workspace)
    assert workspace.opened_registry.is_withdrawn(workspace.participant_ids[1])
    withdrawal.sweep(workspace)
    assert workspace.leaks(1) == []


def test_jobs_see_marks_without_the_registry(workspace: FinishedWorkspace) -> None:
    withdraw(workspace)
    assert withdrawn_participants(workspace) == {workspace.participant_ids[1]}
    assert withdrawn_participants(Workspace(workspace.root / "nowhere")) == frozenset()


def test_an_unregistered_id_is_refused_before_anything_changes(workspace: FinishedWorkspace) -> None:
    before = workspace.files()
    with pytest.raises(InputRefused, match="expected a registered participant, found none of this ID"):
        withdrawal.withdraw(workspace, "P0123456789ABA", registry=workspace.opened_registry)
    assert workspace.files() == before


def test_the_command_prints_the_receipt(workspace: FinishedWorkspace) -> None:
    from baekman.cli.shared import groups

    if not app.registered_groups:
        groups.register(app)
    arguments = ["withdraw", workspace.participant_ids[1], "--workspace", str(workspace.root)]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0
    participant = workspace.participant_ids[1]
    assert json.loads(first.stdout)["participant"] == participant
    assert first.stderr.splitlines()[0].startswith(f"{participant}: withdrawn on ")
    assert first.stderr.splitlines()[1:] == [
        "gone: 15 files or folders removed, 7 edited, cohort snapshot 2",
        f"receipt: receipts/{participant}.json; its `remains` says what is kept and why",
    ]
    second = CliRunner().invoke(app, arguments)
    assert (second.stdout, second.stderr) == (first.stdout, "withdrawn before: nothing to do\n")


def consent(
    workspace: FinishedWorkspace, number: int, decision: Decision, begins: date, ends: date | None = None
) -> None:
    event = ConsentEvent(
        participant_id=workspace.participant_ids[number],
        decision=decision,
        scopes=ALL_SCOPES,
        valid_from=begins,
        valid_to=ends,
    )
    workspace.opened_registry.add_consent(event)
    update_denied_list(workspace, registry=workspace.opened_registry)


def test_consent_that_ends_or_begins_counts_from_its_day_without_a_change_of_the_registry(
    workspace: FinishedWorkspace,
) -> None:
    today, day = date.today(), timedelta(days=1)
    consent(workspace, 0, Decision.GRANTED, today - day, today + day)
    consent(workspace, 1, Decision.REFUSED, today)
    consent(workspace, 1, Decision.GRANTED, today + 2 * day)
    ending, beginning, other = workspace.participant_ids
    in_days = [denied_participants(workspace, at=today + number * day) for number in range(4)]
    assert in_days == [{beginning}, {beginning}, {ending}, {ending}]
    assert other not in frozenset().union(*in_days)


def test_a_freeze_leaves_out_and_an_add_by_hand_refuses_participants_without_consent(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    consent(workspace, 1, Decision.REFUSED, date(2025, 2, 1))
    participant_id = workspace.participant_ids[1]
    freeze(open_store(workspace.cohort), output=tmp_path / "release")
    assert not table_files.table_path(tmp_path / "release" / "tables", participant_id).exists()
    rewrite.withdraw(open_store(workspace.cohort), [participant_id])
    freeze(open_store(workspace.cohort), output=tmp_path / "release")  # the same sites, so the same freeze
    write(tmp_path / "list.tsv", f"{participant_id}\t{workspace.participant(participant_id).gvcf}\n")
    words = ["cohort", "add", "--cohort", str(workspace.cohort), "--batch", "B", "--gvcfs"]
    groups.register(app)
    ran = CliRunner().invoke(app, [*words, str(tmp_path / "list.tsv")])
    assert isinstance(ran.exception, InputRefused)
    assert str(ran.exception) == (
        f"list of gVCFs: {participant_id}: expected a "
        "participant with consent to sequencing in force, found a withdrawal, or a consent that was refused or has "
        f"ended; leave the participant out (of a cohort: `baekman cohort withdraw {participant_id}`)"
    )


def test_a_withdrawal_reaches_the_participants_and_tables_of_a_freeze_in_the_workspace(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    gone, release = workspace.participant_ids[1], workspace.root / "release"
    baekman.open_cohort(workspace.cohort).freeze(release)
    shutil.copytree(release, tmp_path / "copy")
    receipt = withdrawal.withdraw(workspace, gone, registry=workspace.opened_registry)
    assert (receipt["left"], receipt["remains"][-1]) == ([], withdrawal.LEFT_FREEZES)
    assert {"release/SHA256SUMS", "release/participants.parquet"} <= set(receipt["edited"])
    baekman.open_cohort(workspace.cohort).freeze(tmp_path / "never")
    name = "participants.parquet"
    assert (release / name).read_bytes() == (tmp_path / "never" / name).read_bytes()
    placed = [sorted(str(path.relative_to(each)) for path in each.rglob("*")) for each in (release, tmp_path / "never")]
    assert placed[0] == placed[1]
    assert list(verify_freeze(release, open_store(workspace.cohort))) == []
    counted = "1 participant was withdrawn since it was written: sites and frequencies still count them"
    assert notes_on(release)[0] == counted == baekman.open_freeze(release).notes[0]
    done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=release, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    # outside of the workspace it is as it was; a kill at any effect leaves what the same work finishes
    for step in range(1, 100):
        shutil.copytree(tmp_path / "copy", tmp_path / str(step))
        was_killed = killed_before(step, lambda place=tmp_path / str(step): leave_freeze(place, participant=gone))
        leave_freeze(tmp_path / str(step), participant=gone)
        assert hashes(tmp_path / str(step)) == hashes(release), f"effect {step}"
        if not was_killed:
            break
    assert step > 5


def test_tables_of_others_equal_those_of_a_cohort_that_never_had_the_participant(
    workspace: FinishedWorkspace, tmp_path: Path
) -> None:
    withdraw(workspace)
    stayers = [workspace.participant_ids[number] for number in (0, 2)]
    alone = create_store(tmp_path / "alone", reference=tmp_path / "reference.fa")
    members = [
        Member(participant_id=stayer, gvcf=str(workspace.participant(stayer).gvcf), sex="female") for stayer in stayers
    ]
    add_batch(alone, batch="b", members=members)
    tables.make_tables(alone, output=tmp_path / "tables")
    for stayer in stayers:
        for place in (table_files.table_path, table_files.reference_path):
            assert place(workspace.tables, stayer).read_bytes() == place(tmp_path / "tables", stayer).read_bytes()


def test_the_receipt_names_tables_that_are_left_to_the_next_freeze(workspace: FinishedWorkspace) -> None:
    gone, stayer = workspace.participant_ids[1], workspace.participant_ids[0]
    before = table_files.table_path(workspace.tables, stayer).read_bytes()
    left = withdrawal.withdraw(workspace, gone, registry=workspace.opened_registry, leave_tables=True)
    assert table_files.table_path(workspace.tables, stayer).read_bytes() == before
    assert left["remains"] == [*withdrawal.REMAINS, withdrawal.LEFT_TABLES]
    rewritten = withdraw(workspace)
    assert table_files.table_path(workspace.tables, stayer).read_bytes() != before
    assert rewritten["remains"] == list(withdrawal.REMAINS)


def test_records_of_a_run_go_when_the_run_has_ended(workspace: FinishedWorkspace) -> None:
    gone = workspace.participant_ids[1]
    lock = workspace.snakemake / "locks" / "0.output.lock"
    write(lock, f"participants/{gone}/aligned.cram\n")
    run = run_lock.join(workspace)
    write(lock, f"participants/{gone}/aligned.cram\n")
    assert withdraw(workspace)["left"] == [".snakemake/locks/0.output.lock"]
    assert lock.is_file()
    write(workspace.deliver_log(DELIVERY), f"input: participants/{gone}/aligned.cram\nend\n")
    write(workspace.snakemake / "metadata" / "x", gone)
    os.close(run)
    assert withdrawal.sweep_after(workspace, DELIVERY) == [gone]
    assert workspace.leaks(1) == []
    receipt = json.loads((workspace.receipt(gone)).read_text())
    assert (receipt["left"], ".snakemake/metadata/x" in receipt["removed"]) == ([], True)
    assert withdrawal.sweep_after(workspace, DELIVERY) == []
