"""Files that a stranger wrote: opened without following links, without blocking and only inside their folder."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


class FileFault(Exception):
    """A delivered file that must not or cannot be read.

    ``code`` is the reason code. The text describes the file without its path and without any of its content.
    """

    def __init__(self, code: str, found: str) -> None:
        self.code = code
        super().__init__(found)


class NoPermission(FileFault):
    """A delivered file without a fault that this user may not read."""

    def __init__(self) -> None:
        super().__init__("unreadable", "a file that may not be read")


def open_inside(folder: Path, relative: str) -> BinaryIO:
    """Open the plain file ``relative`` (parts separated by ``/``) below ``folder`` for reading.

    Each part is opened from the part before it without following links. So nothing outside ``folder`` can be reached,
    also when files change at the same time. FIFOs and devices do not block. Raises ``FileFault`` with code
    ``path_unsafe``, ``symbolic_link``, ``not_a_file``, ``file_missing`` or ``unreadable``.

    A name in another Unicode form (NFC, NFD) is the same name: disks and archives change the form.
    """
    parts = relative.split("/")
    if relative.startswith("/") or "\\" in relative or any(part in ("", ".", "..") for part in parts):
        raise FileFault("path_unsafe", "a path that could leave the folder")
    if "\0" in relative:
        raise FileFault("path_unsafe", "a NUL in the path")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        raise NoPermission from None
    except OSError:
        raise FileFault("file_missing", "no such folder") from None
    try:
        for part in parts[:-1]:
            child = _open_part(part, flags | os.O_DIRECTORY, parent)
            os.close(parent)
            parent = child
        descriptor = _open_part(parts[-1], flags, parent)
    finally:
        os.close(parent)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileFault("not_a_file", "a folder, FIFO, socket or device")
    return os.fdopen(descriptor, "rb", buffering=0)


def same_name(name: str) -> str:
    """Return the form in which ``name`` is compared with others: NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _in_other_form(part: str, parent: int) -> str | None:
    """Return the only entry of the folder ``parent`` with the name ``part`` in another Unicode form."""
    if part.isascii():
        return None
    alike = [name for name in os.listdir(parent) if name != part and same_name(name) == same_name(part)]
    return alike[0] if len(alike) == 1 else None


def _open_part(part: str, flags: int, parent: int) -> int:
    try:
        try:
            return os.open(part, flags, dir_fd=parent)
        except FileNotFoundError:
            part = _in_other_form(part, parent) or part
            return os.open(part, flags, dir_fd=parent)
    except OSError as fault:
        if fault.errno == errno.ELOOP or _is_link(part, parent):
            raise FileFault("symbolic_link", "a symbolic link") from None
        if fault.errno in (errno.ENOENT, errno.ENOTDIR):
            raise FileFault("file_missing", "no such file") from None
        if fault.errno == errno.ENXIO:
            raise FileFault("not_a_file", "a folder, FIFO, socket or device") from None
        if fault.errno == errno.ENAMETOOLONG:
            raise FileFault("path_unsafe", "a path too long to exist") from None
        if fault.errno in (errno.EACCES, errno.EPERM):
            raise NoPermission from None
        raise FileFault("unreadable", f"a file that cannot be opened ({errno.errorcode[fault.errno or 0]})") from None


def _is_link(part: str, parent: int) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(part, dir_fd=parent).st_mode)
    except OSError:
        return False


def unreadable_folders(folder: Path) -> int:
    """Return the number of folders, ``folder`` and those below it, that may not be listed or entered."""
    pending, unreadable = [folder], 0
    while pending:
        inside = pending.pop()
        try:
            with os.scandir(inside) as entries:
                pending += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
            unreadable += not os.access(inside, os.X_OK)
        except PermissionError:
            unreadable += 1
        except FileNotFoundError:  # it was moved at this moment
            continue
    return unreadable


def walk(folder: Path, *, limit: int = 1_000_000) -> Iterator[str]:
    """Yield the paths below ``folder`` (relative, ``/``-separated) of everything but folders; do not follow links.

    The walk ends after ``limit`` entries, so a hostile tree does not keep it going.
    """
    pending = [""]
    count = 0
    while pending:
        inside = pending.pop()
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                count += 1
                if count > limit:
                    return
                path = f"{inside}/{entry.name}" if inside else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                else:
                    yield path
