"""The head of the audit log that the workspace notes outside the log's folder, in ``<workspace>/audit.head``.

Every event moves it. A log that is gone, cut or replaced does not hold the noted event any more.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from baekman.audit.lines import HASH, digest_of, event_of, line_before
from baekman.audit.seen import read_seen
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import fsync_folder

FOLDER = "audit"
LOG_NAME = "events.jsonl"
HEAD_NAME = "audit.head"
# a workspace with one of these has kept a log since the file was made; lists are there with a registry elsewhere too
SIGNS = (Path("registry", "registry.sqlite"), Path("denied.txt"), Path("granted.txt"))


@dataclass(frozen=True)
class NotedHead:
    """An event of a log: its number, the SHA-256 of its line, and the bytes of the log up to its end."""

    sequence: int
    hash: str
    end: int


def log_file(workspace: Path) -> Path:
    """Return the path of the log of ``workspace``."""
    return workspace / FOLDER / LOG_NAME


def head_file(workspace: Path) -> Path:
    """Return the path of the noted head of ``workspace``."""
    return workspace / HEAD_NAME


def keeps_log(workspace: Path) -> bool:
    """Return whether ``workspace`` has a log, or had one: a head or an event is noted, or there is a registry."""
    return _is_there(log_file(workspace)) or _is_there(head_file(workspace)) or _had_log(workspace)


def workspace_of(path: Path) -> Path | None:
    """Return the nearest folder that keeps a log and is ``path`` or contains it; None without any."""
    absolute = path.resolve()
    folders = (folder for folder in (absolute, *absolute.parents) if folder.is_dir())
    return next((folder for folder in folders if keeps_log(folder)), None)


def read_head(workspace: Path) -> NotedHead | None:
    """Return the noted head of ``workspace``; None without any. InputRefused when it is damaged."""
    try:
        values = json.loads(head_file(workspace).read_text("ascii"))
        head = NotedHead(sequence=int(values["sequence"]), hash=str(values["hash"]), end=int(values["end"]))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, IsADirectoryError):
        head = None
    if head is None or not HASH.fullmatch(head.hash):
        raise lost("a head as this workspace noted it", "something else", file=HEAD_NAME)
    return head


def note_head(workspace: Path, head: NotedHead) -> None:
    """Note ``head``, durably; only the holder of the log's lock may call it."""
    file = head_file(workspace)
    temporary = file.with_name(f".{HEAD_NAME}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(descriptor, json.dumps(asdict(head), sort_keys=True).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(file)
    fsync_folder(workspace)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``; a disk that is almost full takes a part of it."""
    while data:
        data = data[os.write(descriptor, data) :]


def require_present(workspace: Path, head: NotedHead | None, *, source: str = "this workspace") -> None:
    """Raise InputRefused when ``workspace`` had a log, by ``head`` of ``source`` or its registry, and it is gone."""
    file = log_file(workspace)
    if file.is_file():
        return
    found = "something that is no file" if _is_there(file) else "no log"
    if head is not None:
        raise lost(f"event {head.sequence}, which {source} has noted", found, source=source)
    if found != "no log" or _had_log(workspace):
        raise lost("the log of this workspace, which has a registry", found)


def require_event(descriptor: int, head: NotedHead | None, *, source: str = "this workspace") -> None:
    """Raise InputRefused when the open log does not hold the event of ``head``, which ``source`` has noted."""
    if head is None or head.sequence == 0:
        return
    size = os.fstat(descriptor).st_size
    line, end = line_before(descriptor, head.end)
    if size >= head.end == end and digest_of(line) == head.hash:
        return
    first = event_of(line_at_start(descriptor))
    last = event_of(line_before(descriptor, size)[0])
    if first is not None and first["action"] == "audit.restart" and first["sequence"] > head.sequence:
        return  # its loss is in the log
    found = "another event in its place" if last and last["sequence"] >= head.sequence else "a log that ends before it"
    raise lost(f"event {head.sequence}, which {source} has noted", found, source=source)


def line_at_start(descriptor: int) -> bytes:
    """Return the first line of the open log, with its line feed."""
    head = os.pread(descriptor, 4096, 0)
    return head[: head.find(b"\n") + 1]


def lost(expected: str, found: str, *, file: str = "audit log", source: str = "this workspace") -> InputRefused:
    """Return the refusal of work without the log that was there, by the note of ``source``."""
    # only a command that opens the registry knows the number after which the log begins again
    command = "audit restart" if source == "this workspace" else "restore check"
    return InputRefused(
        Problem(
            file=file,
            expected=expected,
            found=found,
            action=f"restore {FOLDER}/{LOG_NAME} and {HEAD_NAME} from a back-up; "
            f"if the log is lost, `baekman {command}` begins another that says so",
        )
    )


def _had_log(workspace: Path) -> bool:
    return any(_is_there(workspace / sign) for sign in SIGNS) or read_seen(workspace).audit > 0


def _is_there(path: Path) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        try:
            path.lstat()
        except PermissionError:  # a folder that this user may not search
            return True
        return True
    return False
