"""The text of a gVCF file: plain, gzip, BGZF or BCF."""

from __future__ import annotations

import gzip
import subprocess
import zlib
from pathlib import Path
from typing import IO, Any, cast

from isal import igzip, isal_zlib

from baekman.files.bgzf import END
from baekman.tools import programs as tools

# the errors that reading broken compressed data may raise
BROKEN: tuple[type[Exception], ...] = (
    EOFError,
    OSError,
    ValueError,
    zlib.error,
    cast(type[Exception], isal_zlib.error),
)


def open_text(path: Path) -> tuple[IO[bytes], subprocess.Popen[bytes] | None]:
    """Open a gVCF as text, and for a BCF also return the process that converts it, which the caller waits for.

    Raises OSError for a file that cannot be opened, EOFError for BGZF without its end marker, and zlib.error or
    gzip.BadGzipFile for a broken first block. Reading raises one of ``BROKEN``.
    """
    with path.open("rb") as raw:
        magic = raw.read(18)
        if magic[:2] != b"\x1f\x8b":
            if magic[:3] != b"BCF":
                return path.open("rb"), None
        elif magic[12:14] == b"BC":
            raw.seek(-min(len(END), path.stat().st_size), 2)
            if raw.read() != END:
                raise EOFError("no BGZF end marker")
    if magic[:3] != b"BCF":
        with gzip.open(path, "rb") as inside:
            magic = inside.read(3)
    if magic[:3] == b"BCF":
        viewer = subprocess.Popen(
            [*tools.command("bcftools"), "view", "-Ov", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert viewer.stdout is not None
        return viewer.stdout, viewer
    opener: Any = igzip.open  # it has no types
    return cast(IO[bytes], opener(path, "rb")), None
