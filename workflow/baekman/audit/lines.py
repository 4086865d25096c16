"""The lines of the audit log: an event in canonical JSON, each with the SHA-256 of the line before."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

FIRST = "0" * 64
FIELDS = (
    "sequence",
    "time",
    "actor",
    "user",
    "uid",
    "sudo_user",
    "action",
    "object",
    "purpose",
    "input_hash",
    "output_hash",
    "consent_hash",
    "registry",
    "previous",
)
# events of earlier versions do not have them
_ADDED_FIELDS = {"user", "uid", "sudo_user", "registry"}
# fields that callers fill in: words and identifiers, so that no sentence, path or name gets in by accident
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:,-]{0,79}")
HASH = re.compile(r"[0-9a-f]{32,128}")


def line_of(event: Mapping[str, Any]) -> bytes:
    """Return the line of ``event``, with its line feed."""
    return json.dumps(event, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def digest_of(line: bytes) -> str:
    """Return the SHA-256 of a line, hex: the next line has it."""
    return hashlib.sha256(line).hexdigest()


def event_of(line: bytes) -> dict[str, Any] | None:
    """Return the event of a line; None for a line that is no event in canonical form."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("sequence"), int):
        return None
    if not set(FIELDS) - _ADDED_FIELDS <= set(event) <= set(FIELDS):
        return None
    return event if line_of(event) == line else None


def last_line(descriptor: int, *, cuts: bool = True) -> bytes:
    """Return the last whole line; cut off a torn line after it, which a killed writer left and was never an event.

    Without ``cuts`` the torn line, which a writer may be completing, is passed over.
    """
    end = os.fstat(descriptor).st_size
    line, whole = line_before(descriptor, end)
    if cuts and whole < end:
        os.ftruncate(descriptor, whole)
    return line


def line_before(descriptor: int, end: int) -> tuple[bytes, int]:
    """Return the last whole line in the first ``end`` bytes, and the offset after it; an empty line without any."""
    tail = b""
    start = end
    while start > 0 and tail[:-1].count(b"\n") < 1 + (not tail.endswith(b"\n")):
        step = min(4096, start)
        start -= step
        tail = os.pread(descriptor, step, start) + tail
    whole = tail.rfind(b"\n") + 1
    tail = tail[:whole]
    return (tail[tail[:-1].rfind(b"\n") + 1 :] if tail else b""), start + whole
