"""What a finished batch's files were when they were written: their SHA-256, for ``cohort verify``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from baekman.files.atomic import write_text


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def hashes_of(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of ``files`` by their path within ``folder``."""
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def seal(folder: Path, of_shards: Iterable[Mapping[str, str]], *, inputs: str) -> None:
    """Write ``hashes.json`` of a batch's Parquet files, then ``inputs``, which says that the batch is complete.

    ``of_shards``: what ``hashes_of`` says of the files of each shard; the roster is added here.
    """
    hashes = hashes_of(folder, [folder / "roster.parquet"])
    for of_shard in of_shards:
        hashes |= of_shard
    write_text(folder / "hashes.json", json.dumps(dict(sorted(hashes.items())), indent=1) + "\n")
    write_text(folder / "inputs", inputs)


def read_hashes(folder: Path) -> dict[str, str] | None:
    """SHA-256 by path within the batch's folder; None when the batch is not sealed."""
    try:
        hashes: dict[str, str] = json.loads((folder / "hashes.json").read_text())
    except FileNotFoundError:
        return None
    return hashes
