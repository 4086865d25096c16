"""Files with secrets: whole or not there, and never readable by anyone but their owner."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import IO

from baekman.files.atomic import fsync_folder

MODE = 0o600
FOLDER_MODE = 0o700


def write_secret(path: Path, content: bytes, *, replace: bool = True) -> bool:
    """Write ``content`` to ``path`` with mode 0600, durably, whole or not at all; return whether it was written.

    The file has this mode before it has any content. A missing folder of ``path`` is made with mode 0700.
    Without ``replace`` a file that is there stays, also one that another process makes at the same moment.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    temporary = path.parent / _temporary_name(path, uuid.uuid4().hex)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    try:
        with os.fdopen(descriptor, "wb") as output:
            output.write(content)
            output.flush()
            os.fsync(output.fileno())
        if replace:
            temporary.replace(path)
        else:
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                return False
        fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def replace_secret(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` as ``write_secret`` does, and overwrite the bytes that were there before."""
    try:
        before = path.open("r+b")
    except FileNotFoundError:
        write_secret(path, content)
        return
    with before:
        write_secret(path, content)
        _overwrite(before)


def destroy_secret(path: Path) -> bool:
    """Overwrite and delete ``path`` and the copies that killed writers left; return whether any existed.

    Nobody may write to ``path`` at the same time.
    """
    secrets = [path, *path.parent.glob(_temporary_name(path, "*"))]
    existing = [secret for secret in secrets if secret.exists()]
    for secret in existing:
        with secret.open("r+b") as opened:
            _overwrite(opened)
        secret.unlink()
    if existing:
        fsync_folder(path.parent)
    return bool(existing)


def _overwrite(opened: IO[bytes]) -> None:
    opened.write(os.urandom(os.fstat(opened.fileno()).st_size))
    opened.flush()
    os.fsync(opened.fileno())


def _temporary_name(path: Path, unique: str) -> str:
    return f".{path.name}.{unique}.tmp"
