"""OMOP tables into events and out again, and what is equal then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
from baekman import data
from baekman.records.dictionary import Dictionary, read_dictionary
from baekman.records.omop.base_rows import raw_view, scan
from baekman.records.omop.reading import OMOP_COVERAGE, OMOP_EVENTS, Origin, read_omop, table_files
from baekman.records.omop.tables import tables
from baekman.records.schema import COVERAGE, EVENTS

# Columns that differ, and why. Keys of tables are compared by what they point to.
DROPPED = {
    "provider_id": "a member of staff is no participant",
    "care_site_id": "the institution is the place",
    "location_id": "an address identifies a person",
    "person_source_value": "the subject code stays with the institution",
    "visit_source_value": "the number of a visit identifies it",
    "visit_detail_source_value": "the number of a visit identifies it",
    "unique_device_id": "the number of a device identifies a person",
    "production_id": "the number of a device identifies a person",
    "sig": "free text",
    "stop_reason": "free text",
}
TABLES = (
    "person",
    "observation_period",
    "visit_occurrence",
    "visit_detail",
    "condition_occurrence",
    "drug_exposure",
    "procedure_occurrence",
    "device_exposure",
    "measurement",
    "observation",
    "death",
    "condition_era",
)


@dataclass
class Events:
    """Events and coverage in memory, by pseudonym, as an export reads them."""

    dictionary: Dictionary
    table: pa.Table
    days: pa.Table
    delivered: tuple[pa.Table, pa.Table] | None = None  # events and coverage as they are read, by subject code
    parts: Sequence[str] = field(default=("00", "01"))

    def buckets(self) -> Sequence[str]:
        return self.parts

    def events(self, bucket: str) -> pa.Table:
        return _part(self.table, bucket, len(self.parts))

    def coverage(self, bucket: str) -> pa.Table:
        return _part(self.days, bucket, len(self.parts))


def starter() -> Dictionary:
    return read_dictionary(data.path("dictionary.tsv"))


def read_events(folder: Path, dictionary: Dictionary | None = None) -> Events:
    """Return the events of the OMOP tables in ``folder``; the subject ``x`` is the participant ``P-x``."""
    with read_omop(folder, dictionary or starter(), origin=Origin(institution="H01", source="ehr")) as delivery:
        events = pa.Table.from_batches(list(delivery.events()), schema=OMOP_EVENTS)
        coverage = pa.Table.from_batches(list(delivery.coverage()), schema=OMOP_COVERAGE)
        named = _renamed(events, EVENTS), _renamed(coverage, COVERAGE)
        return Events(delivery.dictionary, *named, delivered=(events, coverage))


def differences(delivered: Path, exported: Path, *, people: Mapping[str, str] | None = None) -> dict[str, int]:
    """Return the number of rows, by table, that only one of two folders of OMOP tables has.

    ``people``: the subject code of each participant ID; by default ``P-x`` is ``x``.

    Rows are compared as a multiset, without keys of their own: a person is named by the subject code, a visit and a
    part of it by person and place in the order of visits.
    """
    connection = duckdb.connect()
    compared = [table for table in TABLES if table in table_files(delivered)]
    for side, folder in (("a", delivered), ("b", exported)):
        connection.execute(f"CREATE SCHEMA {side}; SET schema = '{side}'")
        files = table_files(folder)
        for table in TABLES:
            path = files.get(table)
            columns = [r[0] for r in connection.execute(f"DESCRIBE FROM {scan(path)}").fetchall()] if path else []
            connection.execute(raw_view(table, path, columns).replace("TEMP VIEW", "VIEW"))
        named = [(row[0], row[0].removeprefix("P-")) for row in connection.execute(_PERSONS).fetchall()]
        if side == "b" and people is not None:
            named = list(people.items())
        connection.execute("CREATE TABLE named (value VARCHAR, person VARCHAR)")
        connection.executemany("INSERT INTO named VALUES (?, ?)", named)
        connection.execute(_NAMES)
    different = {}
    for table in compared:
        rows = ", ".join(_compared(table))
        select = [f"SELECT {rows} FROM {_joined(side, table)}" for side in "ab"]
        (count,) = connection.execute(
            f"SELECT count(*) FROM ((({select[0]}) EXCEPT ALL ({select[1]})) UNION ALL "
            f"(({select[1]}) EXCEPT ALL ({select[0]})))"
        ).fetchall()[0]
        if count:
            different[table] = count
    return different


_PERSONS = "SELECT coalesce(person_source_value, '') FROM raw_person"
# the names of persons, visits and parts of visits
_NAMES = """
        CREATE TABLE people AS SELECT person_id, person FROM raw_person LEFT JOIN named ON value = person_source_value;
        CREATE TABLE visits AS
        WITH RECURSIVE chain AS (
            SELECT visit_occurrence_id AS id, person_id, 0 AS place, visit_start_date AS day FROM raw_visit_occurrence
            WHERE preceding_visit_occurrence_id IS NULL
                OR preceding_visit_occurrence_id NOT IN (SELECT visit_occurrence_id FROM raw_visit_occurrence)
            UNION ALL
            SELECT v.visit_occurrence_id, v.person_id, c.place + 1, v.visit_start_date FROM raw_visit_occurrence v
            JOIN chain c ON v.preceding_visit_occurrence_id = c.id)
        SELECT id, person || ' ' || place || ' ' || day AS visit FROM chain JOIN people USING (person_id);
        CREATE TABLE parts AS
        SELECT visit_detail_id AS id, visit || ' ' || row_number() OVER (
            PARTITION BY visit ORDER BY visit_detail_start_date, visit_detail_start_datetime) AS part
        FROM raw_visit_detail d LEFT JOIN visits v ON v.id = d.visit_occurrence_id"""


def _joined(side: str, table: str) -> str:
    names = {column.name for column in tables()[table]}
    links = [f"{side}.raw_{table} r LEFT JOIN {side}.people p ON p.person_id = r.person_id"]
    if "visit_occurrence_id" in names:
        links.append(f"LEFT JOIN {side}.visits v ON v.id = r.visit_occurrence_id")
    if "visit_detail_id" in names:
        links.append(f"LEFT JOIN {side}.parts d ON d.id = r.visit_detail_id")
    for column, target in (("preceding_visit_occurrence_id", "visits"), ("preceding_visit_detail_id", "parts")):
        if column in names:
            links.append(f"LEFT JOIN {side}.{target} b ON b.id = r.{column}")
    return " ".join(links)


def _compared(table: str) -> list[str]:
    named = {
        "person_id": "p.person",
        "visit_occurrence_id": "v.visit",
        "visit_detail_id": "d.part",
        "preceding_visit_occurrence_id": "b.visit",
        "preceding_visit_detail_id": "b.part",
    }
    own = {f"{table}_id"} - set(named)
    return [
        f"{named.get(column.name, 'r.' + column.name)} AS {column.name}"
        for column in tables()[table]
        if column.name not in DROPPED and column.name not in own
    ]


def _renamed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    ids = pa.array([f"P-{code}" for code in table.column("subject_code").to_pylist()], pa.string())
    return pa.table([ids, *(table.column(name) for name in schema.names[1:])], schema=schema)


def _part(table: pa.Table, bucket: str, parts: int) -> pa.Table:
    mask = [ord(participant[-1]) % parts == int(bucket) for participant in table.column("participant_id").to_pylist()]
    return table.filter(pa.array(mask, pa.bool_()))
