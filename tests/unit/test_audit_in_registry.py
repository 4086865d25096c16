"""The registry's notes on its workspaces: log, marks and lists that were changed with their own notes are noticed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from baekman import audit
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from baekman.workspace.denied import SEAL, admission, denied_participants, seal_list
from baekman.workspace.paths import Workspace
from support.finished_workspace import FinishedWorkspace, finished_workspace
from typer.testing import CliRunner

LOG = ("audit", "audit.head")
LISTS = ("denied.txt", "granted.txt")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> FinishedWorkspace:
    groups.register(app)
    made = finished_workspace(tmp_path_factory.mktemp("template"))
    result = run(made.root, "registry", "consent", made.participant_ids[0], "--decision", "refused")
    assert result.exit_code == 0, result.output
    return made


@pytest.fixture
def root(template: FinishedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the workspace, its registry at another place."""
    workspace = Path(shutil.copytree(template.root, tmp_path / "w"))
    (workspace / "registry").rename(tmp_path / "registry")
    monkeypatch.setenv("BAEKMAN_REGISTRY", str(tmp_path / "registry"))
    return workspace


def run(root: Path, *words: str) -> Any:
    return CliRunner().invoke(app, [*words, "--workspace", str(root)])


def delete(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _rewrite(root: Path) -> None:
    """Write another log with as many events, as somebody would who may write the workspace."""
    number = audit.last_sequence(root)
    kept = {name: (root / name).read_bytes() for name in ("seen.json", *LISTS)}
    delete(root, *LOG, *kept)
    for _ in range(number):
        audit.record(root, action="read")
    for name, content in kept.items():
        (root / name).write_bytes(content)


LOSSES: dict[str, Callable[[Path], object]] = {
    "the log and its head": lambda root: delete(root, *LOG),
    "the log and all notes of the workspace": lambda root: delete(root, *LOG, *LISTS, "seen.json"),
    "a rewritten log": _rewrite,
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_log_that_is_lost_with_its_head_is_noticed_by_the_note_of_the_registry(loss: str, root: Path) -> None:
    events = audit.last_sequence(root)
    LOSSES[loss](root)
    for words in (("registry", "show"), ("registry", "import", "absent.tsv")):
        result = run(root, *words)
        assert isinstance(result.exception, InputRefused), result.output
        assert "audit log" in str(result.exception)
    result = run(root, "restore", "check")
    assert result.exit_code == 0, result.output
    first = json.loads(audit.log_file(root).read_text().splitlines()[0])
    assert first["action"] == "audit.restart"
    assert int(first["object"]) >= events - 1  # `registry consent` prints, and records that, after its last note
    assert run(root, "registry", "show").exit_code == 0
    assert run(root, "restore", "check").output == "everything is in order: nothing to do\n"


def test_a_log_that_is_lost_with_its_head_stops_jobs_and_queries(root: Path) -> None:
    delete(root, *LOG)
    result = CliRunner().invoke(app, ["query", "--cohort", str(root / "cohort"), "--region", "c1"])
    assert isinstance(result.exception, InputRefused)
    assert "audit restart" in str(result.exception)
    assert run(root, "audit", "restart").exit_code == 0
    assert CliRunner().invoke(app, ["query", "--cohort", str(root / "cohort"), "--region", "c1"]).exit_code == 0


def test_the_registry_notes_a_withdrawal_with_its_last_event(root: Path, template: FinishedWorkspace) -> None:
    before = {name: (root / name).read_bytes() for name in ("audit/events.jsonl", "audit.head", "seen.json")}
    assert run(root, "withdraw", template.participant_ids[1]).exit_code == 0
    for name, content in before.items():
        (root / name).write_bytes(content)
    result = run(root, "registry", "show")
    assert isinstance(result.exception, InputRefused)
    assert "which the registry has noted" in str(result.exception)


@pytest.mark.parametrize("part", ["list", "grants", "mark"])
def test_marks_and_lists_that_were_changed_by_hand_are_written_again(
    part: str, root: Path, template: FinishedWorkspace
) -> None:
    workspace, (refused, withdrawn, _) = Workspace(root), template.participant_ids
    assert run(root, "withdraw", withdrawn).exit_code == 0
    if part == "mark":
        workspace.mark(withdrawn).unlink()
        audit.note_seen(root, resets=True, withdrawn=0)
    else:
        file = workspace.denied if part == "list" else workspace.granted
        kept = [line for line in file.read_text().splitlines(keepends=True) if not line.startswith(SEAL)]
        file.write_text("".join(line for line in kept if not line.startswith(refused)))
        if part == "grants":
            with file.open("a") as lines:
                lines.write(f"{refused}\t2025-01-01\t\tcommercial_use\n")
        seal_list(file)
    assert run(root, "registry", "show").exit_code == 0
    assert {refused, withdrawn} <= denied_participants(workspace)
    assert refused not in (admission(workspace, purpose="commercial").granted or ())


def test_a_table_that_was_dropped_or_a_name_of_a_key_that_was_deleted_is_reported(root: Path) -> None:
    file = root.parent / "registry" / "registry.sqlite"
    whole = file.read_bytes()
    tables = [f"DROP TABLE {name}" for name in ("participants", "specimens", "consent_events", "seals", "heads")]
    for statement in [*tables, "DELETE FROM settings WHERE name = 'key_id'"]:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(statement)
        for words in (("registry", "show"), ("registry", "verify"), ("restore", "check")):
            result = run(root, *words)
            assert isinstance(result.exception, InputRefused), (statement, words)
            assert "deleted by hand; restore the registry from a back-up" in str(result.exception)
        file.write_bytes(whole)


def test_verify_says_that_a_whole_registry_is_older_than_what_was_seen(root: Path) -> None:
    file = root.parent / "registry" / "registry.sqlite"
    old = file.read_bytes()
    assert run(root, "registry", "consent", template_id(root), "--decision", "refused").exit_code == 0
    assert run(root, "registry", "verify").stderr == ""
    file.write_bytes(old)
    result = run(root, "registry", "verify")
    assert (result.exit_code, result.stdout[:6]) == (0, "whole:")
    assert "note: registry: expected change" in result.stderr
    assert "restore check" in result.stderr


def template_id(root: Path) -> str:
    """Return a participant whose consent is granted."""
    return next(line.split("\t")[0] for line in run(root, "registry", "show").stdout.splitlines() if "granted" in line)
