"""Deliveries that were received before: repeated, corrected, staged again, or after a withdrawal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from baekman import withdrawal
from baekman.errors import InputRefused
from baekman.files.untrusted import FileFault
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.receive import receive
from baekman.registry.verdict_history import record_verdicts, verdict_history
from baekman.verdicts import Reason, Verdict
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from baekman.workspace.run_state import RunCounts, RunRecorder
from support.delivery_builder import (
    INSTITUTION,
    codes,
    fastq,
    make_workspace,
    registration,
    simple_delivery,
    write_fastq,
    write_reference,
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a folder for ``make_workspace``."""
    return Workspace(tmp_path / "W")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reference(tmp_path_factory.mktemp("reference"))


@pytest.mark.parametrize("changed", ["manifest", "file"])
def test_a_delivery_repeated_with_other_bytes_is_refused(
    workspace: Workspace, tmp_path: Path, reference: Path, changed: str
) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1")
    receive(delivery, workspace=workspace)
    if changed == "manifest":
        manifest = delivery / "manifest.tsv"
        manifest.write_text(manifest.read_text().replace("LANE1\t", "LANE9\t"))
    else:
        write_fastq(delivery / "A-1_LANE1_R1.fastq.gz", fastq(77, 1))
    with pytest.raises(InputRefused) as refused:
        receive(delivery, workspace=workspace)
    assert [str(problem) for problem in refused.value.problems] == [
        "delivery.yaml: delivery: expected a name that no delivery of other content has had, found the name of "
        "a delivery that was received with other content; give the corrected delivery a name of its own"
    ]


def test_a_corrected_delivery_may_repeat_what_was_accepted(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    registry = make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    manifest = delivery / "manifest.tsv"
    lines = manifest.read_text().splitlines()
    lines[-1] = "\t".join([*lines[-1].split("\t")[:4], "0" * 64, lines[-1].split("\t")[5]])
    manifest.write_text("\n".join(lines) + "\n")
    first = receive(delivery, workspace=workspace)
    assert codes(first) == [("accept", []), ("reject", ["checksum_wrong"])]
    again = simple_delivery(tmp_path / "again", reference, "A-1", "A-2", name="D-2")
    second = receive(again, workspace=workspace)
    assert codes(second) == [("reject", ["specimen_reused"]), ("accept", [])]
    record = registry.specimen(INSTITUTION, "A-2")
    assert record is not None
    history = [
        (delivery_id, verdict.verdict) for delivery_id, _, verdict in verdict_history(registry, record.specimen_id)
    ]
    assert history == [(first.delivery_id, "reject"), (second.delivery_id, "accept")]


def test_a_file_that_comes_after_its_manifest_is_judged_by_the_same_command(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    late, aside = delivery / "A-2_LANE1_R1.fastq.gz", tmp_path / "late"
    late.rename(aside)
    first = receive(delivery, workspace=workspace)
    assert codes(first) == [("accept", []), ("reject", ["file_missing"])]
    assert receive(delivery, workspace=workspace).status == "same"
    aside.rename(late)
    assert codes(receive(delivery, workspace=workspace)) == [("accept", []), ("accept", [])]


def test_a_file_that_vanished_while_it_was_read_is_the_same_file_when_it_is_back(
    workspace: Workspace, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    whole = DeliveredFile.blocks

    def cut(self: DeliveredFile) -> Iterator[bytes]:
        yield next(whole(self))[:100]
        if self.row.file == "A-2_LANE1_R1.fastq.gz":
            raise FileFault("file_missing", "absent")
        yield next(whole(self))[100:]

    with monkeypatch.context() as patch:
        patch.setattr(DeliveredFile, "blocks", cut)
        first = receive(delivery, workspace=workspace)
    assert codes(first) == [("accept", []), ("reject", ["file_missing"])]
    (delivery / "A-2_LANE1_R1.fastq.gz").touch()
    assert codes(receive(delivery, workspace=workspace)) == [("accept", []), ("accept", [])]


def test_a_withdrawal_leaves_no_checksum_of_the_delivered_files(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    registry = make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    received = receive(simple_delivery(tmp_path / "in", reference, "A-1", "A-2"), workspace=workspace)
    checksums = [line.split("\t")[4] for line in (tmp_path / "in" / "manifest.tsv").read_text().splitlines()[1:]]
    noted = workspace.delivery(received.delivery_id).inputs
    assert [checksum in noted.read_text() for checksum in checksums] == [True, True, True, True]
    assert received.verdicts[0].participant_id is not None
    withdrawal.withdraw(workspace, received.verdicts[0].participant_id, registry=registry)
    assert [checksum in noted.read_text() for checksum in checksums] == [False, False, True, True]
    assert receive(tmp_path / "in", workspace=workspace).status == "same"


def test_a_received_delivery_is_staged_again_on_request(workspace: Workspace, tmp_path: Path, reference: Path) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    first = receive(delivery, workspace=workspace)
    home = workspace.delivery(first.delivery_id)
    staged = {path: path.read_bytes() for path in home.staged.rglob("*.gz")}
    listed, summary = home.specimens.read_text(), json.loads(home.summary.read_text())
    shutil.rmtree(home.staged)
    assert receive(delivery, workspace=workspace).status == "same"
    assert not home.staged.exists()
    again = receive(delivery, workspace=workspace, again=True)
    assert (again.status, again.delivery_id, again.verdicts) == ("again", first.delivery_id, first.verdicts)
    assert {path: path.read_bytes() for path in home.staged.rglob("*.gz")} == staged
    assert home.specimens.read_text() == listed
    assert json.loads(home.summary.read_text()) == summary
    # as old as the first time: jobs with current outputs do not run again
    received = datetime.fromisoformat(summary["received"]).timestamp()
    assert {path.stat().st_mtime for path in staged} == {received}


def test_a_specimen_without_consent_now_is_not_staged_again(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    registry = make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    first = receive(delivery, workspace=workspace)
    home = workspace.delivery(first.delivery_id)
    shutil.rmtree(home.staged)
    leaving = registry.specimen(INSTITUTION, "A-2")
    assert leaving is not None
    registry.withdraw(leaving.participant_id)
    again = receive(delivery, workspace=workspace, again=True)
    assert sorted(codes(again)) == [("accept", []), ("reject", ["participant_withdrawn"])]
    assert leaving.participant_id not in home.specimens.read_text()
    assert leaving.participant_id not in [path.name for path in home.staged.iterdir()]


def test_files_that_pass_no_more_are_refused_and_nothing_changes(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    first = receive(delivery, workspace=workspace)
    home = workspace.delivery(first.delivery_id)
    before = {file: file.read_bytes() for file in home.path.rglob("*") if file.is_file() and "staged" not in file.parts}
    (delivery / "A-2_LANE1_R2.fastq.gz").unlink()
    with pytest.raises(InputRefused) as refused:
        receive(delivery, workspace=workspace, again=True)
    assert [str(problem) for problem in refused.value.problems] == [
        f"delivery {first.delivery_id}: specimen {first.verdicts[1].specimen_id}: expected the files that passed when "
        "it was received, found file_missing; put them back as they were and run the same command again"
    ]
    assert {file: file.read_bytes() for file in before} == before


def test_a_specimen_that_a_failed_run_did_not_process_may_come_again(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1)])
    first = receive(simple_delivery(tmp_path / "in", reference, "A-1"), workspace=workspace)
    home = workspace.delivery(first.delivery_id)
    later = [simple_delivery(tmp_path / name, reference, "A-1", name=name, seed=9) for name in ("D-2", "D-3")]
    with RunRecorder(home) as recorder:
        recorder.note(RunCounts(rule="align_reads", total=9))
        # the run may still bring it through
        assert codes(receive(later[0], workspace=workspace)) == [("reject", ["specimen_reused"])]
        recorder.end("failed")
    assert codes(receive(later[1], workspace=workspace)) == [("accept", [])]
    assert specimens.superseded_in(workspace, first.delivery_id) == {first.verdicts[0].participant_id}


def test_an_older_delivery_keeps_what_it_said_of_specimens_that_came_again(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    registry = make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    older = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    first = receive(older, workspace=workspace)
    home = workspace.delivery(first.delivery_id)
    held = Reason(code="low_coverage", severity="hold")
    came_again, other = first.verdicts
    verdict = Verdict.of(
        specimen_id=came_again.specimen_id, participant_id=came_again.participant_id, gate="qc", reasons=[held]
    )
    record_verdicts(registry, first.delivery_id, [verdict])
    later = receive(simple_delivery(tmp_path / "more", reference, "A-1", name="D-2", seed=9), workspace=workspace)
    assert codes(later) == [("accept", [])]
    before = home.specimens.read_text()
    assert receive(older, workspace=workspace).status == "same"
    shutil.rmtree(home.staged)
    (older / "A-1_LANE1_R1.fastq.gz").unlink()  # nobody needs it any more
    again = receive(older, workspace=workspace, again=True)
    assert (again.status, again.verdicts) == ("again", first.verdicts)
    assert home.specimens.read_text() == before
    assert [path.name for path in home.staged.iterdir()] == [other.participant_id]
    # the files in the workspace stay those of the later delivery
    assert specimens.superseded_in(workspace, first.delivery_id) == {came_again.participant_id}
    assert specimens.superseded_in(workspace, later.delivery_id) == frozenset()


def test_a_delivery_of_a_withdrawn_participant_is_rejected_and_names_nobody(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    registry = make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    first = receive(simple_delivery(tmp_path / "in", reference, "A-1", "A-2"), workspace=workspace)
    gone = first.verdicts[0]
    assert gone.participant_id is not None
    withdrawal.withdraw(workspace, gone.participant_id, registry=registry)
    more = simple_delivery(tmp_path / "more", reference, "A-1", name="D-2", seed=9)
    again = receive(tmp_path / "in", workspace=workspace, again=True)
    assert codes(again)[0] == ("reject", ["participant_withdrawn"])
    assert codes(receive(more, workspace=workspace)) == [("reject", ["participant_withdrawn"])]
    for path in workspace.deliveries.rglob("*"):
        for identifier in (gone.participant_id, gone.specimen_id):
            assert identifier not in path.name, path
            assert path.is_dir() or identifier.encode() not in path.read_bytes(), path
