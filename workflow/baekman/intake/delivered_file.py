"""The bytes of a delivered file: opened safely, decrypted, decompressed and measured, always as a stream."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

from isal import isal_zlib

from baekman.files import bgzf
from baekman.files.untrusted import FileFault, open_inside
from baekman.intake.crypt4gh import RecipientKey, plaintext
from baekman.intake.manifest import ManifestRow

BLOCK = 1 << 20
# The inflater gets small pieces: at the end of each BGZF block it returns the rest of the piece as a copy.
PIECE = 1 << 17
# A real FASTQ or gVCF compresses to more than a hundredth of its size, a bomb to a thousandth.
EXPANSION_LIMIT = 200
EXPANSION_FREE = 64 << 20

CRAM_ENDS = (
    bytes.fromhex("0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b"),
    bytes.fromhex("0b000000ffffffff0fe0454f460000000001000001000606010001000100"),
)
_DAMAGED = cast(type[Exception], isal_zlib.error)
LONGEST_END = max(len(bgzf.END), *map(len, CRAM_ENDS))


@dataclass(frozen=True, kw_only=True)
class DeliveredFile:
    """One file of a delivery; ``key`` opens it when it is encrypted."""

    folder: Path
    row: ManifestRow
    key: RecipientKey | None

    def blocks(self) -> Iterator[bytes]:
        """Yield the file's plaintext, decrypted where it is encrypted. Raises ``FileFault``."""
        with open_inside(self.folder, self.row.file) as opened:
            if not self.row.encrypted:
                while block := opened.read(BLOCK):
                    yield block
            elif self.key is None:
                raise FileFault("decryption_failed", "an encrypted file, and no recipient key to open it")
            else:
                yield from plaintext(opened, self.key)

    def fingerprint(self) -> list[int]:
        """Return the file's size and times (ns), which change when the file is touched."""
        with open_inside(self.folder, self.row.file) as opened:
            status = os.fstat(opened.fileno())
        return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


class Measured:
    """Blocks that pass unchanged, while their size, checksums, beginning and end are noted."""

    def __init__(self, blocks: Iterable[bytes], *, md5: bool = False) -> None:
        self._blocks = iter(blocks)
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self.complete = False
        self._broken = False
        self.size = 0
        self.head = b""
        self.tail = b""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks; another iteration continues where the one before it stopped."""
        for block in self._unbroken():
            self._sha256.update(block)
            if self._md5:
                self._md5.update(block)
            self.size += len(block)
            if len(self.head) < PIECE:
                self.head += block[: PIECE - len(self.head)]
            self.tail = (self.tail + block[-LONGEST_END:])[-LONGEST_END:]
            yield block
        self.complete = not self._broken

    def _unbroken(self) -> Iterator[bytes]:
        try:
            # `yield from` would close the source when the reader stops early
            for block in self._blocks:  # noqa: UP028
                yield block
        except FileFault:
            self._broken = True
            raise

    @property
    def sha256(self) -> str:
        """Return the digest of the bytes that have passed, hexadecimal."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """Return the digest of the bytes that have passed, hexadecimal; "" unless asked for."""
        return self._md5.hexdigest() if self._md5 else ""

    @property
    def is_bgzf(self) -> bool:
        """Return whether the first bytes are those of a BGZF block."""
        return self.head[:4] == b"\x1f\x8b\x08\x04" and self.head[12:14] == b"BC"

    @property
    def is_cram(self) -> bool:
        """Return whether the first bytes are those of a CRAM file."""
        return self.head.startswith(b"CRAM")

    @property
    def is_bam(self) -> bool:
        """Return whether the first bytes are those of a BAM file."""
        if not self.is_bgzf:
            return False
        try:
            return zlib.decompressobj(31).decompress(self.head, 4) == b"BAM\1"
        except zlib.error:
            return False

    @property
    def has_end(self) -> bool:
        """Return whether the last bytes are the format's end marker; true for formats without one."""
        if self.is_cram:
            return self.tail.endswith(CRAM_ENDS)
        return not self.is_bgzf or self.tail.endswith(bgzf.END)


def expanded(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``blocks`` decompressed when they are gzip or BGZF (all members), else unchanged.

    Raises ``FileFault``: ``truncated``, ``unreadable``, or ``expansion_bomb`` when the output is larger than 64 MiB and
    than 200 times the input.
    """
    source = iter(blocks)
    first = b""
    while len(first) < 2 and (block := next(source, b"")):
        first += block
    if not first.startswith(b"\x1f\x8b"):
        yield first
        yield from source
        return
    inflater: Any = None
    consumed = produced = 0
    for piece in _pieces(chain([first], source)):
        consumed += len(piece)
        pending = piece
        while pending:
            if inflater is None:
                pending = pending.lstrip(b"\0")  # padding between members is permitted
                if not pending:
                    break
                inflater = isal_zlib.decompressobj(wbits=31)
            try:
                out = inflater.decompress(pending, BLOCK)
                while not inflater.eof and len(out) == BLOCK and not inflater.unconsumed_tail:
                    produced += len(out)
                    yield out
                    out = inflater.decompress(b"", BLOCK)
            except _DAMAGED:
                raise FileFault("unreadable", "damaged gzip data") from None
            produced += len(out)
            if produced > EXPANSION_FREE and produced > EXPANSION_LIMIT * consumed:
                raise FileFault("expansion_bomb", f"more than {EXPANSION_LIMIT} times its size when expanded")
            if out:
                yield out
            pending = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if inflater.eof:
                inflater = None
    if inflater is not None:
        raise FileFault("truncated", "gzip data that stops before its end")


def text_lines_bounded(blocks: Iterable[bytes], *, limit: int) -> Iterator[bytes]:
    """Yield ``blocks`` unchanged; raise ``FileFault`` (``unreadable``) at a NUL or a line longer than ``limit``."""
    length = 0
    for block in blocks:
        if b"\0" in block:
            raise FileFault("unreadable", "a NUL byte in a text file")
        first = block.find(b"\n")
        length += len(block) if first < 0 else first
        # a line inside one block is at most BLOCK long, which is less than any limit
        if length > limit:
            raise FileFault("unreadable", f"a line longer than {limit} bytes")
        if first >= 0:
            length = len(block) - block.rfind(b"\n") - 1
        yield block


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``blocks`` cut after the end of a line; only the last line may have no end."""
    rest: list[bytes] = []
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if not end:
            rest.append(block)
            continue
        yield b"".join([*rest, block[:end]])
        rest = [block[end:]] if block[end:] else []
    if rest:
        yield b"".join(rest)


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for start in range(0, len(block), PIECE):
            yield block[start : start + PIECE]
