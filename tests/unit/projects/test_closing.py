"""A closed project has no book, gets nothing, and stays closed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from baekman import audit
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from baekman.projects.closing import close
from baekman.projects.project import add_project, open_project
from baekman.registry.books.book import open_book
from baekman.registry.importing import import_registrations
from baekman.registry.records import create_registry, open_registry
from baekman.withdrawal import restore_check
from baekman.workspace.paths import Workspace
from support.kills import killed_before
from support.projects import describe, make_board
from support.registrations import FIRST, participant_of, table
from typer.testing import CliRunner


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    registry, _ = create_registry(tmp_path / "W")
    import_registrations(registry, [table(tmp_path, FIRST)])
    make_board(tmp_path)
    return tmp_path / "W"


def closing(workspace: Path) -> bool:
    project = next(workspace.glob("projects/J*")).name
    return close(open_project(workspace, project), reason="the study has ended", registry=open_registry(workspace))


def test_a_closed_project_has_no_book_and_no_decisions_and_no_release(workspace: Path, tmp_path: Path) -> None:
    project, _ = add_project(workspace, tmp_path / "project.yaml")
    registry = open_registry(workspace)
    open_book(registry, project.id).rows([participant_of(registry)])
    groups.register(app)
    options = ["project", "close", project.id, "--reason", "the study has ended", "--workspace", str(workspace)]
    assert CliRunner().invoke(app, options, catch_exceptions=False).stderr == "closed: its book is destroyed\n"
    assert CliRunner().invoke(app, options).stderr == "closed before: nothing to do\n"
    assert not (workspace / "registry" / "books" / project.id).exists()
    assert [event["action"] for event in audit.events(workspace)].count("project.close") == 1
    closed = open_project(workspace, project.id)
    assert closed.is_closed and add_project(workspace, tmp_path / "project.yaml") == (closed, False)
    with pytest.raises(InputRefused, match=f"{project.id}: expected an open project, found a closed one"):
        closed.require_open()
    with pytest.raises(InputRefused, match="expected the book of an open project, found a destroyed one"):
        open_book(open_registry(workspace), project.id)


def test_closing_that_was_killed_is_finished_by_the_same_command(workspace: Path, tmp_path: Path) -> None:
    project, _ = add_project(workspace, tmp_path / "project.yaml")
    registry = open_registry(workspace)
    open_book(registry, project.id).rows([participant_of(registry)])
    for step in range(1, 99):
        copy = tmp_path / f"copy{step}"
        shutil.copytree(workspace, copy)
        if not killed_before(step, lambda copy=copy: closing(copy)):  # type: ignore[misc]
            break
        if step % 3 == 0:
            closing(copy)
            assert not closing(copy) and open_project(copy, project.id).is_closed
            assert not (copy / "registry" / "books" / project.id).exists()
            assert [event["action"] for event in audit.events(copy)].count("project.close") == 1
        else:  # the event may be there or not: closed is closed, and no book is made again
            is_closed = open_project(copy, project.id).is_closed
            assert is_closed or (copy / "registry" / "books" / project.id / "key").is_file()
        shutil.rmtree(copy)
    assert step > 8


def test_a_reason_has_no_identifier(workspace: Path, tmp_path: Path) -> None:
    project, _ = add_project(workspace, describe(tmp_path))
    with pytest.raises(InputRefused, match="--reason: expected a text for the applicants, without pseudonymous IDs"):
        close(project, reason=f"as {project.id}", registry=open_registry(workspace))
    assert not open_project(workspace, project.id).is_closed


def test_a_restored_registry_brings_no_book_of_a_closed_project_back(workspace: Path, tmp_path: Path) -> None:
    project, _ = add_project(workspace, tmp_path / "project.yaml")
    registry = open_registry(workspace)
    open_book(registry, project.id).rows([participant_of(registry)])
    shutil.copytree(workspace / "registry", tmp_path / "copy")
    closing(workspace)
    shutil.rmtree(workspace / "registry")
    shutil.copytree(tmp_path / "copy", workspace / "registry")
    lines = restore_check(Workspace(workspace), registry=open_registry(workspace))
    assert f"{project.id}: its book destroyed again" in lines
    assert not (workspace / "registry" / "books" / project.id).exists()
    with pytest.raises(InputRefused, match="expected the book of an open project, found a destroyed one"):
        open_book(open_registry(workspace), project.id)


def test_a_closed_project_stays_closed_where_the_log_was_begun_again(workspace: Path, tmp_path: Path) -> None:
    project, _ = add_project(workspace, tmp_path / "project.yaml")
    closing(workspace)
    audit.log_file(workspace).unlink()
    audit.restart(workspace)
    again, is_new = add_project(workspace, tmp_path / "project.yaml")
    assert (again.id, again.is_closed, is_new) == (project.id, True, False)
    assert open_project(workspace, project.id).is_closed
