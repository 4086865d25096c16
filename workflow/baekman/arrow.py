"""Arrow columns to and from NumPy and Parquet, with settings that never vary: equal data gives equal bytes.

Numbers and strings are chosen, cast and ranked without ``pyarrow.compute``: its import is a tenth of a small command.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from baekman.errors import DamagedFile
from baekman.files.atomic import atomic_file
from baekman.files.digests import listed_digest, read_whole
from baekman.kernels.alleles import rank
from baekman.kernels.evidence import gather_strings

Filter = tuple[str, str, int]  # column, comparison, limit
COMPARISONS = {">=": operator.ge, "<=": operator.le}
ArrowData = TypeVar("ArrowData", pa.Array, pa.ChunkedArray, pa.Table)

DELTA_ENCODED = frozenset({"sample", "pos", "start", "length"})
COMPRESSION = "zstd"
COMPRESSION_LEVEL = 5
SUMMARY_LEVEL = 1
ROW_GROUP_ROWS = 1 << 20


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return the one set of writer options: positions and samples delta-encoded, the rest by dictionary, zstd.

    Every snapshot writes its summaries of participants again, so these are compressed fast, and are a little smaller
    so. In a summary of alleles (census, sites) only strings have a dictionary. The counts of a step function (called)
    are split by byte. Summaries have statistics of positions alone, since nothing else is searched in them.
    """
    delta = [field.name for field in schema if field.name in DELTA_ENCODED and pa.types.is_integer(field.type)]
    encoding = dict.fromkeys(delta, "DELTA_BINARY_PACKED")
    steps = "covered" in schema.names
    if steps:
        encoding = dict.fromkeys(schema.names, "BYTE_STREAM_SPLIT") | encoding
    summary = steps or "qual_sum" in schema.names
    return {
        "compression": COMPRESSION,
        "compression_level": SUMMARY_LEVEL if summary else COMPRESSION_LEVEL,
        "use_dictionary": [
            field.name
            for field in schema
            if field.name not in encoding and (pa.types.is_string(field.type) or not summary)
        ],
        "column_encoding": encoding,
        "write_statistics": ["contig", "pos", "start"] if summary else True,
        "store_schema": True,
        "version": "2.6",
        "data_page_version": "2.0",
        "write_page_checksum": True,
    }


def write_parquet(table: pa.Table, path: Path, *, row_group_rows: int = ROW_GROUP_ROWS) -> None:
    """Write ``table`` to ``path`` atomically with the fixed options."""
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary, row_group_size=row_group_rows, **parquet_options(table.schema))


_NO_DAMAGE = re.compile("decrypt|memory|alloc|resource", re.IGNORECASE)


@contextmanager
def noticing_damage(path: Path) -> Iterator[None]:
    """Raise ``DamagedFile`` where Arrow reports that the content of ``path`` is wrong."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        # an error of the operating system has a number or a class of its own; a wrong key or too little memory is no
        # damage
        of_system = isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError)
        if of_system or isinstance(error, MemoryError) or _NO_DAMAGE.search(str(error)):
            raise
        raise DamagedFile(path) from error


def open_parquet(path: Path, *, decryption: Any = None) -> pq.ParquetFile:
    """Open a Parquet file; reading verifies each page by its checksum (CRC-32).

    ``decryption``: the decryption properties of an encrypted file. Raises ``DamagedFile`` for a damaged footer.
    """
    with noticing_damage(path):
        return pq.ParquetFile(path, decryption_properties=decryption, page_checksum_verification=True)


def read_parquet(path: Path, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a whole Parquet file, or some of its columns, without the data set machinery, which imports pandas.

    Raises ``DamagedFile`` where a page does not have its checksum. ``read_listed`` notices any other damage too.
    """
    with open_parquet(path) as file, noticing_damage(path):
        return file.read(columns=columns, use_threads=False)


def read_listed(
    folder: Path,
    name: str,
    *,
    columns: Sequence[str] | None = None,
    filters: Sequence[Filter] | None = None,
) -> pa.Table:
    """Read the Parquet file ``name`` of a folder with a list of digests, or some columns of it, or rows by ``filters``.

    Every byte is compared first, by its CRC-32: pages, their headers and the footer. ``filters`` compare columns of
    integers with a value (``>=``, ``<=`` or ``==``). Raises ``DamagedFile`` for a file, or a list, with other bytes
    than were written.
    """
    path = folder / name
    source = pa.BufferReader(read_whole(path, digest=listed_digest(folder, name)))
    with noticing_damage(path):
        file = pq.ParquetFile(source)
        if not filters:
            return file.read(columns=columns, use_threads=False)
        return rows_within(file, filters, columns=columns)


def rows_within(file: pq.ParquetFile, filters: Sequence[Filter], *, columns: Sequence[str] | None) -> pa.Table:
    """Return the rows of ``file``, or some columns of them, that pass all ``filters`` (see ``read_listed``).

    A row group is not read if its statistics rule all its rows out.

    ``pyarrow.parquet.read_table`` returns the same, but imports pandas first.
    """
    filters = [limit for each in filters for limit in _limits(*each)]
    groups = [number for number in range(file.num_row_groups) if _may_hold(file.metadata.row_group(number), filters)]
    read = columns and list(dict.fromkeys([*columns, *(name for name, _, _ in filters)]))
    table = file.read_row_groups(groups, columns=read, use_threads=False)
    passes = np.ones(table.num_rows, np.bool_)
    for name, comparison, value in filters:
        passes &= COMPARISONS[comparison](numpy_of(table, name), value)
    if columns:
        table = table.select(columns)
    rows = np.flatnonzero(passes)
    if len(rows) == 0 or rows[-1] - rows[0] + 1 == len(rows):
        return table.slice(rows[0] if len(rows) else 0, len(rows))
    return take(table, rows)


def _limits(name: str, comparison: str, value: int) -> list[Filter]:
    return [(name, sign, value) for sign in (COMPARISONS if comparison == "==" else (comparison,))]


def _may_hold(group: pq.RowGroupMetaData, filters: Sequence[Filter]) -> bool:
    """Return whether a row of ``group`` may pass ``filters``, by the least and greatest values of its columns."""
    ends = {
        column.path_in_schema: column.statistics
        for column in map(group.column, range(group.num_columns))
        if column.statistics is not None and column.statistics.has_min_max
    }
    # the greatest value has to reach a lower limit, the least an upper one
    return all(
        name not in ends or COMPARISONS[comparison](getattr(ends[name], "max" if ">" in comparison else "min"), value)
        for name, comparison, value in filters
    )


def with_metadata(schema: pa.Schema, metadata: Mapping[str, str]) -> pa.Schema:
    """Return ``schema`` with file metadata, keys in a fixed order."""
    return schema.with_metadata({key: metadata[key] for key in sorted(metadata)})


def strings(offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> pa.Array:
    """Return a string array from byte offsets (one more than strings) and bytes."""
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def string_parts(array: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Return offsets (from 0) and bytes of a string array, the inverse of ``strings``."""
    _validity, offset_buffer, data = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[array.offset : array.offset + len(array) + 1]
    if data is None or len(array) == 0:
        return np.zeros(len(array) + 1, np.int32), np.zeros(0, np.uint8)
    data_bytes = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    return (offsets - offsets[0]).astype(np.int32), data_bytes


def arrow(values: npt.NDArray[Any], *, missing: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Return NumPy numbers or truth values as an Arrow array, null where ``missing``.

    ``pyarrow.array`` does the same, but imports pandas first, which adds two thirds to the time of a short command.
    """
    data = np.packbits(values, bitorder="little") if values.dtype == np.bool_ else np.ascontiguousarray(values)
    valid = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [valid, pa.py_buffer(data)])


def values_of(array: pa.Array) -> npt.NDArray[Any]:
    """Return the numbers of an Arrow array without nulls; they are not copied and cannot be written."""
    values: npt.NDArray[Any] = np.from_dlpack(array)
    return values


def numpy_of(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """Return a column without nulls as one NumPy array."""
    column = table.column(name)
    return values_of(column.combine_chunks() if column.num_chunks != 1 else column.chunk(0))


def take(data: ArrowData, rows: npt.NDArray[Any]) -> ArrowData:
    """Return the ``rows`` (numbers from 0) of an array or table, in their order."""
    rows = rows.astype(np.int64, copy=False)
    if isinstance(data, pa.Table):
        chosen = [take(_one_array(column), rows) for column in data.columns]
        return pa.Table.from_arrays(chosen, schema=data.schema)
    if isinstance(data, pa.Array) and not data.null_count and _is_number(data.type):
        return arrow(values_of(data).take(rows))
    if isinstance(data, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(take(data.indices, rows), data.dictionary)
    if isinstance(data, pa.Array) and 0 < len(data) == data.null_count:  # absent columns are frequent
        return pa.nulls(len(rows), data.type)
    if isinstance(data, pa.Array) and not data.null_count and data.type == pa.string():
        offsets, content = string_parts(data)
        places = np.zeros(len(rows) + 1, np.int32)
        out = np.empty(gather_strings(content, offsets[1:], rows, places, np.empty(0, np.uint8)), np.uint8)
        gather_strings(content, offsets[1:], rows, places, out)
        return strings(places, out)
    return data.take(arrow(rows))


def equals(values: pa.StringArray, text: str) -> npt.NDArray[np.bool_]:
    """Return whether each string is ``text``."""
    offsets, content = string_parts(values)
    wanted = np.frombuffer(text.encode(), np.uint8)
    equal: npt.NDArray[np.bool_] = np.diff(offsets) == len(wanted)
    places = offsets[:-1][equal][:, None] + np.arange(len(wanted))
    equal[equal] = (content[places] == wanted).all(axis=1)
    return equal


def filtered(data: ArrowData, keep: npt.NDArray[np.bool_]) -> ArrowData:
    """Return the rows of an array or table where ``keep`` is true."""
    return data if keep.all() else data.filter(arrow(keep))


def allele_ranks(ref: pa.ChunkedArray | pa.Array, alt: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.int64]:
    """Return a number per row that orders and identifies (ref, alt) bytewise within this table."""
    ranks = np.empty(len(ref), np.int64)
    rank(*string_parts(_one_array(ref)), *string_parts(_one_array(alt)), ranks)
    return ranks


def group_starts(*keys: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the indices at which a new group begins in rows that are sorted by ``keys``."""
    if len(keys[0]) == 0:
        return np.zeros(0, np.int64)
    new = np.zeros(len(keys[0]), np.bool_)
    new[0] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(new)


def column(values: Any) -> pa.Array:
    """Return an Arrow array as it is, and NumPy values or a list of strings or integers as an Arrow array."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if isinstance(values, np.ndarray):
        return arrow(values)
    if values and isinstance(values[0], str):
        encoded = [value.encode() for value in values]
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
        return strings(offsets, np.frombuffer(b"".join(encoded), np.uint8))
    return arrow(np.asarray(values, np.int64))


def table_of(schema: pa.Schema, arrays: Mapping[str, Any]) -> pa.Table:
    """Return a table with exactly the columns of ``schema``, each cast to its type."""
    return pa.Table.from_arrays([cast(column(arrays[f.name]), f.type) for f in schema], schema=schema)


def cast(array: pa.Array | pa.ChunkedArray, type: pa.DataType) -> pa.Array | pa.ChunkedArray:
    """Return an array with another type; raise ArrowInvalid for a value that the type cannot hold."""
    if array.type == type:
        return array
    if isinstance(array, pa.Array) and not array.offset and _is_number(array.type) and _is_number(type):
        valid, data = array.buffers()
        values = np.frombuffer(data, array.type.to_pandas_dtype(), len(array))
        with np.errstate(invalid="ignore"):  # of values at nulls
            other = values.astype(type.to_pandas_dtype())
            differ = (other != values) | (other.astype(values.dtype) != values)
        if array.null_count:
            differ &= np.unpackbits(np.frombuffer(valid, np.uint8), count=len(array), bitorder="little").view(np.bool_)
        if (pa.types.is_floating(array.type) and pa.types.is_floating(type)) or not differ.any():
            return pa.Array.from_buffers(type, len(array), [valid, pa.py_buffer(other)])
    return array.cast(type)


def _is_number(type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type) or pa.types.is_floating(type))


def _one_array(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def with_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of ``schema``, in its order and with its types and metadata."""
    return table_of(schema, dict(zip(table.column_names, table.columns, strict=True)))


def empty(schema: pa.Schema) -> pa.Table:
    """Return a table of ``schema`` without rows."""
    return pa.Table.from_batches([empty_batch(schema)])


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """Return a record batch of ``schema`` without rows; ``Schema.empty_table`` would import pandas."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)


def concat(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """Return all rows of ``tables``, one after the other, as one chunk a column."""
    return pa.concat_tables(tables).combine_chunks() if tables else empty(schema)
