"""Causes of failures that no specimen has: a full or lost disk, a tool that is not installed."""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

LEAST_FREE = 16 << 20  # bytes of a disk that is not full
FULL_DISK = "the disk is full, or a quota is used up: make room"
# Words of a log that show a cause for which no specimen is held, and what to do about it.
SHARED_CAUSES = (
    (re.compile(r"No space left on device|Disk quota exceeded"), FULL_DISK),
    (re.compile(r"Read-only file system"), "the disk is read-only: mount it for writing"),
    (re.compile(r"Stale file handle"), "a network disk was lost: mount it again"),
    (
        re.compile(r"command not found|install it \(envs/"),
        "a tool is not installed: `baekman doctor` names it",
    ),
)
_SHARED_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ESTALE),
    *(errno.EMFILE, errno.ENFILE, errno.ENOLCK),
}


def shared_cause(text: str, *, folder: Path) -> str:
    """Return the cause that ``text`` of logs, or the disk of ``folder``, shows, with what to do; "" without one."""
    known = next((words for pattern, words in SHARED_CAUSES if pattern.search(text)), "")
    if not known and shutil.disk_usage(folder).free < LEAST_FREE:
        return FULL_DISK
    return known


def is_shared(failure: Exception, *, folder: Path) -> bool:
    """Return whether ``failure`` is one of the machine or of the disk of ``folder``, and so of all specimens."""
    is_of_system = isinstance(failure, OSError) and failure.errno in _SHARED_ERRORS
    return is_of_system or shutil.disk_usage(folder).free < LEAST_FREE
