"""A project is what its description says, once and unedited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from baekman import audit, pseudonyms
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.consent import Scope
from baekman.errors import InputRefused
from baekman.projects.project import SHEET, add_project, open_project
from support.kills import killed_before
from support.projects import DESCRIPTION, describe
from typer.testing import CliRunner


def test_the_same_description_is_the_same_project(tmp_path: Path) -> None:
    project, is_new = add_project(tmp_path / "W", describe(tmp_path))
    assert is_new and pseudonyms.is_valid(project.id, "J")
    values = yaml.safe_load(DESCRIPTION.replace("2026-01-05", "'2026-01-05'").replace("2099-01-04", "'2099-01-04'"))
    other_order = dict(reversed(values.items())) | {"purpose": "DS", "scopes": ["clinical", "genome"]}
    again, is_new = add_project(tmp_path / "W", describe(tmp_path, yaml.safe_dump(other_order)))
    assert (again, is_new) == (project, False)
    assert open_project(tmp_path / "W", project.id) == project
    other, _ = add_project(tmp_path / "W", describe(tmp_path, DESCRIPTION.replace("2026-017", "2026-018")))
    assert other.id != project.id
    assert [event["object"] for event in audit.events(tmp_path / "W")] == [project.id, other.id]


def test_a_project_says_what_a_participant_must_have_granted(tmp_path: Path) -> None:
    text = DESCRIPTION.replace("commercial: false", "commercial: true")
    project, _ = add_project(tmp_path / "W", describe(tmp_path, text))
    assert project.required_scopes == {Scope.GENOME, Scope.CLINICAL, Scope.COMMERCIAL_USE}
    assert project.has_member("LEE  jiwoo") and not project.has_member("서울대학교")


def test_a_description_reports_every_fault_and_no_value(tmp_path: Path) -> None:
    text = """\
title: ""
purpose: [research, DUO:0000007]
people: []
commercial: maybe
overseas: false
scopes: [genome, genome]
irb: {number: 홍길순, date: 2026-02-30, expires: soon}
room: large
"""
    with pytest.raises(InputRefused) as refused:
        add_project(tmp_path / "W", describe(tmp_path, text))
    assert [str(problem) for problem in refused.value.problems] == [
        "project.yaml: expected one of the keys title, purpose, diseases, people, institution, commercial, overseas, "
        "scopes, irb, found another key",
        "project.yaml: expected the key institution, found none",
        "project.yaml: commercial: expected true or false, found 5 characters of another form",
        "project.yaml: irb.expires: expected a date YYYY-MM-DD, found 4 characters of another form",
        "project.yaml: people: expected a list of at least 1, found a list",
        "project.yaml: purpose.1: expected a DUO term of a purpose: DUO:0000006, 0000007, 0000011, 0000042, or 0000031 "
        "to 0000040, found 8 characters of another form",
        "project.yaml: scopes: expected a list without repetition, found a list",
        "project.yaml: title: expected a line of text, 1 to 200 characters, found an empty text",
        "project.yaml: purpose: expected diseases (MONDO) for DUO:0000007, found no key diseases",
        "project.yaml: irb.date: expected a day of the calendar, found 10 characters of another form",
    ]
    assert not (tmp_path / "W").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "project.yaml: expected `key: value` lines of YAML, found a list"),
        (
            "title: a\ntitle: b\n",
            "project.yaml: line 2, column 1: expected `key: value` lines of YAML, found a key a second time",
        ),
        ("title: [\n", "project.yaml: line 2, column 1: expected `key: value` lines of YAML, found something else"),
        ("title: a\0b\n", "project.yaml: line 1: expected text, found a NUL byte"),
    ],
)
def test_a_file_that_is_no_description(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputRefused) as refused:
        add_project(tmp_path / "W", describe(tmp_path, text))
    assert str(refused.value) == message


def test_an_edited_description_is_refused(tmp_path: Path) -> None:
    project, _ = add_project(tmp_path / "W", describe(tmp_path))
    file = project.home / SHEET
    file.write_text(file.read_text().replace('"genome"', '"genome"\n- "lifestyle"'))
    with pytest.raises(
        InputRefused, match=f"project.yaml: {project.id}: expected the description that is in the audit"
    ):
        open_project(tmp_path / "W", project.id)


def test_adding_that_was_killed_is_finished_by_the_same_command(tmp_path: Path) -> None:
    file, step = describe(tmp_path), 0
    while killed_before(step := step + 1, lambda: add_project(tmp_path / f"W{step}", file)):
        project, _ = add_project(tmp_path / f"W{step}", file)
        assert open_project(tmp_path / f"W{step}", project.id) == project
        assert len(list((tmp_path / f"W{step}" / "projects").glob("J*"))) == 1
    assert step > 5


def test_commands_add_and_show(tmp_path: Path) -> None:
    groups.register(app)
    run, workspace = CliRunner(), ["--workspace", str(tmp_path / "W")]
    audit.record(tmp_path / "W", action="registry.init")
    added = run.invoke(app, ["project", "add", str(describe(tmp_path)), *workspace], catch_exceptions=False)
    project_id = added.stdout.strip()
    again = run.invoke(app, ["project", "add", str(describe(tmp_path)), *workspace])
    assert (again.stdout.strip(), again.stderr) == (project_id, "added before: nothing to do\n")
    shown = json.loads(run.invoke(app, ["project", "show", project_id, "--json", *workspace]).stdout)
    assert (shown["id"], shown["scopes"], shown["is_closed"]) == (project_id, ["genome", "clinical"], False)
    assert f"{project_id}  open    2099-01-04  당뇨병" in run.invoke(app, ["project", "show", *workspace]).stdout
    assert "purpose       DUO:0000007" in run.invoke(app, ["project", "show", project_id, *workspace]).stdout
