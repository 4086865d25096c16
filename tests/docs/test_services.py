"""The files of systemd and cron: systemd takes them, baekman has their options, and the page names them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from baekman.cli import app
from baekman.cli.shared import groups
from support import PROJECT
from typer.testing import CliRunner

FOLDER = PROJECT / "resources" / "systemd"
INSTALLED = "/opt/baekman/.venv/bin/baekman"
COMMAND = re.compile(r"^(?:ExecStart=\S+|\*/5 .* baekman umask.* flock \S+ \S+ baekman) (.*)$", re.M)


def commands() -> list[list[str]]:
    """Return the words after ``baekman`` in each file."""
    return [shlex.split(words) for file in FOLDER.iterdir() for words in COMMAND.findall(file.read_text())]


def test_baekman_has_the_options_of_each_service() -> None:
    assert len(commands()) == 4
    if not app.registered_groups:
        groups.register(app)
    for words in commands():
        options = [word for word in words if word.startswith("--")]
        command = words[: words.index(options[0])] if options else words
        noted = ["--profile"] if command[0] == "watch" else []  # in a comment of the file
        for option in [*options, *noted]:
            assert option in CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output


def test_the_page_names_each_file() -> None:
    page = (PROJECT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert {file.name for file in FOLDER.iterdir() if file.name not in page} == set()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "baekman"
    for file in FOLDER.glob("*.*r"):  # .timer
        assert file.with_suffix(".service").is_file()
    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace(INSTALLED, str(command)))
    units = sorted(str(file) for ending in ("service", "timer") for file in tmp_path.glob(f"*.{ending}"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False, timeout=60
    )
    own = [line for line in done.stderr.splitlines() if "baekman" in line]
    assert len(units) == 5 and (done.returncode, own) == (0, []), done.stderr
