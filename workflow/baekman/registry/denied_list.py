"""The list of denied participants, made from the registry for jobs, which cannot open it (``workspace.denied``).

Order of effects of a change of consent: first the denials that the change brings (``ConsentChange``, or the mark of a
withdrawal), then the registry, the list and the audit log. A kill at any instant denies too much and never too little.
``open_in_force`` finishes a change that was killed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import TextIO

from baekman import audit
from baekman.consent import (
    PURPOSE_SCOPES,
    RECORD_SCOPES,
    ConsentEvent,
    ConsentState,
    Scope,
    periods_with,
    periods_without,
    state_hash,
    today,
)
from baekman.errors import InputRefused
from baekman.files.atomic import atomic_file
from baekman.registry.records import Registry, open_registry
from baekman.workspace.abandoned_orders import destroy_abandoned
from baekman.workspace.currency import listed_consent, older, require_current
from baekman.workspace.denied import (
    SCOPES_LISTED,
    held_denials,
    is_sealed_list,
    lists_records,
    mark_withdrawn,
    seal_list,
    withdrawn_participants,
)
from baekman.workspace.identity import id_of, identify
from baekman.workspace.paths import Workspace

LOG_NOTE = "audit "  # before a workspace's ID: the name of the registry's note of its log


def open_in_force(
    workspace: Workspace,
    *,
    registry: Path | str | None = None,
    key_file: Path | None = None,
    finishing: str | None = None,
) -> Registry:
    """Open the registry of ``workspace``, and put in force what a killed command or another workspace left undone.

    Marks of withdrawals reach the registry. Changes of the registry reach the marks, the list and the audit log.

    Args:
        workspace: The workspace of marks, list and log.
        registry: As in ``open_registry``.
        key_file: As in ``open_registry``.
        finishing: A participant whom the calling command withdraws itself.

    Raises:
        InputRefused: As in ``open_registry``, or the clock is behind the newest entry of audit log or registry, or a
            part is older than what the workspace has seen.
    """
    destroy_abandoned(workspace)
    opened = open_registry(workspace.root, registry=registry, key_file=key_file)
    require_log(workspace, opened)
    audit.require_ready(workspace.root)  # a change is in the log after it is in force
    audit.require_clock(workspace.root)
    require_seen(workspace, opened)
    require_current(workspace, marked=len(withdrawn_participants(workspace)), opens_registry=True)
    identify(workspace)
    if recorded := opened.last_recorded():
        audit.require_clock_after(recorded, of="the registry")
    marked = withdrawn_participants(workspace) - {finishing}
    if workspace.pending_denials.is_file() or _listed_sequence(workspace, opened) < opened.last_sequence():
        with held_denials(workspace):
            _finish(workspace, opened)
    for participant_id in opened.not_withdrawn(marked):
        withdraw(workspace, participant_id, registry=opened)
    note_registry(workspace, opened)
    return opened


def require_seen(workspace: Workspace, registry: Registry) -> None:
    """Raise InputRefused when ``registry`` lacks a change that the workspace has seen."""
    seen, head = audit.read_seen(workspace.root), registry.guard.head()
    if seen.registry > head.sequence:
        problem = older("registry", expected=f"change {seen.registry} or later", found=f"change {head.sequence}")
        raise InputRefused([problem])
    if head.recent.get(seen.registry, seen.token) != seen.token:
        expected = f"change {seen.registry} as this workspace has seen it"
        raise InputRefused([older("registry", expected=expected, found="another: changed since it was restored")])


def noted_log(workspace: Workspace, registry: Registry) -> audit.NotedHead | None:
    """Return the event of the audit log of ``workspace`` that ``registry`` has noted last; None without one."""
    values = registry.noted(_log_name(workspace)) if id_of(workspace.root) else None
    return audit.NotedHead(*values) if values else None


def require_log(workspace: Workspace, registry: Registry) -> None:
    """Raise InputRefused when the audit log is gone, cut or replaced, by the notes of workspace and ``registry``."""
    audit.require_whole(workspace.root, head=noted_log(workspace, registry), source="the registry")


def note_log(workspace: Workspace, registry: Registry) -> None:
    """Note the newest event of the audit log in the sealed head of ``registry``, where no writer of the log reaches it.

    Call it after the event is written: what the registry notes, the log has.
    """
    head, noted = audit.last_link(workspace.root), noted_log(workspace, registry)
    if id_of(workspace.root) and head.sequence > (noted.sequence if noted else 0):
        registry.note(_log_name(workspace), [head.sequence, head.hash, head.end])


def _log_name(workspace: Workspace) -> str:
    # several workspaces may use one registry
    return f"{LOG_NOTE}{id_of(workspace.root)}"


def note_registry(workspace: Workspace, registry: Registry, *, resets: bool = False) -> None:
    """Note the registry's last change as seen, and in the registry the newest event of the audit log."""
    note_log(workspace, registry)
    head = registry.guard.head()
    values = {"registry": head.sequence, "token": head.token, "audit": audit.last_sequence(workspace.root)}
    audit.note_seen(workspace.root, resets=resets, **values)


class ConsentChange:
    """A change of consent that is under way: its denials come into force before the registry has them.

    Attributes:
        is_known: Set by the caller when the registry has the change already; nothing is recorded then.
        consent_hash: Hash of the consent of all participants after the change (``Registry.consent_hash``).
    """

    def __init__(self, workspace: Workspace, *, events: Sequence[Mapping[str, str]], sequence: int) -> None:
        self.is_known = False
        self.consent_hash = ""
        self._file = workspace.pending_denials
        self._stack = ExitStack()
        self._temporary = self._stack.enter_context(atomic_file(self._file))
        self._lines = self._stack.enter_context(self._temporary.open("w", encoding="utf-8"))
        head = {"events": list(events), "registry": sequence, "audit": audit.last_sequence(workspace.root)}
        self._lines.write(f"#{json.dumps(head, sort_keys=True)}\n")

    def note(self, participant_id: str, events: Sequence[ConsentEvent]) -> None:
        """Note the periods without consent of a participant who will have the consent ``events``."""
        self._lines.writelines(_denied_lines(participant_id, events))
        for scope in (*PURPOSE_SCOPES, *RECORD_SCOPES):
            self._lines.writelines(f"{line}\t{scope}\n" for line in _denials(participant_id, events, scope))

    def put_in_force(self) -> None:
        """Deny the noted periods from now on; call it after the last note and before the registry's commit."""
        if not self._lines.closed:
            self._lines.close()
            seal_list(self._temporary)
        self._stack.close()


@contextmanager
def consent_change(
    workspace: Workspace, *, registry: Registry, events: Sequence[Mapping[str, str]]
) -> Iterator[ConsentChange]:
    """Hold the denied list for a change of consent inside the block; afterwards write the list and ``events``.

    ``events`` are arguments of ``audit.record``. A change that the registry refuses leaves nothing.
    """
    with held_denials(workspace):
        change = ConsentChange(workspace, events=events, sequence=registry.last_sequence())
        try:
            yield change
        except InputRefused:
            change.put_in_force()
            workspace.pending_denials.unlink()
            raise
        except BaseException:  # the registry may have the change: the next command finds out
            change.put_in_force()
            raise
        change.put_in_force()
        if change.is_known:
            workspace.pending_denials.unlink()
        else:
            change.consent_hash = _finish(workspace, registry, is_changed=True)


def add_consent(workspace: Workspace, event: ConsentEvent, *, registry: Registry) -> bool:
    """Append ``event`` to the registry, its denials first; return False when the same was recorded before.

    Raises:
        InputRefused: The participant has withdrawn, or is not registered.
    """
    participant_id = registry.require_participant(event.participant_id)
    events = [{"action": "registry.consent", "object": participant_id}]
    with consent_change(workspace, registry=registry, events=events) as change:
        change.note(participant_id, [*registry.consent_events(participant_id), event])
        change.put_in_force()
        change.is_known = not registry.add_consent(event)
    return not change.is_known


def withdraw(workspace: Workspace, participant_id: str, *, registry: Registry, is_recorded: bool = True) -> bool:
    """Mark the participant as withdrawn, then record it in the registry; return False when it was recorded before.

    ``is_recorded``: add ``registry.withdraw`` to the audit log.
    """
    specimens = [specimen.specimen_id for specimen in registry.specimens_of(participant_id)]
    mark = mark_withdrawn(workspace, participant_id, specimens=specimens)
    events = [{"action": "registry.withdraw", "object": participant_id}] if is_recorded else []
    if registry.is_withdrawn(participant_id):
        registry.withdraw(participant_id)  # removes array genotypes that a killed withdrawal left
        return False
    with consent_change(workspace, registry=registry, events=events) as change:
        change.put_in_force()
        change.is_known = not registry.withdraw(participant_id, at=date.fromisoformat(mark["withdrawn"]))
    return not change.is_known


def update_denied_list(workspace: Workspace, *, registry: Registry) -> str:
    """Write ``denied.txt`` and missing marks from ``registry``; call it after every change of the registry.

    Running work reads them again when it commits.

    Returns:
        The hash of the consent of all participants (``Registry.consent_hash``).
    """
    # The lock covers the reading too: no older state of the registry is written over a newer one.
    with held_denials(workspace):
        return _write_list(workspace, registry)


def finish(workspace: Workspace, *, registry: Registry) -> None:
    """Write marks and list from ``registry``, and what a killed change left undone."""
    with held_denials(workspace):
        _finish(workspace, registry)


def _finish(workspace: Workspace, registry: Registry, *, is_changed: bool = False) -> str:
    """Write the list, then the audit events of a pending change that the registry has; return as ``_write_list``."""
    pending = workspace.pending_denials
    head = json.loads(pending.read_text("utf-8").partition("\n")[0][1:]) if pending.is_file() else None
    consent_hash = _write_list(workspace, registry)
    note_registry(workspace, registry)
    if head and (is_changed or registry.last_sequence() > head["registry"]):
        for event in head["events"]:
            one = event.get("object")
            state = registry.consent_hash([one]) if one else consent_hash
            audit.record_once(workspace.root, after=head["audit"], **event, consent_hash=state)
        note_log(workspace, registry)
    pending.unlink(missing_ok=True)
    return consent_hash


def _write_list(workspace: Workspace, registry: Registry) -> str:
    marked = withdrawn_participants(workspace)
    sequence = registry.last_sequence()
    with _list_file(workspace.granted) as grants, _list_file(workspace.denied) as file:
        head = {"consent": sequence}
        grants.write(f"#{json.dumps(head)}\n")
        file.write(f"#{json.dumps({**head, SCOPES_LISTED: [Scope.GENOME, *RECORD_SCOPES]})}\n")

        def listed() -> Iterator[tuple[str, Mapping[Scope, ConsentState], list[ConsentEvent]]]:
            for participant_id, is_withdrawn, states, events in registry.standing():
                if is_withdrawn and participant_id not in marked:
                    specimens = [specimen.specimen_id for specimen in registry.specimens_of(participant_id)]
                    mark_withdrawn(workspace, participant_id, specimens=specimens)
                elif not is_withdrawn:
                    file.writelines(_denied_lines(participant_id, events))
                    for scope in RECORD_SCOPES:
                        file.writelines(f"{line}\t{scope}\n" for line in _denials(participant_id, events, scope))
                    grants.writelines(_granted_lines(participant_id, events))
                yield participant_id, states, events

        consent_hash = state_hash(listed())
    audit.note_seen(workspace.root, consent=sequence)
    registry.note(_lists_name(workspace), _lists_hash(workspace))
    workspace.denied_sequence.unlink(missing_ok=True)  # of an earlier version
    return consent_hash


@contextmanager
def _list_file(path: Path) -> Iterator[TextIO]:
    """Yield an open file that replaces ``path`` at the end; those of killed processes are deleted."""
    with atomic_file(path) as temporary:
        for abandoned in set(path.parent.glob(f".{path.name}.*.tmp")) - {temporary}:
            abandoned.unlink()
        with temporary.open("w", encoding="utf-8") as file:
            yield file
        seal_list(temporary)


def _denied_lines(participant_id: str, events: Sequence[ConsentEvent]) -> Iterator[str]:
    yield from (f"{line}\n" for line in _denials(participant_id, events, Scope.GENOME))


def _denials(participant_id: str, events: Sequence[ConsentEvent], scope: Scope) -> Iterator[str]:
    day = today()
    for begins, last in periods_without(events, scope=scope, since=day):
        # denied now is denied by a clock that goes back too
        first = date.min if begins <= day else begins
        yield f"{participant_id}\t{first}\t{last or ''}"


def _granted_lines(participant_id: str, events: Sequence[ConsentEvent]) -> Iterator[str]:
    for scope in PURPOSE_SCOPES:
        for first, last in periods_with(events, scope=scope, since=today()):
            yield f"{participant_id}\t{first}\t{last or ''}\t{scope}\n"


def _listed_sequence(workspace: Workspace, registry: Registry) -> int:
    """Return the number of the registry's last consent event that the lists have; 0 without them.

    -1 when they are damaged, or marks or lists are others than the registry has noted.
    """
    lists = [workspace.denied, workspace.granted]
    if not all(is_sealed_list(path.read_bytes()) for path in lists if path.is_file()):
        return -1
    if workspace.denied.is_file() and not lists_records(workspace):  # of an earlier version
        return -1
    if registry.noted(_lists_name(workspace)) != _lists_hash(workspace):
        return -1
    return listed_consent(workspace)


def is_as_noted(workspace: Workspace, registry: Registry) -> bool:
    """Return whether marks and lists are those that ``registry`` has noted last; True before the first note."""
    return registry.noted(_lists_name(workspace)) in (None, _lists_hash(workspace))


def _lists_name(workspace: Workspace) -> str:
    return f"lists {id_of(workspace.root)}"


def _lists_hash(workspace: Workspace) -> str:
    """Return the SHA-256 (hex) of both lists and of the names of the marks."""
    digest = hashlib.sha256("\n".join(sorted(withdrawn_participants(workspace))).encode())
    for path in (workspace.denied, workspace.granted):
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()
