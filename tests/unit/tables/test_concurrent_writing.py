"""Tables that another process writes at the same time, or takes participants out of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store
from baekman.files.snapshots import SnapshotGone
from baekman.tables.files import DATASETS, TableWriters, metadata_of, reference_path, table_path
from baekman.tables.make import make_tables, stale_tables, withdraw_tables
from support.kills import Killed, killed
from support.small_cohort import member


def before_closing(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Call ``happens`` when the first table is written and about to appear."""
    real = TableWriters.close

    def close(*arguments: Any) -> None:
        monkeypatch.undo()
        happens()
        real(*arguments)

    monkeypatch.setattr(TableWriters, "close", close)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("gone", ["P0", "P2"])
def test_a_participant_who_withdraws_during_the_writing_gets_no_table_and_is_counted_in_none(
    cohort: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    output = tmp_path / "tables"

    def withdrawal() -> None:
        rewrite.withdraw(cohort, [gone])
        withdraw_tables(cohort, [gone])

    make_tables(cohort, output=output, participants=["P1"])
    before_closing(monkeypatch, withdrawal)
    with pytest.raises(SnapshotGone):
        make_tables(cohort, output=output)
    assert files(output) == ["hashes/1_/P1.json", "reference/1_/P1.parquet", "variants/1_/P1.parquet"]
    assert stale_tables(cohort, output) == []
    for path in (table_path(output, "P1"), reference_path(output, "P1")):
        assert metadata_of(path)["baekman.snapshot"] == read_snapshot(cohort).content


def test_two_processes_may_write_the_same_tables(
    cohort: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_closing(monkeypatch, lambda: make_tables(cohort, output=tmp_path / "tables"))
    assert make_tables(cohort, output=tmp_path / "tables") == 3
    places = [f"{dataset}/{number}_/P{number}.parquet" for dataset in DATASETS for number in range(3)]
    places += [f"hashes/{number}_/P{number}.json" for number in range(3)]
    assert files(tmp_path / "tables") == sorted(places)


def test_files_that_another_process_is_writing_stay(
    cohort: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_batch(cohort, batch="b2", members=[member(tmp_path, 3)])
    others: list[TableWriters] = []
    before_closing(monkeypatch, lambda: others.append(TableWriters(tmp_path / "tables", "P3", {}, None)))
    assert make_tables(cohort, output=tmp_path / "tables") == 4
    assert all(path.exists() for other in others for path in other.temporary)
    others[0].discard()


def test_unfinished_files_of_a_killed_run_are_deleted(
    cohort: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TableWriters, "close", killed)
    monkeypatch.setattr(TableWriters, "discard", lambda _: None)
    with pytest.raises(Killed):
        make_tables(cohort, output=tmp_path / "tables")
    monkeypatch.undo()
    assert any(name.endswith(".tmp") for name in files(tmp_path / "tables"))
    make_tables(cohort, output=tmp_path / "tables")
    assert not any(name.endswith(".tmp") for name in files(tmp_path / "tables"))


def test_a_withdrawal_goes_on_when_another_command_deletes_the_same_work(
    cohort: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b7.0", "b8.0"):
        (cohort.work / name).mkdir(parents=True)
        (cohort.work / name / "plan.json").write_text('{"batch": "b7", "members": [{"participant_id": "P0"}]}')
    real = Path.read_text

    def read_text(path: Path, *arguments: Any) -> str:
        if path.parent.name == "b7.0":
            shutil.rmtree(path.parent)
        text = real(path, *arguments)
        if path.parent.name == "b8.0":
            shutil.rmtree(path.parent)
        return text

    monkeypatch.setattr(Path, "read_text", read_text)
    assert rewrite.withdraw(cohort, ["P0"]).participants == 2


def test_a_table_that_another_withdrawal_has_just_deleted_is_not_stale(
    cohort: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "tables"
    make_tables(cohort, output=output)
    listed = list(output.glob("*/*/*.parquet"))
    table_path(output, "P0").unlink()
    monkeypatch.setattr(Path, "glob", lambda *_: iter(listed))
    assert stale_tables(cohort, output) == []
