"""The verification of an audit log: every edit, deletion, change of order, fork and cut, with its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baekman.audit.lines import FIRST, digest_of, event_of

RESTART = "audit.restart"


@dataclass(frozen=True)
class BrokenLink:
    """A place at which a log is broken: the line (1-based; 0 for the log as a whole) and the problem."""

    line: int
    problem: str


def verify(file: Path, *, head: Mapping[str, Any] | None = None) -> list[BrokenLink]:
    """Return every place at which the log ``file`` is broken, in order; an empty list when it is whole.

    ``head`` has ``sequence`` and ``hash`` of an event that the log must still hold: a saved head with a verified
    signature (``signed_head.read_signed_head``), or the noted one. A log that begins with ``audit.restart`` lacks the
    events before it, and is whole without them (``lost_before``).
    """
    if not file.is_file():
        return [BrokenLink(0, "there is no log: deleted, or the workspace is another")]
    broken: list[BrokenLink] = []
    lost = lost_before(file)
    previous, expected = FIRST, lost + 1
    seen: dict[str, int] = {}
    hash_at_head: str | None = None
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            event = event_of(line)
            if event is None:
                broken.append(BrokenLink(number, "no event in canonical form: edited or torn"))
                previous, expected = digest_of(line), expected + 1
                continue
            if event["previous"] != previous and not (number == 1 and lost):
                broken.append(BrokenLink(number, _broken_link(event["previous"], seen, number)))
            if event["sequence"] != expected:
                problem = f"sequence {event['sequence']} where {expected} was expected"
                broken.append(BrokenLink(number, problem))
            previous, expected = digest_of(line), event["sequence"] + 1
            seen[previous] = number
            if head is not None and event["sequence"] == head["sequence"]:
                hash_at_head = previous
    if head is not None and head["sequence"] > 0:
        if hash_at_head is None:
            broken.append(BrokenLink(0, f"event {head['sequence']} of the saved head is missing: truncated"))
        elif hash_at_head != head["hash"]:
            broken.append(BrokenLink(0, f"event {head['sequence']} is not that of the saved head: rewritten"))
    return broken


def lost_before(file: Path) -> int:
    """Return the number of events that were lost before the log ``file`` was begun again; 0 for a complete log."""
    with file.open("rb") as lines:
        first = event_of(lines.readline())
    return int(first["sequence"]) - 1 if first is not None and first["action"] == RESTART else 0


def _broken_link(previous: str, seen: Mapping[str, int], number: int) -> str:
    if previous in seen:
        return f"follows line {seen[previous]} and not line {number - 1}: a fork or a change of order"
    return "does not follow the line before: edited, deleted or in another order"
