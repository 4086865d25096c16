"""The commands of records on a workspace with a registry: consent by scope, withdrawals, verification."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from baekman.records.store import RecordStore, open_store
from baekman.registry.records import open_registry
from support.record_batches import DICTIONARY, Batch, add, day, event
from support.registrations import HEADER, participant_of
from typer.testing import CliRunner

SCOPES = "genome,clinical,lifestyle,public_record_linkage"


def command(*words: object, code: int = 0) -> str:
    """Run a command in this process; return its output, or the refusal."""
    groups.register(app)
    result = CliRunner().invoke(app, list(map(str, words)))
    refused = isinstance(result.exception, InputRefused)
    assert (3 if refused else result.exit_code) == code, result.output + repr(result.exception)
    return str(result.exception) if refused else result.stdout


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("commands")
    (place / "dictionary.tsv").write_text(DICTIONARY, encoding="utf-8")
    rows = [
        f"서울병원\tBAR-000{number}\tS{number}\trare\tfemale\tgranted\t2020-01-01\t\t{scopes}\t\t\t\t"
        for number, scopes in ((1, SCOPES), (2, SCOPES), (3, "genome,clinical"))
    ]
    (place / "table.tsv").write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    return place


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Path:
    root = tmp_path / "W"
    command("registry", "init", "--workspace", root)
    command("registry", "import", template / "table.tsv", "--workspace", root)
    options = ("--dictionary", template / "dictionary.tsv", "--buckets", 2)
    assert command("records", "init", "--workspace", root, *options) == "2 buckets\n"
    return root


def people(workspace: Path) -> list[str]:
    opened = open_registry(workspace)
    return [participant_of(opened, f"BAR-000{number}") for number in (1, 2, 3)]


def filled(workspace: Path) -> RecordStore:
    store = open_store(workspace)
    rows = [event(person, "survey", day(2), "SURVEY/sleep_hours", 7.0) for person in people(workspace)]
    rows += [event(person, "survey", day(3), "LOINC/8480-6", 120.0) for person in people(workspace)]
    coverage = [(person, "survey", day(0), day(9)) for person in people(workspace)]
    add(store, Batch("D1", datetime(2020, 1, 1), coverage, rows))
    return store


COUNTS = "SELECT code, count(*) AS people FROM firsts GROUP BY code ORDER BY code"


def answer(workspace: Path, sql: str) -> list[str]:
    """Return the lines of the answer as CSV, without quotes."""
    out = command("records", "query", "--workspace", workspace, "--format", "csv", "--sql", sql)
    return out.replace('"', "").splitlines()


def test_records_from_init_to_withdrawal(workspace: Path) -> None:
    store = filled(workspace)
    first, second, third = people(workspace)
    # the third has no consent to lifestyle: its row was never taken
    views = ["name", "events", "coverage", "firsts", "participants", "dictionary"]
    assert answer(workspace, "SHOW TABLES") == views
    assert answer(workspace, COUNTS) == ["code,people", "LOINC/8480-6,3", "SURVEY/sleep_hours,2"]
    line = json.loads(command("records", "snapshots", "--workspace", workspace))
    assert line == {"snapshot": 1, "rows": 5, "batches": [{"name": "D1", "as_of": "2020-01-01T00:00:00"}]}
    states = ", ".join(f"state('{person}', 'SURVEY/sleep_hours', '{day(2)}')" for person in (first, third))
    assert answer(workspace, f"SELECT {states}")[1] == "recorded,not observed"

    # consent to one scope ends: at once in answers, then on the disk
    command("registry", "consent", first, "--decision", "withdrawn", "--scope", "lifestyle", "--workspace", workspace)
    assert answer(workspace, COUNTS)[1:] == ["LOINC/8480-6,3", "SURVEY/sleep_hours,1"]
    withdrawn = json.loads(command("withdraw", first, "--scope", "lifestyle", "--workspace", workspace))
    assert withdrawn == {"participant": first, "scopes": ["lifestyle"], "records_snapshot": 2}
    assert json.loads(command("withdraw", first, "--scope", "lifestyle", "--workspace", workspace)) == withdrawn
    refused = command("withdraw", first, "--scope", "genome", "--workspace", workspace, code=3)
    assert refused == (
        "--scope: expected clinical, lifestyle, public_record_linkage (without --scope, everything), found a scope of "
        "other data"
    )

    # the whole participant
    receipt = json.loads(command("withdraw", second, "--workspace", workspace))
    assert receipt["records_snapshot"] == 3
    assert not any(second.encode() in path.read_bytes() for path in store.path.rglob("*") if path.is_file())
    assert json.loads(command("withdraw", second, "--workspace", workspace)) == receipt
    assert answer(workspace, COUNTS)[1:] == ["LOINC/8480-6,2"]

    assert command("records", "verify", "--workspace", workspace) == ""
    assert command("records", "compact", "--workspace", workspace) == "4\n"
    assert command("records", "compact", "--workspace", workspace, "--workers", 2) == "4\n"
    assert "records: whole" in command("verify", "--workspace", workspace)
    next(store.batches.glob("*/events/*.parquet")).unlink()
    assert "absent" in command("records", "verify", "--workspace", workspace, code=1)
    assert "absent; restore it from a back-up" in command("verify", "--workspace", workspace, code=1)


def test_a_faulty_dictionary_is_refused(workspace: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.tsv"
    bad.write_text("code\n", encoding="utf-8")
    assert "bad.tsv" in command("records", "init", "--workspace", workspace, "--dictionary", bad, code=3)
