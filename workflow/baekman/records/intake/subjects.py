"""The subjects of a delivery as a table of DuckDB: subject code, participant and consent of each, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from baekman.consent import Scope
from baekman.errors import InputRefused, Problem
from baekman.query.limits import Limits
from baekman.records.intake.delivered_rows import DeliveredRows
from baekman.records.intake.sheet import SHEET
from baekman.registry.listing import is_known
from baekman.registry.records import Registry
from baekman.registry.subjects import resolve_subjects

if TYPE_CHECKING:
    import duckdb  # not at the start of every command

PAGE = 5_000
MEMORY = "2GB"
SPILL = "1TB"
# scopes of records, each with its column of the table ``subjects``
CONSENT_COLUMNS = {
    Scope.CLINICAL: "clinical",
    Scope.LIFESTYLE: "lifestyle",
    Scope.PUBLIC_RECORD_LINKAGE: "public_record_linkage",
}
SUBJECTS = pa.schema(
    [
        pa.field("sid", pa.int64()),
        pa.field("subject_code", pa.string()),
        pa.field("participant_id", pa.string()),  # null: not registered
        pa.field("birth_year", pa.int32()),
        *(pa.field(column, pa.bool_()) for column in CONSENT_COLUMNS.values()),
    ]
)


@contextmanager
def working_database(folder: Path, *, workers: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a database in memory of a bounded size; rows beyond it go to ``folder``, encrypted."""
    import duckdb

    from baekman.query.connection import spill_encrypted

    with duckdb.connect() as connection:
        Limits(memory=MEMORY, spill=SPILL).set_on(connection)
        spill_encrypted(connection, folder)
        connection.execute("SET threads = ?", [workers])
        connection.execute("SET preserve_insertion_order = false; SET enable_progress_bar = false")
        yield connection


def make_subjects(
    connection: duckdb.DuckDBPyConnection, rows: DeliveredRows, *, registry: Registry, institution: str
) -> None:
    """Make the table ``subjects`` (columns of ``SUBJECTS``) with each subject code of ``rows`` once."""
    for name, reader in (
        ("event_codes", rows.events(["subject_code"])),
        ("coverage_codes", rows.coverage(["subject_code"])),
    ):
        connection.register("delivered", _each_once(reader))
        connection.execute(
            f"CREATE TABLE {name} AS SELECT DISTINCT trim(subject_code) AS subject_code FROM delivered"
            " WHERE subject_code IS NOT NULL"
        )
        connection.unregister("delivered")
    connection.execute("CREATE TABLE codes AS SELECT * FROM event_codes UNION SELECT * FROM coverage_codes")
    connection.execute("DROP TABLE event_codes; DROP TABLE coverage_codes")
    connection.register("page", SUBJECTS.empty_table())
    connection.execute("CREATE TABLE subjects AS SELECT * FROM page")
    first = 0
    while codes := _page(connection, first):
        page = _resolved(registry, institution, codes, first=first)
        connection.register("page", page)
        connection.execute("INSERT INTO subjects SELECT * FROM page")
        first += PAGE
    connection.unregister("page")
    connection.execute("DROP TABLE codes")


def require_institution(registry: Registry, institution: str) -> None:
    """Raise InputRefused when ``institution`` has registered nobody: its name may be written in another way."""
    if not is_known(registry, institution):
        raise InputRefused(
            Problem(
                file=SHEET,
                place="institution",
                expected="an institution that has registered participants, under the name of its registration table",
                found="one that has registered nobody",
                action="correct the name, or import its registration first; then give the same delivery again",
            )
        )


def _each_once(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return a reader of the distinct rows of each batch of one column."""
    batches = (pa.RecordBatch.from_arrays([batch.column(0).unique()], schema=reader.schema) for batch in reader)
    return pa.RecordBatchReader.from_batches(reader.schema, batches)


def _page(connection: duckdb.DuckDBPyConnection, first: int) -> list[str]:
    query = "SELECT subject_code FROM codes WHERE rowid >= ? AND rowid < ?"
    return [row[0] for row in connection.execute(query, [first, first + PAGE]).fetchall()]


def _resolved(registry: Registry, institution: str, codes: list[str], *, first: int) -> pa.Table:
    subjects = resolve_subjects(registry, institution, codes)
    granted = {
        column: [subject is not None and scope in subject.scopes for subject in subjects]
        for scope, column in CONSENT_COLUMNS.items()
    }
    return pa.table(
        {
            "sid": list(range(first, first + len(codes))),
            "subject_code": codes,
            "participant_id": [subject.participant_id if subject else None for subject in subjects],
            "birth_year": [subject.birth_year if subject else None for subject in subjects],
            **granted,
        },
        schema=SUBJECTS,
    )
