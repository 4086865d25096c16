"""Parts: the rows of a batch that is being added, spread over buckets on disk in the order of their arrival."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import concat, take
from baekman.errors import InputRefused, Problem
from baekman.pseudonyms import PARTICIPANT_ID
from baekman.records.store import RecordStore

_ROWS_AT_A_TIME = 1 << 20


def write_parts(store: RecordStore, batches: Iterable[pa.RecordBatch], folder: Path, *, schema: pa.Schema) -> set[str]:
    """Write the rows of ``batches`` to ``folder/<bucket>.arrow``; return the buckets that have rows.

    Raises InputRefused for another schema, a null where none may be, or an ID that cannot be one.
    """
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        files: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        for table in _grouped(batches, schema, kind=folder.name):
            buckets = _buckets_of(store, table)
            order = np.argsort(buckets.astype(np.uint8), kind="stable")
            rows, ordered = take(table, order), buckets[order]
            starts = np.flatnonzero(np.diff(ordered, prepend=-1))
            for start, end in zip(starts, [*starts[1:], len(ordered)], strict=True):
                bucket = int(ordered[start])
                if bucket not in files:
                    path = folder / f"{bucket:02x}.arrow"
                    files[bucket] = stack.enter_context(pa.ipc.new_stream(str(path), schema))
                files[bucket].write_table(rows.slice(start, end - start))
    return {f"{bucket:02x}" for bucket in files}


def read_part(folder: Path, bucket: str, *, schema: pa.Schema) -> pa.Table:
    """Return the rows of a bucket that ``write_parts`` wrote; an empty table where it has none."""
    path = folder / f"{bucket}.arrow"
    if not path.is_file():
        return schema.empty_table()
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
        return reader.read_all()


def part_digest(folders: Iterable[Path], bucket: str) -> str:
    """Return the SHA-256 of the parts of a bucket in ``folders``."""
    digest = hashlib.sha256()
    for folder in folders:
        path = folder / f"{bucket}.arrow"
        digest.update(f"{path.stat().st_size if path.is_file() else 0}\n".encode())
        if path.is_file():
            with path.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _grouped(batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, kind: str) -> Iterator[pa.Table]:
    """Yield the rows in tables of about a million rows."""
    waiting: list[pa.Table] = []
    count = 0
    for batch in batches:
        waiting.append(_checked(batch, schema, kind=kind))
        count += batch.num_rows
        if count >= _ROWS_AT_A_TIME:
            yield concat(waiting, schema)
            waiting, count = [], 0
    if count:
        yield concat(waiting, schema)


def _checked(batch: pa.RecordBatch, schema: pa.Schema, *, kind: str) -> pa.Table:
    table = pa.Table.from_batches([batch])
    if table.schema.names != schema.names:
        raise _refusal(kind, expected=f"the columns {', '.join(schema.names)}", found="others")
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise _refusal(kind, place=f"column {field.name}", expected="a value in each row", found="a null")
    try:
        return pa.Table.from_arrays([table.column(field.name).cast(field.type) for field in schema], schema=schema)
    except pa.ArrowInvalid:
        raise _refusal(kind, expected="values of the types of its schema", found="another") from None


def _buckets_of(store: RecordStore, table: pa.Table) -> npt.NDArray[np.int64]:
    encoded = table.column("participant_id").combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    names = encoded.dictionary.to_pylist()
    if not all(map(PARTICIPANT_ID.fullmatch, names)):
        raise _refusal("participants", place="column participant_id", expected="IDs of participants", found="another")
    pairs = np.frombuffer("".join(name[1:3].ljust(2, "0") for name in names).encode(), np.uint8).reshape(-1, 2)
    of_names = store.buckets_of(pairs)
    return np.asarray(of_names[np.asarray(encoded.indices)], np.int64)


def _refusal(kind: str, *, expected: str, found: str, place: str = "") -> InputRefused:
    return InputRefused(Problem(file=f"batch of records, {kind}", place=place, expected=expected, found=found))
