"""The subjects of a delivery as a table of DuckDB: subject code, participant and consent of each, page by page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from baekman.consent import Scope
from baekman.query.limits import Limits
from baekman.records.intake.delivered_rows import DeliveredRows
from baekman.records.intake.sheet import SHEET
from baekman.registry.listing import require_known
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


class Subjects:
    """The table ``subjects`` (columns of ``SUBJECTS``) with each subject code that was added once.

    ``sid`` counts the subjects from 0.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, registry: Registry, institution: str) -> None:
        self.connection, self.registry, self.institution = connection, registry, institution
        connection.execute("CREATE TABLE codes (subject_code VARCHAR)")
        self._insert(SUBJECTS.empty_table(), into="TABLE subjects AS")
        self.count = 0

    def add(self, subject_codes: Iterable[pa.Array]) -> None:
        """Add the subject codes that are not there yet; they are resolved by the registry, page by page."""
        tables = (pa.RecordBatch.from_arrays([codes], names=["subject_code"]) for codes in subject_codes)
        reader = pa.RecordBatchReader.from_batches(pa.schema([("subject_code", pa.string())]), tables)
        self.connection.register("delivered", reader)
        self.connection.execute(
            "INSERT INTO codes SELECT DISTINCT trim(subject_code) AS subject_code FROM delivered "
            "ANTI JOIN codes ON codes.subject_code = trim(delivered.subject_code) WHERE subject_code IS NOT NULL"
        )
        self.connection.unregister("delivered")
        while codes := _page(self.connection, self.count):
            self._insert(_resolved(self.registry, self.institution, codes, first=self.count))
            self.count += len(codes)

    def _insert(self, rows: pa.Table, *, into: str = "") -> None:
        self.connection.register("page", rows)
        self.connection.execute(
            f"CREATE {into} SELECT * FROM page" if into else "INSERT INTO subjects SELECT * FROM page"
        )
        self.connection.unregister("page")


def make_subjects(
    connection: duckdb.DuckDBPyConnection, rows: DeliveredRows, *, registry: Registry, institution: str
) -> Subjects:
    """Return the subjects of the coverage of ``rows``, and of the events where their codes are listed elsewhere.

    The codes of other events are added while their rows are judged: these are read once.
    """
    subjects = Subjects(connection, registry=registry, institution=institution)
    for reader in (rows.coverage(["subject_code"]), *([rows.events(["subject_code"])] if rows.is_omop else [])):
        subjects.add(batch.column(0).unique() for batch in reader)
    return subjects


def require_institution(registry: Registry, institution: str) -> None:
    """Raise InputRefused when ``institution`` has registered nobody: its name may be written in another way."""
    require_known(registry, institution, sheet=SHEET)


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
