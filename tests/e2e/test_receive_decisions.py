"""Deliveries received again after a late registration or the decision of a person: only those specimens are judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
from baekman.hold.decision import decide
from baekman.hold.refusals import Choice
from baekman.intake.receive import here, receive
from baekman.intake.reception import ReceivedDelivery
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry
from baekman.workspace import specimens
from baekman.workspace.decisions import person
from baekman.workspace.identity import identify
from baekman.workspace.paths import Workspace
from support.delivery_builder import (
    INSTITUTION,
    DeliveryBuilder,
    codes,
    make_workspace,
    registration,
    simple_delivery,
    write_reference,
    write_registrations,
)


class Desk:
    """A workspace that receives a delivery, and notes the barcodes with files that were read."""

    def __init__(self, folder: Path, reference: Path, *rows: dict[str, str], more: str = "") -> None:
        self.workspace = Workspace(folder)
        self.registry: Registry = make_workspace(folder, reference, rows, more=more)
        identify(self.workspace)

    def receive(self, delivery: Path) -> tuple[ReceivedDelivery, list[str]]:
        """Receive; return the result and the barcodes that were read, sorted."""
        read: list[str] = []

        def run(workspace: Workspace, delivery_id: str, participants: Sequence[str]) -> None:
            read.extend(self.barcode(participant) for participant in participants)
            here(workers=1)(workspace, delivery_id, participants)

        return receive(delivery, workspace=self.workspace, run=run), sorted(read)

    def barcode(self, participant: str) -> str:
        (record,) = self.registry.specimens_of(participant)[:1]
        return self.registry.identifiers_of(record)[-1] if record else ""

    def specimen(self, barcode: str) -> str:
        record = self.registry.specimen(INSTITUTION, barcode)
        assert record is not None
        return record.specimen_id

    def register(self, *rows: dict[str, str]) -> None:
        table = write_registrations(self.workspace.root.parent / "late.tsv", rows)
        import_registrations(self.registry, [table])

    def decide(self, decision: Literal["accept", "reject"], barcode: str, **options: bool) -> None:
        choice = Choice(decision=decision, reason="the laboratory confirmed it", **options)
        made = person(decision, choice.reason, counts=choice.counts)
        assert decide(self.workspace, [self.specimen(barcode)], choice=choice, made=made, registry=self.registry)

    def staged(self, received: ReceivedDelivery) -> list[str]:
        """Return the specimens in the pseudonymous manifest."""
        home = self.workspace.delivery(received.delivery_id)
        rows = specimens.read(home.specimens)
        assert all((self.workspace.root / file).is_file() for row in rows for file in row.files)
        assert sorted(path.name for path in home.staged.iterdir()) == sorted({row.participant_id for row in rows})
        return sorted({row.specimen_id for row in rows})

    def returned(self, received: ReceivedDelivery) -> dict[str, dict[str, object]]:
        report = json.loads((received.report / "return.json").read_text())
        return {each["specimen"]: each for each in report["specimens"]}


def test_registering_late_and_renewing_consent_judges_only_those_again(tmp_path: Path, reference: Path) -> None:
    expired = registration("A-4", 4, consent_to="2025-02-01")
    desk = Desk(tmp_path / "W", reference, registration("A-1", 1), registration("A-3", 3, consent="refused"), expired)
    builder = DeliveryBuilder(tmp_path / "in", reference)
    for number, label in enumerate(("A-1", "A-2", "A-3", "A-4", "A-5"), start=1):
        builder.pair(label, seed=number)
    builder.rows[6][4] = "0" * 64  # A-4's file has another checksum than the manifest
    delivery = builder.finish()
    first, read = desk.receive(delivery)
    assert read == ["A-1"]
    assert [code for _, (code, *_) in codes(first)[1:]] == [
        *("not_registered", "no_consent", "consent_expired", "not_registered")
    ]
    again, read = desk.receive(delivery)
    assert (again.status, read) == ("same", [])
    home = desk.workspace.delivery(first.delivery_id)
    kept = {file: file.read_bytes() for file in home.staged.rglob("*.gz")}
    desk.register(registration("A-2", 2), registration("A-4", 4, consent_from="2026-01-01"))
    late, read = desk.receive(delivery)
    assert (late.status, read) == ("again", ["A-2", "A-4"])
    assert codes(late) == [
        ("accept", []),
        ("accept", []),
        ("reject", ["no_consent"]),
        ("reject", ["checksum_wrong"]),
        ("reject", ["not_registered"]),
    ]
    assert desk.staged(late) == sorted([desk.specimen("A-1"), desk.specimen("A-2")])
    assert {file: file.read_bytes() for file in kept} == kept
    assert desk.returned(late)["A-4"]["reasons"][0]["files"] == ["A-4_LANE1_R1.fastq.gz"]  # type: ignore[index]
    inputs = json.loads(home.inputs.read_text())
    assert {values["specimen"] for values in inputs.values()} == {desk.specimen(a) for a in ("A-1", "A-2", "A-4")}
    same, read = desk.receive(delivery)
    assert (same.status, read, same.verdicts) == ("same", [], late.verdicts)


def test_an_accepted_specimen_is_read_and_staged_and_a_rejected_one_is_not(tmp_path: Path, reference: Path) -> None:
    rows = [registration(f"A-{number}", number) for number in (1, 2, 3, 4)]
    desk = Desk(tmp_path / "W", reference, *rows)
    builder = DeliveryBuilder(tmp_path / "in", reference)
    for number in (1, 2, 3, 4):
        builder.pair(f"A-{number}", seed=number)
        if number > 1:
            (builder.folder / f"A-{number}_more.fastq.gz").write_bytes(b"x")
    delivery = builder.finish()
    first, read = desk.receive(delivery)
    assert codes(first) == [("accept", []), *[("hold", ["file_extra"])] * 3]
    desk.decide("accept", "A-2")
    desk.decide("reject", "A-3")
    again, read = desk.receive(delivery)
    assert read == ["A-2"]
    assert [verdict.verdict for verdict in again.verdicts] == ["accept", "accept", "reject", "hold"]
    assert [verdict.decision is not None for verdict in again.verdicts] == [False, True, True, False]
    assert desk.staged(again) == sorted([desk.specimen("A-1"), desk.specimen("A-2")])
    returned = desk.returned(again)
    assert [returned[f"A-{number}"]["verdict"] for number in (1, 2, 3, 4)] == ["accept", "accept", "reject", "hold"]
    (made,) = returned["A-2"]["decisions"]  # type: ignore[misc]
    assert (made["decision"], made["reason"]) == ("accept", "the laboratory confirmed it")
    assert "actor" not in made and "user" not in made
    same, read = desk.receive(delivery)
    assert (same.status, read, same.verdicts) == ("same", [], again.verdicts)
    desk.decide("accept", "A-3", instead=True)  # a rejection that was a mistake
    again, read = desk.receive(delivery)
    assert (read, [verdict.verdict for verdict in again.verdicts][2]) == (["A-3"], "accept")
    assert desk.receive(delivery)[0].status == "same"
    everything = receive(delivery, workspace=desk.workspace, again=True)  # the decisions still apply
    assert [verdict.verdict for verdict in everything.verdicts] == [verdict.verdict for verdict in again.verdicts]
    assert desk.staged(everything) == desk.staged(again)


def test_of_several_specimens_of_a_participant_the_one_that_counts_goes_on(tmp_path: Path, reference: Path) -> None:
    both = [registration("A-1", 1), registration("A-2", 1), registration("A-3", 3)]
    desk = Desk(tmp_path / "W", reference, *both)
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2", "A-3")
    first, _ = desk.receive(delivery)
    assert codes(first)[:2] == [("hold", ["participant_repeated"])] * 2
    desk.decide("accept", "A-2", counts=True)
    again, read = desk.receive(delivery)
    assert len(read) == 1
    assert [verdict.verdict for verdict in again.verdicts] == ["reject", "accept", "accept"]
    assert desk.staged(again) == sorted([desk.specimen("A-2"), desk.specimen("A-3")])
    assert desk.receive(delivery)[0].status == "same"


def test_gates_that_only_report_say_so(tmp_path: Path, reference: Path) -> None:
    rows = [registration("A-1", 1), registration("A-2", 2, consent="refused")]
    desk = Desk(tmp_path / "W", reference, *rows, more="gates: {intake: report}\n")
    builder = DeliveryBuilder(tmp_path / "in", reference)
    for number in (1, 2):
        builder.pair(f"A-{number}", seed=number)
    (builder.folder / "A-1_more.fastq.gz").write_bytes(b"x")
    received, _ = desk.receive(builder.finish())
    assert codes(received) == [("hold", ["file_extra"]), ("reject", ["no_consent"])]
    assert desk.staged(received) == [desk.specimen("A-1")]
    page = (received.report / "return.html").read_text()
    assert "nobody was held back for a verdict" in page and "(접수 검사): 판정 때문에 보류된 검체는 없다" in page
    assert json.loads((received.report / "return.json").read_text())["reporting"] == ["intake"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reference(tmp_path_factory.mktemp("reference"))
