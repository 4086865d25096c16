"""Reading of a folder of OMOP CDM 5.4 tables as events, coverage and dictionary entries.

The tables are Parquet or CSV files, ``person.parquet`` or ``person.csv``. DuckDB streams them: its memory is bounded,
and no table is held whole. Free text is never read into an event. A source value is kept where it is a code, and an
answer where it is a term.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from baekman.errors import InputRefused, Problem
from baekman.records.dictionary import Dictionary
from baekman.records.omop.base_rows import concepts_sql, encoded_sql, person_view, raw_view, scan, texts_sql, visits_sql
from baekman.records.omop.codes import CodeBook, Profile, conventions_key
from baekman.records.omop.mapping import MAPPINGS, Mapping
from baekman.records.omop.sql import define_functions
from baekman.records.omop.tables import tables

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "1GB"
BATCH_ROWS = 1 << 16
MOST_PROFILES = 100_000
SUFFIXES = (".parquet", ".csv", ".csv.gz")

# The events of a delivery: EVENTS by the institution's subject code, with the unit of the row (null: none stated).
OMOP_EVENTS = pa.schema(
    [
        pa.field("subject_code", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("us"), nullable=False),
        pa.field("end", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("unit", pa.string()),
        pa.field("category", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("institution", pa.string(), nullable=False),
        pa.field("episode", pa.string()),
    ]
)
OMOP_COVERAGE = pa.schema(
    [
        pa.field("subject_code", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("first", pa.date32(), nullable=False),
        pa.field("last", pa.date32(), nullable=False),
    ]
)
# Events outside of every observation period have a source of their own, which covers their days alone.
OUTSIDE = ".outside"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The institution and source of a delivery, and the consent scope of codes that the dictionary lacks.

    ``secret`` is hashed with the institution's numbers of visits, so that nobody can try which one an episode has.
    """

    institution: str
    source: str
    scope: str = "clinical"
    secret: str = field(default="", repr=False)


class OmopTables:
    """The tables of a delivery, opened by ``read_omop``.

    Attributes:
        dictionary: The dictionary with the codes of this delivery.
        person_column: The column that has the subject codes: ``person_source_value``, or ``person_id`` without it.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, folder: Path, dictionary: Dictionary, origin: Origin
    ) -> None:
        self._connection = connection
        self._origin = origin
        self._files = table_files(folder)
        self._mappings = [mapping for mapping in MAPPINGS if mapping.table in self._files]
        self.person_column = self._open()
        book = CodeBook(dictionary, conventions_key(origin.institution, origin.source), origin.scope)
        self._resolve(book)
        self._note_period_type(book)
        known = {code: entry for code, entry in book.entries.items() if entry != dictionary.entry(code)}
        self.dictionary = dictionary.merged(Dictionary.of(known)) if known else dictionary

    def events(self) -> Iterator[pa.RecordBatch]:
        """Yield the events of all tables (``OMOP_EVENTS``), in no fixed order."""
        for mapping in self._mappings:
            sql = f"""
                SELECT r.subject_code, r.started AS time, r.ended AS "end",
                    CASE WHEN c.key IS NULL THEN error('a kind of row that was not there') ELSE c.code END AS code,
                    r.number AS value,
                    c.unit, r.answer AS category,
                    CASE WHEN r.is_outside THEN $source || '{OUTSIDE}' ELSE $source END AS source,
                    $institution AS institution, r.episode
                FROM encoded_{mapping.name} r LEFT JOIN codes c ON c.mapping = '{mapping.name}' AND c.key = r.key"""
            yield from self._batches(sql, OMOP_EVENTS, source=self._origin.source, institution=self._origin.institution)

    def subject_codes(self) -> Iterator[pa.RecordBatch]:
        """Yield the subject codes of the table person; no event has another."""
        sql = "SELECT DISTINCT subject_code FROM subjects WHERE subject_code IS NOT NULL"
        yield from self._batches(sql, pa.schema([OMOP_EVENTS.field("subject_code")]))

    def coverage(self) -> Iterator[pa.RecordBatch]:
        """Yield the coverage (``OMOP_COVERAGE``): the observation periods, and the days of events outside of them."""
        periods = """
            SELECT s.subject_code, $source AS source, p.observation_period_start_date AS first,
                p.observation_period_end_date AS last
            FROM periods p JOIN subjects s USING (person_id)"""
        yield from self._batches(periods, OMOP_COVERAGE, source=self._origin.source)
        days = " UNION ".join(
            f"SELECT subject_code, CAST(started AS DATE) AS day FROM encoded_{mapping.name} WHERE is_outside"
            for mapping in self._mappings
        )
        outside = f"SELECT subject_code, $source || '{OUTSIDE}' AS source, day AS first, day AS last FROM ({days})"
        yield from self._batches(outside, OMOP_COVERAGE, source=self._origin.source)

    def _batches(self, sql: str, schema: pa.Schema, **values: str) -> Iterator[pa.RecordBatch]:
        with _readable():
            reader = self._connection.sql(sql, params=values).to_arrow_reader(BATCH_ROWS)
        while True:
            with _readable():
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
            if batch.num_rows:
                yield pa.RecordBatch.from_arrays(
                    [batch.column(name).cast(schema.field(name).type) for name in schema.names], schema=schema
                )

    def _open(self) -> str:
        """Make the views and small tables that the mappings read; return the column of the subject codes."""
        execute = self._connection.execute
        define_functions(self._connection)
        for table in tables():
            with _readable(self._files.get(table)):
                columns = (
                    [row[0] for row in execute(_describe(self._files[table])).fetchall()]
                    if table in self._files
                    else []
                )
                if table in self._files:
                    _require_own_columns(table, columns, file=self._files[table].name)
                execute(raw_view(table, self._files.get(table), columns))
        with _readable():
            execute(person_view())
            counts = "count(person_source_value), count(DISTINCT person_id), count(*)"
            (named, distinct, count) = _rows(execute(f"SELECT {counts} FROM raw_person"))[0]
            column = "person_source_value" if named else "person_id"
            _require_persons(count, named=named or count, distinct=distinct, file=self._files["person"].name)
            code = f"CAST({column} AS VARCHAR) AS subject_code"
            execute(f"CREATE TEMP TABLE subjects AS SELECT person_id, {code} FROM raw_person")
            execute("CREATE TEMP TABLE periods AS SELECT * FROM raw_observation_period")
            execute(concepts_sql(self._mappings))
            execute(texts_sql(self._mappings))
            execute(visits_sql(), {"secret": self._origin.secret})
            for mapping in self._mappings:
                execute(f"CREATE TEMP VIEW encoded_{mapping.name} AS {encoded_sql(mapping)}")
        return column

    def _resolve(self, book: CodeBook) -> None:
        """Give a code to each profile of each mapping, and the categories to the codes.

        Raises InputRefused for rows without a date, and for rows of persons that the person table lacks.
        """
        profiles = {mapping.name: self._profiles(mapping) for mapping in self._mappings}
        problems = [p for mapping in self._mappings for p in self._incomplete(mapping, profiles[mapping.name])]
        if problems:
            raise InputRefused(list(dict.fromkeys(problems)))
        listing: list[tuple[str, str, str, str | None]] = []
        for mapping in self._mappings:
            rows = profiles[mapping.name]
            symbols = [attribute.column for attribute in mapping.attributes]
            codes = book.resolve(mapping, [_profile(row, symbols) for row in rows])
            listing += [(mapping.name, key, *code) for key, code in codes.items()]
            for row in rows:
                if row["kind"] == "category":
                    book.add_categories(codes[row["key"]][0], row["answers"])
        names = ("mapping", "key", "code", "unit")
        columns = zip(*listing, strict=True) if listing else ((),) * len(names)
        table = pa.table([pa.array(column, pa.string()) for column in columns], names=names)
        self._connection.register("listing", table)
        self._connection.execute("CREATE TEMP TABLE codes AS SELECT * FROM listing")
        self._connection.unregister("listing")

    def _note_period_type(self, book: CodeBook) -> None:
        """Note the most frequent type concept of the observation periods; the first delivery decides on it."""
        sql = (
            "SELECT CAST(period_type_concept_id AS VARCHAR) FROM periods "
            "WHERE period_type_concept_id IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        )
        for (concept,) in _rows(self._connection.execute(sql)):
            book.note("observation_period", "period", {"period_type_concept_id": concept})

    def _profiles(self, mapping: Mapping) -> list[dict[str, Any]]:
        """Return a row for each profile of ``mapping``, with its categories."""
        columns: tuple[str, ...] = (
            "main_id",
            "main_code",
            "main_name",
            "natural_table",
            "kind",
            "unit_text",
            "standard_code",
        )
        columns += ("standard_name", *(f"s_{attribute.column}" for attribute in mapping.attributes))
        listed = ", ".join(f"any_value({column}) AS {column}" for column in columns)
        sql = f"""
            SELECT key, {listed}, count(*) AS n, count(started) AS dated, count(subject_code) AS known,
                CASE WHEN any_value(kind) = 'category' THEN list(DISTINCT answer) ELSE [] END AS answers
            FROM encoded_{mapping.name} GROUP BY key ORDER BY key LIMIT {MOST_PROFILES + 1}"""
        with _readable(self._files[mapping.table]):
            rows: list[dict[str, Any]] = self._connection.sql(sql).to_arrow_table().to_pylist()
        if len(rows) > MOST_PROFILES:
            expected = (
                f"at most {MOST_PROFILES} kinds of rows, by concept, unit, type and other columns that have no time"
            )
            action = "leave out columns that number or describe single rows"
            raise InputRefused(
                Problem(file=self._files[mapping.table].name, expected=expected, found="more", action=action)
            )
        return rows

    def _incomplete(self, mapping: Mapping, profiles: list[dict[str, Any]]) -> Iterator[Problem]:
        file = self._files[mapping.table].name
        if undated := sum(row["n"] - row["dated"] for row in profiles):
            is_person = mapping.table == "person"
            column, expected = ("year_of_birth", "a year") if is_person else (mapping.start, "a date")
            yield _problem(file, column, f"{expected} in each row", f"{undated} rows without")
        if unknown := sum(row["n"] - row["known"] for row in profiles):
            yield _problem(file, "person_id", "a person of the table person", f"{unknown} rows of other persons")


@contextmanager
def read_omop(folder: Path, dictionary: Dictionary, *, origin: Origin) -> Iterator[OmopTables]:
    """Yield the OMOP CDM 5.4 tables in ``folder``, opened for reading.

    ``dictionary`` is that of the store: its codes keep their meaning, and the delivery's ``dictionary`` extends it.

    Raises:
        InputRefused: There is no table person, a file cannot be read, a row has no date, or a row is of a person that
            the table person lacks. No message has a value.
    """
    import duckdb

    from baekman.query.connection import spill_encrypted

    with tempfile.TemporaryDirectory(prefix="baekman-omop-") as spill, duckdb.connect() as connection:
        connection.execute("SET memory_limit = ?", [MEMORY_LIMIT])
        spill_encrypted(connection, spill)
        connection.execute("SET preserve_insertion_order = false")
        yield OmopTables(connection, folder, dictionary, origin)


def table_files(folder: Path) -> dict[str, Path]:
    """Return the file of each table in ``folder``; InputRefused without a table person, or with a table twice."""
    files: dict[str, Path] = {}
    problems = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), None)
        table = path.name.lower().removesuffix(suffix) if suffix else ""
        if table in tables() and path.is_file():
            if table in files:
                problems.append(_problem(path.name, "", f"one file of the table {table}", "another one next to it"))
            files[table] = path
    if "person" not in files:
        problems.append(_problem("person.parquet", "", "the table person as Parquet or CSV", "none"))
    if problems:
        raise InputRefused(problems)
    return files


def _describe(path: Path) -> str:
    return f"DESCRIBE SELECT * FROM {scan(path)}"


def _profile(row: dict[str, Any], symbols: list[str]) -> Profile:
    standard = (row["standard_code"], row["standard_name"]) if row["standard_code"] else None
    return Profile(
        key=row["key"],
        main_id=row["main_id"],
        code=row["main_code"],
        name=row["main_name"],
        natural_table=row["natural_table"],
        kind=row["kind"],
        unit=row["unit_text"] if row["kind"] == "number" else None,
        standard=standard,
        symbols={column: row[f"s_{column}"] for column in symbols},
        rows=row["n"],
    )


def _rows(result: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = result.fetchall()
    return rows


def _problem(file: str, column: str, expected: str, found: str) -> Problem:
    return Problem(file=file, place=f"column {column}" if column else "", expected=expected, found=found)


def _require_own_columns(table: str, columns: Iterable[str], *, file: str) -> None:
    """Raise InputRefused for a table that would have no row of a person, such as one separated by semicolons."""
    known = {column.name for column in tables()[table]}
    present = known & {column.lower() for column in columns}
    if not present or ("person_id" in known and "person_id" not in present):
        column = "person_id" if "person_id" in known else ""
        expected = f"columns of the table {table}, in CSV separated by commas or tabs"
        raise InputRefused(_problem(file, column, expected, "none" if column else "no column of it"))


def _require_persons(count: int, *, named: int, distinct: int, file: str) -> None:
    """Raise InputRefused for persons without a subject code, without a number, or with that of another person."""
    problems = []
    if named < count:
        column, expected = "person_source_value", "a subject code in each row"
        problems.append(_problem(file, column, expected, f"{count - named} rows without"))
    if distinct < count:
        found = f"{count - distinct} rows without or with that of another row"
        problems.append(_problem(file, "person_id", "a number of its own in each row", found))
    if problems:
        raise InputRefused(problems)


@contextmanager
def _readable(path: Path | None = None) -> Iterator[None]:
    """Raise InputRefused where DuckDB cannot read; its own message may quote a value."""
    import duckdb

    try:
        yield
    except (duckdb.Error, OSError, UnicodeDecodeError, csv.Error):
        file = path.name if path is not None else "OMOP tables"
        raise InputRefused(
            _problem(file, "", "a Parquet or CSV file of an OMOP CDM 5.4 table", "one that cannot be read")
        ) from None
