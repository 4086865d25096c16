"""The held specimens of a delivery, which wait for the decision of a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from baekman.files.sidecar import read_checked
from baekman.verdicts import GATES, REUSED, Gate, Verdict, merge, read_verdicts
from baekman.workspace import specimens
from baekman.workspace.decisions import SpecimenDecision, listed_decisions
from baekman.workspace.paths import DeliveryFolder, Workspace


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A held specimen, which waits for a person. ``since`` is ISO 8601 in UTC; ``reasons`` are codes.

    ``decided`` is the decision of a person that the next ``baekman deliver`` takes on, or "".
    """

    specimen: str
    participant: str | None
    gate: str
    reasons: tuple[str, ...]
    since: str
    decided: str = ""


def verdicts_of(folder: DeliveryFolder) -> Iterator[Verdict]:
    """Yield the verdicts of every gate on the delivery in ``folder``, as far as there are any."""
    for gate in GATES:
        try:
            yield from read_verdicts(folder.verdicts(gate))
        except FileNotFoundError:
            continue


def waiting_in(folder: DeliveryFolder, verdicts: Sequence[Verdict]) -> Iterator[Waiting]:
    """Yield the held specimens among ``verdicts`` that are not in the cohort and came in no later delivery."""
    decisions, of_persons = merge(verdicts), {made.specimen_id: made for made in listed_decisions(folder)}
    is_held = any(verdict.verdict == "hold" for verdict in verdicts)
    superseded = specimens.superseded_in(Workspace(folder.path.parents[1]), folder.id) if is_held else frozenset()
    elsewhere, received = _batch(folder) | superseded, received_at(folder)
    for verdict in verdicts:
        if verdict.verdict != "hold" or decisions[verdict.specimen_id] != "hold":
            continue
        if verdict.participant_id in elsewhere:
            continue  # the gate only reports, or what came later counts
        yield _waiting(folder, verdict, of_persons.get(verdict.specimen_id), received=received)


def came_again_in(folder: DeliveryFolder, verdicts: Sequence[Verdict]) -> Iterator[Waiting]:
    """Yield the specimens among ``verdicts`` that are rejected since reads of them were accepted before.

    They do not wait, but a person may take their reads (``baekman hold accept --merge`` or ``--replace``). Left out are
    those that a person has rejected, and those that came in a later delivery.
    """
    rejected = [verdict for verdict in verdicts if verdict.verdict == "reject" and verdict.decision is None]
    again = [verdict for verdict in rejected if any(reason.code == REUSED for reason in verdict.reasons)]
    if not again:
        return
    of_persons = {made.specimen_id: made for made in listed_decisions(folder)}
    superseded = specimens.superseded_in(Workspace(folder.path.parents[1]), folder.id)
    received = received_at(folder)
    for verdict in again:
        if verdict.participant_id not in superseded:
            yield _waiting(folder, verdict, of_persons.get(verdict.specimen_id), received=received)


def has_new_decision(folder: DeliveryFolder) -> bool:
    """Return whether a person has decided on a verdict that stands: the next ``baekman deliver`` takes it on."""
    decisions = {made.specimen_id: made for made in listed_decisions(folder)}
    return bool(decisions) and any(
        _decided(verdict, decisions.get(verdict.specimen_id)) for verdict in verdicts_of(folder)
    )


def _waiting(folder: DeliveryFolder, verdict: Verdict, decision: SpecimenDecision | None, *, received: str) -> Waiting:
    return Waiting(
        specimen=verdict.specimen_id,
        participant=verdict.participant_id,
        gate=verdict.gate,
        reasons=tuple(dict.fromkeys(reason.code for reason in verdict.reasons if reason.severity != "note")),
        since=received if verdict.gate == "intake" and received else _judged(folder, verdict.gate),
        decided=_decided(verdict, decision),
    )


def _decided(verdict: Verdict, decision: SpecimenDecision | None) -> str:
    """Return the decision of a person on ``verdict`` that no gate has taken on yet; "" without one."""
    return decision.made.decision if decision and verdict in decision.seen else ""


def _batch(folder: DeliveryFolder) -> frozenset[str]:
    """Return the participants of the delivery in the cohort."""
    try:
        return frozenset(json.loads(read_checked(folder.batch))["participants"])
    except FileNotFoundError:
        return frozenset()


def _judged(folder: DeliveryFolder, gate: Gate) -> str:
    """Return the time at which ``gate`` judged: that of its file, or the recorded end of the run that wrote it.

    A copy of the workspace may give files a later time, but never that record.
    """
    written = datetime.fromtimestamp(folder.verdicts(gate).stat().st_mtime, UTC)
    try:
        run = json.loads(folder.run_state.read_text(encoding="utf-8"))
        ended = datetime.fromisoformat(run["updated"]) if run["state"] == "done" else written
        judged = min(written, ended)
    except (OSError, ValueError, KeyError, TypeError):
        judged = written
    return judged.isoformat(timespec="seconds")


def received_at(folder: DeliveryFolder) -> str:
    """Return the time at which intake was complete first; "" before, and where it cannot be read."""
    try:
        return str(json.loads(read_checked(folder.summary))["received"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
