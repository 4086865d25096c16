"""What the exports share: a connection with limits, one bucket at a time on it, and files of Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import parquet_options
from baekman.records.export.source import RecordSource

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "1GB"
PORTION_ROWS = 1 << 18


@contextmanager
def bounded_connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a DuckDB connection of its own, with a memory limit and a temporary folder for what does not fit."""
    import duckdb

    from baekman.query.connection import spill_encrypted

    with tempfile.TemporaryDirectory(prefix="baekman-export-") as spill, duckdb.connect() as connection:
        connection.execute("SET memory_limit = ?", [MEMORY_LIMIT])
        spill_encrypted(connection, spill)
        yield connection


def portions(source: RecordSource, *, buckets: Sequence[str] | None = None) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield events and coverage of whole buckets (by default all, in their order), some hundred thousand rows at once.

    A query costs some milliseconds whatever its rows, and a small store has few rows in each bucket.
    """
    events: list[pa.Table] = []
    coverage: list[pa.Table] = []
    for bucket in source.buckets() if buckets is None else buckets:
        events.append(source.events(bucket))
        coverage.append(source.coverage(bucket))
        if sum(table.num_rows for table in (*events, *coverage)) >= PORTION_ROWS:
            yield pa.concat_tables(events), pa.concat_tables(coverage)
            events, coverage = [], []
    if events:
        yield pa.concat_tables(events), pa.concat_tables(coverage)


def load(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Make the temporary table ``name`` of ``table``, in the place of an earlier one."""
    connection.register("loaded", table)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM loaded")
    connection.unregister("loaded")


def rows(connection: duckdb.DuckDBPyConnection, sql: str, schema: pa.Schema) -> pa.Table:
    """Return the answer of ``sql`` in ``schema``."""
    return connection.sql(sql).to_arrow_table().cast(schema)


def write(table: pa.Table, path: Path) -> None:
    """Write ``table`` to ``path`` with the fixed options; the folder of an export appears as a whole later."""
    with parquet_writer(path, table.schema) as writer:
        writer.write_table(table)


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer of ``path`` with the fixed options."""
    return pq.ParquetWriter(path, schema, **parquet_options(schema))


class Shards:
    """Files ``<folder>/<n>.parquet`` with at least ``least`` subjects each, or one file with fewer.

    The file of few subjects would show by its size what they have. A file stays open until the next one has enough.
    """

    def __init__(self, folder: Path, schemas: Mapping[str, pa.Schema], *, least: int) -> None:
        self._folder, self._schemas, self._least = folder, schemas, least
        self._open: list[dict[str, pq.ParquetWriter]] = []
        self._subjects: list[int] = []
        self._closed = 0

    def add(self, tables: Mapping[str, pa.Table], *, subjects: int) -> None:
        """Add the tables of some ``subjects``, one for each kind of file."""
        if not self._open or self._subjects[-1] >= self._least:
            if len(self._open) == 2:
                self._close(self._open.pop(0))
                self._subjects.pop(0)
                self._closed += 1
            number = self._closed + len(self._open)
            self._open.append(
                {kind: parquet_writer(self._path(kind, number), schema) for kind, schema in self._schemas.items()}
            )
            self._subjects.append(0)
        for kind, table in tables.items():
            self._open[-1][kind].write_table(table)
        self._subjects[-1] += subjects

    def finish(self) -> None:
        """Close the files; the subjects of a last one with too few go to the one before."""
        if len(self._open) == 2 and self._subjects[-1] < self._least:
            self._close(self._open.pop())
            for kind, writer in self._open[0].items():
                last = self._path(kind, self._closed + 1)
                with pq.ParquetFile(last) as file:
                    for number in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(number))
                last.unlink()
        for writers in self._open:
            self._close(writers)

    def _path(self, kind: str, number: int) -> Path:
        return self._folder / kind / f"{number}.parquet"

    def _close(self, writers: Mapping[str, pq.ParquetWriter]) -> None:
        for writer in writers.values():
            writer.close()
