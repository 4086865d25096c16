"""The page on records: its files are written as they stand, its commands run in order, its output is theirs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from baekman.cli import app
from baekman.cli.shared.groups import register
from baekman.records.dictionary import DICTIONARY_SCHEMA
from baekman.records.intake.reasons import FAULTS, REASON_KINDS
from baekman.records.intake.tables import EVENT_COLUMNS
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


def rows_of(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_the_page_has_every_reason_with_its_columns_and_advice() -> None:
    rows = {cells[0].strip("`"): (cells[1], cells[3]) for cells in rows_of("What a refused row means")}
    assert {code: action for code, (_, action) in rows.items()} == {
        code: kind.action for code, kind in REASON_KINDS.items()
    }
    for code, (columns, _) in rows.items():
        if columns != "all":
            assert set(columns.strip("`").split()) == {column for reason, column in FAULTS if reason == code}


def test_the_page_has_every_column() -> None:
    assert [cells[0].strip("`") for cells in rows_of("The files")] == list(EVENT_COLUMNS)
    listed = [name for cells in rows_of("The dictionary") for name in re.findall(r"`(\w+)`", cells[0])]
    assert listed == DICTIONARY_SCHEMA.names
