"""The page on records: its files are written as they stand, its commands run in order, its output is theirs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from baekman.cli import app
from baekman.cli.shared.groups import register
from support import PROJECT
from typer.testing import CliRunner

PAGE = (PROJECT / "docs" / "records.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:`(?P<file>[\w./-]+)`[^\n]*:\n\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    register(app)
    printed, compared = "", 0
    for block in BLOCK.finditer(PAGE):
        if block["file"]:
            path = tmp_path / block["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"], encoding="utf-8")
        elif block["language"] == "console":
            printed = ""
            for command in block["text"].splitlines():
                result = CliRunner().invoke(app, shlex.split(command)[1:], catch_exceptions=False)
                assert result.exit_code == 0, result.output
                if command.split()[1] == "records" and command.split()[2] != "init":
                    printed += re.sub(r"\bD[0-9A-Z]{13}\b", "D…", result.stdout.replace("\r\n", "\n"))
        elif block["language"] == "text":
            assert block["text"] == printed
            compared += 1
    assert compared == 3
    assert (tmp_path / "W" / "return" / "Hanbit Hospital" / "HB-EMR-2026-03" / "return.html").is_file()
