"""One way to say where: every command finds the cohort of a workspace, and refuses another folder in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import baekman
import pytest
from baekman.cli.shared.places import cohort_folder, new_cohort_folder
from baekman.errors import InputRefused
from baekman.workspace.identity import require_workspace
from support.example_workspace import example_workspace
from support.store_tools import baekman as command

SNAPSHOTS = ("cohort", "snapshots")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the workspace ``W``, its bare copy ``bare/cohort`` and some folders that are neither."""
    folder = tmp_path_factory.mktemp("places")
    workspace = example_workspace(folder)
    shutil.copytree(workspace / "cohort", folder / "bare" / "cohort")
    (folder / "inbox" / "HB-Kim").mkdir(parents=True)
    (folder / "inbox" / "HB-Kim" / "delivery.yaml").write_text("delivery: D-1\n")
    (folder / "new" / "registry").mkdir(parents=True)
    return folder


def test_a_cohort_is_found_from_every_way_to_say_where(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    workspace = Path("W")
    expected = workspace / "cohort"
    assert cohort_folder(expected, None) == expected
    assert cohort_folder(workspace, None) == expected
    assert cohort_folder(None, workspace) == expected
    assert cohort_folder(workspace, workspace) == expected
    monkeypatch.setenv("BAEKMAN_WORKSPACE", "W")
    assert cohort_folder(None, None) == expected
    assert cohort_folder(Path("bare/cohort"), None) == Path("bare/cohort")
    monkeypatch.setenv("BAEKMAN_WORKSPACE", "")
    monkeypatch.chdir(workspace)
    assert cohort_folder(None, None) == Path("cohort")


def test_a_new_cohort_lies_in_the_workspace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert new_cohort_folder(None, Path("new")) == Path("new/cohort")
    assert new_cohort_folder(Path("new"), None) == Path("new/cohort")
    assert new_cohort_folder(Path("other"), None) == Path("other")
    with pytest.raises(InputRefused, match="--workspace: expected a workspace, found no such folder"):
        new_cohort_folder(None, Path("nowhere"))


def test_commands_and_python_understand_a_workspace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAEKMAN_WORKSPACE", raising=False)
    answers = [
        command(*SNAPSHOTS, *options, cwd=place).stdout
        for options, place in (
            (("--cohort", "W/cohort"), folder),
            (("--cohort", "W"), folder),
            (("--workspace", "W"), folder),
            ((), folder / "W"),
        )
    ]
    assert json.loads(answers[0])["participants"] == 2
    assert len(set(answers)) == 1
    assert repr(baekman.open_cohort(folder / "W")) == "<Cohort cohort, snapshot 1: 2 participants>"


BARE = "a bare cohort store is given as --cohort DIR, to the commands that have --cohort"


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        (
            (),
            ".",
            "--workspace: of the current directory: expected a workspace, found another folder; say --workspace DIR or "
            "set BAEKMAN_WORKSPACE; `baekman registry init --workspace DIR` makes a workspace",
        ),
        (
            (),
            "W/tables",
            "--workspace: of the current directory: expected a workspace, found a folder of tables; its workspace is a "
            "folder above it: --workspace ..",
        ),
        (
            ("--workspace", "new"),
            ".",
            "cohort: expected a cohort store, found a workspace without a cohort yet; `baekman deliver` makes it, or "
            "`baekman cohort init --workspace DIR --reference REF.fa`",
        ),
        (("--workspace", "bare/cohort"), ".", f"--workspace: expected a workspace, found a cohort store; {BARE}"),
        (
            ("--workspace", "nowhere"),
            ".",
            "--workspace: expected a workspace, found no such folder; correct --workspace (or BAEKMAN_WORKSPACE); "
            "`baekman registry init` makes one",
        ),
        (
            ("--cohort", "inbox/HB-Kim"),
            ".",
            "--cohort: expected a cohort store, found a delivery; a delivery is given to `baekman deliver`; say "
            "--workspace DIR for its cohort",
        ),
        (
            ("--cohort", "W/tables"),
            ".",
            "tables: expected a cohort store, found a folder of tables; say --workspace DIR instead, the workspace "
            "around it",
        ),
        (
            ("--cohort", "inbox"),
            ".",
            "inbox: expected a cohort store, found no store.json; create one with: baekman cohort init --cohort DIR "
            "--reference REF.fa",
        ),
    ],
)
def test_another_folder_is_refused_with_the_likely_mistake(
    folder: Path, options: tuple[str, ...], place: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BAEKMAN_WORKSPACE", raising=False)
    done = command(*SNAPSHOTS, *options, cwd=folder / place, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"refused: {message}\n")


def test_a_delivery_is_no_workspace(folder: Path) -> None:
    with pytest.raises(InputRefused) as refused:
        require_workspace(folder / "inbox" / "HB-Kim")
    assert str(refused.value) == (
        "--workspace: expected a workspace, found a delivery; correct --workspace (or BAEKMAN_WORKSPACE); "
        "`baekman registry init` makes one"
    )
