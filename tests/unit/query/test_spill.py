"""What DuckDB writes to disk of rows that do not fit into memory is encrypted, wherever rows are of one participant."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from baekman.query import connection as connections
from baekman.records.export import frames
from baekman.records.schema import EVENTS
from baekman.releases.linkage import OtherRecords, joined
from baekman.releases.low_risk import row_schema, suppressed

WORD = b"QXVALUE"
LARGE = f"CREATE TABLE large AS SELECT '{WORD.decode()}' || md5(i::VARCHAR) AS v FROM range(300000) AS t(i) ORDER BY v"


@pytest.fixture
def spill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_rows_of_an_export_beyond_its_memory_are_spilled_and_cannot_be_read(
    spill: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "MEMORY_LIMIT", "30MB")
    with frames.bounded_connection() as connection:
        connection.execute("SET threads = 1")
        connection.execute(LARGE)
        written = b"".join(path.read_bytes() for path in spill.rglob("*") if path.is_file())
        assert len(written) > 1_000_000 and WORD not in written
        assert connection.execute("SELECT count(*) FROM large").fetchall() == [(300_000,)]


def low_risk() -> None:
    schema = row_schema([], key="participant_id")
    with suppressed([schema.empty_table()], schema=schema, threshold=11):
        pass


def linkage() -> None:
    joined([EVENTS.empty_table()], [OtherRecords((), frozenset())], codes=[])


@pytest.mark.parametrize("work", [low_risk, linkage])
def test_rows_of_members_are_spilled_encrypted(work: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    encrypted: list[bool] = []
    original = connections.spill_encrypted

    def spilled(connection: duckdb.DuckDBPyConnection, folder: Path | str) -> None:
        original(connection, folder)
        ((is_on,),) = connection.execute("SELECT current_setting('temp_file_encryption')").fetchall()
        encrypted.append(is_on)

    monkeypatch.setattr(connections, "spill_encrypted", spilled)
    work()
    assert encrypted == [True]
