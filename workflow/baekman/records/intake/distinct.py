"""Distinct values of columns: each is examined once, and its rows refer to it by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import arrow, group_starts, take

SAMPLE = 4096
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Distinct:
    """The distinct values of a column, or of several together.

    ``rows``: the number of each row's value. ``columns``: the values, a column each, with null as a value. ``members``:
    for each value its number in each of the columns that were combined.
    """

    rows: Numbers
    columns: tuple[pa.Array, ...]
    members: tuple[Numbers, ...]

    @property
    def count(self) -> int:
        """Return the number of distinct values; a null counts even if no row has it."""
        return len(self.members[0])

    def table(self, names: Sequence[str]) -> pa.Table:
        """Return the values as the columns ``names``, with the column ``number``."""
        values = [take(column, member) for column, member in zip(self.columns, self.members, strict=True)]
        return pa.Table.from_arrays([*values, arrow(np.arange(self.count))], names=[*names, "number"])


def distinct(column: pa.ChunkedArray) -> Distinct:
    """Return the distinct values of a column."""
    if column.null_count == len(column):
        zeros = np.zeros(len(column), np.int64)
        return Distinct(zeros, (pa.nulls(1, column.type),), (np.zeros(1, np.int64),))
    array = column.combine_chunks()
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    lengths = None
    if _repeats(array):  # rows of a subject and of a visit follow each other: each run is hashed once
        import pyarrow.compute as pc

        runs = pc.run_end_encode(array)
        array, lengths = runs.values, np.diff(np.asarray(runs.run_ends), prepend=0)
    encoded = array.dictionary_encode()
    values = encoded.dictionary
    if encoded.null_count:
        values = pa.concat_arrays([values, pa.nulls(1, values.type)])
    rows = np.asarray(encoded.indices.fill_null(len(values) - 1)).astype(np.int64)
    return Distinct(rows if lengths is None else np.repeat(rows, lengths), (values,), (np.arange(len(values)),))


def _repeats(array: pa.Array) -> bool:
    """Return whether most of the first values are those of the row before."""
    import pyarrow.compute as pc

    sample = array.slice(0, SAMPLE)
    return len(pc.run_end_encode(sample).values) * 2 < len(sample)


def combined(*several: Distinct) -> Distinct:
    """Return the distinct combinations of the values of each row."""
    first, *others = [each for each in several if each.count > 1] or several[:1]
    keys = first.rows
    for each in others:
        keys = keys * each.count + each.rows
    if others:
        rows, keys = _encoded(keys)
    else:
        rows, keys = first.rows, np.arange(first.count)
    members: list[Numbers] = []
    for each in reversed(several):
        if each.count > 1:
            keys, member = np.divmod(keys, each.count)
        else:
            member = np.zeros(len(keys), np.int64)
        members += [each.members[place].take(member) for place in reversed(range(len(each.members)))]
    return Distinct(rows, tuple(column for each in several for column in each.columns), tuple(reversed(members)))


def _encoded(keys: Numbers) -> tuple[Numbers, Numbers]:
    """Return the number of each row's key among the distinct ones, and these; a run of equal keys is hashed once."""
    starts = group_starts(keys)
    is_repeated = len(starts) * 2 < len(keys)
    encoded = arrow(keys[starts] if is_repeated else keys).dictionary_encode()
    rows = np.asarray(encoded.indices).astype(np.int64)
    if is_repeated:
        rows = np.repeat(rows, np.diff(starts, append=len(keys)))
    return rows, np.asarray(encoded.dictionary)


def spread(values: pa.ChunkedArray | pa.Array, rows: Numbers, *, keep: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the value of each row, null where not ``keep``; text as a dictionary."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    if array.null_count == len(array):
        return pa.nulls(len(rows), array.type)
    if pa.types.is_string(array.type):
        encoded = array.dictionary_encode()
        chosen = spread(encoded.indices, rows, keep=keep)
        return pa.DictionaryArray.from_arrays(chosen, encoded.dictionary)
    valid = keep
    if array.null_count:
        valid = keep & np.asarray(array.is_valid()).take(rows)
    physical = array.view(pa.int64()) if pa.types.is_temporal(array.type) else array
    numbers: npt.NDArray[Any] = np.asarray(physical.fill_null(0)).take(rows)
    return arrow(numbers, missing=None if valid.all() else ~valid).view(array.type)
