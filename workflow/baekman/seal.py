"""What a finished batch's files were when they were written: their SHA-256, for ``cohort verify``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from baekman.atomic import write_text


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def seal(folder: Path, *, inputs: str) -> None:
    """Write ``hashes.json`` of a batch's Parquet files, then ``inputs``, which says that the batch is complete."""
    files = sorted(path for path in folder.rglob("*.parquet") if not path.name.startswith("."))
    hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    write_text(folder / "hashes.json", json.dumps(hashes, indent=1) + "\n")
    write_text(folder / "inputs", inputs)


def read_hashes(folder: Path) -> dict[str, str] | None:
    """SHA-256 by path within the batch's folder; None when the batch is not sealed."""
    try:
        hashes: dict[str, str] = json.loads((folder / "hashes.json").read_text())
    except FileNotFoundError:
        return None
    return hashes
