"""The work file of a participant: what a gVCF says, shard by shard, between reading it and building its batch.

A part is a shard's call rows and reference segments, as two messages of Arrow IPC compressed together. Behind the parts
stand a summary (JSON), the index (where each part is, and how long its messages are) and the tail (the lengths of
summary and index), so that building a shard reads of each participant the part it needs and no more.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.ipc as ipc

from baekman.atomic import atomic_file
from baekman.schema import CALLS, REFERENCE

MAGIC = b"BAEKPART"
CODEC = pa.Codec("lz4")
ENTRY = struct.Struct("<qqq")  # where a part begins, and the lengths of its messages
TAIL = struct.Struct("<qq")


def write_parts(
    path: Path, parts: Iterable[tuple[pa.RecordBatch, pa.RecordBatch]], *, summary: Callable[[], Mapping[str, Any]]
) -> None:
    """Write ``parts`` (rows of schema CALLS, segments of REFERENCE) as they come, and then their ``summary``.

    The file appears whole or not at all, but for the machine itself stopping.
    """
    index = []
    with atomic_file(path, durable=False) as temporary, temporary.open("wb") as file:
        at = file.write(MAGIC)
        for calls, reference in parts:
            messages = calls.serialize(), reference.serialize()
            index.append(ENTRY.pack(at, messages[0].size, messages[1].size))
            at += file.write(CODEC.compress(b"".join(messages)))
        text = json.dumps(summary()).encode()
        file.writelines([text, *index, ENTRY.pack(at, 0, 0), TAIL.pack(len(text), (1 + len(index)) * ENTRY.size)])


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a file; raises OSError or ValueError where there is none that is whole."""
    with path.open("rb") as file:
        text, index = _read_tail(file)
        file.seek(-TAIL.size - index - text, os.SEEK_END)
        found: dict[str, Any] = json.loads(file.read(text))
    return found


def read_parts(path: Path) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """All parts of a file, one after the other; raises as ``read_summary`` does."""
    with path.open("rb") as file:
        _text, index = _read_tail(file)
    for number in range(index // ENTRY.size - 1):
        yield read_part(path, number)


def _read_tail(file: BinaryIO) -> tuple[int, int]:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - TAIL.size, 0))
    tail = file.read()
    text, index = TAIL.unpack(tail) if len(tail) == TAIL.size else (0, 0)
    if text < 0 or index < ENTRY.size or TAIL.size + index + text > size:
        raise ValueError("no file of parts that is whole")
    return text, index


def read_part(path: Path, number: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Call rows and reference segments of part ``number``, from 0."""
    file = os.open(path, os.O_RDONLY)
    try:
        tail = os.fstat(file).st_size - TAIL.size
        _text, index = TAIL.unpack(os.pread(file, TAIL.size, tail))
        entries = os.pread(file, 2 * ENTRY.size, tail - index + number * ENTRY.size)
        at, calls, reference = ENTRY.unpack_from(entries)
        end, _, _ = ENTRY.unpack_from(entries, ENTRY.size)
        compressed = os.pread(file, end - at, at)
    finally:
        os.close(file)
    messages = CODEC.decompress(compressed, calls + reference)
    return (
        ipc.read_record_batch(messages.slice(0, calls), CALLS),
        ipc.read_record_batch(messages.slice(calls), REFERENCE),
    )
