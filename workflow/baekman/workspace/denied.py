"""Whose data may be worked on now, for running work that has no key to the registry.

``<workspace>/withdrawn/<ID>`` marks who has withdrawn; ``<workspace>/denied.txt`` has a line (ID, first day,
last day or nothing) for each time in which somebody's consent to sequencing is not in force, times to come among
them: consent may end or begin while nobody touches the registry. Both hold pseudonymous identifiers alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baekman import pseudonyms
from baekman.consent import ConsentEvent, ConsentState, Scope, state_hash, stretches_without, today
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_file, write_text

if TYPE_CHECKING:  # jobs have no use for the registry's database
    from baekman.registry.records import Registry

MARKS = "withdrawn"
DENIED = "denied.txt"


def mark(workspace: Path, participant_id: str, specimens: Sequence[str] = ()) -> dict[str, Any]:
    """Mark ``participant_id`` as withdrawn for whatever runs in ``workspace``; the first mark stays."""
    file = workspace / MARKS / pseudonyms.check(participant_id, "P")
    if not file.is_file():
        content = {"withdrawn": today().isoformat(), "specimens": sorted(specimens)}
        write_text(file, json.dumps(content, sort_keys=True) + "\n")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def marked(workspace: Path) -> frozenset[str]:
    """Every participant who is marked as withdrawn in ``workspace``; needs no registry."""
    folder = workspace / MARKS
    names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
    return frozenset(name for name in names if pseudonyms.is_valid(name, "P"))


def deny(workspace: Path, *, registry: Registry) -> str:
    """Note in ``workspace`` who has withdrawn, and when whose consent to sequencing is not in force.

    Returns the hash of everybody's consent, since all of it was read (``Registry.consent_hash``).
    To be called after every change of the registry: running work reads it again when it commits.
    """
    already = marked(workspace)
    # who comes last reads last: nobody writes what was read before a change over what was read after it
    with _lock(workspace), atomic_file(workspace / DENIED) as temporary, temporary.open("w", encoding="utf-8") as file:
        for left in set(workspace.glob(f".{DENIED}.*.tmp")) - {temporary}:  # by one that was killed
            left.unlink()

        def noted() -> Iterator[tuple[str, Mapping[Scope, ConsentState], list[ConsentEvent]]]:
            for participant_id, is_withdrawn, states, events in registry.standing():
                if is_withdrawn and participant_id not in already:
                    mark(workspace, participant_id, [one.specimen_id for one in registry.specimens_of(participant_id)])
                elif not is_withdrawn:
                    for first, last in stretches_without(events, scope=Scope.GENOME, since=today()):
                        file.write(f"{participant_id}\t{first}\t{last or ''}\n")
                yield participant_id, states, events

        return state_hash(noted())


@contextmanager
def _lock(workspace: Path) -> Iterator[None]:
    workspace.mkdir(parents=True, exist_ok=True)
    with (workspace / f".{DENIED}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def denied(workspace: Path, *, at: date | None = None) -> frozenset[str]:
    """Whose data nothing may be done with at ``at`` (today by default): marked, or without consent in force."""
    file = workspace / DENIED
    day = (at or today()).isoformat()
    found = set(marked(workspace))
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            for one, first, last in (line.rstrip("\n").split("\t") for line in lines):
                if first <= day and (not last or day <= last):
                    found.add(one)
    return frozenset(found)


def denied_hash(workspace: Path) -> str:
    """SHA-256 (hex) of who is denied today: the consent that work without the registry goes by."""
    return hashlib.sha256("\n".join(sorted(denied(workspace))).encode()).hexdigest()


def require_consent(workspace: Path, participants: Iterable[str], *, file: str) -> None:
    """Refuse work on ``participants`` when somebody's consent is not in force; ``file`` names what lists them."""
    refused = sorted(denied(workspace).intersection(participants))
    if refused:
        raise InputRefused(
            Problem(
                file=file,
                place=one,
                expected="a participant whose consent to sequencing is in force",
                found="one who has withdrawn, or whose consent was refused or has ended",
                action=f"leave the participant out (of a cohort: `baekman cohort withdraw {one}`)",
            )
            for one in refused
        )
