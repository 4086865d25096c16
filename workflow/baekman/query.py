"""Questions to the cohort: SQL views over the files of one snapshot, read-only and closed to everything else."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from baekman.atomic import atomic_file
from baekman.batch import read_roster
from baekman.errors import InputRefused, Reason
from baekman.region import Region, shards_in
from baekman.schema import CALLS, FLAG_CALLED, FLAG_GENOTYPED, REFERENCE, SITES, STATE_CALLED
from baekman.snapshot import Snapshot
from baekman.store import PARTICIPANT_ID, Store
from baekman.table_files import open_table, table_path
from baekman.table_keys import TableKeys, open_keys

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

CALLS_VIEW = f"""
CREATE VIEW calls AS
SELECT r.participant_id, f.contig, c.pos, c.ref, c.alt, c.copies, c.ploidy, c.other,
  (c.flags & {FLAG_GENOTYPED}) <> 0 AS genotyped, (c.flags & {FLAG_CALLED}) <> 0 AS called,
  nullif(c.gq, -1) AS gq, nullif(c.dp, -1) AS dp, nullif(c.ad_ref, -1) AS ad_ref, nullif(c.ad_alt, -1) AS ad_alt,
  CASE WHEN c.pl_0 < 0 THEN NULL WHEN c.pl_2 < 0 THEN [c.pl_0, c.pl_1] ELSE [c.pl_0, c.pl_1, c.pl_2] END AS pl,
  c.phase, nullif(c.phase_set, -1) AS phase_set, n.name AS caller_filter
FROM {{calls}} AS c JOIN files AS f USING (filename) JOIN members AS r ON r.batch = f.batch AND r.sample = c.sample
LEFT JOIN caller_filters AS n ON n.batch = f.batch AND n.code = c.filter
"""
REFERENCE_VIEW = f"""
CREATE VIEW reference AS
SELECT r.participant_id, f.contig, c.start, c.start + c.length - 1 AS "end", c.gq, nullif(c.dp, -1) AS dp,
  c.ploidy, c.other, c.state = {STATE_CALLED} AS called
FROM {{reference}} AS c JOIN files AS f USING (filename) JOIN members AS r ON r.batch = f.batch AND r.sample = c.sample
"""


@contextlib.contextmanager
def open_views(
    store: Store, snapshot: Snapshot, *, shards: Sequence[int] | None = None, batches: Sequence[str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the views ``sites``, ``calls``, ``reference`` and ``participants`` of a snapshot.

    It can read the snapshot's files and nothing else, and write nothing. ``shards`` (indices) and ``batches``
    narrow what the views read.
    """
    names = [entry.name for entry in snapshot.batches if batches is None or entry.name in batches]
    chosen = range(len(store.shards)) if shards is None else shards
    files: list[tuple[str, str, str]] = []  # file, batch, contig
    paths: dict[str, list[str]] = {"calls": [], "reference": [], "sites": []}
    members: list[pa.Table] = []
    filters: list[tuple[str, int, str]] = []
    for name in names:
        roster, codes = read_roster(store, name)
        members.append(roster.append_column("batch", pa.repeat(name, roster.num_rows)))
        filters += [(name, code, text) for code, text in enumerate(codes, start=1)]
    for shard in chosen:
        tile = store.shards[shard]
        if snapshot.number:
            paths["sites"].append(str(store.sites(snapshot.number) / f"{tile.name}.parquet"))
        for name in names:
            for kind in ("calls", "reference"):
                path = str(store.batch(name) / kind / f"{tile.name}.parquet")
                paths[kind].append(path)
                files.append((path, name, tile.contig))
    with tempfile.TemporaryDirectory() as spill, duckdb.connect() as connection:
        columns = list(zip(*files, strict=True)) or [(), (), ()]
        text = pa.string()
        given = {
            "files": pa.table([pa.array(c, text) for c in columns], names=["filename", "batch", "contig"]),
            "members": pa.concat_tables(members) if members else pa.table(_empty_members()),
            "caller_filters": pa.table(
                {
                    "batch": pa.array([row[0] for row in filters], text),
                    "code": pa.array([row[1] for row in filters], pa.int64()),
                    "name": pa.array([row[2] for row in filters], text),
                }
            ),
        }
        for name, table in given.items():
            connection.register("given", table)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
            connection.unregister("given")
        empty = {"calls": CALLS, "reference": REFERENCE, "sites": SITES}
        sources = {}
        for kind, listed in paths.items():
            connection.register(f"no_{kind}", _with_filename(empty[kind].empty_table()))
            quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in listed)
            sources[kind] = f"read_parquet([{quoted}], filename = true)" if listed else f"no_{kind}"
        connection.execute(CALLS_VIEW.format(**sources))
        connection.execute(REFERENCE_VIEW.format(**sources))
        connection.execute(f"CREATE VIEW sites AS SELECT {', '.join(SITES.names)} FROM {sources['sites']}")
        connection.execute("CREATE VIEW participants AS SELECT * EXCLUDE (sample) FROM members")
        everything = [path for listed in paths.values() for path in listed]
        connection.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
        connection.execute("SET temp_directory = ?", [spill])
        connection.execute("SET allowed_paths = ?", [everything])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def _empty_members() -> dict[str, pa.Array]:
    from baekman.schema import ROSTER

    columns = {field.name: pa.array([], field.type) for field in ROSTER}
    return columns | {"batch": pa.array([], pa.string())}


def _with_filename(table: pa.Table) -> pa.Table:
    return table.append_column("filename", pa.array([], pa.string()))


@contextlib.contextmanager
def open_table_view(path: Path, *, participant: str, keys: TableKeys | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with a participant's finished table, encrypted or not, as the view ``calls``, and nothing else."""
    with open_table(path, participant=participant, keys=keys) as file, duckdb.connect() as connection:
        connection.register("calls", file.read())
        connection.execute("SET enable_external_access = false")
        yield connection


def batch_of(store: Store, snapshot: Snapshot, participant: str) -> str:
    """The batch that holds a participant; raises InputRefused when none of the snapshot does."""
    for entry in snapshot.batches:
        roster, _ = read_roster(store, entry.name)
        if participant in roster["participant_id"].to_pylist():
            return entry.name
    raise InputRefused(
        Reason(file="--participant", expected="a participant of the cohort", found="one who is not in this snapshot")
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


def check_sql(sql: str) -> None:
    """Refuse what is not exactly one statement that only reads."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise _refused_sql(error) from None
    reads = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    if len(statements) != 1 or statements[0].type not in reads:
        raise InputRefused(
            Reason(
                file="--sql",
                expected="one SELECT over the views sites, calls, reference and participants",
                found=f"{len(statements)} statements" if len(statements) != 1 else "a statement of another kind",
            )
        )


def _refused_sql(error: duckdb.Error) -> InputRefused:
    return InputRefused(
        Reason(
            file="--sql",
            expected="SQL over the views sites, calls, reference and participants",
            found=" ".join(str(error).split()),
        )
    )


def write_answer(connection: duckdb.DuckDBPyConnection, sql: str, *, format: str, output: Path | None = None) -> None:
    """Run ``sql`` and write its rows as ``format`` to ``output`` (atomically) or stdout, a batch at a time.

    Lists become text in a table and in CSV. Raises InputRefused when DuckDB cannot run the SQL.
    """
    if format == "parquet" and output is None:
        raise InputRefused(Reason(file="--format", expected="--output FILE with parquet", found="no --output"))
    try:
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
    except duckdb.Error as error:
        raise _refused_sql(error) from None


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
        raise InputRefused(Reason(file="--format", expected=f"one of {', '.join(OUTPUT_FORMATS)}", found=repr(format)))
    batches = None
    contigs = [contig.name for contig in store.contigs]
    if tables is not None and participant is not None:
        path = table_path(tables, participant)
        if not PARTICIPANT_ID.fullmatch(participant) or not path.is_file():
            raise InputRefused(Reason(file="--tables", expected="a table of this participant", found="none"))
        statement = calls_of(participant, region, contigs=contigs)
        with open_table_view(path, participant=participant, keys=open_keys(store.workspace)) as connection:
            write_answer(connection, statement, format=format, output=output)
        return
    if sql is not None:
        check_sql(sql)
        statement = sql
    elif participant is not None:
        batches = [batch_of(store, snapshot, participant)]
        statement = calls_of(participant, region, contigs=contigs)
    else:
        assert region is not None
        statement = sites_in(region)
    shards = shards_in(store, region) if region is not None else None
    with open_views(store, snapshot, shards=shards, batches=batches) as connection:
        write_answer(connection, statement, format=format, output=output)
