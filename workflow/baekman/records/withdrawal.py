"""The withdrawal of participants from the records of a workspace: from batches, snapshots and verdicts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from baekman import audit
from baekman.consent import ALL_SCOPES, RECORD_SCOPES, ConsentEvent, Decision, Scope, today
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.records.erasure import erase, holding, is_swept, note_swept
from baekman.records.intake.home import erase_verdicts
from baekman.records.rows.allowed import Denials
from baekman.records.store import RecordStore, open_store
from baekman.workspace.denied import record_admission, withdrawn_participants
from baekman.workspace.identity import STORE_FILE
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    from baekman.registry.records import Registry


@dataclass(frozen=True, kw_only=True)
class LeftRecords:
    """The result of a withdrawal.

    ``snapshot``: the latest one after it; None without a store. ``participants``: those who had rows. ``edited``: other
    files, relative to the workspace.
    """

    snapshot: int | None = None
    participants: tuple[str, ...] = ()
    edited: frozenset[str] = field(default=frozenset())

    def __bool__(self) -> bool:
        return bool(self.participants or self.edited)

    def after(self, receipt: Mapping[str, Any]) -> dict[str, int]:
        """Return ``records_snapshot`` for a receipt, that of the earlier ``receipt`` if nothing was left to do."""
        if self.snapshot is None:
            return {}
        return {"records_snapshot": self.snapshot if self else receipt.get("records_snapshot", self.snapshot)}


def store_of(workspace: Workspace) -> RecordStore | None:
    """Return the record store of ``workspace``; None where there is none."""
    return open_store(workspace.root) if (workspace.records / STORE_FILE).is_file() else None


def leave_records(workspace: Workspace, participants: Collection[str], *, workers: int = 1) -> LeftRecords:
    """Erase ``participants`` from the records of ``workspace``, as if they were never there."""
    return erase_scopes(workspace, dict.fromkeys(participants), workers=workers)


def erase_scopes(workspace: Workspace, erased: Denials, *, workers: int = 1) -> LeftRecords:
    """Erase scopes of participants, None for everything, from the records of ``workspace``; a second call does nothing.

    Verdicts on a delivery leave with the whole participant only.
    """
    store = store_of(workspace)
    if store is None:
        return LeftRecords()
    whole = [participant for participant, scopes in erased.items() if scopes is None]
    present = tuple(holding(store, whole))
    latest = erase(store, erased, engine=Engine(workers=workers))
    edited = erase_verdicts(workspace, frozenset(whole)) if whole else []
    names = frozenset(path.relative_to(workspace.root).as_posix() for path in edited)
    return LeftRecords(snapshot=latest.number, participants=present, edited=names)


def sweep_records(workspace: Workspace, *, workers: int = 1) -> LeftRecords:
    """Erase participants who are marked as withdrawn; it is cheap where nothing has changed since the last call."""
    store = store_of(workspace)
    marked = withdrawn_participants(workspace)
    if store is None or is_swept(store, marked):
        return LeftRecords()
    left = leave_records(workspace, marked, workers=workers)
    note_swept(store, marked)
    return left


def withdraw_scopes(
    workspace: Workspace, participant_id: str, scopes: Sequence[str], *, registry: Registry, workers: int = 1
) -> dict[str, Any]:
    """Record the withdrawal of ``scopes`` of records in the registry, and erase their rows.

    Returns:
        ``participant``, ``scopes`` and ``records_snapshot``, the latest snapshot after it.

    Raises:
        InputRefused: A scope is not one of records, or the participant has withdrawn or is not registered.
    """
    from baekman.registry.denied_list import add_consent

    if unknown := set(scopes) - set(RECORD_SCOPES):
        expected = f"{', '.join(RECORD_SCOPES)} (without --scope, everything)"
        found = "a scope of other data" if unknown <= set(ALL_SCOPES) else "another word"
        raise InputRefused(Problem(file="--scope", expected=expected, found=found))
    chosen = tuple(Scope(scope) for scope in RECORD_SCOPES if scope in scopes)
    event = ConsentEvent(participant_id=participant_id, decision=Decision.WITHDRAWN, scopes=chosen, valid_from=today())
    add_consent(workspace, event, registry=registry)
    admission = record_admission(workspace)
    # the other denied scopes too: coverage leaves with the last one
    denied = frozenset(str(scope) for scope in RECORD_SCOPES if not admission.admits(participant_id, scope=scope))
    audit.record(workspace.root, action="records.withdraw", object=participant_id)
    left = erase_scopes(workspace, {participant_id: denied}, workers=workers)
    return {"participant": participant_id, "scopes": [str(scope) for scope in chosen], **left.after({})}
