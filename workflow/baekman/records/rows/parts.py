"""Parts: the rows of a batch that is being added, spread over buckets on disk in the order of their arrival.

The texts that repeat are one number of a row there; ``texts.json`` has the texts of the numbers. So each text is hashed
once, and few bytes are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import arrow, column, empty, group_starts, take
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import write_text
from baekman.files.digests import crc32_of
from baekman.pseudonyms import PARTICIPANT_ID
from baekman.records.rows.order import codes_of, used_codes
from baekman.records.store import RecordStore

_ROWS_AT_A_TIME = 1 << 19  # a block of judged rows is not copied
_TEXTS = "texts.json"
_PERSON = "participant_id"
_TEXT = "texts"
_REPEATED = frozenset({"code", "category", "source", "institution"})
Numbers = npt.NDArray[np.int64]


def write_parts(store: RecordStore, batches: Iterable[pa.RecordBatch], folder: Path, *, schema: pa.Schema) -> set[str]:
    """Write the rows of ``batches`` to ``folder/<bucket>.arrow``; return the buckets that have rows.

    Columns of text may be dictionaries, and episodes the numbers of ``rows.episodes``. Raises InputRefused for another
    schema, a null where none may be, or an ID that cannot be one.
    """
    folder.mkdir(parents=True)
    names = [name for name in schema.names if name in _REPEATED]
    known: dict[tuple[str | None, ...], int] = {}
    with ExitStack() as stack:
        files: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        for table in _grouped(batches, schema, kind=folder.name):
            for bucket, rows in _by_bucket(store, _numbered(table, names, known)):
                if bucket not in files:
                    path = folder / f"{bucket:02x}.arrow"
                    files[bucket] = stack.enter_context(pa.ipc.new_stream(str(path), rows.schema))
                files[bucket].write_table(rows)
    columns = dict(zip(names, zip(*known, strict=True), strict=True)) if known else dict.fromkeys(names, ())
    write_text(folder / _TEXTS, json.dumps(columns), durable=False)
    return {f"{bucket:02x}" for bucket in files}


def _numbered(table: pa.Table, names: Sequence[str], known: dict[tuple[str | None, ...], int]) -> pa.Table:
    """Return ``table`` with one column of numbers for the columns ``names``; ``known`` gets their new combinations."""
    columns = [table.column(name).chunk(0) for name in names]
    keys = np.zeros(table.num_rows, np.int64)
    for encoded in columns:
        count = len(encoded.dictionary)
        indices = np.asarray(encoded.indices.fill_null(count) if encoded.null_count else encoded.indices)
        keys = keys * (count + 1) + indices if count else keys
    combinations = arrow(keys).dictionary_encode()
    rest, texts = np.asarray(combinations.dictionary), []
    for encoded in reversed(columns):
        own = [*encoded.dictionary.to_pylist(), None]
        rest, places = np.divmod(rest, len(own))
        texts.append([own[place] for place in places])
    numbers = np.array([known.setdefault(row, len(known)) for row in zip(*reversed(texts), strict=True)], np.int32)
    return table.drop_columns(list(names)).append_column(_TEXT, arrow(numbers.take(np.asarray(combinations.indices))))


def _by_bucket(store: RecordStore, table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Yield the number of each bucket with its rows, in their order, and with the participants of the bucket alone."""
    place = table.schema.get_field_index(_PERSON)
    people = table.column(place).chunk(0)
    buckets = _buckets_of(store, people.dictionary)
    by_bucket = np.argsort(buckets, kind="stable")
    names, buckets = take(people.dictionary, by_bucket), buckets[by_bucket]
    ranks = np.argsort(by_bucket)[np.asarray(people.indices)]
    order = np.argsort(buckets[ranks].astype(np.uint8), kind="stable")
    rows, ranks = take(table.remove_column(place), order), ranks[order]
    starts = group_starts(buckets[ranks])
    for start, end in zip(starts, [*starts[1:], len(ranks)], strict=True):
        bucket = int(buckets[ranks[start]])
        first, last = np.searchsorted(buckets, [bucket, bucket + 1])
        indices = arrow((ranks[start:end] - first).astype(np.int32))
        own = pa.DictionaryArray.from_arrays(indices, names.slice(first, last - first))
        yield bucket, rows.slice(start, end - start).add_column(place, _PERSON, own)


def read_part(folder: Path, bucket: str, *, schema: pa.Schema) -> pa.Table:
    """Return the rows of a bucket that ``write_parts`` wrote; an empty table where it has none.

    Columns of text that repeats are dictionaries of the texts that occur, sorted.
    """
    path = folder / f"{bucket}.arrow"
    if not path.is_file():
        return empty(schema)
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
        table = reader.read_all().unify_dictionaries().combine_chunks()
    status = (folder / _TEXTS).stat()
    texts = _texts_of(folder / _TEXTS, status.st_ino, status.st_mtime_ns)
    columns = dict(zip(table.schema.names, table.columns, strict=True))
    columns[_PERSON] = used_codes(*codes_of(columns[_PERSON]))
    numbers = np.asarray(columns[_TEXT])
    columns |= {name: used_codes(ranks.take(numbers), values) for name, (values, ranks) in texts.items()}
    fields = [field.with_type(columns[field.name].type) for field in schema]
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=pa.schema(fields))


@lru_cache(maxsize=4)
def _texts_of(path: Path, _inode: int, _changed: int) -> dict[str, tuple[pa.Array, Numbers]]:
    """Return for each column its texts, sorted, and for each number of a row their rank; that of a null is the last."""
    columns = {}
    for name, texts in json.loads(path.read_text("utf-8")).items():
        used = sorted({text for text in texts if text is not None})
        rank = {text: place for place, text in enumerate(used)} | {None: len(used)}
        ranks = np.array([rank[text] for text in texts], np.int64)
        columns[name] = (column(used) if used else pa.nulls(0, pa.string()), ranks)
    return columns


def part_digest(folders: Iterable[Path], bucket: str) -> str:
    """Return the sizes and the CRC-32 of the parts of a bucket in ``folders``, and of their texts."""
    paths = [folder / name for folder in folders for name in (f"{bucket}.arrow", _TEXTS)]
    return " ".join(f"{path.stat().st_size}:{crc32_of(path):08x}" if path.is_file() else "0" for path in paths)


def _grouped(batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, kind: str) -> Iterator[pa.Table]:
    """Yield the rows in tables of about half a million rows."""
    waiting: list[pa.Table] = []
    count = 0
    for batch in batches:
        waiting.append(_checked(batch, schema, kind=kind))
        count += batch.num_rows
        if count >= _ROWS_AT_A_TIME:
            yield _joined(waiting)
            waiting, count = [], 0
    if count:
        yield _joined(waiting)


def _joined(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _checked(batch: pa.RecordBatch, schema: pa.Schema, *, kind: str) -> pa.Table:
    table = pa.Table.from_batches([batch])
    if table.schema.names != schema.names:
        raise _refusal(kind, expected=f"the columns {', '.join(schema.names)}", found="others")
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise _refusal(kind, place=f"column {field.name}", expected="a value in each row", found="a null")
    try:
        return pa.table({field.name: _cast(table.column(field.name), field) for field in schema})
    except pa.ArrowInvalid:
        raise _refusal(kind, expected="values of the types of its schema", found="another") from None


def _cast(values: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """Return a column in the type of ``field``, text that repeats as a dictionary; episodes may be numbers."""
    if field.name == "episode" and pa.types.is_int64(values.type):
        return values
    if field.name not in _REPEATED and field.name != _PERSON:
        return values.cast(field.type)
    if pa.types.is_dictionary(values.type):
        chunks = [
            pa.DictionaryArray.from_arrays(each.indices.cast(pa.int32()), each.dictionary) for each in values.chunks
        ]
        return pa.chunked_array(chunks, pa.dictionary(pa.int32(), field.type))
    return values.cast(field.type).dictionary_encode()


def _buckets_of(store: RecordStore, people: pa.Array) -> Numbers:
    names = people.to_pylist()
    if not all(map(PARTICIPANT_ID.fullmatch, names)):
        raise _refusal("participants", place="column participant_id", expected="IDs of participants", found="another")
    pairs = np.frombuffer("".join(name[1:3].ljust(2, "0") for name in names).encode(), np.uint8).reshape(-1, 2)
    return store.buckets_of(pairs)


def _refusal(kind: str, *, expected: str, found: str, place: str = "") -> InputRefused:
    return InputRefused(Problem(file=f"batch of records, {kind}", place=place, expected=expected, found=found))
