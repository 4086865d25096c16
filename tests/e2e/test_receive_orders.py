"""Orders of intake: sealed for jobs, destroyed at the end, and held specimens where no job could do its work."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from baekman.cli.delivery import app
from baekman.errors import InputRefused
from baekman.intake.orders.order import open_order
from baekman.intake.receive import here, receive
from baekman.intake.specimen import inspect
from baekman.registry.denied_list import open_in_force
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from support.delivery_builder import (
    INSTITUTION,
    DeliveryBuilder,
    codes,
    make_workspace,
    registration,
    simple_delivery,
    write_alignment,
)
from typer.testing import CliRunner


@pytest.fixture
def workspace(tmp_path: Path, reference: Path) -> Workspace:
    """Return a workspace with three registered specimens."""
    folder = tmp_path / "W"
    make_workspace(folder, reference, [registration(f"A-{number}", number) for number in (1, 2, 3)])
    return Workspace(folder)


def test_a_specimen_without_a_note_is_held_and_inspected_by_the_next_run(
    workspace: Workspace, tmp_path: Path, reference: Path
) -> None:
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2")
    ordered: list[list[str]] = []

    def run_the_first(workspace: Workspace, delivery_id: str, participants: Sequence[str]) -> None:
        ordered.append(list(participants))
        inspect(workspace, delivery_id, participants[0])

    received = receive(delivery, workspace=workspace, run=run_the_first)
    assert codes(received) == [("accept", []), ("hold", ["not_processed"])]
    (row,) = specimens.read(workspace.delivery(received.delivery_id).specimens)
    assert row.participant_id == ordered[0][0]
    again = receive(delivery, workspace=workspace, run=run_the_first)
    assert (again.status, codes(again)) == ("again", [("accept", [])] * 2)
    assert ordered[1] == ordered[0][1:]
    assert receive(delivery, workspace=workspace, run=run_the_first).status == "same"


def test_a_crash_while_one_specimen_is_inspected_holds_it_and_the_others_are_judged(
    workspace: Workspace,
    tmp_path: Path,
    reference: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delivery = simple_delivery(tmp_path / "in", reference, "A-1", "A-2", "A-3")
    registry = open_in_force(workspace)
    people = [record.participant_id for n in (1, 2, 3) if (record := registry.specimen(INSTITUTION, f"A-{n}"))]
    crashes: dict[str, Callable[[], object]] = {}

    def crash_or_inspect(workspace: Workspace, delivery_id: str, participant: str) -> None:
        crashes.get(participant, lambda: None)()
        inspect(workspace, delivery_id, participant)

    def raise_value() -> None:
        raise ValueError("A-2 of HOSP")

    def fill_disk() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("baekman.intake.receive.inspect", crash_or_inspect)
    crashes.update(dict.fromkeys(people, raise_value))
    with pytest.raises(ValueError, match="A-2"):  # nobody is left
        receive(delivery, workspace=workspace)
    assert not list(workspace.root.glob("deliveries/*/verdicts/intake.json"))

    del crashes[people[0]]
    crashes[people[2]] = lambda: subprocess.run(["bash", "-c", "kill -9 $$"], check=True)
    done = CliRunner().invoke(app, ["receive", str(delivery), "--workspace", str(workspace.root)])
    assert done.exit_code == 0
    verdicts = [tuple(line.split("\t")[2:]) for line in done.stdout.splitlines()[1:]]
    assert verdicts == [("accept", ""), ("hold", "not_processed"), ("hold", "not_processed")]
    assert done.stderr.splitlines() == [
        *sorted(
            [
                f"not processed: {people[1]}: ValueError",
                f"not processed: {people[2]}: bash ended with exit code -9",
            ]
        ),
        "mend the cause and run the same command again, which tries no other specimen",
    ]

    crashes[people[1]] = fill_disk
    with pytest.raises(OSError, match="No space left"):  # for all: nobody is judged again
        receive(delivery, workspace=workspace)
    crashes.clear()
    assert codes(receive(delivery, workspace=workspace)) == [("accept", [])] * 3


def test_orders_are_sealed_and_gone_when_intake_ends(workspace: Workspace, tmp_path: Path, reference: Path) -> None:
    delivery = simple_delivery(tmp_path / "in", reference, "A-1")
    seen: list[bytes] = []
    values = ["A-1_LANE1", str(tmp_path)]

    def run(workspace: Workspace, delivery_id: str, participants: Sequence[str]) -> None:
        home = workspace.delivery(delivery_id)
        order = open_order(workspace, delivery_id, participants[0]).order
        assert (order.barcode, order.folder) == ("A-1", delivery.resolve())
        values.extend(order.identifiers)
        seen.extend(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
        assert open_in_force(workspace)  # another command leaves the orders of a live run
        here()(workspace, delivery_id, participants)
        seen.extend(path.read_bytes() for path in home.path.rglob("*.json"))

    received = receive(delivery, workspace=workspace, run=run)
    assert codes(received) == [("accept", [])]
    assert len(values) >= 6 and "A-1" in values  # name, number, subject code, barcode
    for value in values:
        assert not any(value.encode() in content for content in seen)
    assert not list(workspace.deliveries.glob("*/orders*"))
    with pytest.raises(InputRefused, match="expected an order of the run that receives the delivery, found none"):
        inspect(workspace, received.delivery_id, received.verdicts[0].participant_id or "")


def test_the_next_command_destroys_orders_that_a_killed_run_left(workspace: Workspace) -> None:
    home = workspace.delivery("D00000000000NN")
    home.orders.mkdir(parents=True)
    home.order("P00000000000NN", "lane").write_bytes(b"sealed")
    home.orders_key.write_bytes(b"key")
    open_in_force(workspace)
    assert list(home.path.iterdir()) == []


def test_the_desk_names_a_swap_that_the_job_cannot_know(workspace: Workspace, tmp_path: Path, reference: Path) -> None:
    builder = DeliveryBuilder(tmp_path / "in", reference)
    for barcode, inside in (("A-1", "A-3"), ("A-2", "ELSEWHERE-7")):  # A-3 is registered, and not in the delivery
        write_alignment(builder.folder / f"{barcode}.bam", reference, sample=inside, seed=len(inside))
        builder.add(barcode, f"{barcode}.bam", "bam")
    received = receive(builder.finish(), workspace=workspace)
    assert codes(received) == [("reject", ["sample_mismatch"]), ("hold", ["sample_unknown"])]
    notes = "".join(path.read_text() for path in workspace.deliveries.glob("*/inspected/*.json"))
    assert "samples" in notes and "ELSEWHERE" not in notes
