"""What a gate decides about a specimen, and why: the same form for the intake gate and the QC gate."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from baekman.files import atomic

Decision = Literal["accept", "hold", "reject"]
Severity = Literal["note", "hold", "reject"]
Gate = Literal["intake", "qc"]
GateMode = Literal["enforce", "report"]
Scalar = str | int | float | bool | None

GATES: tuple[Gate, ...] = get_args(Gate)
DECISIONS: tuple[Decision, ...] = get_args(Decision)
_DECISION_OF: dict[Severity, Decision] = {"note": "accept", "hold": "hold", "reject": "reject"}


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One finding of a gate.

    ``code`` is a fixed snake_case word (``checksum_wrong``); a ``note`` is told but changes nothing.
    ``metric``, ``observed`` and ``threshold`` never hold a confidential value: verdicts lie in the
    pseudonymous part of the workspace. ``action`` is what the institution can do.
    """

    code: str
    severity: Severity
    metric: str = ""
    observed: Scalar = None
    threshold: Scalar = None
    action: str = ""

    def __post_init__(self) -> None:
        if self.severity not in _DECISION_OF:
            raise ValueError(f"severity {self.severity!r} is none of note, hold, reject")

    def to_json(self) -> dict[str, Scalar]:
        """A JSON object; a number that is not finite becomes null, as JSON has no such numbers."""
        return {
            "code": self.code,
            "severity": self.severity,
            "metric": self.metric,
            "observed": _finite(self.observed),
            "threshold": _finite(self.threshold),
            "action": self.action,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reason:
        """The reason that ``to_json`` wrote."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__ if name in value})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one gate says of one specimen; ``specimen`` (``S…``) and ``participant`` (``P…``) are pseudonymous.

    ``participant`` is None where the specimen is not registered. ``verdict`` is the worst of ``reasons``.
    """

    specimen: str
    participant: str | None
    gate: Gate
    verdict: Decision
    reasons: tuple[Reason, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.verdict not in DECISIONS:
            raise ValueError(f"verdict {self.verdict!r} is none of accept, hold, reject")

    @classmethod
    def of(cls, *, specimen: str, participant: str | None, gate: Gate, reasons: Iterable[Reason]) -> Verdict:
        """The verdict that follows from ``reasons``."""
        found = tuple(reasons)
        return cls(specimen=specimen, participant=participant, gate=gate, verdict=decide(found), reasons=found)

    def passes(self, mode: GateMode = "enforce") -> bool:
        """Whether the specimen goes on. In ``report`` mode the verdict stands but holds nobody back."""
        return mode == "report" or self.verdict == "accept"

    def to_json(self) -> dict[str, Any]:
        """A JSON object with ``specimen participant gate verdict reasons``."""
        return {
            "specimen": self.specimen,
            "participant": self.participant,
            "gate": self.gate,
            "verdict": self.verdict,
            "reasons": [reason.to_json() for reason in self.reasons],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Verdict:
        """The verdict that ``to_json`` wrote."""
        return cls(
            specimen=value["specimen"],
            participant=value["participant"],
            gate=value["gate"],
            verdict=value["verdict"],
            reasons=tuple(Reason.from_json(reason) for reason in value["reasons"]),
        )


def worst(decisions: Iterable[Decision]) -> Decision:
    """The worst of several decisions: accept < hold < reject; accept where there is none."""
    return max(decisions, key=DECISIONS.index, default="accept")


def decide(reasons: Iterable[Reason]) -> Decision:
    """The decision that follows from the reasons' severities."""
    return worst(_DECISION_OF[reason.severity] for reason in reasons)


def merge(verdicts: Iterable[Verdict]) -> dict[str, Decision]:
    """Specimen ID -> the worst decision of all its verdicts, in the order in which specimens first appear."""
    merged: dict[str, Decision] = {}
    for verdict in verdicts:
        merged[verdict.specimen] = worst((merged.get(verdict.specimen, "accept"), verdict.verdict))
    return merged


def write_verdicts(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write verdicts as a JSON list, atomically, in the order given."""
    listed = [verdict.to_json() for verdict in verdicts]
    atomic.write_text(path, json.dumps(listed, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_verdicts(path: Path) -> list[Verdict]:
    """The verdicts that ``write_verdicts`` wrote."""
    return [Verdict.from_json(value) for value in json.loads(path.read_text(encoding="utf-8"))]


def _finite(value: Scalar) -> Scalar:
    return None if isinstance(value, float) and not math.isfinite(value) else value
