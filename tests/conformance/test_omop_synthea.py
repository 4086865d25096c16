"""Synthea's OMOP CDM 5.4 tables as events and out again, loaded by the standard's own statements."""

from __future__ import annotations

import zipfile
from pathlib import Path

import duckdb
from baekman.records.export.omop import write_omop
from baekman.records.omop.tables import tables

from tests.support.omop_round_trip import differences, read_events


def test_synthea_comes_out_as_it_went_in(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "records" / "synthea27_omop54_parquet.zip") as archive:
        archive.extractall(tmp_path)
    delivered = tmp_path / "Synthea27NjParquet"
    events = read_events(delivered)
    assert events.table.num_rows == 24839
    assert not [code for code in events.dictionary.codes if "+" in code]  # each row has the plain code of its concept
    write_omop(events, tmp_path / "omop")
    assert differences(delivered, tmp_path / "omop") == {}
    statements = (shared_data / "records" / "omop54" / "duckdb_ddl.sql").read_text(encoding="utf-8")
    with duckdb.connect() as connection:
        connection.execute(statements.replace("@cdmDatabaseSchema.", ""))
        for table in tables():
            connection.execute(f"INSERT INTO {table} SELECT * FROM '{tmp_path}/omop/{table}.parquet'")
        assert connection.execute("SELECT count(*) FROM measurement").fetchall() == [(10040,)]


def test_the_columns_are_those_of_the_standard(shared_data: Path) -> None:
    import csv

    with (shared_data / "records" / "omop54" / "field_level.csv").open(encoding="utf-8", newline="") as lines:
        rows = [
            (
                row["cdmTableName"],
                row["cdmFieldName"].strip('"'),
                row["cdmDatatype"].lower(),
                row["isRequired"] == "Yes",
            )
            for row in csv.DictReader(lines)
        ]
    ours = [(table, c.name, c.type, c.is_required) for table, columns in tables().items() for c in columns]
    assert ours == rows
