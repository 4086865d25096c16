"""The commands on projects of the page on releases print what the page shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.consent import today
from baekman.registry.records import create_registry
from support import PROJECT
from support.projects import RELEASE
from typer.testing import CliRunner

PAGE = (PROJECT / "docs" / "releases.md").read_text(encoding="utf-8")


def examples() -> list[tuple[str, str]]:
    """Return each command of the page with the output that follows it."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)
    parts = [part for block in blocks for part in block.split("$ baekman ")[1:]]
    examples = [(command, output) for command, _, output in (part.partition("\n") for part in parts)]
    return [(command, output) for command, output in examples if command.startswith("project ")]


def masked(text: str, project_id: str) -> str:
    """Return ``text`` with what differs between runs as the page shows it; columns keep their width."""
    for value, letter in ((project_id, "J"), (RELEASE, "R")):
        text = re.sub(rf"{value}(  +\w)", lambda match, letter=letter: f"{letter}…{' ' * 12}{match[1]}", text)
        text = text.replace(value, f"{letter}…")
    text = re.sub(r"(?m)^[0-9a-f]{16} ", "…" + " " * 16, text)
    text = re.sub(r"[0-9a-f]{64}|(?<=plan )[0-9a-f]{12}", "…", text)
    return re.sub(r" *\n", "\n", text.replace(today().isoformat(), "YYYY-MM-DD"))


def test_commands_print_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    groups.register(app)
    create_registry(tmp_path / "W")
    Path("project.yaml").write_text(
        PAGE.split("## Describe the project", 1)[1].split("```yaml\n", 1)[1].split("```", 1)[0], encoding="utf-8"
    )
    project_id = ""
    for command, expected in examples():
        words = shlex.split(command.replace("J…", project_id).replace("R…", RELEASE))
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        if words[:2] == ["project", "add"]:
            project_id = result.stdout.strip()
            home = tmp_path / "W" / "releases" / RELEASE
            home.mkdir(parents=True)
            (home / "plan.json").write_text(json.dumps({"request": {"project": project_id}}))
        shown = masked(result.stdout + result.stderr, project_id)
        assert re.sub(r"R… {12}", "R…", shown) == re.sub(r"R… {12}", "R…", expected), command
    assert len(examples()) >= 9
