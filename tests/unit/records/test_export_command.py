"""The export of a store: consent by scope, the audit event before, nothing half written, and refusals."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from baekman import audit
from baekman.cli.records import app
from baekman.errors import InputRefused
from baekman.records.access import open_records
from baekman.records.export import write
from baekman.records.export.write import export_records
from baekman.records.store import RecordStore
from support.record_batches import PEOPLE, Batch, add, day, event, new_store, write_lists
from typer.testing import CliRunner

A, B, C = PEOPLE
BATCH = Batch(
    "claims",
    datetime(2020, 1, 1),
    [(person, "claims", day(0), day(9)) for person in PEOPLE],
    [
        *(event(person, "claims", day(number)) for person in PEOPLE for number in (1, 4)),
        *(event(person, "claims", day(2), "LOINC/8480-6", 120.5) for person in PEOPLE),
        *(event(person, "claims", day(5), "SURVEY/sleep_hours", 7.5) for person in PEOPLE),
    ],
)


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    store = new_store(tmp_path / "W")
    write_lists(store.workspace)
    add(store, BATCH)
    return store


def exported(store: RecordStore, name: str = "omop", **options: str) -> Path:
    output = store.workspace.parent / name
    export_records(open_records(store.workspace), output, format="omop", **options)
    return output


def count(folder: Path, table: str) -> object:
    (row,) = duckdb.sql(f"SELECT count(*) FROM '{folder}/{table}.parquet'").fetchall()
    return row[0]


def test_an_export_leaves_out_who_and_what_has_no_consent(store: RecordStore) -> None:
    everything = [(C, scope) for scope in ("clinical", "lifestyle", "public_record_linkage")]
    write_lists(store.workspace, denied=[(B, "lifestyle"), *everything])
    output = exported(store)
    assert count(output, "person") == count(output, "observation_period") == 2
    assert count(output, "condition_occurrence") == 4
    # of two people the blood pressure, of one the hours of sleep
    assert count(output, "measurement") == 3


def test_the_audit_event_comes_before_the_export(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "write_omop", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        exported(store)
    last = list(audit.events(store.workspace))[-1]
    assert (last["action"], last["object"]) == ("records.export", "1")


def test_consent_that_ends_during_an_export_leaves_no_files(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def withdraw(self: write.AdmittedRecords, bucket: str) -> object:
        write_lists(store.workspace, denied=[(A, "clinical")])
        return coverage(self, bucket)

    coverage = write.AdmittedRecords.coverage
    monkeypatch.setattr(write.AdmittedRecords, "coverage", withdraw)
    with pytest.raises(InputRefused) as refused:
        exported(store)
    assert str(refused.value) == (
        "records: expected consent that stays in force while data are written, found consent that changed; nothing "
        "was written; run the same command again"
    )
    assert sorted(path.name for path in store.workspace.parent.iterdir()) == ["W"]


def test_every_fault_of_a_command_is_reported_at_once(store: RecordStore) -> None:
    (store.workspace.parent / "there").mkdir()
    with pytest.raises(InputRefused) as refused:
        export_records(open_records(store.workspace), store.workspace.parent / "there", format="fhir", files="xlsx")
    assert [str(problem) for problem in refused.value.problems] == [
        "--format: expected one of omop, meds, phenopackets, found another word",
        "--files: expected one of parquet, csv, found another word",
        "--output: expected a new folder, found one that is there; name another folder, or remove this one",
    ]
    with pytest.raises(InputRefused) as refused:
        export_records(open_records(store.workspace), store.workspace.parent / "new", format="meds", files="csv")
    assert str(refused.value) == "--files: expected csv with --format omop alone, found --format meds"


@pytest.mark.parametrize(("format", "people"), [("meds", "3\n"), ("phenopackets", "0\n")])
def test_the_command_prints_the_number_of_participants(store: RecordStore, format: str, people: str) -> None:
    output = store.workspace.parent / format
    options = ["export", "--workspace", str(store.workspace), "--format", format, "--output", str(output)]
    result = CliRunner().invoke(app, options, catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (0, people)
    assert output.is_dir()
