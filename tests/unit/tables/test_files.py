"""The two data sets of tables, and the layout of earlier versions, which is converted and never read."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pyarrow.dataset as ds
import pytest
from baekman.cohort.schema import REFERENCE_TABLE, TABLE
from baekman.cohort.store import Store, open_store
from baekman.tables import keys as table_keys
from baekman.tables.files import convert_layout, open_table, reference_path, remove_unfinished, table_path
from baekman.tables.make import make_tables, read_participants, stale_tables, withdraw_tables
from support.finished_workspace import FinishedWorkspace
from support.kills import Killed
from support.store_tools import baekman, hashes


@pytest.fixture
def cohort(cohort: Store, tmp_path: Path) -> Store:
    """Return the small cohort, and its tables in ``tmp_path``."""
    make_tables(cohort, output=tmp_path / "tables")
    return cohort


def to_old_layout(tables: Path) -> None:
    """Arrange the files of ``tables`` as earlier versions did."""
    for kind, dataset in (("", "variants"), (".reference", "reference")):
        for path in sorted((tables / dataset).glob("*/*.parquet")):
            (tables / path.parent.name).mkdir(exist_ok=True)
            path.rename(tables / path.parent.name / f"{path.stem}{kind}.parquet")
        shutil.rmtree(tables / dataset)


def test_any_tool_can_glob_the_two_datasets_apart(cohort: Store, tmp_path: Path) -> None:
    for dataset, schema in (("variants", TABLE), ("reference", REFERENCE_TABLE)):
        folder = tmp_path / "tables" / dataset
        assert ds.dataset(folder).schema.remove_metadata().equals(schema)
        assert sorted(path.stem for path in folder.glob("*/*.parquet")) == ["P0", "P1", "P2"]
    rows = pl.scan_parquet(tmp_path / "tables" / "variants" / "**" / "*.parquet").collect()
    assert sorted(rows["participant_id"]) == ["P0", "P1", "P2"]


def test_the_first_command_that_writes_converts_the_old_layout(cohort: Store, tmp_path: Path) -> None:
    before = hashes(tmp_path / "tables")
    to_old_layout(tmp_path / "tables")
    inodes = {path.stat().st_ino for path in (tmp_path / "tables").rglob("*.parquet")}
    make_tables(cohort, output=tmp_path / "tables", participants=["P0"])
    assert hashes(tmp_path / "tables") == before
    assert {path.stat().st_ino for path in (tmp_path / "tables").rglob("*.parquet")} == inodes
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["hashes", "reference", "variants"]


def test_a_conversion_that_was_killed_is_finished_by_the_next(
    cohort: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes(tmp_path / "tables")
    to_old_layout(tmp_path / "tables")
    real, moves = Path.replace, []

    def replace(path: Path, target: Path) -> Path:
        if len(moves) == 3:
            raise Killed
        moves.append(path)
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(Killed):
        convert_layout(tmp_path / "tables")
    monkeypatch.undo()
    assert convert_layout(tmp_path / "tables") == 3
    assert hashes(tmp_path / "tables") == before
    assert convert_layout(tmp_path / "tables") == 0


def test_encrypted_tables_are_converted_without_their_keys(workspace: FinishedWorkspace, tmp_path: Path) -> None:
    table_keys.create(workspace.root)
    cohort, tables = open_store(workspace.cohort), workspace.tables
    make_tables(cohort, output=tables)
    keys = workspace.table_keys
    keys.rename(tmp_path / "elsewhere")
    to_old_layout(tables)
    assert convert_layout(tables) == 2 * len(workspace.participant_ids)
    (tmp_path / "elsewhere").rename(keys)
    participant = workspace.participant_ids[0]
    for path in (table_path(tables, participant), reference_path(tables, participant)):
        assert table_keys.is_encrypted(path)
        with open_table(path, participant=participant, keys=table_keys.open_keys(workspace.root)) as file:
            assert file.read().column("participant_id").unique().to_pylist() == [participant]


def test_a_withdrawal_deletes_tables_of_the_old_layout(cohort: Store, tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    to_old_layout(tables)
    unfinished = tables / "0_" / ".P0.reference.parquet.0123.tmp"
    unfinished.touch()
    withdraw_tables(cohort, ["P0"])
    assert sorted(path.stem for path in tables.rglob("*.parquet")) == ["P1", "P1", "P2", "P2"]
    assert not unfinished.exists()
    assert stale_tables(cohort, tables) == []


def test_unfinished_files_of_one_participant_are_deleted(tmp_path: Path) -> None:
    names = ["variants/1_/.P1", "reference/1_/.P1", "1_/.P1", "1_/.P1.reference", "variants/10/.P10", "10/.P10"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.parquet.0123.tmp").touch()
    remove_unfinished(tmp_path, "P1")
    assert sorted(hashes(tmp_path)) == ["10/.P10.parquet.0123.tmp", "variants/10/.P10.parquet.0123.tmp"]
    remove_unfinished(tmp_path)
    assert hashes(tmp_path) == {}


def test_a_reader_that_finds_the_old_layout_reports_the_command_that_converts_it(cohort: Store, tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    question = ("query", "--cohort", cohort.path, "--participant", "P0", "--tables", tables, "--format", "csv")
    answer = baekman(*question).stdout
    to_old_layout(tables)
    refused = baekman(*question, check=False)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr == (
        "refused: tables: expected tables in variants/ and reference/, found tables of an earlier version, both kinds "
        "in one folder; move them with: baekman tables --cohort COHORT --output TABLES --convert\n"
    )
    assert baekman("tables", "--cohort", cohort.path, "--output", tables, "--convert").stdout == "6\n"
    assert baekman(*question).stdout == answer


@pytest.mark.parametrize(
    "text", ["P1\nP2\n", "participant_id\nP1\nP2\n", '"participant_id"\r\n"P1"\r\n"P2"\r\n', "P1,P2"]
)
def test_a_file_of_ids_may_be_the_answer_to_a_query(text: str, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text(text)
    assert read_participants(f"@{tmp_path / 'ids'}") == read_participants("P1, P2") == ["P1", "P2"]
