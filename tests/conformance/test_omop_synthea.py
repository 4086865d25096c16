"""Synthea's OMOP CDM 5.4 tables as events and out again, loaded by the standard's own statements."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import duckdb
from baekman import data
from baekman.records.access import open_records
from baekman.records.dictionary import read_dictionary
from baekman.records.export.write import export_records
from baekman.records.intake.receive import receive_records
from baekman.records.omop.tables import tables
from baekman.records.store import create_store
from baekman.registry.importing import import_registrations
from baekman.registry.records import create_registry
from baekman.registry.subjects import resolve_subjects
from baekman.workspace.paths import Workspace
from support.delivery_builder import write_registrations
from support.omop_round_trip import differences
from support.record_deliveries import INSTITUTION, registration


def test_synthea_comes_out_as_it_went_in(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "records" / "synthea27_omop54_parquet.zip") as archive:
        archive.extractall(tmp_path)
    delivered, workspace = tmp_path / "Synthea27NjParquet", Workspace(tmp_path / "W")
    persons = duckdb.sql(f"SELECT person_source_value, year_of_birth FROM '{delivered}/person.parquet'").fetchall()
    registry, _ = create_registry(workspace.root)
    rows = [registration(number, participant=code, birth_year=f"{year}") for number, (code, year) in enumerate(persons)]
    import_registrations(registry, [write_registrations(tmp_path / "registration.tsv", rows)])
    create_store(workspace.root, dictionary=data.text("dictionary.tsv"), buckets=4)
    sheet = f"institution: {INSTITUTION}\nsource: ehr\nas_of: 2022-10-11\nformat: omop\n"
    (delivered / "records.yaml").write_text(sheet, encoding="utf-8")

    counts = receive_records(delivered, workspace=workspace).counts["events"]
    assert (counts["rows"], counts["accepted"]) == (24839, 24839)
    codes = read_dictionary(workspace.records / "dictionary.tsv").codes
    assert not [code for code in codes if "+" in code]  # each row has the plain code of its concept
    assert export_records(open_records(workspace.root), tmp_path / "omop", format="omop") == 28

    subjects = resolve_subjects(registry, INSTITUTION, [code for code, _ in persons])
    people = {found.participant_id: code for (code, _), found in zip(persons, subjects, strict=True) if found}
    assert differences(delivered, tmp_path / "omop", people=people) == {}
    statements = (shared_data / "records" / "omop54" / "duckdb_ddl.sql").read_text(encoding="utf-8")
    with duckdb.connect() as connection:
        connection.execute(statements.replace("@cdmDatabaseSchema.", ""))
        for table in tables():
            connection.execute(f"INSERT INTO {table} SELECT * FROM '{tmp_path}/omop/{table}.parquet'")
        assert connection.execute("SELECT count(*) FROM measurement").fetchall() == [(10040,)]


def test_the_columns_are_those_of_the_standard(shared_data: Path) -> None:
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
