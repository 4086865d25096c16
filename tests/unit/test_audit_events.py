"""Events: before the use, with the user of the operating system, one mechanism for every command."""

from __future__ import annotations

import errno
import json
import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest
from baekman import audit, pseudonyms
from baekman.audit import log
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.errors import InputRefused
from support.finished_workspace import FinishedWorkspace, finished_workspace, write
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> FinishedWorkspace:
    groups.register(app)
    made = finished_workspace(tmp_path_factory.mktemp("template"))
    report = {"institution": "H", "receipt": RECEIVED, "specimens": []}
    write(made.returned / "H" / "D1" / "return.json", json.dumps(report))
    return made


@pytest.fixture
def root(template: FinishedWorkspace, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template.root, tmp_path / "w"))


RECEIVED = pseudonyms.new("D")
# FIRST and OUT stand for a participant and a new path outside the workspace
COMMANDS: dict[str, str] = {
    "query": "query --cohort W/cohort --participant FIRST",
    "query --tables": "query --cohort W/cohort --participant FIRST --tables W/tables",
    "query --sql": "query --cohort W/cohort --sql SELECT.*.FROM.sites",
    "tables": "tables --cohort W/cohort --output OUT",
    "export": "export --cohort W/cohort --format vcf --output OUT.vcf",
    "cohort verify": "cohort verify --cohort W/cohort",
    "cohort freeze": "cohort freeze --cohort W/cohort --output OUT",
    "cohort report": "cohort report --cohort W/cohort --output OUT.html",
    "cohort compact": "cohort compact --cohort W/cohort",
    "cohort withdraw": "cohort withdraw FIRST --cohort W/cohort",
    "registry show": "registry show --workspace W",
    "registry consent": "registry consent FIRST --workspace W",
    "registry refuse": "registry consent FIRST --decision refused --workspace W",
    "registry withdraw": "registry withdraw FIRST --workspace W",
    "registry import": "registry import TABLE --workspace W",
    "registry rotate-key": "registry rotate-key --workspace W",
    "registry export-institution": "registry export-institution H --workspace W --output OUT",
    "table-keys init": "table-keys init --workspace W",
    "withdraw": "withdraw FIRST --workspace W",
    "return-report": f"return-report {RECEIVED} --workspace W",
    "leakscan": "leakscan W --identifiers TABLE",
}


def run(name: str, root: Path, template: FinishedWorkspace) -> Any:
    table = root.parent / "more.tsv"
    rows = (template.root.parent / "registration.tsv").read_text().splitlines(keepends=True)
    table.write_text(rows[0] + rows[1].replace("B-0000", "B-0009").replace("SUBJ-0", "SUBJ-9"))
    words = {"FIRST": template.participant_ids[0], "TABLE": str(table), "SELECT.*.FROM.sites": "SELECT * FROM sites"}
    arguments = [words.get(word, word) for word in COMMANDS[name].split()]
    arguments = [
        str(root) + word[1:] if word == "W" or word.startswith("W/") else word.replace("OUT", str(root.parent / "out"))
        for word in arguments
    ]
    return CliRunner().invoke(app, arguments)


def state(root: Path) -> dict[str, bytes]:
    """Return the files of the workspace without locks, and of the results next to it."""
    return {
        str(path.relative_to(root.parent)): path.read_bytes()
        for path in sorted(root.parent.rglob("*"))
        if path.is_file() and not path.name.endswith((".lock", "more.tsv"))
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_an_event_that_cannot_be_written_stops_the_command_before_it_shows_or_changes_anything(
    name: str, root: Path, template: FinishedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(name, Path(shutil.copytree(root, root.parent / "other" / "w")), template)  # what the command makes anyway
    shutil.rmtree(root.parent / "other")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = state(root)
    with monkeypatch.context() as patch:
        patch.setattr(log._OpenLog, "_write", full)
        ran = run(name, root, template)
    assert isinstance(ran.exception, OSError), ran.output
    assert ran.stdout == ""
    assert state(root) == before
    ran = run(name, root, template)
    assert ran.exit_code == 0, ran.output
    assert len(list(audit.events(root))) > 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_event_names_the_user_of_the_operating_system(
    name: str, root: Path, template: FinishedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (("USER", "somebody"), ("LOGNAME", "somebody"), ("BAEKMAN_ACTOR", "kim")):
        monkeypatch.setenv(variable, value)
    run(name, root, template)
    events = list(audit.events(root))[1:]
    user = pwd.getpwuid(os.getuid()).pw_name
    assert events and {(event["actor"], event["user"], event["uid"]) for event in events} == {
        ("kim", user, os.getuid())
    }


def test_the_caller_of_sudo_is_noted_and_replaces_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "0")
    assert audit.record(tmp_path, action="read")["sudo_user"] == pwd.getpwuid(0).pw_name
    monkeypatch.setenv("SUDO_UID", "3999999999")
    event = audit.record(tmp_path, action="read")
    assert (event["sudo_user"], event["uid"]) == ("uid:3999999999", os.getuid())
    monkeypatch.setenv("SUDO_UID", "Kim Hanbit")
    assert audit.record(tmp_path, action="read")["sudo_user"] == ""


@pytest.mark.parametrize(
    "actor",
    ["kim\n", "kim\x1b[2J", "a b", "김한빛", "x" * 81, "900101-1234567", "9001011234567", "010-1234-5678", "\udcff"],
)
def test_an_actor_that_is_no_word_or_a_personal_number_is_refused_without_its_value(
    actor: str, root: Path, template: FinishedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAEKMAN_ACTOR", actor)
    before = audit.log_file(root).read_bytes()
    ran = run("registry show", root, template)
    assert isinstance(ran.exception, InputRefused) and ran.stdout == ""
    assert str(ran.exception) == (
        "BAEKMAN_ACTOR: expected one word of up to 80 letters, digits and _ . : -, and no personal number, "
        "found something else"
    )
    assert audit.log_file(root).read_bytes() == before


def test_a_change_that_fails_leaves_a_second_event(root: Path, template: FinishedWorkspace) -> None:
    with pytest.raises(ValueError), audit.use(root, action="cohort.add", object="b2"):
        raise ValueError
    actions = [(event["action"], event["object"]) for event in audit.events(root)]
    assert actions[1:] == [("cohort.add", "b2"), ("cohort.add.failed", "b2")]
