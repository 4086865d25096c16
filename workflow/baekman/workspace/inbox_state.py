"""The state of a watched inbox, in ``watch/<number>.json``; the number is that of the inbox in its file system.

``baekman watch`` writes it and holds a lock that ends with its process; ``baekman status`` reads both. Folders have
their numbers too, since their names may be an institution's.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from baekman.files.atomic import write_text
from baekman.files.locks import is_held, open_for_lock, try_lock
from baekman.workspace.paths import Workspace

SCHEMA_VERSION = "1"

FolderState = Literal["delivered", "finished", "busy", "waits", "refused", "no_delivery"]


@dataclass(frozen=True, kw_only=True)
class InboxFolder:
    """A folder of an inbox that waits or is refused.

    ``number``: in the file system, as ``find -inum`` takes it. ``reason``: a fixed word. ``message``: in words, without
    a name. ``since``: when this was seen first, ISO 8601 in UTC.
    """

    number: int
    state: FolderState
    reason: str
    message: str
    since: str


class InboxRecorder:
    """The writer of the state of one inbox; a state that cannot be written stops no watch.

    The process that made it first holds the lock until it ends; others on the same inbox write nothing.
    """

    def __init__(self, inbox: Path, *, workspace: Workspace) -> None:
        self._number = inbox.stat().st_ino
        self._file = workspace.watched / f"{self._number}.json"
        self._descriptor: int | None = None
        self._is_first = True
        with contextlib.suppress(OSError):
            self._descriptor = open_for_lock(_lock_of(self._file))
            self._is_first = try_lock(self._descriptor)

    def write(self, folders: Sequence[InboxFolder], *, counts: dict[str, int]) -> None:
        """Write the ``folders`` that wait or are refused, and the number of all folders by state."""
        if not self._is_first:
            return
        content = {
            "schema": SCHEMA_VERSION,
            "inbox": self._number,
            "looked": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": platform.node(),
            "process": os.getpid(),
            "counts": counts,
            "folders": [asdict(folder) for folder in folders],
        }
        with contextlib.suppress(OSError):
            write_text(self._file, json.dumps(content, indent=1) + "\n", durable=False)

    def close(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read_inboxes(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Yield the content of each state file, with ``is_watched``: whether a process watches now, or null."""
    for file in sorted(workspace.watched.glob("*.json")):
        try:
            content = dict(json.loads(file.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        yield {**content, "is_watched": is_held(_lock_of(file))}


def _lock_of(file: Path) -> Path:
    return file.with_name(f".{file.stem}.lock")
