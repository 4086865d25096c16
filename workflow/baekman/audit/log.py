"""The events of the audit log: their writing, before the use that they record, and their reading."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from baekman.audit import noted_head
from baekman.audit.lines import FIRST, HASH, WORD, digest_of, last_line, line_of
from baekman.audit.noted_head import NotedHead, log_file
from baekman.audit.seen import read_seen
from baekman.audit.user import PURPOSE_VARIABLE, user_fields, word_of
from baekman.audit.verification import RESTART
from baekman.errors import InputRefused, Problem
from baekman.files import locks

CLOCK_TOLERANCE = timedelta(minutes=2)  # between the clocks of the machines that write a log
LOCK_SECONDS = 120.0  # an event takes milliseconds: a lock that is held longer belongs to a stopped process
_ROOM = 8 << 10  # bytes: more than the events of a command


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
    """Append one event, durably, and return it; several writers may do so at the same time.

    Call it before the use: when it raises, nothing may be shown or changed.

    Args:
        workspace: Folder of the workspace.
        action: A word such as ``withdraw``.
        object: A pseudonymous ID, several joined by commas, or the number of a snapshot.
        purpose: A word; by default the value of ``BAEKMAN_PURPOSE``.
        input_hash: Hash of the input, hex.
        output_hash: Hash of the output, hex.
        consent_hash: Hash of the consent in force, hex.

    Returns:
        The event, with ``FIELDS``; ``user_fields`` has those of the person.

    Raises:
        ValueError: A field has another form: no path, name or message belongs here.
        InputRefused: An environment variable is no word; the log that was there is gone, cut or replaced; or this user
            may not write it.
        OSError: The event could not be written, for example because the disk is full.
    """
    hashes = {"input_hash": input_hash, "output_hash": output_hash, "consent_hash": consent_hash}
    fields = _fields(action=action, object=object, purpose=purpose, hashes=hashes)
    with _open_log(workspace) as log:
        if log.newest:
            require_clock_after(log.newest["time"], of="the audit log")
        return log.append(workspace, fields)


@contextmanager
def use(workspace: Path, *, action: str, object: str = "", question: Any = None, **hashes: str) -> Iterator[None]:
    """Record a change or a use before the block (see ``record_use``), and ``<action>.failed`` when the block raises."""
    record_use(workspace, action=action, object=object, question=question, **hashes)
    try:
        yield
    except Exception:
        with suppress(OSError, InputRefused):  # the failure itself is what the user must read
            record_use(workspace, action=f"{action}.failed", object=object)
        raise


def record_use(workspace: Path, *, action: str, object: str = "", question: Any = None, **hashes: str) -> None:
    """Record a use of a cohort's data if its workspace keeps a log; call it before the use.

    The event has the hash of ``question``. Errors are those of ``record``: no use goes unrecorded.
    """
    if not noted_head.keeps_log(workspace):
        return
    if question is not None:
        text = json.dumps(question, sort_keys=True, default=str).encode()
        hashes["input_hash"] = hashlib.sha256(text).hexdigest()
    record(workspace, action=action, object=object, **hashes)


def record_once(workspace: Path, *, after: int, action: str, object: str = "", **hashes: str) -> None:
    """Record an event as ``record`` does, unless the log has one of this action and object after number ``after``.

    A command that was killed repeats its last effects; its event is repeated only where it is missing.
    """
    wanted = {"action": action, "object": object, **hashes}
    wanted.pop("consent_hash", None)
    recent = (event for event in events(workspace) if event["sequence"] > after)
    if not any(wanted.items() <= event.items() for event in recent):
        record(workspace, action=action, object=object, **hashes)


def require_ready(workspace: Path) -> None:
    """Raise what ``record`` would raise: for a command that must record its effects after them.

    No event is written, but the log is begun where there is none yet.
    """
    _fields(action="none", object="", purpose="", hashes={})
    with _open_log(workspace) as log:
        log.try_space()


def require_whole(workspace: Path, *, head: NotedHead | None = None, source: str = "this workspace") -> None:
    """Raise InputRefused when the log is gone, cut or replaced, by the head in ``workspace`` and by ``head``.

    ``source`` is the keeper of ``head``. A log that this user may not read is passed over.
    """
    heads = [(noted_head.read_head(workspace), "this workspace"), (head, source)]
    try:
        for noted, keeper in heads:
            noted_head.require_present(workspace, noted, source=keeper)
        descriptor = os.open(log_file(workspace), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return
    try:
        for noted, keeper in heads:
            noted_head.require_event(descriptor, noted, source=keeper)
    finally:
        os.close(descriptor)


def restart(workspace: Path, *, head: NotedHead | None = None) -> int | None:
    """Begin the log again after events were lost; return the number of the last lost event, None for a whole log.

    The new log begins with ``audit.restart``, with the number after the lost event. What is left of the old log stays
    next to it. ``head`` is a head that was noted in another place.
    """
    try:
        noted = noted_head.read_head(workspace)
        require_whole(workspace, head=head)
    except InputRefused:
        noted = _readable_head(workspace)
    else:
        return None
    file = log_file(workspace)
    last = _newest_of(file)
    seen = NotedHead(read_seen(workspace).audit, "", 0)
    lost = max((h for h in (noted, head, last, seen) if h is not None), key=lambda h: h.sequence)
    if os.path.lexists(file):
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        file.rename(file.with_name(f"events.until-{stamp}.jsonl"))
    fields = _fields(action=RESTART, object=str(lost.sequence), purpose="", hashes={"input_hash": lost.hash})
    with _open_log(workspace, is_first=True) as log:
        log.append(workspace, fields, after=(lost.sequence, lost.hash or FIRST))
    return lost.sequence


def last_link(workspace: Path) -> NotedHead:
    """Return the newest event of the log; number 0 for a log without events. Errors are those of ``require_ready``."""
    with _open_log(workspace) as log:
        return log.head


def last_sequence(workspace: Path) -> int:
    """Return the number of the newest event; 0 without a log."""
    event = newest(workspace)
    return int(event["sequence"]) if event else 0


def require_clock(workspace: Path) -> None:
    """Raise InputRefused when the clock is behind the newest event of ``workspace`` (see ``require_clock_after``).

    Also when the log that was there is gone, cut or replaced: without it nobody knows the newest event.
    """
    require_whole(workspace)
    event = newest(workspace)
    if event:
        require_clock_after(event["time"], of="the audit log")


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


def events(workspace: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of ``workspace``, oldest first, unverified."""
    file = log_file(workspace)
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):  # the rest of a line is no event: its writer was killed, or is writing
                    yield json.loads(line)


def events_of(workspace: Path, actions: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the events of ``actions``, oldest first, unverified; the others, which may be millions, are not parsed."""
    marks = [f'"{action}"'.encode() for action in actions]
    try:
        log = log_file(workspace).open("rb")
    except FileNotFoundError:
        return
    with log:
        for line in log:
            if line.endswith(b"\n") and any(mark in line for mark in marks):
                event = json.loads(line)
                if event["action"] in actions:
                    yield event


def kept_events(workspace: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of all logs of ``workspace``, oldest log first; lines that are no events are passed over."""
    log = log_file(workspace)
    for file in [*sorted(log.parent.glob("events.until-*.jsonl")), log]:
        if file.is_file():
            with file.open("rb") as lines:
                yield from filter(None, map(_event_in, lines))


def _event_in(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and {"action", "object", "time", "input_hash"} <= event.keys() else None


# -- the open log


@dataclass
class _OpenLog:
    """The log under its lock: ``head`` is its newest event, ``newest`` the fields of it (None for an empty log)."""

    file: Path
    descriptor: int
    head: NotedHead
    newest: dict[str, Any] | None

    def append(
        self, workspace: Path, fields: Mapping[str, Any], *, after: tuple[int, str] | None = None
    ) -> dict[str, Any]:
        """Append an event and note it as the head; when this fails, the log stays as it was.

        ``after`` is number and hash of the event before, by default those of ``head``.
        """
        sequence, previous = after or (self.head.sequence, self.head.hash)
        event = {
            "sequence": sequence + 1,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **fields,
            "registry": read_seen(workspace).registry,
            "previous": previous,
        }
        line = line_of(event)
        try:
            self._write(line)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.head.end)
            raise
        noted_head.note_head(workspace, NotedHead(sequence + 1, digest_of(line), self.head.end + len(line)))
        return event

    def try_space(self) -> None:
        """Raise OSError when the disk has no room for some events; the log stays as it was."""
        try:
            self._write(b" " * _ROOM)
        finally:
            os.ftruncate(self.descriptor, self.head.end)

    def _write(self, data: bytes) -> None:
        noted_head.write_all(self.descriptor, data)
        os.fsync(self.descriptor)


@contextmanager
def _open_log(workspace: Path, *, is_first: bool = False) -> Iterator[_OpenLog]:
    """Hold the log of ``workspace`` alone; ``is_first`` begins one where another was lost.

    Errors are those of ``record``.
    """
    file = log_file(workspace)
    try:
        if not is_first:
            noted_head.require_present(workspace, noted_head.read_head(workspace))
        with locks.exclusive(file, waits_for="the audit log", mode=0o600, limit=LOCK_SECONDS) as descriptor:
            if not is_first:
                # read under the lock: every event moves it
                noted_head.require_event(descriptor, noted_head.read_head(workspace))
            line = last_line(descriptor)
            newest = json.loads(line) if line else None
            end = os.fstat(descriptor).st_size
            head = NotedHead(newest["sequence"], digest_of(line), end) if newest else NotedHead(0, FIRST, end)
            yield _OpenLog(file, descriptor, head, newest)
    except TimeoutError:
        raise InputRefused(
            Problem(
                file="audit log",
                expected=f"a turn to write within {LOCK_SECONDS:.0f} seconds",
                found="a process that holds the log",
                action="end that process (`fuser` lists it), then run the same command again",
            )
        ) from None
    except OSError as failure:
        if not isinstance(failure, PermissionError) and failure.errno != errno.EROFS:
            raise OSError(failure.errno, os.strerror(failure.errno or 0), str(failure.filename or file)) from None
        raise InputRefused(
            Problem(
                file="audit log",
                expected="a log that this user may write: uses of individual data are recorded",
                found="one that only others may write",
                action="ask the data manager, or work on a release outside the workspace",
            )
        ) from None


def _fields(*, action: str, object: str, purpose: str, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return the checked fields of an event, except number, time and hash of the event before."""
    person = user_fields()
    words = {"action": action, "object": object, "purpose": purpose or word_of(PURPOSE_VARIABLE)}
    if not action:
        raise ValueError("audit: no action")
    for name, value in words.items():
        if value and not all(WORD.fullmatch(part) for part in value.split(",")):
            raise ValueError(f"audit: {name} is no plain word or identifier")
    for name, value in hashes.items():
        if value and not HASH.fullmatch(value):
            raise ValueError(f"audit: {name} is no hash")
    empty = dict.fromkeys(("input_hash", "output_hash", "consent_hash"), "")
    return {**person, **words, **empty, **hashes}


def newest(workspace: Path) -> dict[str, Any] | None:
    """Return the newest event, read without the lock; None without any, or without access."""
    try:
        descriptor = os.open(log_file(workspace), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):  # without access there is no use to record either
        return None
    try:
        last = last_line(descriptor, cuts=False)
    finally:
        os.close(descriptor)
    event: dict[str, Any] | None = json.loads(last) if last else None
    return event


def _newest_of(file: Path) -> NotedHead | None:
    """Return the last event of a log that may be damaged; None when there is none to read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            line = last_line(descriptor, cuts=False)
            return NotedHead(int(json.loads(line)["sequence"]), digest_of(line), os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
    return None


def _readable_head(workspace: Path) -> NotedHead | None:
    with suppress(InputRefused):
        return noted_head.read_head(workspace)
    return None
