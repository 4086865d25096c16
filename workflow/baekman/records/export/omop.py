"""Records as OMOP CDM 5.4: a file for each of its tables, with all of its columns.

DuckDB turns the events of some buckets after the other into rows, so memory does not grow with the store. Tables that
no event stands for (notes, costs, providers, most of the vocabulary) are written with their columns and no row.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import pyarrow as pa
import pyarrow.csv

from baekman.files.atomic import atomic_folder
from baekman.records.export.frames import bounded_connection, load, parquet_writer, portions, rows
from baekman.records.export.source import RecordSource
from baekman.records.omop import meanings, writing
from baekman.records.omop.mapping import MAPPINGS
from baekman.records.omop.sql import define_functions
from baekman.records.omop.tables import schema, tables

if TYPE_CHECKING:
    import duckdb

FileFormat = Literal["parquet", "csv"]
CDM_CONCEPT = 756265  # OMOP CDM version 5.4.0
VISITS = ("visit_occurrence", "visit_detail")


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


def write_omop(
    source: RecordSource,
    output: Path,
    *,
    format: FileFormat = "parquet",
    day: date | None = None,
    before_output: Callable[[], None] = lambda: None,
) -> int:
    """Write the records of ``source`` into the new folder ``output``; return the number of persons.

    ``format``: the format of the files, ``<table>.parquet`` or ``<table>.csv``. ``day``: the date that ``cdm_source``
    states, by default today. ``before_output`` is called when all files are written, before ``output`` appears.
    """
    with atomic_folder(output.absolute()) as folder, bounded_connection() as connection:
        define_functions(connection)
        export = _Export(connection, folder, format)
        try:
            export.load(source)
            for events, coverage in portions(source):
                export.add(events, coverage)
            export.add_description(day or datetime.now(UTC).date())
        finally:
            export.close()
        before_output()
        return export.persons


class _Export:
    """The files of one export, with the last key of each table."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, format: FileFormat) -> None:
        self._connection = connection
        self._writers: dict[str, _Writer] = {}
        self._keys = dict.fromkeys(tables(), 0)
        self.persons = 0
        for table in tables():
            path, columns = folder / f"{table}.{format}", schema(table)
            if format == "csv":
                self._writers[table] = pyarrow.csv.CSVWriter(path, columns)
            else:
                self._writers[table] = parquet_writer(path, columns)

    def load(self, source: RecordSource) -> None:
        """Make the tables of codes and conventions."""
        for mapping in MAPPINGS:
            load(self._connection, f"codes_{mapping.name}", meanings.codes_table(source.dictionary, mapping))
            load(
                self._connection, f"conventions_{mapping.name}", meanings.conventions_table(source.dictionary, mapping)
            )
        load(self._connection, "periods", meanings.periods_table(source.dictionary))
        load(self._connection, "concepts", meanings.concepts_table(source.dictionary))

    def add(self, events: pa.Table, coverage: pa.Table) -> None:
        """Write the rows of the participants of some buckets."""
        load(self._connection, "events", events)
        load(self._connection, "coverage", coverage)
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE people AS SELECT participant_id, {self.persons} + "
            "row_number() OVER (ORDER BY participant_id) AS person_id FROM (SELECT participant_id FROM events "
            "UNION SELECT participant_id FROM coverage)"
        )
        self.persons += self._write("person", writing.person_sql())
        self._write("observation_period", writing.observation_period_sql(first=self._keys["observation_period"]))
        self._connection.execute(writing.visit_ids_sql(first=self._keys["visit_occurrence"]))
        self._connection.execute(writing.part_ids_sql(first=self._keys["visit_detail"]))
        for mapping in MAPPINGS:
            if mapping.table != "person":
                sql = writing.table_sql(mapping, first=self._keys[mapping.table])
                self._write(mapping.table, sql, keep=mapping.table == "condition_occurrence")
        self._write("condition_era", writing.condition_era_sql(first=self._keys["condition_era"]))

    def add_description(self, day: date) -> None:
        """Write the row of ``cdm_source``, and the concepts that the dictionary names."""
        self._write(
            "cdm_source",
            "SELECT 'baekman' AS cdm_source_name, 'baekman' AS cdm_source_abbreviation, 'baekman' AS cdm_holder, "
            "CAST(NULL AS VARCHAR) AS source_description, CAST(NULL AS VARCHAR) AS source_documentation_reference, "
            f"CAST(NULL AS VARCHAR) AS cdm_etl_reference, DATE '{day}' AS source_release_date, "
            f"DATE '{day}' AS cdm_release_date, '5.4' AS cdm_version, {CDM_CONCEPT} AS cdm_version_concept_id, "
            "'none' AS vocabulary_version",
        )
        self._write(
            "concept",
            "SELECT concept_id, name AS concept_name, domain AS domain_id, vocabulary[1:20] AS vocabulary_id, "
            "'Undefined' AS concept_class_id, CAST(NULL AS VARCHAR) AS standard_concept, code AS concept_code, "
            "DATE '1970-01-01' AS valid_start_date, DATE '2099-12-31' AS valid_end_date, "
            "CAST(NULL AS VARCHAR) AS invalid_reason FROM concepts ORDER BY concept_id",
        )

    def close(self) -> None:
        """Close all files."""
        for writer in self._writers.values():
            writer.close()

    def _write(self, table: str, sql: str, *, keep: bool = False) -> int:
        """Write the rows of ``sql`` to the file of ``table``; return their number."""
        table_rows = rows(self._connection, sql, schema(table))
        if table_rows.num_rows:
            self._writers[table].write_table(table_rows)
        if keep:
            load(self._connection, "condition_rows", table_rows)
        count: int = table_rows.num_rows
        self._keys[table] += count
        return count
