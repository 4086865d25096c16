"""Deliveries that are received, also after an interruption and two at a time; their return reports."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from baekman.errors import InputRefused
from baekman.intake import receive as receiving
from baekman.intake.inspection import Inspection
from baekman.intake.receive import receive, received_id
from baekman.intake.reception import ReceivedDelivery, Reception
from baekman.intake.return_report import write_return_report
from baekman.registry import denied_list
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
)
from support.servers import forks


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a folder for ``make_workspace``."""
    return Workspace(tmp_path / "W")


def test_a_delivery_received_twice_is_left_alone(workspace: Workspace, tmp_path: Path, reference: Path) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1)])
    delivery = simple_delivery(tmp_path / "in", reference, "A-1")
    assert received_id(delivery, workspace=workspace) is None
    first = receive(delivery, workspace=workspace)
    before = {path: path.stat().st_mtime_ns for path in workspace.deliveries.rglob("*")}
    os.utime(delivery / "A-1_LANE1_R1.fastq.gz")  # other times, the same bytes
    again = receive(delivery, workspace=workspace)
    assert (first.status, again.status) == ("received", "same")
    assert again.delivery_id == first.delivery_id == received_id(delivery, workspace=workspace)
    assert {path: path.stat().st_mtime_ns for path in workspace.deliveries.rglob("*")} == before


def test_a_full_disk_rejects_nobody_and_the_next_run_finishes_the_intake(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    builder = DeliveryBuilder(tmp_path / "in", reference)
    builder.pair("A-1", seed=1)
    builder.pair("A-2", seed=2, change=lambda mate, _: fastq(2, mate, pairs=30_000))
    delivery = builder.finish()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))  # more than the registry needs, less than the reads
    try:
        with pytest.raises(OSError) as failed:
            receive(delivery, workspace=workspace)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failed.value.errno == errno.EFBIG
    assert not list(workspace.root.rglob("intake.json"))
    assert codes(receive(delivery, workspace=workspace)) == [("accept", []), ("accept", [])]


def test_intake_needs_no_tool_on_path(
    workspace: Workspace, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1)])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    received = receive(simple_delivery(tmp_path / "in", reference, "A-1"), workspace=workspace)
    assert codes(received) == [("accept", [])]


def test_a_specimen_that_qc_rejected_may_be_delivered_again(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    registry = make_workspace(workspace.root, reference, [registration("A-1", 1)])
    first = receive(simple_delivery(tmp_path / "in", reference, "A-1"), workspace=workspace)
    report_qc(workspace, first, registry)
    second = receive(simple_delivery(tmp_path / "again", reference, "A-1", name="D-2", seed=9), workspace=workspace)
    assert codes(second) == [("accept", [])]


def report_qc(workspace: Workspace, received: ReceivedDelivery, registry: Registry) -> Path:
    """Reject everybody who passed intake at the QC gate; return the folder of the return report."""
    reason = Reason(code="coverage_low", severity="reject", metric="mean_depth", observed=12.5, threshold=30)
    verdicts = [
        Verdict.of(specimen_id=verdict.specimen_id, participant_id=verdict.participant_id, gate="qc", reasons=[reason])
        for verdict in received.verdicts
        if verdict.verdict == "accept"
    ]
    write_verdicts(workspace.delivery(received.delivery_id).verdicts("qc"), verdicts)
    return write_return_report(workspace, received.delivery_id, registry=registry)


def test_the_return_report_is_brought_up_to_date_after_qc(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    rows = [registration("A-1", 1), registration("A-2", 2, consent="refused")]
    registry = make_workspace(workspace.root, reference, rows)
    received = receive(simple_delivery(tmp_path / "in", reference, "A-1", "A-2"), workspace=workspace)
    for _ in range(2):  # a second time it stays the same
        folder = report_qc(workspace, received, registry)
        report = json.loads((folder / "return.json").read_text())
        reported = {
            specimen["specimen"]: (
                specimen["verdict"],
                [(reason["gate"], reason["code"], reason["observed"]) for reason in specimen["reasons"]],
            )
            for specimen in report["specimens"]
        }
        assert reported == {
            "A-1": ("reject", [("qc", "coverage_low", 12.5)]),
            "A-2": ("reject", [("intake", "no_consent", "refused")]),
        }
        assert report["summary"] == {"accept": 0, "hold": 0, "reject": 2}
    assert "coverage low" in (folder / "return.html").read_text()


def test_a_return_report_names_only_the_specimens_of_its_institution(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    rows = [registration("A-1", 1), registration("B-1", 2, institution="Saebyeok <Clinic>")]
    make_workspace(workspace.root, reference, rows)
    receive(simple_delivery(tmp_path / "in", reference, "A-1"), workspace=workspace)
    builder = DeliveryBuilder(tmp_path / "other", reference, institution="'Saebyeok <Clinic>'")
    builder.pair("B-1", seed=8)
    received = receive(builder.finish(), workspace=workspace)
    assert codes(received) == [("accept", [])]
    page = (received.report / "return.html").read_text()
    assert "Saebyeok &lt;Clinic&gt;" in page and "<Clinic>" not in page
    assert "A-1" not in page and INSTITUTION not in page


def test_a_gate_that_only_reports_lets_readable_specimens_through(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    rows = [registration(barcode, number) for number, barcode in enumerate(("SUM", "CUT", "NO"), start=1)]
    rows[2]["consent"] = "refused"
    make_workspace(workspace.root, reference, rows, more="gates: {intake: report}\n")
    builder = DeliveryBuilder(tmp_path / "in", reference)
    builder.pair("SUM", seed=1)
    builder.rows[-1][-2] = "0" * 64
    for barcode, seed in (("CUT", 2), ("NO", 3)):
        builder.pair(barcode, seed=seed)
    cut = builder.folder / "CUT_LANE1_R2.fastq.gz"
    cut.write_bytes(cut.read_bytes()[:-30])
    received = receive(builder.finish(), workspace=workspace)
    assert [verdict.verdict for verdict in received.verdicts] == ["reject"] * 3
    staged = specimens.read(workspace.delivery(received.delivery_id).specimens)
    assert [row.specimen_id for row in staged] == [received.verdicts[0].specimen_id]


def test_a_file_without_read_permission_rejects_nobody(
    workspace: Workspace, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    folder = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    opened = os.open

    def denied(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).startswith("A-2_"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, mode, dir_fd=dir_fd)

    with monkeypatch.context() as patch, pytest.raises(InputRefused) as refused:
        patch.setattr(os, "open", denied)  # root, who may run the tests, may read everything
        receive(folder, workspace=workspace)
    action = "give the user who runs this access to it, then run the same command again"
    assert str(refused.value).splitlines() == [
        f"manifest.tsv: line {line}, column file: expected a file that may be read, found a file that may not be read;"
        f" {action}"
        for line in (4, 5)
    ]
    assert codes(receive(folder, workspace=workspace)) == [("accept", []), ("accept", [])]


KILLED_AFTER_THREE = """
import os, signal, sys
from itertools import count
from pathlib import Path
from baekman.intake import receive
from baekman.workspace.paths import Workspace

inspect, calls = receive.inspect, count(1)

def inspect_three(*arguments):
    if next(calls) > 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return inspect(*arguments)

receive.inspect = inspect_three
receive.receive(Path(sys.argv[1]), workspace=Workspace(Path(sys.argv[2])), run=receive.here(workers=1))
"""


def test_the_next_run_finishes_an_intake_that_was_killed(workspace: Workspace, tmp_path: Path, reference: Path) -> None:
    barcodes = [f"A-{number}" for number in range(12)]
    rows = [registration(barcode, number) for number, barcode in enumerate(barcodes, start=1)]
    make_workspace(workspace.root, reference, rows)
    delivery = simple_delivery(tmp_path / "in", reference, *barcodes)
    running = subprocess.Popen(
        [sys.executable, "-c", KILLED_AFTER_THREE, str(delivery), str(workspace.root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert running.wait(timeout=60) == -signal.SIGKILL
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    (home,) = workspace.deliveries.glob("D*")
    assert not (home / "delivery.json").exists()
    sealed = [home / "orders.key", *home.glob("orders/P*.sealed")]
    assert len(sealed) == 13 and stat.S_IMODE(sealed[0].stat().st_mode) == 0o600
    assert b"Hanbit" not in b"".join(file.read_bytes() for file in sealed)
    before = {path: path.stat().st_ino for path in home.glob("staged/P*/L1_1.fastq.gz")}
    received = receive(delivery, workspace=workspace)
    assert codes(received) == [("accept", [])] * 12
    after = {path: path.stat().st_ino for path in home.glob("staged/P*/L1_1.fastq.gz")}
    assert len(after) == 12
    kept = sum(after[path] == inode for path, inode in before.items())
    assert kept == 3  # finished specimens are not inspected again
    assert not list(home.glob("staged/.*")) and not list(home.glob("orders*"))
    assert (
        verdict_history(open_registry(workspace.root), received.verdicts[0].specimen_id)[0][2] == received.verdicts[0]
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return forks.run("baekman", arguments, folder=Path.cwd(), environment=os.environ)


def test_the_command_line_prints_pseudonyms_alone(workspace: Workspace, tmp_path: Path, reference: Path) -> None:
    make_workspace(workspace.root, reference, [registration("SECRET-1", 1)])
    delivery = simple_delivery(tmp_path / "in", reference, "SECRET-1", "SECRET-2")
    first = run("receive", str(delivery), "--workspace", str(workspace.root))
    assert (first.returncode, first.stderr) == (0, "")
    lines = [line.split("\t") for line in first.stdout.splitlines()]
    assert lines[0] == ["delivery", "specimen", "verdict", "reasons"]
    assert [line[2:] for line in lines[1:]] == [["accept", ""], ["reject", "not_registered"]]
    again = run("receive", str(delivery), "--workspace", str(workspace.root))
    assert (again.returncode, again.stdout) == (0, f"{lines[1][0]} was received before: nothing to do\n")
    (delivery / "manifest.tsv").write_text("SECRET\n")
    refused = run("receive", str(delivery), "--workspace", str(workspace.root))
    assert (refused.returncode, refused.stdout) == (3, "")
    for result in (first, again, refused):
        assert "SECRET" not in result.stdout + result.stderr and str(tmp_path) not in result.stdout + result.stderr
    report = run("return-report", lines[1][0], "--workspace", str(workspace.root))
    assert (report.returncode, report.stdout) == (0, f"return report of {lines[1][0]} written\n")
    unknown = run("return-report", "D00000000000NN", "--workspace", str(workspace.root))
    assert unknown.returncode == 3


def test_two_deliveries_at_a_time_bring_a_specimen_once(
    workspace: Workspace, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(workspace.root, reference, [registration("A-1", 1)])
    inspected = threading.Barrier(2)
    conclude = receiving.conclude

    def both_inspected(reception: Reception, inspections: list[Inspection], before: None) -> ReceivedDelivery:
        inspected.wait(timeout=120)
        return conclude(reception, inspections, before)

    monkeypatch.setattr(receiving, "conclude", both_inspected)
    folders = [simple_delivery(tmp_path / name, reference, "A-1", name=name) for name in ("D-1", "D-2")]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda folder: receive(folder, workspace=workspace), folders))
    assert sorted(map(codes, results)) == [[("accept", [])], [("reject", ["specimen_reused"])]]
    for received in results:
        home = workspace.delivery(received.delivery_id)
        count = len(specimens.read(home.specimens))
        assert count == len(list(home.staged.iterdir())) == (received.verdicts[0].verdict == "accept")


def test_a_participant_who_withdraws_during_intake_stays_out(
    workspace: Workspace, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = make_workspace(workspace.root, reference, [registration("A-1", 1), registration("A-2", 2)])
    conclude = receiving.conclude

    def withdrawn(reception: Reception, inspections: list[Inspection], before: None) -> ReceivedDelivery:
        assert inspections[0].verdict.participant_id is not None
        denied_list.withdraw(workspace, inspections[0].verdict.participant_id, registry=registry)
        return conclude(reception, inspections, before)

    monkeypatch.setattr(receiving, "conclude", withdrawn)
    received = receive(simple_delivery(tmp_path / "in", reference, "A-1", "A-2"), workspace=workspace)
    assert codes(received) == [("reject", ["participant_withdrawn"]), ("accept", [])]
    staged = workspace.delivery(received.delivery_id).staged
    assert [folder.name for folder in staged.iterdir()] == [received.verdicts[1].participant_id]
