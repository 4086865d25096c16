"""The list of denied participants, made from the registry for jobs, which cannot open it (``workspace.denied``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

from baekman import audit
from baekman.consent import ConsentEvent, ConsentState, Scope, periods_without, state_hash, today
from baekman.files.atomic import atomic_file
from baekman.files.locks import exclusive
from baekman.registry.records import Registry
from baekman.workspace.denied import mark_withdrawn, withdrawn_participants
from baekman.workspace.paths import Workspace


def update_denied_list(workspace: Workspace, *, registry: Registry) -> str:
    """Write ``denied.txt`` and missing marks from ``registry``; call it after every change of the registry.

    Running work reads them again when it commits.

    Returns:
        The hash of the consent of all participants (``Registry.consent_hash``).
    """
    marked = withdrawn_participants(workspace)
    # The lock covers the reading too: no older state of the registry is written over a newer one.
    with _lock(workspace), atomic_file(workspace.denied) as temporary, temporary.open("w", encoding="utf-8") as file:
        for abandoned in set(workspace.root.glob(f".{workspace.denied.name}.*.tmp")) - {temporary}:
            abandoned.unlink()  # left by a process that was killed

        def listed() -> Iterator[tuple[str, Mapping[Scope, ConsentState], list[ConsentEvent]]]:
            for participant_id, is_withdrawn, states, events in registry.standing():
                if is_withdrawn and participant_id not in marked:
                    specimens = [specimen.specimen_id for specimen in registry.specimens_of(participant_id)]
                    mark_withdrawn(workspace, participant_id, specimens=specimens)
                elif not is_withdrawn:
                    for first, last in periods_without(events, scope=Scope.GENOME, since=today()):
                        file.write(f"{participant_id}\t{first}\t{last or ''}\n")
                yield participant_id, states, events

        return state_hash(listed())


def note_change(workspace: Workspace, *, registry: Registry, action: str, participant_id: str) -> None:
    """Update the denied list after a change of a participant's consent, and add ``action`` to the audit log."""
    update_denied_list(workspace, registry=registry)
    audit.record(
        workspace.root, action=action, object=participant_id, consent_hash=registry.consent_hash([participant_id])
    )


def _lock(workspace: Workspace) -> AbstractContextManager[int]:
    file = workspace.denied.with_name(f".{workspace.denied.name}.lock")
    return exclusive(file, waits_for="another change of the registry to be noted in the workspace")
