"""Rows of records: their one order, their firsts, and the one way that they are written to Parquet.

Equal rows give equal bytes. Sorting ranks each column as integers and packs the ranks into few machine words.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import arrow, equals, filtered, group_starts, open_parquet, read_listed, take
from baekman.errors import DamagedFile
from baekman.files.atomic import atomic_file
from baekman.files.digests import listed_digests, require_listed
from baekman.records.schema import EVENTS, FIRSTS, SORT_ORDER

Ranks = npt.NDArray[np.int64]

ROW_GROUP_ROWS = 1 << 17
FIRSTS_GROUP_ROWS = 1 << 16  # rows of one code lie in few row groups
_WORD_BITS = 63
_DECIDING = 3  # columns: participant, time and code of events
# Every other column has a dictionary. Times of sorted events differ little; an episode has few rows.
_DELTA = frozenset({"time"})
_PLAIN = frozenset({"episode"})


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return the one set of writer options of records: zstd, and statistics of participants, and of codes in firsts."""
    delta = [field.name for field in schema if field.name in _DELTA]
    return {
        "compression": "zstd",
        "compression_level": 1,  # hashed episodes become smaller than at level 5, and the rest hardly larger
        "use_dictionary": [field.name for field in schema if field.name not in _DELTA | _PLAIN],
        "column_encoding": dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
        "dictionary_pagesize_limit": 1 << 24,
        "data_page_size": 1 << 22,
        "write_statistics": ["participant_id", *(["code"] if schema.names == FIRSTS.names else [])],
        "store_schema": False,
        "version": "2.6",
        "data_page_version": "2.0",
        "write_page_checksum": True,
    }


def write_rows(table: pa.Table, path: Path) -> None:
    """Write sorted rows to ``path`` atomically with the fixed options; who commits a batch makes its files durable."""
    options = parquet_options(table.schema)
    group = FIRSTS_GROUP_ROWS if table.schema.names == FIRSTS.names else ROW_GROUP_ROWS
    # the dictionary of a column depends on its texts alone, not on the form in which they come
    columns = [
        used_codes(*codes_of(column)) if name in options["use_dictionary"] and _is_text(column.type) else column
        for name, column in zip(table.schema.names, table.columns, strict=True)
    ]
    fields = [table.schema.field(place).with_type(column.type) for place, column in enumerate(columns)]
    with atomic_file(path, durable=False) as temporary:
        pq.write_table(
            pa.Table.from_arrays(columns, schema=pa.schema(fields)), temporary, row_group_size=group, **options
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))


def read_rows(folder: Path, kind: str, bucket: str, *, schema: pa.Schema) -> pa.Table:
    """Return the rows of one bucket of a batch's ``folder``; an empty table where the bucket has none.

    Raises DamagedFile for other bytes than the batch's list of digests names.
    """
    name = f"{kind}/{bucket}.parquet"
    if name not in listed_digests(folder):
        return schema.empty_table()
    return read_file(folder, name, schema=schema)


def read_file(folder: Path, name: str, *, schema: pa.Schema) -> pa.Table:
    """Return the rows of the file ``name`` of a batch's ``folder``; raise DamagedFile as ``read_rows`` does."""
    return _in_schema(read_listed(folder, name), schema, folder / name)


def read_person(folder: Path, kind: str, bucket: str, participant: str, *, schema: pa.Schema) -> pa.Table:
    """Return the rows of one participant as ``read_rows`` does; only row groups that may have them are read."""
    name = f"{kind}/{bucket}.parquet"
    if name not in listed_digests(folder):
        return schema.empty_table()
    require_listed(folder, [name])
    with open_parquet(folder / name) as file:
        groups = [number for number in range(file.num_row_groups) if _may_hold(file, number, participant)]
        table = _in_schema(file.read_row_groups(groups, use_threads=False), schema, folder / name)
    return filtered(table, equals(table.column("participant_id").combine_chunks(), participant))


def _may_hold(file: pq.ParquetFile, group: int, participant: str) -> bool:
    limits = file.metadata.row_group(group).column(0).statistics
    return limits is None or not limits.has_min_max or bool(limits.min <= participant <= limits.max)


def _in_schema(table: pa.Table, schema: pa.Schema, path: Path) -> pa.Table:
    if table.schema.names != schema.names:
        raise DamagedFile(path)
    return table.cast(schema)


def codes_of(column: pa.ChunkedArray | pa.Array) -> tuple[Ranks, pa.Array]:
    """Return the rank of each text among the distinct ones, and these in bytewise order; a null ranks last.

    A dictionary may have texts that do not occur.
    """
    import pyarrow.compute as pc

    encoded = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    texts = encoded.dictionary
    indices = np.asarray(encoded.indices.fill_null(len(texts)) if encoded.null_count else encoded.indices)
    if len(texts) < 2 or pc.all(pc.less(texts[:-1], texts[1:])).as_py():
        return indices.astype(np.int64), texts
    order = pc.sort_indices(texts).to_numpy()
    ranks = np.empty(len(order) + 1, np.int64)
    ranks[order] = np.arange(len(order))
    ranks[-1] = len(order)
    return np.asarray(ranks[indices], np.int64), texts.take(arrow(order))


def used_codes(ranks: Ranks, texts: pa.Array) -> pa.DictionaryArray:
    """Return the inverse of ``codes_of``: a dictionary of the texts that occur, sorted."""
    is_used = np.bincount(ranks, minlength=len(texts) + 1)[: len(texts)] > 0
    missing = ranks == len(texts)
    if is_used.all():
        places = ranks
    else:
        places = np.append(np.cumsum(is_used) - 1, 0)[ranks]
        texts = take(texts, np.flatnonzero(is_used))
    indices = arrow(places.astype(np.int32), missing=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(indices, texts)


def ranks_of(column: pa.ChunkedArray) -> Ranks:
    """Return integers in the order of a column's values, from 0; nulls come last."""
    kind = column.type
    if _is_text(kind):
        return codes_of(column)[0]
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if array.null_count == len(array):
        return np.zeros(len(array), np.int64)
    missing = np.asarray(array.is_null()) if array.null_count else None
    if pa.types.is_floating(kind):
        floats = np.asarray(array.fill_null(0.0)) + 0.0  # -0.0 is 0.0
        values = np.zeros(len(array), np.int64)
        present = slice(None) if missing is None else ~missing
        values[present] = np.unique(floats[present], return_inverse=True)[1]
    else:
        physical = array.view(pa.int32()) if pa.types.is_date32(kind) else array.view(pa.int64())
        values = np.asarray(physical.fill_null(0)).astype(np.int64)
    least = values.min(where=~missing, initial=np.iinfo(np.int64).max) if missing is not None else values.min()
    values = values - least
    if pa.types.is_temporal(kind) and len(values):
        step = np.gcd.reduce(values if missing is None else values[~missing])
        values = values // max(int(step), 1)
    if missing is not None:
        values[missing] = values[~missing].max() + 1
    return np.asarray(values, np.int64)


def order_of(ranks: Sequence[Ranks]) -> Ranks:
    """Return the row numbers in the order of ``ranks``, the most significant first."""
    words: list[Ranks] = []
    room = 0
    for each in ranks:
        bits = int(each.max()).bit_length() if len(each) else 0
        if not words or bits > room:
            words.append(each)
            room = _WORD_BITS - bits
        else:
            words[-1] = (words[-1] << bits) | each
            room -= bits
    if len(words) == 1:
        return _stable_order(words[0], bits=_WORD_BITS - room)
    return np.asarray(np.lexsort(words[::-1]), np.int64)


def _stable_order(word: Ranks, *, bits: int) -> Ranks:
    """Return the row numbers in the order of ``word``, which has numbers below 2 ** ``bits``."""
    place = len(word).bit_length()
    if bits + place > _WORD_BITS:
        return np.asarray(np.argsort(word, kind="stable"), np.int64)
    packed = word << place | np.arange(len(word))  # sorting numbers is twice as fast as ordering them
    packed.sort()
    return np.asarray(packed & ((1 << place) - 1), np.int64)


def is_sorted(table: pa.Table) -> bool:
    """Return whether the rows of ``table`` are in the one order (``schema.SORT_ORDER``, else that of the columns)."""
    return bool((np.diff(_sorting(table)) > 0).all())


def sorted_rows(table: pa.Table) -> pa.Table:
    """Return the rows of ``table`` in the one order, as one chunk a column."""
    if table.num_rows == 0:
        return table
    table = table.combine_chunks()
    order = _sorting(table)
    return table if (np.diff(order) > 0).all() else take(table, order)


def _sorting(table: pa.Table) -> Ranks:
    """Return the row numbers of ``table`` in the one order; equal rows stay in theirs.

    The first columns decide about most rows. Only the rows that are equal in them are ranked by the others.
    """
    if table.num_rows == 0:
        return np.zeros(0, np.int64)
    names = SORT_ORDER if table.schema.names == EVENTS.names else table.schema.names
    ranks = [ranks_of(table.column(name)) for name in names[:_DECIDING]]
    order = order_of(ranks)
    is_new = np.zeros(len(order) + 1, np.bool_)
    is_new[group_starts(*(each[order] for each in ranks))] = True
    is_new[-1] = True
    tied = ~(is_new[:-1] & is_new[1:])
    if tied.any():
        rows, groups = order[tied], np.cumsum(is_new[:-1])[tied]
        rest = take(table.select(names[_DECIDING:]).combine_chunks(), rows)
        order[tied] = rows[order_of([groups - groups[0], *map(ranks_of, rest.columns)])]
    return order
