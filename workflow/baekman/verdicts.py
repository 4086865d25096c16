"""The verdict of a gate on a specimen with its reasons, in one form for every gate."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from baekman.files.sidecar import read_checked, write_checked

Decision = Literal["accept", "hold", "reject"]
Severity = Literal["note", "hold", "reject"]
Gate = Literal["intake", "qc", "call"]
GateMode = Literal["enforce", "report"]
Scalar = str | int | float | bool | None

GATES: tuple[Gate, ...] = get_args(Gate)
DECISIONS: tuple[Decision, ...] = get_args(Decision)
# Reads of a participant of whom an earlier delivery brought reads. A person decides on them.
REUSED = "specimen_reused"
CAME_AGAIN = frozenset({"participant_repeated", REUSED})
# A tool did part of its work after intake. The specimen cannot go on, even where the gate only reports.
INCOMPLETE = frozenset({"reads_lost", "records_lost", "calls_incomplete", "gvcf_refused"})
PROCESS_AGAIN = "nothing to send: the receiver mends the tool and processes the specimen again"
_DECISION_OF: dict[Severity, Decision] = {"note": "accept", "hold": "hold", "reject": "reject"}


@dataclass(frozen=True, kw_only=True)
class Reason:
    """A reason for a verdict.

    ``code`` is a fixed snake_case word (``checksum_wrong``). The severity ``note`` is reported and changes no
    decision. ``metric``, ``observed`` and ``threshold`` never hold a confidential value, since verdicts lie in the
    pseudonymous part of the workspace. ``action`` is advice to the institution.
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
        """Return a JSON object; a number that is not finite becomes null, since JSON has no such numbers."""
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
        """Return the reason that ``to_json`` wrote."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__ if name in value})


def lost(unit: str, *, observed: int, expected: int) -> Reason:
    """Return the reason to hold a specimen that lost or repeated ``reads`` or ``records`` (``unit``) after intake."""
    return Reason(
        code=f"{unit}_lost",
        severity="hold",
        metric=unit,
        observed=observed,
        threshold=expected,
        action=PROCESS_AGAIN,
    )


@dataclass(frozen=True, kw_only=True)
class ManualDecision:
    """The decision of a person on a specimen that a gate held or rejected (``workspace.decisions``).

    Attributes:
        decision: ``accept`` or ``reject``.
        reason: The person's text, without identifiers.
        user: Login name of the person.
        actor: ``BAEKMAN_ACTOR``, else the number of the user.
        time: ISO 8601 in UTC.
        override: Whether a rejection of the gate was overridden.
        counts: Whether this specimen of several of its participant is the one that counts.
        reads: The use of these reads where the participant has others: ``merge``, ``replace``, or "".
    """

    decision: Literal["accept", "reject"]
    reason: str
    user: str
    actor: str
    time: str
    override: bool = False
    counts: bool = False
    reads: Literal["", "merge", "replace"] = ""

    def __post_init__(self) -> None:
        if self.decision not in ("accept", "reject"):
            raise ValueError(f"decision {self.decision!r} is none of accept, reject")

    @property
    def words(self) -> str:
        """The decision, with the use of the reads where the participant has others: ``accept, merge``."""
        return f"{self.decision}, {self.reads}" if self.reads else self.decision

    def to_json(self) -> dict[str, Scalar]:
        """Return a JSON object with the attributes."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ManualDecision:
        """Return the decision that ``to_json`` wrote."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__ if name in value})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict of one gate on one specimen.

    ``participant_id`` is None where the specimen is not registered. ``verdict`` is the worst of ``reasons``, or that of
    ``decision``, which a person made. ``mode`` is that of the gate when it judged.
    """

    specimen_id: str
    participant_id: str | None
    gate: Gate
    verdict: Decision
    reasons: tuple[Reason, ...] = field(default=())
    decision: ManualDecision | None = None
    mode: GateMode = "enforce"

    def __post_init__(self) -> None:
        if self.verdict not in DECISIONS:
            raise ValueError(f"verdict {self.verdict!r} is none of accept, hold, reject")

    @classmethod
    def of(cls, *, specimen_id: str, participant_id: str | None, gate: Gate, reasons: Iterable[Reason]) -> Verdict:
        """Return the verdict that follows from ``reasons``."""
        listed = tuple(reasons)
        decision = decide(listed)
        return cls(specimen_id=specimen_id, participant_id=participant_id, gate=gate, verdict=decision, reasons=listed)

    @property
    def failures(self) -> tuple[Reason, ...]:
        """Return the reasons that are more than notes."""
        return tuple(reason for reason in self.reasons if reason.severity != "note")

    @property
    def of_gate(self) -> Verdict:
        """Return the verdict that the gate gave, without the decision of a person."""
        return replace(self, verdict=decide(self.reasons), decision=None)

    @property
    def is_incomplete(self) -> bool:
        """Return whether a tool did part of its work: reads, records or calls are lost or repeated."""
        return any(reason.code in INCOMPLETE for reason in self.reasons)

    def passes(self, mode: GateMode = "enforce") -> bool:
        """Return whether the specimen goes on; in the mode ``report`` every specimen does that no person rejected."""
        return self.verdict == "accept" or (mode == "report" and not self.is_rejected_by_person)

    @property
    def is_rejected_by_person(self) -> bool:
        """Return whether a person rejected the specimen."""
        return self.decision is not None and self.decision.decision == "reject"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object with the keys ``specimen participant gate verdict reasons``.

        ``decision`` is there if there is one, and ``mode`` if the gate only reported.
        """
        decision: dict[str, Any] = {"decision": self.decision.to_json()} if self.decision else {}
        decision |= {"mode": self.mode} if self.mode != "enforce" else {}
        return {
            "specimen": self.specimen_id,
            "participant": self.participant_id,
            "gate": self.gate,
            "verdict": self.verdict,
            "reasons": [reason.to_json() for reason in self.reasons],
            **decision,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Verdict:
        """Return the verdict that ``to_json`` wrote."""
        return cls(
            specimen_id=value["specimen"],
            participant_id=value["participant"],
            gate=value["gate"],
            verdict=value["verdict"],
            reasons=tuple(Reason.from_json(reason) for reason in value["reasons"]),
            decision=ManualDecision.from_json(value["decision"]) if value.get("decision") else None,
            mode=value.get("mode", "enforce"),
        )


def worst(decisions: Iterable[Decision]) -> Decision:
    """Return the worst of several decisions (accept < hold < reject), accept when there is none."""
    return max(decisions, key=DECISIONS.index, default="accept")


def decide(reasons: Iterable[Reason]) -> Decision:
    """Return the decision that follows from the severities of ``reasons``."""
    return worst(_DECISION_OF[reason.severity] for reason in reasons)


def merge(verdicts: Iterable[Verdict]) -> dict[str, Decision]:
    """Return the worst decision of each specimen by its ID, in the order of the specimens' first verdicts."""
    merged: dict[str, Decision] = {}
    for verdict in verdicts:
        merged[verdict.specimen_id] = worst((merged.get(verdict.specimen_id, "accept"), verdict.verdict))
    return merged


def reporting_gates(verdicts: Iterable[Verdict]) -> list[Gate]:
    """Return the gates that only reported when they judged, in their order."""
    modes = {(verdict.gate, verdict.mode) for verdict in verdicts}
    return [gate for gate in GATES if (gate, "report") in modes]


def write_verdicts(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write ``verdicts`` as a JSON list to ``path``, atomically, in their order."""
    listed = [verdict.to_json() for verdict in verdicts]
    write_checked(path, json.dumps(listed, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_verdicts(path: Path) -> list[Verdict]:
    """Return the verdicts that ``write_verdicts`` wrote to ``path``."""
    return [Verdict.from_json(value) for value in json.loads(read_checked(path))]


def read_verdicts_of(participants: Container[str | None], path: Path) -> list[Verdict]:
    """Return the verdicts on ``participants`` in ``path``; none where there is no such file."""
    if not path.is_file():
        return []
    return [verdict for verdict in read_verdicts(path) if verdict.participant_id in participants]


def _finite(value: Scalar) -> Scalar:
    return None if isinstance(value, float) and not math.isfinite(value) else value
