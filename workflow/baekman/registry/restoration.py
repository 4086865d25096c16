"""Withdrawals and refusals after a back-up was restored: each part gets what another part still knows.

The parts are the registry, the marks of withdrawn participants, the list of denied ones, the receipts and the audit
log.
Nothing is granted by it: where a decision is lost, the participant is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date

from baekman import audit, pseudonyms
from baekman.consent import ALL_SCOPES, ConsentEvent, ConsentState, Decision, Scope, evaluate, today
from baekman.errors import InputRefused, Problem
from baekman.registry import denied_list
from baekman.registry.books import every_book
from baekman.registry.records import Registry
from baekman.workspace.currency import listed_consent, newest_snapshot, require_current
from baekman.workspace.denied import mark_withdrawn, read_mark, withdrawn_participants
from baekman.workspace.identity import id_of, owner_of_cohort, write_identity
from baekman.workspace.paths import Workspace

CHECKED = "restore.check"
_WITHDRAWALS = frozenset({"withdraw", "registry.withdraw", "withdraw.sweep"})
_CLOSING = "project.close"
_IMPORTS = frozenset({"registry.import", "registry.correct"})


@dataclass
class _Lost:
    """Events of the audit log that the registry does not have any more: participants and hashes of tables."""

    decisions: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)


def restore_identity(workspace: Workspace, registry: Registry) -> list[str]:
    """Write a lost or damaged ``workspace.json`` again; return a line when it was.

    The registry knows the IDs of the workspaces that used it, each with an event of its log. The ID is that of the
    workspace with this log. A registry inside the workspace that knows one ID is enough.

    Raises:
        InputRefused: The cohort names another ID, or none of the known ones is that of this workspace.
    """
    with suppress(InputRefused):
        if id_of(workspace.root):
            return []
    owner = owner_of_cohort(workspace)
    notes = {
        name.removeprefix(denied_list.LOG_NOTE): audit.NotedHead(*values)
        for name, values in registry.guard.head().notes.items()
        if name.startswith(denied_list.LOG_NOTE)
    }
    known = [identity for identity, head in notes.items() if _has_event(workspace, head)]
    if not known and registry.folder.resolve().is_relative_to(workspace.root.resolve()):
        known = list(notes)
    fitting = [identity for identity in known if owner in ("", identity)]
    if len(fitting) == 1:
        workspace.identity.unlink(missing_ok=True)
        write_identity(workspace, fitting[0])
        return [f"{workspace.identity.name}: written again, with the ID that registry, log and cohort know"]
    if not (notes or owner or workspace.identity.is_file()):
        return []  # it never had an ID
    raise InputRefused(
        Problem(
            file=workspace.identity.name,
            expected="one ID that the cohort names, and that the registry has noted with an event of this log",
            found="another one" if owner and known else "none",
            action="restore workspace.json from a back-up; a cohort of another workspace does not belong here",
        )
    )


def _has_event(workspace: Workspace, head: audit.NotedHead) -> bool:
    try:
        audit.require_whole(workspace.root, head=head, source="the registry")
    except InputRefused:
        return False
    return True


def reapply(workspace: Workspace, registry: Registry) -> list[str]:
    """Bring every withdrawal and refusal that any part of ``workspace`` knows into all parts; return a line for each.

    The audit log is whole, or was begun again (``audit.restart``).
    """
    # first all evidence: what follows changes registry and list
    lost = _lost_events(workspace, registry)
    knows_more = listed_consent(workspace) > registry.last_sequence() or _is_another(workspace, registry)
    denials = list(_denials(workspace)) if knows_more else []
    unmarked = _withdrawn_in(registry) - withdrawn_participants(workspace)
    lines = [f"{participant_id}: marked as withdrawn, as in the registry" for participant_id in sorted(unmarked)]
    lines += _withdrawals(workspace, registry)
    for participant_id, first in denials:
        if _refuse(workspace, registry, participant_id, first):
            lines.append(f"{participant_id}: refused from {first} on, as in denied.txt")
    for participant_id in sorted(lost.decisions):
        if not knows_more and _refuse(workspace, registry, participant_id, today()):
            lines.append(f"{participant_id}: refused from today on, as a decision of this person is lost")
        lines.append(f"{participant_id}: record the newest decision again with `baekman registry consent`")
    lines += [f"import the registration table with SHA-256 {digest} again" for digest in sorted(lost.tables)]
    denied_list.finish(workspace, registry=registry)
    lines += every_book.restore(registry, withdrawn=_withdrawn_in(registry), closed=_closed_projects(workspace))
    return lines


def note_state(workspace: Workspace, registry: Registry) -> None:
    """Note the state of registry, list, marks, log and cohort as the newest that the workspace has seen."""
    denied_list.note_registry(workspace, registry, resets=True)
    marked = len(withdrawn_participants(workspace))
    values = {"consent": registry.last_sequence(), "withdrawn": marked, "snapshot": newest_snapshot(workspace) or 0}
    audit.note_seen(workspace.root, resets=True, **values)


def is_in_order(workspace: Workspace, registry: Registry) -> bool:
    """Return whether no part of ``workspace`` is older than what it has seen."""
    try:
        denied_list.require_log(workspace, registry)
        denied_list.require_seen(workspace, registry)
        require_current(workspace, marked=len(withdrawn_participants(workspace)))
    except InputRefused:
        return False
    return True


def _withdrawn_in(registry: Registry) -> set[str]:
    return {standing.participant_id for standing in registry.standing() if standing.is_withdrawn}


def _closed_projects(workspace: Workspace) -> set[str]:
    return {event["object"] for event in audit.kept_events(workspace.root) if event["action"] == _CLOSING}


# -- withdrawals


def _withdrawals(workspace: Workspace, registry: Registry) -> list[str]:
    lines = []
    marked = withdrawn_participants(workspace)
    known = _known_withdrawals(workspace)
    is_behind = _is_behind(workspace, registry)
    open_ids = set(registry.not_withdrawn(known))
    for participant_id, (day, specimens) in sorted(known.items()):
        is_open = participant_id in open_ids
        if participant_id not in marked:
            if is_open:
                specimens = [specimen.specimen_id for specimen in registry.specimens_of(participant_id)]
            mark_withdrawn(workspace, participant_id, specimens=specimens, day=day)
            lines.append(f"{participant_id}: marked as withdrawn on {day}, as in the audit log or receipt")
        if is_open:
            denied_list.withdraw(workspace, participant_id, registry=registry)
            lines.append(f"{participant_id}: withdrawn again in the registry, as of {day}")
        elif is_behind and not _is_registered(registry, participant_id):
            lines.append(
                f"{participant_id}: not in the registry; if a table registers this person, withdraw the new ID"
            )
    return lines


def _known_withdrawals(workspace: Workspace) -> dict[str, tuple[str, list[str]]]:
    """Return ID -> (day, specimens) of withdrawals in the audit log, the receipts and the marks, these last."""
    known: dict[str, tuple[str, list[str]]] = {}
    for event in audit.kept_events(workspace.root):
        if event["action"] in _WITHDRAWALS and pseudonyms.is_valid(event["object"], "P"):
            known.setdefault(event["object"], (event["time"][:10], []))
    for file in sorted(workspace.receipts.glob("P*.json")):
        receipt = json.loads(file.read_text("utf-8"))
        if pseudonyms.is_valid(file.stem, "P"):
            known[file.stem] = (receipt["withdrawn"], receipt["specimens"])
    for participant_id in withdrawn_participants(workspace):
        mark = read_mark(workspace, participant_id)
        known[participant_id] = (mark["withdrawn"], mark["specimens"])
    return known


def _is_registered(registry: Registry, participant_id: str) -> bool:
    try:
        registry.require_participant(participant_id)
    except InputRefused:
        return False
    return True


# -- refusals


def _is_behind(workspace: Workspace, registry: Registry) -> bool:
    try:
        denied_list.require_seen(workspace, registry)
    except InputRefused:
        return True
    return False


def _is_another(workspace: Workspace, registry: Registry) -> bool:
    """Return whether the registry has another history than the one that the workspace has seen."""
    seen = audit.read_seen(workspace.root)
    return _is_behind(workspace, registry) and seen.registry <= registry.guard.head().sequence


def _denials(workspace: Workspace) -> Iterator[tuple[str, date]]:
    """Yield (ID, first day from today on) of the list's periods without consent to sequencing."""
    if not workspace.denied.is_file():
        return
    with workspace.denied.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            participant_id, first, last, *scopes = line.rstrip("\n").split("\t")
            is_over = bool(last) and date.fromisoformat(last) < today()
            if not is_over and (not scopes or Scope.GENOME in scopes):
                yield participant_id, max(date.fromisoformat(first), today())


def _refuse(workspace: Workspace, registry: Registry, participant_id: str, first: date) -> bool:
    """Record a refusal of all uses from ``first`` on, unless sequencing is not granted then."""
    if not _is_registered(registry, participant_id) or registry.is_withdrawn(participant_id):
        return False
    events = registry.consent_events(participant_id)
    if evaluate(events, scope=Scope.GENOME, at=first) is not ConsentState.GRANTED:
        return False
    event = ConsentEvent(
        participant_id=participant_id,
        decision=Decision.REFUSED,
        scopes=ALL_SCOPES,
        valid_from=first,
        template="restored",
    )
    return denied_list.add_consent(workspace, event, registry=registry)


def _lost_events(workspace: Workspace, registry: Registry) -> _Lost:
    """Return the changes in the audit log that ``registry`` does not have, and that no earlier check re-applied."""
    number = registry.guard.head().sequence
    lost = _Lost()
    for event in audit.kept_events(workspace.root):
        if event["action"] == CHECKED and event.get("registry", 0) <= number:
            lost = _Lost()
        elif event.get("registry", 0) > number and event["action"] == "registry.consent":
            lost.decisions.add(event["object"])
        elif event.get("registry", 0) > number and event["action"] in _IMPORTS:
            lost.tables.add(event["input_hash"])
    return lost
