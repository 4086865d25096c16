"""Whose data may be worked on now, for running work that has no key to the registry.

``<workspace>/withdrawn/<ID>`` marks who has withdrawn; ``<workspace>/denied.txt`` lists whose consent to
sequencing is not in force. Both hold pseudonymous identifiers alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from baekman import identifiers
from baekman.atomic import write_text
from baekman.consent import ConsentEvent, ConsentState, Scope, state_hash
from baekman.registry import Registry, today

MARKS = "withdrawn"
DENIED = "denied.txt"


def mark(workspace: Path, participant_id: str, specimens: Sequence[str] = ()) -> dict[str, Any]:
    """Mark ``participant_id`` as withdrawn for whatever runs in ``workspace``; the first mark stays."""
    file = workspace / MARKS / identifiers.check(participant_id, "P")
    if not file.is_file():
        content = {"withdrawn": today().isoformat(), "specimens": sorted(specimens)}
        write_text(file, json.dumps(content, sort_keys=True) + "\n")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def marked(workspace: Path) -> frozenset[str]:
    """Every participant who is marked as withdrawn in ``workspace``; needs no registry."""
    folder = workspace / MARKS
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return frozenset(name for name in names if identifiers.is_valid(name, "P"))


def deny(workspace: Path, *, registry: Registry) -> str:
    """Note in ``workspace`` who has withdrawn, and whose consent to sequencing is not in force.

    Returns the hash of everybody's consent, since all of it was read (``Registry.consent_hash``).
    To be called after every change of the registry: running work reads it again when it commits.
    """
    found: list[str] = []
    already = marked(workspace)

    def noted() -> Iterator[tuple[str, Mapping[Scope, ConsentState], list[ConsentEvent]]]:
        for participant_id, is_withdrawn, states, events in registry.standing():
            if is_withdrawn and participant_id not in already:
                mark(workspace, participant_id, [one.specimen_id for one in registry.specimens_of(participant_id)])
            elif not is_withdrawn and states[Scope.GENOME] is not ConsentState.GRANTED:
                found.append(participant_id)
            yield participant_id, states, events

    consent_hash = state_hash(noted())
    write_text(workspace / DENIED, "".join(f"{one}\n" for one in found))
    return consent_hash


def denied(workspace: Path) -> frozenset[str]:
    """Whose data nothing may be done with: marked, or without consent at the registry's last change."""
    file = workspace / DENIED
    listed = file.read_text("utf-8").split() if file.is_file() else ()
    return marked(workspace) | frozenset(listed)
