"""Digests of files: SHA-256 in hex, alone and as a list in JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from baekman.files.atomic import write_text


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as they are on disk, in hex."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digests_of(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each of ``files`` by its path within ``folder``."""
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def write_digests(path: Path, digests: Mapping[str, str], *, durable: bool = True) -> None:
    """Write a list of digests as JSON, sorted by name; ``durable`` as in ``write_text``."""
    write_text(path, json.dumps(dict(sorted(digests.items())), indent=1) + "\n", durable=durable)


def read_digests(path: Path) -> dict[str, str] | None:
    """Read a list that ``write_digests`` wrote; return None when there is none. Raises ValueError for other content."""
    try:
        digests: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return digests
