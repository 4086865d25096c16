"""The contents of a file for the leak scan: bytes out of gzip, base64, Arrow columns and rows."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

_BASE64_GZIP = re.compile(rb"H4sI[A-Za-z0-9+/_-]{40,}={0,2}")


def chunks(opened: Any, start: bytes) -> Iterator[bytes]:
    """Yield ``start``, then the rest of an open file in chunks of at most 1 MiB."""
    if start:
        yield start
    while chunk := opened.read(1 << 20):
        yield bytes(chunk)


def prepended(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """Yield ``first``, then ``rest``."""
    yield first
    yield from rest


def gunzip(opened: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of the members of a gzip file in chunks of at most 1 MiB; EOFError for a truncated file."""
    pending = opened.read(1 << 20)
    while pending:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            data = member.decompress(pending, 1 << 20)
            pending = member.unconsumed_tail or (b"" if member.eof else opened.read(1 << 20))
            if data:
                yield data
            elif not pending and not member.eof:
                raise EOFError
        pending = (member.unused_data or opened.read(1 << 20)).lstrip(b"\0")


class EmbeddedGzip:
    """A collector of the gzip blobs in base64 in a stream; reports keep their figures so."""

    LARGEST = 64 << 20

    def __init__(self) -> None:
        self.blobs: list[bytes] = []

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield ``chunks`` unchanged; put the blobs in them into ``blobs``."""
        pending = b""
        for chunk in chunks:
            yield chunk
            pending += chunk
            end = 0
            for match in _BASE64_GZIP.finditer(pending):
                end = match.end()
                if end == len(pending) and len(pending) < self.LARGEST:
                    end = match.start()
                    break
                self._decode(match.group())
            # a possible beginning of a blob stays; the rest is done
            start = pending.find(b"H4sI", max(end, len(pending) - self.LARGEST))
            pending = pending[start if start >= 0 else max(end, len(pending) - 3) :]
        for match in _BASE64_GZIP.finditer(pending):
            self._decode(match.group())

    def _decode(self, text: bytes) -> None:
        text = text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        if len(text) % 4 == 1:  # the last character is not of the blob
            text = text[:-1]
        try:
            self.blobs.append(base64.b64decode(text + b"=" * (-len(text) % 4)))
        except binascii.Error:
            return


def flat(column: pa.Array) -> Iterator[pa.Array]:
    """Yield the leaves of a column of any nesting."""
    kind = column.type
    if pa.types.is_struct(kind):
        for leaf in column.flatten():
            yield from flat(leaf)
    elif pa.types.is_map(kind):
        yield from flat(column.keys)
        yield from flat(column.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from flat(column.flatten())
    elif pa.types.is_dictionary(kind):
        yield from flat(column.dictionary)
    else:
        yield column


def rows(values: pa.Array) -> Iterator[bytes]:
    """Yield the values of a leaf as text, one per line; no floating-point and truth values, which name nobody."""
    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        yield b"\n".join(value for value in values.to_pylist() if value is not None)
    elif not (pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        text = pc.unique(pc.cast(values, pa.large_string()))
        yield "\n".join(value for value in text.to_pylist() if value is not None).encode()


def sqlite_row(row: Sequence[Any]) -> bytes:
    """Return the values of a row as bytes, one per line."""
    return b"".join(
        (value if isinstance(value, bytes) else str(value).encode()) + b"\n" for value in row if value is not None
    )
