"""BGZF, the block-wise gzip of BCF and VCF.gz (SAM specification 4.1); files may be joined end to end."""

from __future__ import annotations

import struct
import zlib
from typing import IO, Any

from isal import isal_zlib

BLOCK_BYTES = 0xFF00
LEVEL = 2  # ISA-L: the size of zlib's level 3 at more than ten times its speed
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_HEAD = struct.Struct("<4BI2BH2B2H")
_TAIL = struct.Struct("<2I")


def compress_block(data: Any) -> bytes:
    """Return one BGZF block of at most ``BLOCK_BYTES`` bytes of data."""
    body = isal_zlib.compress(data, LEVEL, -15)
    if len(body) > BLOCK_BYTES + 64:
        body = zlib.compress(data, 0, -15)
    size = _HEAD.size + len(body) + _TAIL.size
    head = _HEAD.pack(31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, size - 1)
    return head + body + _TAIL.pack(isal_zlib.crc32(data), len(data))


class BlockWriter:
    """Writer of bytes to ``raw`` as BGZF blocks; ``flush`` ends the last block. The caller writes the end marker."""

    def __init__(self, raw: IO[bytes]) -> None:
        self.raw = raw
        self._rest = bytearray()

    def write(self, data: Any) -> None:
        """Add bytes (anything with the buffer protocol)."""
        view = memoryview(data).cast("B")
        at = 0
        if self._rest:
            at = min(BLOCK_BYTES - len(self._rest), len(view))
            self._rest += view[:at]
            if len(self._rest) < BLOCK_BYTES:
                return
            self.raw.write(compress_block(self._rest))
            self._rest = bytearray()
        while len(view) - at >= BLOCK_BYTES:
            self.raw.write(compress_block(view[at : at + BLOCK_BYTES]))
            at += BLOCK_BYTES
        self._rest += view[at:]

    def flush(self) -> None:
        """Write the remaining bytes as a block of their own."""
        if self._rest:
            self.raw.write(compress_block(self._rest))
            self._rest = bytearray()
