"""A restored back-up brings nobody back: what is older than what was seen is refused until it was checked.

The procedure is that of docs/operating.md, "Back-up and restore".
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from baekman import audit
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.cohort import snapshot
from baekman.cohort.index import find_batches
from baekman.cohort.store import open_store
from baekman.consent import ConsentState
from baekman.errors import InputRefused
from baekman.registry.records import open_registry
from baekman.tables.files import table_path
from baekman.workspace.denied import denied_participants, withdrawn_participants
from baekman.workspace.paths import Workspace
from support.finished_workspace import HEADER, FinishedWorkspace, finished_workspace, write
from typer.testing import CliRunner

# the parts that are restored from time 1; "" is the whole workspace
STATE = ["withdrawn", "denied.txt", "granted.txt", "seen.json", "receipts"]
PARTS = {
    "registry": ["registry"],
    "cohort": ["cohort"],
    "marks": ["withdrawn"],
    "list": ["denied.txt"],
    "list of grants": ["granted.txt"],
    "log": ["audit", "audit.head"],
    "log without head": ["audit"],
    "receipts": ["receipts"],
    "state": ["seen.json"],
    "data": ["participants", "tables", "deliveries", "logs"],
    "registry and lists": ["registry", "denied.txt", "granted.txt"],
    "registry and marks": ["registry", "withdrawn"],
    "registry, marks, lists and state": ["registry", *STATE],
    "all but the registry": ["cohort", *STATE, "audit", "audit.head"],
    "all but the log": ["registry", "cohort", *STATE, "participants", "tables"],
    "all, and the newest log": ["*"],
}
# parts that decide nothing: their data is removed by the next command that opens the registry
UNDECIDED = {"receipts", "data"}
# jobs and queries, which do not open the registry, still have the newest marks and list
LISTED = {"registry"}
# the registry itself puts these in order when it is opened; only jobs and queries refuse them
OPENED = {"list", "list of grants"}


def run(workspace: Workspace, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*words, "--workspace", str(workspace.root)])
    refused = isinstance(result.exception, InputRefused)
    assert (3 if refused else result.exit_code) == code, result.output + repr(result.exception)
    return str(result.exception) if refused else result.output


@pytest.fixture(scope="module")
def times(tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedWorkspace, Path]:
    """Return a workspace at time 2, after a withdrawal and a refusal, and its back-up of time 1."""
    groups.register(app)
    folder = tmp_path_factory.mktemp("times")
    workspace = finished_workspace(folder)
    audit.record(workspace.root, action="registry.init")
    write(folder / "more.tsv", HEADER + "H\tB-0009\tSUBJ-9\trare\tmale\tgranted\t2025-01-01\tName 9\n")
    run(workspace, "registry", "import", str(folder / "more.tsv"))
    back_up = folder / "back-up"
    shutil.copytree(workspace.root, back_up)
    run(workspace, "registry", "consent", workspace.participant_ids[0], "--decision", "refused")
    run(workspace, "withdraw", workspace.participant_ids[1])
    return workspace, back_up


def restored(times: tuple[FinishedWorkspace, Path], folder: Path, parts: list[str]) -> Workspace:
    """Return a copy of the workspace of time 2 with ``parts`` of time 1."""
    workspace = Workspace(folder / "w")
    shutil.copytree(times[0].root, workspace.root)
    for part in parts if parts != ["*"] else [path.name for path in workspace.root.iterdir()]:
        path = workspace.root / part
        if parts == ["*"] and part == "audit":  # the newest copy of the log is put over the old one
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        old = times[1] / part
        if old.is_dir():
            shutil.copytree(old, path)
        elif old.exists():
            shutil.copy2(old, path)
    return workspace


def assert_nobody_is_back(workspace: Workspace, refused: str, withdrawn: str) -> None:
    assert {refused, withdrawn} <= denied_participants(workspace)
    assert withdrawn in withdrawn_participants(workspace)
    registry = open_registry(workspace.root)
    assert registry.active_consent(refused) is ConsentState.REFUSED
    assert registry.is_withdrawn(withdrawn)
    cohort = open_store(workspace.cohort)
    assert not find_batches(cohort, [withdrawn], at=snapshot.read_snapshot(cohort))
    assert not workspace.participant(withdrawn).path.exists()
    assert not table_path(workspace.tables, withdrawn).exists()
    named = [path for path in workspace.deliveries.rglob("*.tsv") if withdrawn in path.read_text()]
    assert named == []


@pytest.mark.parametrize("name", PARTS)
def test_what_is_restored_is_refused_until_the_check_and_nobody_comes_back(
    name: str, times: tuple[FinishedWorkspace, Path], tmp_path: Path
) -> None:
    refused, withdrawn = times[0].participant_ids[:2]
    workspace = restored(times, tmp_path, PARTS[name])
    if name in LISTED:
        assert {refused, withdrawn} <= denied_participants(workspace)
    elif name not in UNDECIDED:
        with pytest.raises(InputRefused, match=r"restore check|audit restart"):
            denied_participants(workspace)
    if name not in UNDECIDED | OPENED:
        assert re.search("restore check|audit restart", run(workspace, "registry", "show", code=3))
    assert "commands work again" in run(workspace, "restore", "check") or name in UNDECIDED
    assert_nobody_is_back(workspace, refused, withdrawn)
    assert run(workspace, "restore", "check") == "everything is in order: nothing to do\n"
    run(workspace, "registry", "show")
    assert_nobody_is_back(workspace, refused, withdrawn)
    assert audit.verify(audit.log_file(workspace.root)) == []


def test_a_second_restore_of_the_same_registry_is_noticed_too(
    times: tuple[FinishedWorkspace, Path], tmp_path: Path
) -> None:
    refused, withdrawn = times[0].participant_ids[:2]
    workspace = restored(times, tmp_path, ["registry", "denied.txt", "granted.txt"])
    run(workspace, "restore", "check")
    for part in ("registry", "denied.txt", "granted.txt"):
        path = workspace.root / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        old = times[1] / part
        shutil.copytree(old, path) if old.is_dir() else shutil.copy2(old, path)
    run(workspace, "registry", "show", code=3)
    run(workspace, "restore", "check")
    assert_nobody_is_back(workspace, refused, withdrawn)


def test_a_registry_that_went_on_from_a_back_up_is_noticed(
    times: tuple[FinishedWorkspace, Path], tmp_path: Path
) -> None:
    """Another workspace without a note changes the restored registry until its number is as high as before."""
    refused, withdrawn = times[0].participant_ids[:2]
    workspace = restored(times, tmp_path, ["registry"])
    registry = open_registry(workspace.root)
    while registry.guard.head().sequence < audit.read_seen(workspace.root).registry:
        with registry.changing() as change:
            change.is_changed = True
    assert "changed since it was restored" in run(workspace, "registry", "show", code=3)
    run(workspace, "restore", "check")
    assert_nobody_is_back(workspace, refused, withdrawn)


def test_a_lost_import_is_named(times: tuple[FinishedWorkspace, Path], tmp_path: Path) -> None:
    workspace = restored(times, tmp_path, [])
    write(tmp_path / "third.tsv", HEADER + "H\tB-0010\tSUBJ-10\trare\tmale\tgranted\t2025-01-01\tName\n")
    run(workspace, "registry", "import", str(tmp_path / "third.tsv"))
    shutil.rmtree(workspace.registry)
    shutil.copytree(times[1] / "registry", workspace.registry)
    assert re.search(
        r"import the registration table with SHA-256 [0-9a-f]{64} again", run(workspace, "restore", "check")
    )


def test_a_damaged_note_is_refused_and_the_check_makes_another(
    times: tuple[FinishedWorkspace, Path], tmp_path: Path
) -> None:
    workspace = restored(times, tmp_path, [])
    (workspace.root / "seen.json").write_text("{")
    assert "seen.json: expected the state" in run(workspace, "registry", "show", code=3)
    assert "commands work again" in run(workspace, "restore", "check")
    run(workspace, "registry", "show")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> Iterator[None]:
    """Delete the copies of each test, which are many."""
    yield
    shutil.rmtree(tmp_path / "w", ignore_errors=True)
