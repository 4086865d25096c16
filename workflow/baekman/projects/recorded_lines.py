"""Files that only grow: each line has the SHA-256 of the line before, and its own is in the audit log first.

A line that was edited, removed, added by hand or moved is noticed, the last one too. A writer notes the line next to
the file before its event is recorded. So a kill at any moment leaves either a line that is to be added by the next
command, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from baekman import audit
from baekman.audit.lines import FIRST, digest_of
from baekman.audit.verification import RESTART
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_file
from baekman.files.locks import exclusive, shared

LOCK_SECONDS = 120.0


@dataclass(frozen=True)
class RecordedLine:
    """A line with the time of its event in the audit log."""

    data: bytes
    recorded: datetime

    @property
    def digest(self) -> str:
        """The SHA-256 (hex), which the event and the next line have."""
        return digest_of(self.data)


@dataclass(frozen=True, kw_only=True)
class RecordedLines:
    """A file of such lines.

    Attributes:
        workspace: The workspace with the audit log.
        file: The file, which need not exist.
        action: The action of the events.
        object: The word that the objects of its events begin with; "" where every event of ``action`` is one of them.
        previous_of: Returns the SHA-256 of the line before, which a line holds.
    """

    workspace: Path
    file: Path
    action: str
    object: str
    previous_of: Callable[[bytes], str]

    def read(self) -> list[RecordedLine]:
        """Return the lines in their order.

        Where the audit log was begun again, lines from before have lost their events and count no more.

        Raises:
            InputRefused: A line was edited, removed, added or moved by hand, or the log is not whole.
        """
        if not self.file.parent.is_dir():
            return []
        with shared(self._lock, waits_for="another command that adds to the file"):
            return self._lines()

    @contextmanager
    def appending(self) -> Iterator[tuple[list[RecordedLine], Callable[..., None]]]:
        """Yield the lines and a function that appends one, while no other command does.

        The function takes the line and the ``object`` of its event. Errors are those of ``read``; also InputRefused
        when another process holds the file for too long.
        """
        try:
            with exclusive(self._lock, waits_for="another command that adds to the file", limit=LOCK_SECONDS):
                lines = self._lines()
                self._settle(lines)
                yield lines, self._append
        except TimeoutError:
            raise self._refused(
                f"a turn to write within {LOCK_SECONDS:.0f} seconds",
                "a process that holds the file",
                "end that process, then run the same command again",
            ) from None

    def last_digest(self) -> str:
        """Return the SHA-256 of the last line, for the next one; the lock is held."""
        data = self._stored()
        return digest_of(data[-1]) if data else FIRST

    @property
    def _lock(self) -> Path:
        return self.file.with_name(f".{self.file.name}.lock")

    @property
    def _pending(self) -> Path:
        return self.file.with_name(f".{self.file.name}.pending")

    def _append(self, line: bytes, *, object: str) -> None:
        with atomic_file(self._pending) as temporary:
            temporary.write_bytes(line)
        audit.record(self.workspace, action=self.action, object=object, input_hash=digest_of(line))
        self._write([*self._stored(), line])
        self._pending.unlink()

    def _settle(self, lines: list[RecordedLine]) -> None:
        """Write the line of a command that was killed after its event was recorded, or forget it."""
        if self._pending.is_file():
            pending = self._pending.read_bytes()
            if lines and lines[-1].data == pending and pending not in self._stored():
                self._write([*self._stored(), pending])
            self._pending.unlink()

    def _write(self, lines: list[bytes]) -> None:
        with atomic_file(self.file) as temporary:
            temporary.write_bytes(b"".join(lines))

    def _stored(self) -> list[bytes]:
        return self.file.read_bytes().splitlines(keepends=True) if self.file.is_file() else []

    def _lines(self) -> list[RecordedLine]:
        audit.require_whole(self.workspace)
        events = {event["input_hash"]: event for event in self._events()}
        data = self._stored()
        pending = self._pending.read_bytes() if self._pending.is_file() else b""
        if pending and pending not in data and digest_of(pending) in events:
            data.append(pending)  # its writer was killed after the event
        digests = [digest_of(line) for line in data]
        for line, before in zip(data, [FIRST, *digests], strict=False):
            if self.previous_of(line) != before:
                raise self._changed("lines in the order of their making", "another order")
        known = [digest in events for digest in digests]
        begin = known.index(True) if True in known else len(known)
        if not all(known[begin:]) or (begin and not self._was_restarted()):
            raise self._changed("lines that are in the audit log", "another")
        if len(set(digests)) < len(digests) or events.keys() - set(digests):
            raise self._changed("each line that is in the audit log", "fewer: one was removed")
        return [
            RecordedLine(line, datetime.fromisoformat(events[digest]["time"]))
            for line, digest in zip(data[begin:], digests[begin:], strict=True)
        ]

    def _events(self) -> Iterator[dict[str, Any]]:
        for event in audit.events_of(self.workspace, {self.action}):
            if not self.object or event["object"].partition(",")[0] == self.object:
                yield event

    def _was_restarted(self) -> bool:
        first = next(audit.events(self.workspace), None)
        return first is not None and first["action"] == RESTART

    def _changed(self, expected: str, found: str) -> InputRefused:
        return self._refused(expected, found, "the file was changed by hand: restore it from a back-up")

    def _refused(self, expected: str, found: str, action: str) -> InputRefused:
        problem = Problem(file=self.file.name, place=self.object, expected=expected, found=found, action=action)
        return InputRefused(problem)
