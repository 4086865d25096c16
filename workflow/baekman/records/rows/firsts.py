"""Firsts: participant and code with the number of events, the first and the last time; their files in a batch.

Neighbouring buckets share a file, ``firsts/00-0f.parquet``, sorted by code and participant. A file has some hundred
participants, so a question over all people opens few files, and a question about one code reads few row groups.
Stores of the schema ``records-1`` have a file of each bucket, ``firsts/00.parquet``, sorted by participant and code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import arrow, concat, filtered, group_starts, take
from baekman.files.digests import digest_of, listed_digests
from baekman.records.rows.order import codes_of, order_of, read_file, write_rows
from baekman.records.schema import FIRSTS
from baekman.records.store import RecordStore

PEOPLE_A_FILE = 512  # about 100,000 rows of claims
KIND = "firsts"


@dataclass(frozen=True, kw_only=True)
class Span:
    """Neighbouring buckets with one file of firsts. ``buckets``: those that have rows; ``name``: as ``00-0f``."""

    name: str
    buckets: tuple[str, ...]

    @property
    def file(self) -> str:
        """Return the name of the file in a batch."""
        return f"{KIND}/{self.name}.parquet"


def spans(buckets: Iterable[str], *, of: int, people: int) -> tuple[Span, ...]:
    """Return the spans of a batch with ``people`` participants in ``buckets``, of all ``of`` buckets of the store."""
    width = of
    while width > 1 and people * width > PEOPLE_A_FILE * of:
        width //= 2
    by_name: dict[str, list[str]] = {}
    for bucket in sorted(buckets):
        by_name.setdefault(_name(int(bucket, 16), width), []).append(bucket)
    return tuple(Span(name=name, buckets=tuple(some)) for name, some in by_name.items())


def spans_in(files: Collection[str], buckets: Iterable[str]) -> tuple[Span, ...]:
    """Return the spans of ``buckets`` in a batch with the files ``files``; without a file each has its own."""
    by_name: dict[str, list[str]] = {}
    for bucket in sorted(buckets):
        by_name.setdefault(_file_of(files, bucket) or bucket, []).append(bucket)
    return tuple(
        Span(name=name.removeprefix(f"{KIND}/").removesuffix(".parquet"), buckets=tuple(some))
        for name, some in by_name.items()
    )


def _name(bucket: int, width: int) -> str:
    first = bucket // width * width
    return f"{first:02x}-{first + width - 1:02x}"


def _file_of(files: Collection[str], bucket: str) -> str | None:
    """Return the file with the firsts of ``bucket``; None where there is none."""
    names = [bucket, *(_name(int(bucket, 16), 1 << bits) for bits in range(9))]
    return next((file for name in names if (file := f"{KIND}/{name}.parquet") in files), None)


def write_firsts(folder: Path, span: Span, tables: Sequence[pa.Table]) -> dict[str, str]:
    """Write the firsts of a span's buckets, ``tables``, to the batch ``folder``; return the digest of the file."""
    return write_firsts_file(folder, span, by_code(concat([table for table in tables if table.num_rows], FIRSTS)))


def write_firsts_file(folder: Path, span: Span, rows: pa.Table) -> dict[str, str]:
    """Write the file of a span, ``rows`` in the order of the file; return its digest. Without rows there is no file."""
    path = folder / span.file
    path.unlink(missing_ok=True)
    if not rows.num_rows:
        return {}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(rows, path)
    return {span.file: digest_of(path)}


def by_code(rows: pa.Table) -> pa.Table:
    """Return firsts sorted by code and participant; no two rows have the same."""
    if not rows.num_rows:
        return rows
    return take(rows, order_of([codes_of(rows.column(name))[0] for name in ("code", "participant_id")]))


def is_by_code(file: str) -> bool:
    """Return whether a file is sorted by code: each but those of one bucket in a store of the schema records-1."""
    return file.startswith(f"{KIND}/") and "-" in file


def read_firsts(store: RecordStore, folder: Path, bucket: str) -> pa.Table:
    """Return the firsts of one bucket of a batch's ``folder``, in any order; raise DamagedFile as ``read_rows`` does.

    The file of several buckets is kept for the next of them.
    """
    files = listed_digests(folder)
    file = _file_of(files, bucket)
    if file is None:
        return FIRSTS.empty_table()
    if file in (f"{KIND}/{bucket}.parquet", f"{KIND}/{bucket}-{bucket}.parquet"):
        return read_file(folder, file, schema=FIRSTS)
    rows, numbers = _spread(store, folder, file, files[file])
    return filtered(rows, numbers == int(bucket, 16))


@lru_cache(maxsize=8)  # files of some megabytes
def _spread(store: RecordStore, folder: Path, file: str, _digest: str) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Return the rows of a file, and the bucket of each."""
    rows = read_file(folder, file, schema=FIRSTS)
    people, names = codes_of(rows.column("participant_id"))
    return rows, np.array([int(store.bucket_of(name), 16) for name in names.to_pylist()], np.int64)[people]


def firsts_of(events: pa.Table) -> pa.Table:
    """Return the firsts (schema FIRSTS) of sorted ``events``."""
    if events.num_rows == 0:
        return FIRSTS.empty_table()
    people, names = codes_of(events.column("participant_id"))
    codes, texts = codes_of(events.column("code"))
    pairs = people * len(texts) + codes
    order = order_of([pairs])  # events of a pair stay in the order of their times
    pairs = pairs[order]
    starts = group_starts(pairs)
    ends = np.append(starts[1:], len(pairs)) - 1
    times = events.column("time").combine_chunks()
    return pa.Table.from_arrays(
        [
            take(names, pairs[starts] // len(texts)),
            take(texts, pairs[starts] % len(texts)),
            arrow(ends - starts + 1),
            times.take(arrow(order[starts])),
            times.take(arrow(order[ends])),
        ],
        schema=FIRSTS,
    )


def merged_firsts(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the firsts of events that no two of ``tables`` share: numbers added, the first and the last time."""
    whole = concat([table for table in tables if table.num_rows], FIRSTS)
    if whole.num_rows == 0:
        return FIRSTS.empty_table()
    people, names = codes_of(whole.column("participant_id"))
    codes, texts = codes_of(whole.column("code"))
    pairs = people * len(texts) + codes
    order = order_of([pairs])
    pairs = pairs[order]
    starts = group_starts(pairs)
    columns = {name: np.asarray(whole.column(name).cast(pa.int64()))[order] for name in ("n", "first", "last")}
    return pa.Table.from_arrays(
        [
            take(names, pairs[starts] // len(texts)),
            take(texts, pairs[starts] % len(texts)),
            arrow(np.add.reduceat(columns["n"], starts)),
            arrow(np.minimum.reduceat(columns["first"], starts)).cast(pa.timestamp("us")),
            arrow(np.maximum.reduceat(columns["last"], starts)).cast(pa.timestamp("us")),
        ],
        schema=FIRSTS,
    )
