"""Receiving deliveries: once, again, broken off, corrected, and told about."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from baekman import withdrawal
from baekman.errors import InputRefused
from baekman.intake import receive as intake
from baekman.intake.outcome import Outcome
from baekman.intake.return_report import write_return_report
from baekman.intake.specimen import Surroundings
from baekman.registry.records import Registry, open_registry
from baekman.registry.verdict_history import verdict_history
from baekman.verdicts import Reason, Verdict, write_verdicts
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from support.delivery_builder import (
    INSTITUTION,
    DeliveryBuilder,
    codes,
    fastq,
    make_workspace,
    registration,
    simple_delivery,
    write_fastq,
    write_reference,
)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reference(tmp_path_factory.mktemp("reference"))


def test_a_delivery_received_twice_is_left_alone(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1")
    assert intake.known(delivery, workspace=Workspace(tmp_path / "W")) is None
    first = intake.receive(delivery, workspace=Workspace(tmp_path / "W"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "W" / "deliveries").rglob("*")}
    os.utime(delivery / "A-1_LANE1_R1.fastq.gz")  # touched, but of the same bytes
    again = intake.receive(delivery, workspace=Workspace(tmp_path / "W"))
    assert (first.status, again.status) == ("received", "same")
    assert again.delivery_id == first.delivery_id == intake.known(delivery, workspace=Workspace(tmp_path / "W"))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "W" / "deliveries").rglob("*")} == before


@pytest.mark.parametrize("changed", ["manifest", "file"])
def test_a_delivery_repeated_with_other_bytes_is_refused(tmp_path: Path, reference: Path, changed: str) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1")
    intake.receive(delivery, workspace=Workspace(tmp_path / "W"))
    if changed == "manifest":
        manifest = delivery / "manifest.tsv"
        manifest.write_text(manifest.read_text().replace("LANE1\t", "LANE9\t"))
    else:
        write_fastq(delivery / "A-1_LANE1_R1.fastq.gz", fastq(77, 1))
    with pytest.raises(InputRefused) as refused:
        intake.receive(delivery, workspace=Workspace(tmp_path / "W"))
    assert [str(reason) for reason in refused.value.problems] == [
        "delivery.yaml: delivery: expected a name that no delivery of other content has had, found the name of "
        "a delivery that was received with other content; give the corrected delivery a name of its own"
    ]


def test_a_corrected_redelivery_takes_up_where_the_last_stopped(tmp_path: Path, reference: Path) -> None:
    registry = make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    manifest = delivery / "manifest.tsv"
    lines = manifest.read_text().splitlines()
    lines[-1] = "\t".join([*lines[-1].split("\t")[:4], "0" * 64, lines[-1].split("\t")[5]])
    manifest.write_text("\n".join(lines) + "\n")
    first = intake.receive(delivery, workspace=Workspace(tmp_path / "W"))
    assert codes(first) == [("accept", []), ("reject", ["checksum_wrong"])]
    again = simple_delivery(tmp_path / "again", reference, "A-1", "A-2", name="D-2")
    second = intake.receive(again, workspace=Workspace(tmp_path / "W"))
    assert codes(second) == [("reject", ["specimen_reused"]), ("accept", [])]
    record = registry.specimen(INSTITUTION, "A-2")
    assert record is not None
    history = [
        (delivery_id, verdict.verdict) for delivery_id, _, verdict in verdict_history(registry, record.specimen_id)
    ]
    assert history == [(first.delivery_id, "reject"), (second.delivery_id, "accept")]


def test_a_full_disk_rejects_nobody_and_what_was_broken_off_is_finished_when_there_is_room(
    tmp_path: Path, reference: Path
) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    builder = DeliveryBuilder(tmp_path / "in", reference)
    builder.pair("A-1", seed=1)
    builder.pair("A-2", seed=2, change=lambda mate, _: fastq(2, mate, pairs=30_000))
    delivery = builder.finish()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))  # more than the registry, less than the reads
    try:
        with pytest.raises(OSError) as failed:
            intake.receive(delivery, workspace=Workspace(tmp_path / "W"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failed.value.errno == errno.EFBIG
    assert not list((tmp_path / "W").rglob("intake.json"))
    assert codes(intake.receive(delivery, workspace=Workspace(tmp_path / "W"))) == [("accept", []), ("accept", [])]


def test_intake_needs_no_tool_on_path(tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    receipt = intake.receive(simple_delivery(tmp_path / "in", reference, "A-1"), workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("accept", [])]


def test_what_qc_sent_back_may_be_delivered_again(tmp_path: Path, reference: Path) -> None:
    registry = make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    first = intake.receive(simple_delivery(tmp_path / "in", reference, "A-1"), workspace=Workspace(tmp_path / "W"))
    report_qc(tmp_path / "W", first, registry)
    second = intake.receive(
        simple_delivery(tmp_path / "again", reference, "A-1", name="D-2", seed=9), workspace=Workspace(tmp_path / "W")
    )
    assert codes(second) == [("accept", [])]


def report_qc(workspace: Path, receipt: intake.Receipt, registry: Registry) -> Path:
    """A QC gate that rejects everybody who came through intake."""
    reason = Reason(code="coverage_low", severity="reject", metric="mean_depth", observed=12.5, threshold=30)
    verdicts = [
        Verdict.of(specimen_id=one.specimen_id, participant_id=one.participant_id, gate="qc", reasons=[reason])
        for one in receipt.verdicts
        if one.verdict == "accept"
    ]
    write_verdicts(workspace / "deliveries" / receipt.delivery_id / "verdicts" / "qc.json", verdicts)
    return write_return_report(Workspace(workspace), receipt.delivery_id, registry=registry)


def test_the_return_report_is_brought_up_to_date_after_qc(tmp_path: Path, reference: Path) -> None:
    rows = [registration("A-1", 1), registration("A-2", 2, consent="refused")]
    registry = make_workspace(tmp_path / "W", reference, rows)
    receipt = intake.receive(
        simple_delivery(tmp_path / "in", reference, "A-1", "A-2"), workspace=Workspace(tmp_path / "W")
    )
    for _ in range(2):  # done again, it says the same
        folder = report_qc(tmp_path / "W", receipt, registry)
        report = json.loads((folder / "return.json").read_text())
        told = {
            one["specimen"]: (one["verdict"], [(r["gate"], r["code"], r["observed"]) for r in one["reasons"]])
            for one in report["specimens"]
        }
        assert told == {
            "A-1": ("reject", [("qc", "coverage_low", 12.5)]),
            "A-2": ("reject", [("intake", "no_consent", "refused")]),
        }
        assert report["summary"] == {"accept": 0, "hold": 0, "reject": 2}
    assert "coverage low" in (folder / "return.html").read_text()


def test_an_institution_reads_of_its_own_specimens_alone(tmp_path: Path, reference: Path) -> None:
    rows = [registration("A-1", 1), registration("B-1", 2, institution="Saebyeok <Clinic>")]
    make_workspace(tmp_path / "W", reference, rows)
    intake.receive(simple_delivery(tmp_path / "in", reference, "A-1"), workspace=Workspace(tmp_path / "W"))
    builder = DeliveryBuilder(tmp_path / "other", reference, institution="'Saebyeok <Clinic>'")
    builder.pair("B-1", seed=8)
    receipt = intake.receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("accept", [])]
    page = (receipt.report / "return.html").read_text()
    assert "Saebyeok &lt;Clinic&gt;" in page and "<Clinic>" not in page
    assert "A-1" not in page and INSTITUTION not in page


def test_a_gate_that_only_reports_lets_readable_specimens_through(tmp_path: Path, reference: Path) -> None:
    rows = [registration(label, number) for number, label in enumerate(("SUM", "CUT", "NO"), start=1)]
    rows[2]["consent"] = "refused"
    make_workspace(tmp_path / "W", reference, rows, more="gates: {intake: report}\n")
    builder = DeliveryBuilder(tmp_path / "in", reference)
    builder.pair("SUM", seed=1)
    builder.rows[-1][-2] = "0" * 64
    for label, seed in (("CUT", 2), ("NO", 3)):
        builder.pair(label, seed=seed)
    cut = builder.folder / "CUT_LANE1_R2.fastq.gz"
    cut.write_bytes(cut.read_bytes()[:-30])
    receipt = intake.receive(builder.finish(), workspace=Workspace(tmp_path / "W"))
    assert [verdict.verdict for verdict in receipt.verdicts] == ["reject"] * 3
    rows_staged = specimens.read(tmp_path / "W" / "deliveries" / receipt.delivery_id / "specimens.tsv")
    assert [row.specimen_id for row in rows_staged] == [receipt.verdicts[0].specimen_id]


def test_a_file_that_may_not_be_read_rejects_nobody(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    folder = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    opened = os.open

    def denied(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).startswith("A-2_"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, mode, dir_fd=dir_fd)

    with monkeypatch.context() as patch, pytest.raises(InputRefused) as refused:
        patch.setattr(os, "open", denied)  # as root, who may run the tests, may read all
        intake.receive(folder, workspace=Workspace(tmp_path / "W"))
    action = "give who runs this access to it, then run the same command again"
    assert str(refused.value).splitlines() == [
        f"manifest.tsv: line {line}, column file: expected a file that may be read, found a file that may not be read;"
        f" {action}"
        for line in (4, 5)
    ]
    assert codes(intake.receive(folder, workspace=Workspace(tmp_path / "W"))) == [("accept", []), ("accept", [])]


def test_a_run_that_is_killed_is_finished_by_the_next(tmp_path: Path, reference: Path) -> None:
    labels = [f"A-{number}" for number in range(12)]
    rows = [registration(label, number) for number, label in enumerate(labels, start=1)]
    make_workspace(tmp_path / "W", reference, rows)
    delivery = simple_delivery(tmp_path / "in", reference, *labels)
    arguments = ["receive", str(delivery), "--workspace", str(tmp_path / "W"), "--workers", "1"]
    running = subprocess.Popen(
        [sys.executable, "-c", "from baekman.cli import main; main()", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    progress = None
    for _ in range(600):
        found = list((tmp_path / "W" / "deliveries").glob("D*/progress/S*.json"))
        if len(found) >= 3 or running.poll() is not None:
            progress = found
            break
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert progress is not None and running.returncode == -signal.SIGKILL
    (home,) = (tmp_path / "W" / "deliveries").glob("D*")
    assert not (home / "delivery.json").exists()
    before = {path: path.stat().st_ino for path in home.glob("staged/P*/L1_1.fastq.gz")}
    receipt = intake.receive(delivery, workspace=Workspace(tmp_path / "W"))
    assert codes(receipt) == [("accept", [])] * 12
    after = {path: path.stat().st_ino for path in home.glob("staged/P*/L1_1.fastq.gz")}
    assert len(after) == 12
    kept = sum(after[path] == inode for path, inode in before.items())
    assert kept >= 3  # what was finished is not done again
    assert not list(home.glob("staged/.*")) and not (home / "progress").exists()
    assert verdict_history(open_registry(tmp_path / "W"), receipt.verdicts[0].specimen_id)[0][2] == receipt.verdicts[0]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from baekman.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_prints_pseudonyms_alone(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("SECRET-1", 1)])
    delivery = simple_delivery(tmp_path / "in", reference, "SECRET-1", "SECRET-2")
    first = run("receive", str(delivery), "--workspace", str(tmp_path / "W"))
    assert (first.returncode, first.stderr) == (0, "")
    lines = [line.split("\t") for line in first.stdout.splitlines()]
    assert lines[0] == ["delivery", "specimen", "verdict", "reasons"]
    assert [line[2:] for line in lines[1:]] == [["accept", ""], ["reject", "not_registered"]]
    again = run("receive", str(delivery), "--workspace", str(tmp_path / "W"))
    assert (again.returncode, again.stdout) == (0, f"{lines[1][0]} was received before: nothing to do\n")
    (delivery / "manifest.tsv").write_text("SECRET\n")
    refused = run("receive", str(delivery), "--workspace", str(tmp_path / "W"))
    assert (refused.returncode, refused.stdout) == (3, "")
    for result in (first, again, refused):
        assert "SECRET" not in result.stdout + result.stderr and str(tmp_path) not in result.stdout + result.stderr
    report = run("return-report", lines[1][0], "--workspace", str(tmp_path / "W"))
    assert (report.returncode, report.stdout) == (0, f"return report of {lines[1][0]} written\n")
    unknown = run("return-report", "D00000000000NN", "--workspace", str(tmp_path / "W"))
    assert unknown.returncode == 3


def test_two_deliveries_at_a_time_bring_a_specimen_once(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1)])
    inspected = threading.Barrier(2)
    conclude = intake._conclude

    def both_inspected(around: Surroundings, outcomes: list[Outcome]) -> intake.Receipt:
        inspected.wait(timeout=120)
        return conclude(around, outcomes)

    monkeypatch.setattr(intake, "_conclude", both_inspected)
    folders = [simple_delivery(tmp_path / name, reference, "A-1", name=name) for name in ("D-1", "D-2")]
    with ThreadPoolExecutor(2) as pool:
        receipts = list(pool.map(lambda folder: intake.receive(folder, workspace=Workspace(tmp_path / "W")), folders))
    assert sorted(map(codes, receipts)) == [[("accept", [])], [("reject", ["specimen_reused"])]]
    for receipt in receipts:
        home = tmp_path / "W" / "deliveries" / receipt.delivery_id
        count = len(specimens.read(home / "specimens.tsv"))
        assert count == len(list((home / "staged").iterdir())) == (receipt.verdicts[0].verdict == "accept")


def test_who_withdraws_while_being_received_stays_out(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    conclude = intake._conclude

    def withdrawn(around: Surroundings, outcomes: list[Outcome]) -> intake.Receipt:
        assert outcomes[0].verdict.participant_id is not None
        registry.withdraw(outcomes[0].verdict.participant_id)
        return conclude(around, outcomes)

    monkeypatch.setattr(intake, "_conclude", withdrawn)
    receipt = intake.receive(
        simple_delivery(tmp_path / "in", reference, "A-1", "A-2"), workspace=Workspace(tmp_path / "W")
    )
    assert codes(receipt) == [("reject", ["participant_withdrawn"]), ("accept", [])]
    staged = tmp_path / "W" / "deliveries" / receipt.delivery_id / "staged"
    assert [folder.name for folder in staged.iterdir()] == [receipt.verdicts[1].participant_id]


def test_a_withdrawal_leaves_no_checksum_of_the_delivered_files(tmp_path: Path, reference: Path) -> None:
    registry = make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    receipt = intake.receive(
        simple_delivery(tmp_path / "in", reference, "A-1", "A-2"), workspace=Workspace(tmp_path / "W")
    )
    sums = [line.split("\t")[4] for line in (tmp_path / "in" / "manifest.tsv").read_text().splitlines()[1:]]
    noted = tmp_path / "W" / "deliveries" / receipt.delivery_id / "inputs.json"
    assert [one in noted.read_text() for one in sums] == [True, True, True, True]
    assert receipt.verdicts[0].participant_id is not None
    withdrawal.withdraw(Workspace(tmp_path / "W"), receipt.verdicts[0].participant_id, registry=registry)
    assert [one in noted.read_text() for one in sums] == [False, False, True, True]
    assert intake.receive(tmp_path / "in", workspace=Workspace(tmp_path / "W")).status == "same"


def test_a_delivery_is_staged_anew_when_it_is_asked_for(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    first = intake.receive(delivery, workspace=Workspace(tmp_path / "W"))
    home = tmp_path / "W" / "deliveries" / first.delivery_id
    staged = {path: path.read_bytes() for path in (home / "staged").rglob("*.gz")}
    listed, summary = (home / "specimens.tsv").read_text(), json.loads((home / "delivery.json").read_text())
    shutil.rmtree(home / "staged")
    assert intake.receive(delivery, workspace=Workspace(tmp_path / "W")).status == "same"
    assert not (home / "staged").exists()
    again = intake.receive(delivery, workspace=Workspace(tmp_path / "W"), again=True)
    assert (again.status, again.delivery_id, again.verdicts) == ("again", first.delivery_id, first.verdicts)
    assert {path: path.read_bytes() for path in (home / "staged").rglob("*.gz")} == staged
    assert (home / "specimens.tsv").read_text() == listed
    assert json.loads((home / "delivery.json").read_text()) == summary
    # as old as the first time: what was made of them is not made again
    received = datetime.fromisoformat(summary["received"]).timestamp()
    assert {path.stat().st_mtime for path in staged} == {received}


def test_who_has_no_consent_any_more_is_not_staged_anew(tmp_path: Path, reference: Path) -> None:
    registry = make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    first = intake.receive(delivery, workspace=Workspace(tmp_path / "W"))
    home = tmp_path / "W" / "deliveries" / first.delivery_id
    shutil.rmtree(home / "staged")
    leaving = registry.specimen(INSTITUTION, "A-2")
    assert leaving is not None
    registry.withdraw(leaving.participant_id)
    again = intake.receive(delivery, workspace=Workspace(tmp_path / "W"), again=True)
    assert sorted(codes(again)) == [("accept", []), ("reject", ["participant_withdrawn"])]
    assert leaving.participant_id not in (home / "specimens.tsv").read_text()
    assert leaving.participant_id not in [path.name for path in (home / "staged").iterdir()]


def test_what_cannot_be_staged_anew_changes_nothing_and_is_told(tmp_path: Path, reference: Path) -> None:
    make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    first = intake.receive(delivery, workspace=Workspace(tmp_path / "W"))
    home = tmp_path / "W" / "deliveries" / first.delivery_id
    before = {file: file.read_bytes() for file in home.rglob("*") if file.is_file() and "staged" not in file.parts}
    (delivery / "A-2_LANE1_R2.fastq.gz").unlink()
    with pytest.raises(InputRefused) as refused:
        intake.receive(delivery, workspace=Workspace(tmp_path / "W"), again=True)
    assert [str(reason) for reason in refused.value.problems] == [
        f"delivery {first.delivery_id}: specimen {first.verdicts[1].specimen_id}: expected the files that passed when "
        "it was received, found file_missing; put them back as they were and run the same command again"
    ]
    assert {file: file.read_bytes() for file in before} == before


def test_what_is_sent_of_somebody_who_has_left_is_refused_and_names_nobody(tmp_path: Path, reference: Path) -> None:
    registry = make_workspace(tmp_path / "W", reference, [registration("A-1", 1), registration("A-2", 2)])
    first = intake.receive(
        simple_delivery(tmp_path / "in", reference, "A-1", "A-2"), workspace=Workspace(tmp_path / "W")
    )
    gone = first.verdicts[0]
    assert gone.participant_id is not None
    withdrawal.withdraw(Workspace(tmp_path / "W"), gone.participant_id, registry=registry)
    more = simple_delivery(tmp_path / "more", reference, "A-1", name="D-2", seed=9)
    again = intake.receive(tmp_path / "in", workspace=Workspace(tmp_path / "W"), again=True)
    assert codes(again)[0] == ("reject", ["participant_withdrawn"])
    assert codes(intake.receive(more, workspace=Workspace(tmp_path / "W"))) == [("reject", ["participant_withdrawn"])]
    for path in (tmp_path / "W" / "deliveries").rglob("*"):
        for one in (gone.participant_id, gone.specimen_id):
            assert one not in path.name and (path.is_dir() or one.encode() not in path.read_bytes()), path
