"""The newest state of registry, denials and cohort that a workspace has seen, in ``<workspace>/seen.json``.

Whatever is older than that was restored from a back-up: it may hold people who have withdrawn or refused since.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from baekman.errors import InputRefused, Problem
from baekman.files.digests import unsealed, write_sealed
from baekman.files.locks import exclusive

SEEN_NAME = "seen.json"
_COUNTERS = ("registry", "consent", "withdrawn", "snapshot", "audit")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Counters that only grow.

    Attributes:
        registry: Number of the registry's last change.
        token: The random token of this change; a branch of the registry's history has another.
        consent: Number of the last consent event in the list of denied participants.
        withdrawn: Number of marks of withdrawn participants.
        snapshot: Number of the cohort's newest snapshot.
        audit: Number of an event of the audit log, near its end.
    """

    registry: int = 0
    token: str = ""
    consent: int = 0
    withdrawn: int = 0
    snapshot: int = 0
    audit: int = 0


def seen_file(workspace: Path) -> Path:
    """Return the path of what ``workspace`` has seen."""
    return workspace / SEEN_NAME


def read_seen(workspace: Path) -> Seen:
    """Return what ``workspace`` has seen; nothing before the first note. InputRefused for a damaged file."""
    try:
        data = seen_file(workspace).read_bytes()
        values = unsealed(data) or json.loads(data)  # an earlier version wrote no digest
        if set(values) != {"token", *_COUNTERS}:
            raise ValueError
        numbers = {name: int(values[name]) for name in _COUNTERS}
        return Seen(token=str(values["token"]), **numbers)
    except FileNotFoundError:
        return Seen()
    except (ValueError, TypeError, KeyError):
        raise InputRefused(
            Problem(
                file=SEEN_NAME,
                expected="the state that this workspace has noted",
                found="something else",
                action="run `baekman restore check`",
            )
        ) from None


def drop_damaged_seen(workspace: Path) -> None:
    """Delete the note when it is damaged; only a check of the whole workspace may do so."""
    try:
        read_seen(workspace)
    except InputRefused:
        seen_file(workspace).unlink()


def note_seen(workspace: Path, *, resets: bool = False, **values: Any) -> None:
    """Note ``values`` of ``Seen``; counters never go back, unless ``resets``."""
    with exclusive(workspace / f".{SEEN_NAME}.lock", waits_for="another note of the workspace's state"):
        before = read_seen(workspace)
        after = replace(before, **values)
        if not resets:
            kept = {name: max(getattr(before, name), getattr(after, name)) for name in _COUNTERS[1:]}
            if after.registry < before.registry:
                kept |= {"registry": before.registry, "token": before.token}
            after = replace(after, **kept)
        if after != before or not seen_file(workspace).is_file():
            write_sealed(seen_file(workspace), asdict(after))
