"""The change of buckets: rows that are read by participant ID are written by project ID.

A spill file has the rows of one bucket of a store, and one record batch for each bucket of the release. A bucket of the
release is that batch of every spill file. The number of buckets depends on the number of members alone, and a bucket
follows from the random characters of project IDs: sizes and order show nothing of the buckets of the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import string_parts, take
from baekman.files.atomic import atomic_file
from baekman.pseudonyms import ALPHABET, LENGTH

MOST_BUCKETS = 256
MEMBERS_PER_BUCKET = 64  # at least, on average: no file is that of one participant
_VALUES = np.array([max(ALPHABET.find(chr(code)), 0) for code in range(256)], np.int64)


def bucket_count(members: int) -> int:
    """Return the number of buckets of a release with that number of members: a power of two from 1 to 256."""
    count = 1
    while count < MOST_BUCKETS and members >= 2 * count * MEMBERS_PER_BUCKET:
        count *= 2
    return count


def bucket_name(bucket: int) -> str:
    """Return the name of a bucket: two hex digits."""
    return f"{bucket:02x}"


def buckets_of(project_ids: pa.StringArray, *, count: int) -> npt.NDArray[np.int64]:
    """Return the bucket of each project ID: from the first two of its random characters."""
    _, data = string_parts(project_ids)
    letters = data.reshape(len(project_ids), LENGTH)
    buckets: npt.NDArray[np.int64] = (_VALUES[letters[:, 1]] * 32 + _VALUES[letters[:, 2]]) * count // 1024
    return buckets


def write_spill(rows: pa.Table, path: Path, *, count: int) -> None:
    """Write ``rows``, which have ``project_id``, as one record batch for each of ``count`` buckets."""
    rows = rows.combine_chunks()
    ids = rows.column("project_id")
    bucket = buckets_of(ids.chunk(0), count=count) if rows.num_rows else np.zeros(0, np.int64)
    rows = take(rows, np.argsort(bucket, kind="stable")).combine_chunks()
    ends = np.cumsum(np.bincount(bucket, minlength=count))
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with (
        atomic_file(path, durable=False) as temporary,
        pa.ipc.new_file(temporary, rows.schema, options=options) as file,
    ):
        for first, last in zip([0, *ends[:-1]], ends, strict=True):
            part = rows.slice(first, last - first).combine_chunks().to_batches()
            file.write_batch(part[0] if part else _none(rows.schema))


def read_spilled(paths: Iterable[Path], bucket: int, *, schema: pa.Schema) -> pa.Table:
    """Return the rows of a bucket of the release out of all spill files."""
    batches = []
    for path in paths:
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
            batches.append(file.get_batch(bucket))
    return pa.Table.from_batches(batches, schema=schema)


def _none(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
