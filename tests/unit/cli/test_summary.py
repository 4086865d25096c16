"""The summary of a delivery on stderr."""

from __future__ import annotations

from baekman.cli.workflow import _in_manifest_order
from baekman.verdicts import Gate, Verdict


def _verdict(specimen_id: str, gate: Gate) -> Verdict:
    return Verdict.of(specimen_id=specimen_id, participant_id=None, gate=gate, reasons=())


def test_specimens_are_in_the_order_of_the_manifest_at_every_gate() -> None:
    """Gates after intake judge in the order of random IDs."""
    received = [_verdict(name, "intake") for name in ("S9", "S1", "S5")]
    later = [_verdict(name, gate) for gate in ("call", "qc") for name in ("S1", "S5", "S9")]
    ordered = [(verdict.gate, verdict.specimen_id) for verdict in _in_manifest_order([*received, *later])]
    assert ordered == [(gate, name) for gate in ("intake", "qc", "call") for name in ("S9", "S1", "S5")]
