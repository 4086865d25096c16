"""The decisions of persons on the specimens of a delivery, in ``deliveries/<D…>/decisions.json``.

Only ``baekman hold`` writes the file. The event of a decision is in the audit log before the decision is in the file,
with the SHA-256 of the entry: a gate applies no entry that differs. A decision applies to the verdict that the person
saw. Where reads, calls or files have changed since, the gate judges again and a person looks again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from baekman import audit
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.atomic import atomic_file
from baekman.files.digests import read_sealed, sealed_text
from baekman.files.locks import exclusive
from baekman.verdicts import ManualDecision, Reason, Scalar, Verdict, decide
from baekman.workspace.paths import DeliveryFolder, Workspace

SCHEMA_VERSION = "1"
MODE = 0o640
OUTDATED = "decision_outdated"
ACTIONS = {"accept": "hold.accept", "reject": "hold.reject"}
_LOCK_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class SpecimenDecision:
    """A decision on one specimen of one delivery.

    Attributes:
        specimen_id: The specimen.
        participant_id: Its participant.
        made: The decision: who, when and why.
        seen: The verdicts that held or rejected the specimen, as the person saw them.
        values: The QC metrics that the person saw, by name; empty before QC.
    """

    specimen_id: str
    participant_id: str
    made: ManualDecision
    seen: tuple[Verdict, ...] = ()
    values: Mapping[str, Scalar] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the file."""
        return {
            "specimen": self.specimen_id,
            "participant": self.participant_id,
            **self.made.to_json(),
            "seen": [verdict.to_json() for verdict in self.seen],
            "values": dict(self.values),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SpecimenDecision:
        """Return the decision that ``to_json`` wrote."""
        return cls(
            specimen_id=value["specimen"],
            participant_id=value["participant"],
            made=ManualDecision.from_json(value),
            seen=tuple(Verdict.from_json(verdict) for verdict in value["seen"]),
            values=dict(value["values"]),
        )

    def is_on_values_of(self, other: SpecimenDecision | None) -> bool:
        """Return whether both are decisions on the same verdicts and values."""
        return other is not None and (self.seen, self.values) == (other.seen, other.values)

    def repeats(self, other: SpecimenDecision | None) -> bool:
        """Return whether ``other`` is the same decision on the same values, whatever its time and reason."""
        if other is None or not self.is_on_values_of(other):
            return False
        return _choice(self.made) == _choice(other.made)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the entry, which its event in the audit log has."""
        text = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def person(
    decision: Literal["accept", "reject"],
    reason: str,
    *,
    override: bool = False,
    counts: bool = False,
    reads: Literal["", "merge", "replace"] = "",
) -> ManualDecision:
    """Return a decision of the person who runs this process, made now.

    Raises:
        InputRefused: ``BAEKMAN_ACTOR`` is no word.
    """
    user = audit.user_fields()
    return ManualDecision(
        decision=decision,
        reason=reason,
        user=str(user["sudo_user"] or user["user"]),
        actor=str(user["actor"]),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        override=override,
        counts=counts,
        reads=reads,
    )


def record_decisions(
    workspace: Workspace, folder: DeliveryFolder, decisions: Iterable[SpecimenDecision], *, instead: bool = False
) -> list[SpecimenDecision]:
    """Add ``decisions`` on specimens of the delivery in ``folder``; return those that were not there yet.

    The event of each is in the audit log first. A command that is killed between both leaves events without an entry,
    and the same command again writes it. A decision on other values replaces the earlier one.

    Args:
        workspace: The workspace.
        folder: The delivery in it.
        decisions: The decisions, at most one on a specimen.
        instead: Replace another decision on the same values, too.

    Raises:
        InputRefused: Another decision on the same values stands; another process holds the file for too long; or the
            audit log cannot be written. Nothing is recorded then.
        DamagedFile: The file has other bytes than were written.
    """
    with _locked(folder):
        content = _read(folder)
        entries = {entry["specimen"]: entry for entry in content["decisions"]}
        standing = _in_force(workspace, map(SpecimenDecision.from_json, entries.values()))
        news = [new for new in decisions if not new.repeats(standing.get(new.specimen_id))]
        others = [standing[new.specimen_id] for new in news if new.is_on_values_of(standing.get(new.specimen_id))]
        if others and not instead:
            raise InputRefused(map(_stands, others))
        for new in news:
            action = ACTIONS[new.made.decision]
            audit.record(workspace.root, action=action, object=new.specimen_id, input_hash=new.digest)
            entries.pop(new.specimen_id, None)
            entries[new.specimen_id] = new.to_json()
        if news:
            _write(folder, {**content, "revision": content["revision"] + 1, "decisions": list(entries.values())})
    return news


def revision(folder: DeliveryFolder) -> int:
    """Return the number of changes of the decisions in ``folder``, 0 without any; a withdrawal is no change."""
    return int(_read(folder)["revision"])


def require_revision(folder: DeliveryFolder, least: int) -> None:
    """Raise InputRefused when the decisions in ``folder`` are older than ``revision`` was."""
    if (number := revision(folder)) < least:
        raise InputRefused(
            Problem(
                file=folder.decisions.name,
                place=folder.id,
                expected=f"change {least} or later",
                found=f"change {number}",
                action="restore the file from a back-up, or decide again with `baekman hold`",
            )
        )


def listed_decisions(folder: DeliveryFolder) -> list[SpecimenDecision]:
    """Return the decisions in ``folder`` in the order of their making, without a look at the audit log.

    Raises:
        DamagedFile: The file has other bytes than were written.
    """
    return [SpecimenDecision.from_json(entry) for entry in _read(folder)["decisions"]]


def decisions_in_force(workspace: Workspace, folder: DeliveryFolder) -> dict[str, SpecimenDecision]:
    """Return the decisions in ``folder`` by specimen ID, each as the audit log has it.

    A decision with a newer event on the specimen is not in force: the command that made the newer one was killed.

    Raises:
        InputRefused: An entry is not in the audit log: the file was edited.
        DamagedFile: The file has other bytes than were written.
    """
    listed = listed_decisions(folder)
    if not listed:
        return {}
    recorded = _recorded(workspace, {decision.specimen_id for decision in listed})
    edited = [decision for decision in listed if decision.digest not in recorded.get(decision.specimen_id, ())]
    if edited:
        raise InputRefused(
            Problem(
                file=workspace.relative(folder.decisions),
                place=decision.specimen_id,
                expected="the decision that is in the audit log",
                found="another",
                action="restore the file from a back-up, or decide again with `baekman hold`",
            )
            for decision in edited
        )
    return _newest(listed, recorded)


def apply(
    verdict: Verdict, decision: SpecimenDecision | None, *, values: Mapping[str, Scalar] | None = None
) -> Verdict:
    """Return ``verdict`` after the decision of a person on its specimen.

    The decision applies where the person saw this gate's reasons with these observed values, and these ``values`` of
    QC. An accepted specimen needs each of its present reasons to be among those seen. Else the verdict stays that of
    the gate, with the note ``decision_outdated``; a specimen that a person rejected is then held.
    """
    seen = next((seen for seen in decision.seen if seen.gate == verdict.gate), None) if decision else None
    if decision is None or seen is None:
        return verdict
    if any(reason.code == OUTDATED for reason in verdict.reasons):  # judged before, with an earlier decision
        reasons = tuple(reason for reason in verdict.reasons if reason.code != OUTDATED)
        verdict = replace(verdict, reasons=reasons, verdict=decide(reasons))
    is_same = values is None or dict(values) == dict(decision.values)
    made = decision.made
    if made.decision == "accept" and not verdict.failures:
        return verdict  # nothing is left to accept
    if made.decision == "reject" and is_same:
        return replace(verdict, verdict="reject", decision=made)
    known = {_observation(reason) for reason in seen.failures}
    if made.decision == "accept" and is_same and known.issuperset(map(_observation, verdict.failures)):
        return replace(verdict, verdict="accept", decision=made)
    outdated = Reason(
        code=OUTDATED,
        severity="hold" if made.decision == "reject" else "note",
        metric="decision",
        observed=f"{made.decision} of {made.time[:10]}",
        threshold="the values that the person saw",
        action="nothing to send: the receiver decides again",
    )
    reasons = (*verdict.reasons, outdated)
    return replace(verdict, verdict=decide(reasons), reasons=reasons)


def _choice(made: ManualDecision) -> tuple[Any, ...]:
    return made.decision, made.override, made.counts, made.reads


def _in_force(workspace: Workspace, listed: Iterable[SpecimenDecision]) -> dict[str, SpecimenDecision]:
    """Return those of the ``listed`` decisions that are in force, by specimen ID; edited ones are left out."""
    decisions = list(listed)
    return _newest(decisions, _recorded(workspace, {decision.specimen_id for decision in decisions}))


def _newest(listed: Iterable[SpecimenDecision], recorded: Mapping[str, Sequence[str]]) -> dict[str, SpecimenDecision]:
    return {
        decision.specimen_id: decision
        for decision in listed
        if decision.digest == recorded.get(decision.specimen_id, [""])[-1]
    }


def _stands(decision: SpecimenDecision) -> Problem:
    made = decision.made
    return Problem(
        file=decision.specimen_id,
        expected="a specimen without a decision",
        found=f"{made.decision} by {made.actor} on {made.time[:10]}",
        action="`baekman hold show` has the reason; --instead replaces the decision",
    )


def _observation(reason: Reason) -> tuple[Any, ...]:
    """Return what a person sees of a reason; a limit that moved changes no value."""
    value = reason.to_json()
    return value["code"], value["severity"], value["metric"], value["observed"]


def _recorded(workspace: Workspace, specimens: set[str]) -> dict[str, list[str]]:
    """Return the digests of the decisions on ``specimens`` in the audit log, by ID, oldest first."""
    recorded: dict[str, list[str]] = {}
    audit.require_whole(workspace.root)
    for event in audit.events_of(workspace.root, set(ACTIONS.values())):
        if event["object"] in specimens:
            recorded.setdefault(event["object"], []).append(event["input_hash"])
    return recorded


@contextmanager
def _locked(folder: DeliveryFolder) -> Iterator[None]:
    waits_for = "another decision on the delivery"
    try:
        with exclusive(folder.decisions_lock, waits_for=waits_for, mode=MODE, limit=_LOCK_SECONDS):
            yield
    except TimeoutError:
        raise InputRefused(
            Problem(
                file=folder.decisions.name,
                expected=f"a turn to write within {_LOCK_SECONDS:.0f} seconds",
                found="a process that holds the file",
                action="end that process, then run the same command again",
            )
        ) from None


def _read(folder: DeliveryFolder) -> dict[str, Any]:
    try:
        content = read_sealed(folder.decisions)
    except FileNotFoundError:
        return {"schema": SCHEMA_VERSION, "revision": 0, "decisions": []}
    except ValueError:
        raise DamagedFile(folder.decisions) from None
    if content.get("schema") != SCHEMA_VERSION:
        raise DamagedFile(folder.decisions)
    return content


def _write(folder: DeliveryFolder, content: Mapping[str, Any]) -> None:
    with atomic_file(folder.decisions) as temporary:
        temporary.touch(mode=MODE)
        temporary.write_text(sealed_text(content), encoding="utf-8")
