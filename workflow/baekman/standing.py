"""Whose data may be worked on now, for running work that has no key to the registry.

``<workspace>/withdrawn/<ID>`` marks who has withdrawn; ``<workspace>/denied.txt`` lists whose consent to
sequencing is not in force. Both hold pseudonymous identifiers alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baekman import identifiers
from baekman.atomic import write_text
from baekman.consent import ConsentState
from baekman.registry import Registry, today
from baekman.registry_rows import participant_rows

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


def deny(workspace: Path, *, registry: Registry) -> None:
    """Note in ``workspace`` who has withdrawn, and whose consent to sequencing is not in force.

    To be called after every change of the registry: running work reads it again when it commits.
    """
    found = []
    for row in participant_rows(registry):
        participant_id = row["participant_id"]
        if row["withdrawn_at"]:
            mark(workspace, participant_id, [one.specimen_id for one in registry.specimens_of(participant_id)])
        elif row["genome"] != ConsentState.GRANTED:
            found.append(participant_id)
    write_text(workspace / DENIED, "".join(f"{one}\n" for one in found))


def denied(workspace: Path) -> frozenset[str]:
    """Whose data nothing may be done with: marked, or without consent at the registry's last change."""
    file = workspace / DENIED
    listed = file.read_text("utf-8").split() if file.is_file() else ()
    return marked(workspace) | frozenset(listed)
