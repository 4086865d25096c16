"""OMOP CDM 5.4 in and out again: the same rows, in all tables and columns of the standard."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman.records.export.omop import write_omop as export_omop
from baekman.records.omop.tables import schema, tables
from baekman.records.schema import COVERAGE, EVENTS
from support.omop_round_trip import DROPPED, Events, differences, starter
from support.omop_tables import rows_of, write_omop

# One row each is not kept as it is: the text of a doctor, a story, a lot number, and a unit that intake refuses.
LOST = ("condition_occurrence", "drug_exposure", "observation", "measurement")


@pytest.fixture(scope="module")
def exported(events: Events, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "omop"
    assert export_omop(events, folder) == 3
    return folder


def test_what_comes_in_goes_out_equal(delivered: Path, exported: Path) -> None:
    assert differences(delivered, exported) == dict.fromkeys(LOST, 2)  # the row as it came, and as it went


def test_a_changed_row_is_no_longer_equal(exported: Path, tmp_path: Path) -> None:
    rows = rows_of("death")
    write_omop(tmp_path, death=[{**rows[0], "death_type_concept_id": "32817"}])
    assert differences(tmp_path, exported)["death"] == 2


def test_an_export_has_every_table_and_column_with_its_type(exported: Path) -> None:
    assert sorted(path.name for path in exported.iterdir()) == sorted(f"{table}.parquet" for table in tables())
    for table in tables():
        assert pq.read_schema(exported / f"{table}.parquet").equals(schema(table))


def test_required_columns_are_filled_and_keys_point_to_rows(exported: Path) -> None:
    connection = duckdb.connect()
    for table, columns in tables().items():
        listed = ", ".join(f'"{c.name}" {c.sql}{" NOT NULL" if c.is_required else ""}' for c in columns)
        connection.execute(f"CREATE TABLE {table} ({listed})")
        connection.execute(f"INSERT INTO {table} SELECT * FROM '{exported}/{table}.parquet'")
    for table, column, target in (
        ("measurement", "visit_occurrence_id", "visit_occurrence"),
        ("condition_occurrence", "visit_detail_id", "visit_detail"),
        ("visit_detail", "visit_occurrence_id", "visit_occurrence"),
        ("death", "person_id", "person"),
    ):
        sql = f"SELECT count(*) FROM {table} r ANTI JOIN {target} t USING ({column}) WHERE r.{column} IS NOT NULL"
        assert connection.execute(sql).fetchall() == [(0,)]


def test_csv_has_the_rows_of_parquet(events: Events, exported: Path, tmp_path: Path) -> None:
    export_omop(events, tmp_path / "csv", format="csv")
    for table in ("person", "drug_exposure", "visit_detail"):
        csv = f"read_csv('{tmp_path}/csv/{table}.csv', header = true)"
        (count,) = duckdb.sql(
            f"SELECT count(*) FROM (FROM {csv} EXCEPT ALL FROM '{exported}/{table}.parquet')"
        ).fetchall()
        assert count == (0,)


def test_the_same_records_give_the_same_bytes(events: Events, exported: Path, tmp_path: Path) -> None:
    export_omop(events, tmp_path / "again")
    for path in exported.iterdir():
        if path.name != "cdm_source.parquet":
            assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_days_without_an_event_are_in_the_observation_periods_and_other_days_are_not(exported: Path) -> None:
    periods = duckdb.sql(
        "SELECT right(person_source_value, 1), observation_period_start_date, observation_period_end_date "
        f"FROM '{exported}/observation_period.parquet' JOIN '{exported}/person.parquet' USING (person_id) ORDER BY ALL"
    ).fetchall()
    assert [(person, f"{first}", f"{last}") for person, first, last in periods] == [
        ("a", "2015-01-01", "2020-12-31"),
        ("a", "2022-01-01", "2023-12-31"),
        ("b", "2016-03-01", "2019-06-30"),
    ]


def test_codes_of_no_omop_delivery_keep_their_code_as_the_source_value(tmp_path: Path) -> None:
    row = {"participant_id": "P-1", "time": datetime(2020, 1, 2), "source": "claims", "institution": "H01"}
    rows = [
        {**row, "code": "KCD8/E119"},
        {**row, "code": "ATC/A10BA02"},
        {**row, "code": "LOINC/8480-6", "value": 120.0},
        {**row, "code": "DEATH/C18"},
    ]
    export_omop(Events(starter(), pa.Table.from_pylist(rows, EVENTS), COVERAGE.empty_table()), tmp_path / "omop")

    def read(table: str, columns: str) -> object:
        return duckdb.sql(f"SELECT {columns} FROM '{tmp_path}/omop/{table}.parquet'").fetchall()

    assert read("condition_occurrence", "condition_concept_id, condition_source_value") == [(0, "E119")]
    assert read("drug_exposure", "drug_concept_id, drug_source_value") == [(0, "A10BA02")]
    assert read("measurement", "value_as_number, unit_concept_id, unit_source_value, measurement_source_value") == [
        (120.0, 8876, "mm[Hg]", "8480-6")
    ]
    assert read("death", "cause_concept_id, cause_source_value") == [(None, "C18")]


def test_each_dropped_column_says_why() -> None:
    assert all(DROPPED.values())
