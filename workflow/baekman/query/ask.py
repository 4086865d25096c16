"""Questions to the cohort, in SQL over the views of one snapshot, and their answers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from baekman.cohort.index import find_batches
from baekman.cohort.schema import SITES
from baekman.cohort.snapshot import Snapshot, reading
from baekman.cohort.store import PARTICIPANT_ID, Store
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_file
from baekman.genome.regions import Region
from baekman.query.views import open_table_view, open_views
from baekman.tables.files import require_layout, table_path
from baekman.tables.keys import open_keys

OUTPUT_FORMATS = ("table", "csv", "parquet")
BATCH_ROWS = 1 << 16
TABLE_WIDTH_ROWS = 1000  # rows of a table whose widths set those of the columns

WIDEST = 24  # of a column of a table; a longer value pushes the rest of its line to the right

# The sums that the next snapshot adds to are no answer to a question.
SITE_COLUMNS = tuple(
    name
    for name in SITES.names
    if not name.startswith(("gq_", "uncalled_", "missing_"))
    and name not in ("qual_sum", "dp_sum", "dp_n", "ad_ref_het", "ad_alt_het", "weight")
)


def sites_in(region: Region) -> str:
    """SQL for the alleles with their POS in ``region``."""
    return (
        f"SELECT {', '.join(SITE_COLUMNS)} FROM sites WHERE pos BETWEEN {region.start} AND {region.end} "
        f"ORDER BY contig, pos, ref, alt"
    )


def calls_of(participant: str, region: Region | None, *, contigs: Sequence[str]) -> str:
    """SQL for one participant's call rows, in ``region`` if given, in the order of the reference."""
    quoted = participant.replace("'", "''")
    where = f"participant_id = '{quoted}'"
    if region is not None:
        where += f" AND pos BETWEEN {region.start} AND {region.end}"
    order = ", ".join("'" + contig.replace("'", "''") + "'" for contig in contigs)
    return f"SELECT * FROM calls WHERE {where} ORDER BY list_position([{order}], contig), pos, ref, alt"


def batch_of(store: Store, snapshot: Snapshot, participant: str) -> str:
    """The batch that holds a participant; raises InputRefused when none of the snapshot does."""
    found = find_batches(store, [participant], at=snapshot)
    if participant not in found:
        raise InputRefused(
            Problem(
                file="--participant", expected="a participant of the cohort", found="one who is not in this snapshot"
            )
        )
    return found[participant]


def check_sql(sql: str) -> None:
    """Refuse what is not exactly one statement that only reads."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise _refused_sql(error) from None
    reads = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    if len(statements) != 1 or statements[0].type not in reads:
        raise InputRefused(
            Problem(
                file="--sql",
                expected="one SELECT over the views sites, calls, reference and participants",
                found=f"{len(statements)} statements" if len(statements) != 1 else "a statement of another kind",
            )
        )


def _refused_sql(error: duckdb.Error) -> InputRefused:
    return InputRefused(
        Problem(
            file="--sql",
            expected="SQL over the views sites, calls, reference and participants",
            found=" ".join(str(error).split()),
        )
    )


def write_answer(connection: duckdb.DuckDBPyConnection, sql: str, *, format: str, output: Path | None = None) -> None:
    """Run ``sql`` and write its rows as ``format`` to ``output`` (atomically) or stdout, a batch at a time.

    Lists become text in a table and in CSV. Raises duckdb.Error when DuckDB cannot run the SQL.
    """
    if format == "parquet" and output is None:
        raise InputRefused(Problem(file="--format", expected="--output FILE with parquet", found="no --output"))
    relation = connection.sql(sql)
    if format != "parquet":
        relation = relation.project(", ".join(_flat(relation)))
    reader = relation.to_arrow_reader(BATCH_ROWS)
    with contextlib.ExitStack() as stack:
        if output is None:
            target: Any = sys.stdout.buffer
        else:
            target = stack.enter_context(stack.enter_context(atomic_file(output)).open("wb"))
        _write(reader, target, format)
        target.flush()


def _flat(relation: duckdb.DuckDBPyRelation) -> list[str]:
    columns = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        quoted = '"' + name.replace('"', '""') + '"'
        nested = kind.id in ("list", "struct", "map", "array", "union")
        if kind.id == "list":
            columns.append(f"array_to_string({quoted}, ',') AS {quoted}")
        else:
            columns.append(f"CAST({quoted} AS VARCHAR) AS {quoted}" if nested else quoted)
    return columns


def _write(reader: pa.RecordBatchReader, target: IO[bytes], format: str) -> None:
    if format == "parquet":
        with pq.ParquetWriter(target, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
    elif format == "csv":
        options = pa_csv.WriteOptions(quoting_style="needed")
        with pa_csv.CSVWriter(target, reader.schema, write_options=options) as writer:
            for batch in reader:
                writer.write_batch(batch)
    else:
        _write_table(reader, target)


def _write_table(reader: pa.RecordBatchReader, target: IO[bytes]) -> None:
    """Aligned columns; numbers to the right."""
    names = reader.schema.names
    right = [pa.types.is_integer(f.type) or pa.types.is_floating(f.type) for f in reader.schema]
    widths: list[int] = []
    for batch in reader:
        columns = [[_cell(value) for value in column.to_pylist()] for column in batch.columns]
        if not widths:
            widths = [
                max(len(name), min(WIDEST, max(map(len, column[:TABLE_WIDTH_ROWS]), default=0)))
                for name, column in zip(names, columns, strict=True)
            ]
            target.write(_line(names, widths, right))
        for row in zip(*columns, strict=True):
            target.write(_line(row, widths, right))
    if not widths:
        target.write(_line(names, [len(name) for name in names], right))


def _cell(value: object) -> str:
    if value is None:
        return "."
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> bytes:
    padded = [
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    ]
    return ("  ".join(padded).rstrip() + "\n").encode()


def ask(
    store: Store,
    snapshot: Snapshot,
    *,
    region: Region | None = None,
    participant: str | None = None,
    sql: str | None = None,
    format: str = "table",
    output: Path | None = None,
    tables: Path | None = None,
) -> None:
    """Answer ``sql``, or give a participant's call rows (in a region), or the sites of a region.

    With ``tables`` (a folder of finished tables, of a freeze too) the participant's rows are those of the table,
    decrypted with the key that the store's workspace has.
    """
    if format not in OUTPUT_FORMATS:
        raise InputRefused(Problem(file="--format", expected=f"one of {', '.join(OUTPUT_FORMATS)}", found=repr(format)))
    contigs = [contig.name for contig in store.contigs]
    if tables is not None and participant is not None:
        path = table_path(tables, participant)
        if not PARTICIPANT_ID.fullmatch(participant) or not path.is_file():
            require_layout(tables)
            raise InputRefused(Problem(file="--tables", expected="a table of this participant", found="none"))
        statement = calls_of(participant, region, contigs=contigs)
        with open_table_view(path, participant=participant, keys=open_keys(store.workspace)) as connection:
            write_answer(connection, statement, format=format, output=output)
        return
    batches: Sequence[str] | None = None
    if sql is not None:
        check_sql(sql)
        statement = sql
    elif participant is not None:
        batches = [batch_of(store, snapshot, participant)]
        statement = calls_of(participant, region, contigs=contigs)
    else:
        assert region is not None
        batches = []  # sites are the snapshot's own
        statement = sites_in(region)
    shards = store.shards_in(region) if region is not None else None
    try:
        # of a file that has gone DuckDB says that it may not look for it
        with (
            reading(store, snapshot, missing=duckdb.Error),
            open_views(store, snapshot, shards=shards, batches=batches) as connection,
        ):
            write_answer(connection, statement, format=format, output=output)
    except duckdb.Error as error:
        raise _refused_sql(error) from None
