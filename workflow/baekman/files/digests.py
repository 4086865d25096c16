"""Digests of files, lists of them, and JSON that notices its own damage.

A digest is the SHA-256 and the CRC-32 of a file's bytes, in hex with a space between. Readers compare the CRC-32, which
costs little; ``baekman cohort verify`` compares both.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from isal import isal_zlib

from baekman.errors import DamagedFile
from baekman.files.atomic import write_text

LIST = "hashes.json"  # the list of a folder's files
_SEAL = ',\n "sha256": "'
_END = '"\n}\n'
_HEX = 64
_PART = 1 << 18


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as they are on disk, in hex."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digest_of(path: Path) -> str:
    """Return the digest of a file's bytes."""
    sha256, crc32 = hashlib.sha256(), 0
    for part in _parts(path):
        sha256.update(part)
        crc32 = isal_zlib.crc32(part, crc32)
    return f"{sha256.hexdigest()} {crc32:08x}"


def crc32_of(path: Path) -> int:
    """Return the CRC-32 of a file's bytes."""
    crc32 = 0
    for part in _parts(path):
        crc32 = isal_zlib.crc32(part, crc32)
    return crc32


def _parts(path: Path) -> Iterator[memoryview]:
    """Yield the bytes of a file in one buffer that is filled again: new ones would cost more than the CRC-32."""
    buffer = memoryview(bytearray(_PART))
    with path.open("rb", buffering=0) as content:
        while count := content.readinto(buffer):
            yield buffer[:count]


def digest_of_bytes(data: bytes) -> str:
    """Return the digest of a file with the bytes ``data``."""
    return f"{hashlib.sha256(data).hexdigest()} {isal_zlib.crc32(data):08x}"


def has_digest(data: bytes, digest: str) -> bool:
    """Return whether ``data`` has the CRC-32 of ``digest``."""
    return f"{isal_zlib.crc32(data):08x}" == digest.rpartition(" ")[2]


def read_whole(path: Path, *, digest: str) -> bytes:
    """Return the bytes of a file; raise ``DamagedFile`` unless they have the CRC-32 of ``digest``."""
    data = path.read_bytes()
    if not has_digest(data, digest):
        raise DamagedFile(path)
    return data


def require_listed(folder: Path, names: Iterable[str]) -> None:
    """Raise ``DamagedFile`` unless the files ``names`` of a folder have the CRC-32 of its list.

    A file that this process has compared already is not read again while its size and time stay.
    """
    root, listed = str(folder), listed_digests(folder)
    for name in names:
        path = os.path.join(root, name)  # noqa: PTH118 - a question may read thousands of files
        status = os.stat(path)  # noqa: PTH116
        known = (listed.get(name, ""), status.st_ino, status.st_size, status.st_mtime_ns)
        if name not in listed or not _is_whole(path, *known):
            raise DamagedFile(folder / name)


@lru_cache(maxsize=1 << 16)
def _is_whole(path: str, digest: str, _inode: int, _size: int, _changed: int) -> bool:
    return f"{crc32_of(Path(path)):08x}" == digest.rpartition(" ")[2]


# -- JSON


def write_sealed(path: Path, value: Mapping[str, Any], *, durable: bool = True) -> None:
    """Write an object as JSON with the SHA-256 of its text as the last key; ``durable`` as in ``write_text``."""
    write_text(path, sealed_text(value), durable=durable)


def sealed_text(value: Mapping[str, Any]) -> str:
    """Return an object as JSON with ``sha256`` as its last key: the SHA-256 of the text before this key."""
    if not value:
        raise ValueError("an empty object has no seal")
    body = json.dumps({key: value[key] for key in value if key != "sha256"}, indent=1, ensure_ascii=False)[:-2]
    return f"{body}{_SEAL}{hashlib.sha256(body.encode()).hexdigest()}{_END}"


def read_sealed(path: Path) -> dict[str, Any]:
    """Return the object that ``write_sealed`` wrote, without ``sha256``; raise ``DamagedFile`` for other text."""
    value = unsealed(path.read_bytes())
    if value is None:
        raise DamagedFile(path)
    return value


def unsealed(data: bytes) -> dict[str, Any] | None:
    """Return the object of a text of ``sealed_text``; None when one of its bytes differs."""
    end = len(data) - len(_END) - _HEX - len(_SEAL)
    if end < 1 or data[end : end + len(_SEAL)] != _SEAL.encode() or not data.endswith(_END.encode()):
        return None
    if data[end + len(_SEAL) : -len(_END)] != hashlib.sha256(data[:end]).hexdigest().encode():
        return None
    value: dict[str, Any] = json.loads(data[:end] + b"\n}")
    return value


# -- lists


def digests_of(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """Return the digest of each of ``files`` by its path within ``folder``."""
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in files}


def write_digests(path: Path, digests: Mapping[str, str], *, durable: bool = True) -> None:
    """Write a list of digests as JSON, sorted by name; ``durable`` as in ``write_text``."""
    write_sealed(path, {"files": dict(sorted(digests.items()))}, durable=durable)


def read_digests(path: Path) -> dict[str, str] | None:
    """Read a list that ``write_digests`` wrote; return None when there is none. Raises DamagedFile for other text."""
    try:
        digests: dict[str, str] = read_sealed(path)["files"]
    except FileNotFoundError:
        return None
    return digests


def listed_digest(folder: Path, name: str) -> str:
    """Return the digest of the file ``name`` by the list of its ``folder``.

    Raises:
        DamagedFile: The list is damaged, or does not have the file.
        FileNotFoundError: There is no list, as in a folder that another command deletes.
    """
    digest = listed_digests(folder).get(name)
    if digest is None:
        raise DamagedFile(folder / name)
    return digest


def listed_digests(folder: Path) -> Mapping[str, str]:
    """Return the digests of the list of a ``folder`` by name; raise as ``listed_digest`` does."""
    path = folder / LIST
    status = path.stat()
    return _listed(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _listed(path: Path, _inode: int, _size: int, _changed: int) -> dict[str, str]:
    digests: dict[str, str] = read_sealed(path)["files"]
    return digests
