"""The text of a gVCF file: plain, gzip, BGZF or BCF."""

from __future__ import annotations

import gzip
import io
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from isal import igzip, isal_zlib

from baekman.files.bgzf import END
from baekman.tools import programs as tools

# errors that reading broken compressed data may raise
BROKEN: tuple[type[Exception], ...] = (
    EOFError,
    OSError,
    ValueError,
    zlib.error,
    cast(type[Exception], isal_zlib.error),
)


class LineTooLong(Exception):
    """A line is longer than a line of a gVCF may be."""


class CutLine(Exception):
    """The last line of a plain text has no newline."""


class UnreadableBcf(Exception):
    """A BCF that bcftools cannot read."""


class _BcfText:
    """A BCF as text, converted by bcftools."""

    def __init__(self, path: Path) -> None:
        command = [*tools.command("bcftools"), "view", "-Ov", str(path)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        self._text = self._process.stdout

    def read(self, size: int) -> bytes:
        """Return the next bytes; raise UnreadableBcf at the end if bcftools failed."""
        data = self._text.read(size)
        if not data and self._process.wait() != 0:
            raise UnreadableBcf
        return data

    def __enter__(self) -> _BcfText:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._text.close()
        self._process.terminate()
        self._process.wait()


def open_text(path: Path) -> IO[bytes] | _BcfText:
    """Open a gVCF as text.

    Raises OSError for a file that cannot be opened, EOFError for BGZF without its end marker, and zlib.error or
    gzip.BadGzipFile for a broken first block. Reading raises one of ``BROKEN``, or UnreadableBcf.
    """
    with path.open("rb") as raw:
        magic = raw.read(18)
        if magic[:2] != b"\x1f\x8b":
            if magic[:3] != b"BCF":
                return path.open("rb")
        elif magic[12:14] == b"BC":
            raw.seek(-min(len(END), path.stat().st_size), 2)
            if raw.read() != END:
                raise EOFError("no BGZF end marker")
    if magic[:3] != b"BCF":
        with gzip.open(path, "rb") as inside:
            magic = inside.read(3)
    if magic[:3] == b"BCF":
        return _BcfText(path)
    opener: Any = igzip.open  # it has no types
    return cast(IO[bytes], opener(path, "rb"))


def whole_lines(text: IO[bytes] | _BcfText, *, chunk_bytes: int, longest: int) -> Iterator[bytes | memoryview]:
    """Yield ``text`` in chunks of whole lines.

    Reads ``chunk_bytes`` at a time, and copies only the line that two readings share. Raises LineTooLong for a line of
    more than ``longest`` bytes, CutLine for a last line of a plain text without a newline (of compressed text the end
    is checked otherwise), and the errors of reading.
    """
    rest = b""
    while data := text.read(chunk_bytes):
        cut = data.rfind(b"\n") + 1
        if cut:
            begin = data.find(b"\n") + 1 if rest else 0
            if rest:
                yield rest + data[:begin]
            if cut > begin:
                yield memoryview(data)[begin:cut]
            rest = data[cut:]
        else:
            rest += data
            if len(rest) > longest:
                raise LineTooLong
    if rest:
        if isinstance(text, io.BufferedReader):
            raise CutLine
        yield rest + b"\n"
