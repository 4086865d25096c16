"""The header of a delivered CRAM, rewritten before htslib reads it: it must not name files for htslib to open.

htslib opens the file or address that ``UR`` of an ``@SQ`` line names, and takes ``M5`` for a path in its search path,
where the reference that it was given lacks a sequence. The layout is that of the CRAM format specification, version
3.1, sections 6 to 8 (samtools/hts-specs).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from baekman.files.untrusted import FileFault

HEADER_LIMIT = 64 << 20  # bytes
DEFINITION = 26  # bytes of the file definition: magic, version, file ID
VERSIONS = (2, 3)
RAW, GZIP, BZIP2, LZMA = range(4)
FILE_HEADER = 0


def without_references(blocks: Iterable[bytes], header: bytearray | None = None) -> Iterator[bytes]:
    """Yield the BAM or CRAM ``blocks``; the @SQ lines of a CRAM come without ``UR`` and ``M5``.

    ``header`` receives the text of a CRAM's header as it was delivered. Raises ``FileFault`` (``unreadable``) for a
    malformed header, or a version of CRAM other than 2 and 3.
    """
    source = iter(blocks)
    first = b""
    while len(first) < 4 and (block := next(source, b"")):
        first += block
    if not first.startswith(b"CRAM"):
        yield first
        yield from source
        return
    reader = _Reader(chain([first], source))
    definition = reader.take(DEFINITION)
    version = definition[4]
    if version not in VERSIONS:
        raise FileFault("unreadable", "a CRAM of another version than 2 and 3")
    text = _read_header(reader, has_crc=version >= 3)
    if header is not None:
        header[:] = text
    yield definition + _container(cleaned(text), has_crc=version >= 3)
    yield from reader.rest()


def cleaned(header: bytes) -> bytes:
    """Return a SAM header without ``UR`` and ``M5`` in its @SQ lines."""
    return b"\n".join(
        b"\t".join(item for item in line.split(b"\t") if item[:3] not in (b"UR:", b"M5:"))
        if line.startswith(b"@SQ")
        else line
        for line in header.split(b"\n")
    )


@dataclass
class _Reader:
    """The bytes of ``source``, in the pieces that are asked for."""

    source: Iterator[bytes]
    pending: bytes = b""

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes. Raises ``FileFault`` where there are fewer."""
        if not 0 <= size <= HEADER_LIMIT:
            raise _malformed()
        parts, held = [self.pending], len(self.pending)
        while held < size and (block := next(self.source, b"")):
            parts.append(block)
            held += len(block)
        joined = b"".join(parts)
        if held < size:
            raise _malformed()
        self.pending = joined[size:]
        return joined[:size]

    def number(self) -> int:
        """Return the next number, ITF8 or LTF8: the ones at the front of the first byte count the further bytes."""
        first = self.take(1)[0]
        more = 0
        while more < 8 and first & (0x80 >> more):
            more += 1
        value = first & (0xFF >> (more + 1)) if more < 8 else 0
        if more == 4:
            # the fifth byte of ITF8 holds four bits; LTF8 has no such number in a header's container
            rest = self.take(4)
            return ((first & 0x0F) << 28) | int.from_bytes(rest[:3], "big") << 4 | (rest[3] & 0x0F)
        return value << (8 * more) | int.from_bytes(self.take(more), "big")

    def rest(self) -> Iterator[bytes]:
        """Yield all further bytes."""
        yield self.pending
        yield from self.source


def _read_header(reader: _Reader, *, has_crc: bool) -> bytes:
    """Return the text of the header; ``reader`` is then after its container."""
    size = int.from_bytes(reader.take(4), "little", signed=True)
    for _ in range(7):  # reference, start, span, records, counter, bases, blocks
        reader.number()
    landmarks = reader.number()
    if landmarks > 1024:
        raise _malformed()
    for _ in range(landmarks):
        reader.number()
    if has_crc:
        reader.take(4)
    body = _Reader(iter([reader.take(size)]))
    method, kind = body.take(2)
    body.number()  # the content ID
    packed, raw = body.number(), body.number()
    if kind != FILE_HEADER or not 4 <= raw <= HEADER_LIMIT:
        raise _malformed()
    content = _expanded(body.take(packed), method)
    length = int.from_bytes(content[:4], "little", signed=True)
    if len(content) != raw or not 0 <= length <= raw - 4:
        raise _malformed()
    text = content[4 : 4 + length].rstrip(b"\0")
    if b"\0" in text:
        raise _malformed()
    return text


def _expanded(packed: bytes, method: int) -> bytes:
    """Return the content of a block. Raises ``FileFault`` for damage, another method, or more than HEADER_LIMIT."""
    try:
        if method == RAW:
            return packed
        if method == GZIP:
            return zlib.decompressobj(47).decompress(packed, HEADER_LIMIT + 1)
        if method == BZIP2:
            return bz2.BZ2Decompressor().decompress(packed, HEADER_LIMIT + 1)
        if method == LZMA:
            return lzma.LZMADecompressor().decompress(packed, HEADER_LIMIT + 1)
    except (zlib.error, OSError, ValueError, EOFError, lzma.LZMAError):
        pass
    raise _malformed()


def _container(text: bytes, *, has_crc: bool) -> bytes:
    """Return a container with one block that holds ``text`` as it is."""
    content = len(text).to_bytes(4, "little") + text
    block = bytes([RAW, FILE_HEADER, 0]) + _itf8(len(content)) * 2 + content
    if has_crc:
        block += zlib.crc32(block).to_bytes(4, "little")
    # reference, start, span, records, counter and bases are 0; one block, one landmark at 0
    head = len(block).to_bytes(4, "little") + bytes([0, 0, 0, 0, 0, 0, 1, 1, 0])
    if has_crc:
        head += zlib.crc32(head).to_bytes(4, "little")
    return head + block


def _itf8(number: int) -> bytes:
    """Return a number below 2**28 as ITF8."""
    if number < 0x80:
        return bytes([number])
    more = 1 if number < 1 << 14 else 2 if number < 1 << 21 else 3
    encoded = bytearray(number.to_bytes(more + 1, "big"))
    encoded[0] |= (0xFF << (8 - more)) & 0xFF
    return bytes(encoded)


def _malformed() -> FileFault:
    return FileFault("unreadable", "a CRAM header that its format does not allow")
