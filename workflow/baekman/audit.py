"""The audit log: append-only events in a hash chain, without names, paths or exception texts.

``<workspace>/audit/events.jsonl`` has one event per line, canonical JSON, each with the SHA-256 of the line before. An
edit, a deletion, a change of order or a fork breaks the chain. A writer of the file can still cut its tail or compute a
whole new chain. Against that, save a *head* (``audit_head``) elsewhere from time to time; ``verify`` compares the log
with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from baekman.errors import InputRefused, Problem
from baekman.files import locks

FOLDER = "audit"
LOG_NAME = "events.jsonl"
ACTOR_VARIABLE = "BAEKMAN_ACTOR"
PURPOSE_VARIABLE = "BAEKMAN_PURPOSE"
FIRST = "0" * 64
CLOCK_TOLERANCE = timedelta(minutes=2)  # between the clocks of the machines that write a log

FIELDS = (
    "sequence",
    "time",
    "actor",
    "action",
    "object",
    "purpose",
    "input_hash",
    "output_hash",
    "consent_hash",
    "previous",
)
# fields that callers fill in: words and identifiers, so that no sentence, path or name gets in by accident
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:,-]{0,79}")
_HASH = re.compile(r"[0-9a-f]{32,128}")


@dataclass(frozen=True)
class BrokenLink:
    """A place at which a log is broken: the line (1-based; 0 for the log as a whole) and the problem."""

    line: int
    problem: str


def log_file(workspace: Path) -> Path:
    """Return the path of the log of ``workspace``."""
    return workspace / FOLDER / LOG_NAME


def record(
    workspace: Path,
    *,
    action: str,
    object: str = "",
    purpose: str = "",
    input_hash: str = "",
    output_hash: str = "",
    consent_hash: str = "",
) -> dict[str, Any]:
    """Append one event and return it; several writers may do so at the same time.

    Args:
        workspace: Folder of the workspace.
        action: A word such as ``withdraw``.
        object: A pseudonymous ID, several joined by commas, or the number of a snapshot.
        purpose: A word; by default the value of ``BAEKMAN_PURPOSE``.
        input_hash: Hash of the input, hex.
        output_hash: Hash of the output, hex.
        consent_hash: Hash of the consent in force, hex.

    Returns:
        The event, with ``FIELDS``. The actor is ``BAEKMAN_ACTOR``, or the number of the user.

    Raises:
        ValueError: A field has another form: no path, name or message belongs here.
        InputRefused: An environment variable is no word.
    """
    actor = _from_environment(ACTOR_VARIABLE) or f"uid:{os.getuid()}"
    purpose = purpose or _from_environment(PURPOSE_VARIABLE)
    words = {"action": action, "object": object, "purpose": purpose, "actor": actor}
    for name, value in words.items():
        if value and not all(_WORD.fullmatch(part) for part in value.split(",")):
            raise ValueError(f"audit: {name} is no plain word or identifier")
    hashes = {"input_hash": input_hash, "output_hash": output_hash, "consent_hash": consent_hash}
    for name, value in hashes.items():
        if value and not _HASH.fullmatch(value):
            raise ValueError(f"audit: {name} is no hash")
    if not action:
        raise ValueError("audit: no action")
    with _locked(log_file(workspace)) as descriptor:
        last = _last_line(descriptor)
        newest = json.loads(last) if last else None
        if newest:
            require_clock_after(newest["time"], of="the audit log")
        event = {
            "sequence": newest["sequence"] + 1 if newest else 1,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **words,
            **hashes,
            "previous": _digest(last) if last else FIRST,
        }
        os.write(descriptor, _line(event))
        os.fsync(descriptor)
    return event


def _from_environment(variable: str) -> str:
    value = os.environ.get(variable, "")
    if value and not _WORD.fullmatch(value):
        raise InputRefused(
            Problem(file=variable, expected="one word of letters, digits and _ . : -", found="something else")
        )
    return value


def record_use(workspace: Path, *, action: str, object: str = "", question: Any = None, **hashes: str) -> None:
    """Record a use of a cohort's data if its workspace keeps a log.

    The event has the hash of ``question``. InputRefused when the log may not be written: no use goes unrecorded.
    """
    if not log_file(workspace).is_file():
        return
    if question is not None:
        text = json.dumps(question, sort_keys=True, default=str).encode()
        hashes["input_hash"] = hashlib.sha256(text).hexdigest()
    try:
        record(workspace, action=action, object=object, **hashes)
    except PermissionError:
        raise InputRefused(
            Problem(
                file="audit log",
                expected="a log that this user may write: uses of individual data are recorded",
                found="one that only others may write",
                action="ask the data manager, or work on a release outside the workspace",
            )
        ) from None


def record_once(workspace: Path, *, after: int, action: str, object: str = "", **hashes: str) -> None:
    """Record an event as ``record`` does, unless the log has one of this action and object after number ``after``.

    A command that was killed repeats its last effects; its event is repeated only where it is missing.
    """
    wanted = {"action": action, "object": object, **hashes}
    wanted.pop("consent_hash", None)
    recent = (event for event in events(workspace) if event["sequence"] > after)
    if not any(wanted.items() <= event.items() for event in recent):
        record(workspace, action=action, object=object, **hashes)


def last_sequence(workspace: Path) -> int:
    """Return the number of the newest event; 0 without a log."""
    newest = _newest(workspace)
    return int(newest["sequence"]) if newest else 0


def require_clock(workspace: Path) -> None:
    """Raise InputRefused when the clock is behind the newest event of ``workspace`` (see ``require_clock_after``)."""
    newest = _newest(workspace)
    if newest:
        require_clock_after(newest["time"], of="the audit log")


def require_clock_after(time: str, *, of: str) -> None:
    """Raise InputRefused when the clock is over ``CLOCK_TOLERANCE`` behind ``time`` (ISO 8601, UTC), noted in ``of``.

    With such a clock a refusal would not have begun yet.
    """
    if datetime.now(UTC) < datetime.fromisoformat(time) - CLOCK_TOLERANCE:
        raise InputRefused(
            Problem(
                file="clock of this machine",
                expected=f"a time after the newest entry of {of}",
                found="an earlier one",
                action="set the clock; if the entry is wrong, ask the data manager",
            )
        )


def _newest(workspace: Path) -> dict[str, Any] | None:
    """Return the newest event, without a lock and without write access; None without any."""
    try:
        descriptor = os.open(log_file(workspace), os.O_RDONLY)
    except (FileNotFoundError, PermissionError):  # without access there is no use to record either
        return None
    try:
        last = _last_line(descriptor, cuts=False)
    finally:
        os.close(descriptor)
    newest: dict[str, Any] | None = json.loads(last) if last else None
    return newest


def events(workspace: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of ``workspace``, oldest first, unverified."""
    file = log_file(workspace)
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def verify(file: Path, *, head: Mapping[str, Any] | None = None) -> list[BrokenLink]:
    """Return every place at which the log ``file`` is broken, in order; an empty list when it is whole.

    ``head`` is a saved head with a verified signature (``read_head``): the log must still hold its event.
    """
    if not file.is_file():
        return [BrokenLink(0, "there is no log: deleted, or the workspace is another")]
    broken: list[BrokenLink] = []
    previous, expected = FIRST, 1
    seen: dict[str, int] = {}
    hash_at_head: str | None = None
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            event = _parsed(line)
            if event is None:
                broken.append(BrokenLink(number, "no event in canonical form: edited or torn"))
                previous, expected = _digest(line), expected + 1
                continue
            if event["previous"] != previous:
                broken.append(BrokenLink(number, _broken_link(event["previous"], seen, number)))
            if event["sequence"] != expected:
                problem = f"sequence {event['sequence']} where {expected} was expected"
                broken.append(BrokenLink(number, problem))
            previous, expected = _digest(line), event["sequence"] + 1
            seen[previous] = number
            if head is not None and event["sequence"] == head["sequence"]:
                hash_at_head = previous
    if head is not None and head["sequence"] > 0:
        if hash_at_head is None:
            broken.append(BrokenLink(0, f"event {head['sequence']} of the saved head is missing: truncated"))
        elif hash_at_head != head["hash"]:
            broken.append(BrokenLink(0, f"event {head['sequence']} is not that of the saved head: rewritten"))
    return broken


def _broken_link(previous: str, seen: Mapping[str, int], number: int) -> str:
    if previous in seen:
        return f"follows line {seen[previous]} and not line {number - 1}: a fork or a change of order"
    return "does not follow the line before: edited, deleted or in another order"


def last_link(workspace: Path) -> tuple[int, str]:
    """Return the sequence and the hash of the last event; 0 and ``FIRST`` for a log without events."""
    with _locked(log_file(workspace)) as descriptor:
        last = _last_line(descriptor)
    return (json.loads(last)["sequence"], _digest(last)) if last else (0, FIRST)


# -- lines


def _line(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or set(event) != set(FIELDS) or not isinstance(event["sequence"], int):
        return None
    return event if _line(event) == line else None


def _locked(file: Path) -> AbstractContextManager[int]:
    return locks.exclusive(file, waits_for="the audit log", mode=0o600)


def _last_line(descriptor: int, *, cuts: bool = True) -> bytes:
    """Return the last whole line; cut off a torn line after it, which a killed writer left and was never an event.

    Without ``cuts`` the torn line, which a writer may be completing, is passed over.
    """
    end = os.fstat(descriptor).st_size
    tail = b""
    start = end
    while start > 0 and tail[:-1].count(b"\n") < 1 + (not tail.endswith(b"\n")):
        step = min(4096, start)
        start -= step
        tail = os.pread(descriptor, step, start) + tail
    if tail and not tail.endswith(b"\n"):
        whole = tail.rfind(b"\n") + 1
        if cuts:
            os.ftruncate(descriptor, start + whole)
        tail = tail[:whole]
    return tail[:-1][tail[:-1].rfind(b"\n") + 1 :] + b"\n" if tail else b""
