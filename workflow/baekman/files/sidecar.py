"""Files with their SHA-256 in a hidden file next to them (``.NAME.sha256``), for formats that have no room for it.

While a file is replaced, the hidden file has the digests of both contents, so a kill at any moment leaves a pair that
fits.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from baekman.errors import DamagedFile
from baekman.files.atomic import write_text
from baekman.files.digests import sha256_of


def sidecar_path(path: Path) -> Path:
    """Return the path of the file with the SHA-256 of ``path``."""
    return path.with_name(f".{path.name}.sha256")


def write_checked(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically, with its SHA-256 next to it."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    known = [sha256_of(path)] if path.is_file() else []
    write_text(sidecar_path(path), "".join(f"{accepted}\n" for accepted in dict.fromkeys([*known, digest])))
    write_text(path, text)
    write_text(sidecar_path(path), f"{digest}\n")


def read_checked(path: Path) -> str:
    """Return the text of ``path``; raise DamagedFile when it is not what ``write_checked`` wrote.

    A file without a SHA-256 next to it is of an earlier version, and passes.
    """
    data = path.read_bytes()
    try:
        accepted = sidecar_path(path).read_bytes().split()
    except FileNotFoundError:
        return data.decode()
    if hashlib.sha256(data).hexdigest().encode() not in accepted:
        raise DamagedFile(path)
    return data.decode()


def check_again(path: Path) -> None:
    """Write the SHA-256 next to ``path`` again after an edit, if it has one."""
    if sidecar_path(path).is_file():
        write_text(sidecar_path(path), f"{sha256_of(path)}\n")
