"""The work file of a participant: what a gVCF says, shard by shard, between reading it and building its batch.

A part is a shard's call rows and reference segments, each a compressed message of Arrow IPC. Behind the parts stand a
summary (JSON), the index (where each message is, and its length when it is not compressed) and the tail (the lengths of
summary and index, and a checksum of all before it), so that building a shard reads of each participant what it needs
and no more.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.ipc as ipc

from baekman.cohort.schema import CALLS, REFERENCE
from baekman.files.atomic import atomic_file

MAGIC = b"BAEKPART"
CODEC = pa.Codec("lz4")
ENTRY = struct.Struct("<qq")
LENGTHS = struct.Struct("<qq")
CHECKSUM = struct.Struct("<q")
TAIL = struct.Struct("<qqq")  # both
CHECKED_BYTES = 1 << 20  # at a time


def write_parts(
    path: Path, parts: Iterable[tuple[pa.RecordBatch, pa.RecordBatch]], *, summary: Callable[[], Mapping[str, Any]]
) -> None:
    """Write ``parts`` (rows of schema CALLS, segments of REFERENCE) as they come, and then their ``summary``.

    The file appears whole or not at all, but for the machine itself stopping: see ``is_whole``.
    """
    index = []
    with atomic_file(path, durable=False) as temporary, temporary.open("wb") as file:
        at = file.write(MAGIC)
        checksum = zlib.crc32(MAGIC)
        for part in parts:
            for batch in part:
                message = batch.serialize()
                index.append(ENTRY.pack(at, message.size))
                compressed = CODEC.compress(message)
                checksum = zlib.crc32(compressed, checksum)
                at += file.write(compressed)
        text = json.dumps(summary()).encode()
        lengths = LENGTHS.pack(len(text), (1 + len(index)) * ENTRY.size)
        end = b"".join([text, *index, ENTRY.pack(at, 0), lengths])
        file.writelines([end, CHECKSUM.pack(zlib.crc32(end, checksum))])


def is_whole(path: Path) -> bool:
    """Whether a file is there and each of its bytes is as it was written, which only reading them all can tell."""
    try:
        with path.open("rb") as file:
            _text, _index, expected = _read_tail(file)
            left, found = file.seek(-CHECKSUM.size, os.SEEK_END), 0
            file.seek(0)
            while left:
                read = file.read(min(left, CHECKED_BYTES))
                found = zlib.crc32(read, found)
                left -= len(read)
    except (OSError, ValueError):
        return False
    return found == expected


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a file; raises OSError or ValueError where there is none that is whole."""
    with path.open("rb") as file:
        text, index, _checksum = _read_tail(file)
        file.seek(-TAIL.size - index - text, os.SEEK_END)
        found: dict[str, Any] = json.loads(file.read(text))
    return found


def read_parts(path: Path) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """All parts of a file, one after the other; raises as ``read_summary`` does."""
    with path.open("rb") as file:
        _text, index, _checksum = _read_tail(file)
    for number in range(index // ENTRY.size // 2):
        yield read_calls(path, number), read_reference(path, number)


def _read_tail(file: BinaryIO) -> tuple[int, int, int]:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - TAIL.size, 0))
    tail = file.read()
    text, index, checksum = TAIL.unpack(tail) if len(tail) == TAIL.size else (0, 0, 0)
    if text < 0 or index < ENTRY.size or TAIL.size + index + text > size:
        raise ValueError("no file of parts that is whole")
    return text, index, checksum


def read_calls(path: Path, number: int) -> pa.RecordBatch:
    """Call rows (schema CALLS) of part ``number``, from 0."""
    return _read_message(path, 2 * number, CALLS)


def read_reference(path: Path, number: int) -> pa.RecordBatch:
    """Reference segments (schema REFERENCE) of part ``number``, from 0."""
    return _read_message(path, 2 * number + 1, REFERENCE)


def _read_message(path: Path, number: int, schema: pa.Schema) -> pa.RecordBatch:
    file = os.open(path, os.O_RDONLY)
    try:
        tail = os.fstat(file).st_size - TAIL.size
        _text, index, _checksum = TAIL.unpack(os.pread(file, TAIL.size, tail))
        entries = os.pread(file, 2 * ENTRY.size, tail - index + number * ENTRY.size)
        at, size = ENTRY.unpack_from(entries)
        end, _ = ENTRY.unpack_from(entries, ENTRY.size)
        compressed = os.pread(file, end - at, at)
    finally:
        os.close(file)
    return ipc.read_record_batch(CODEC.decompress(compressed, size), schema)
