"""Which samtools and bcftools are used, and what is told of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from baekman.errors import InputRefused
from baekman.tools import programs as tools
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    tools._newest_is_on_path.cache_clear()
    yield tmp_path
    tools._newest_is_on_path.cache_clear()


def fake(folder: Path, tool: str, version: str) -> Path:
    file = folder / tool
    file.write_text(f"#!/bin/sh\necho {tool} {version}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def test_an_older_binary_is_passed_over(on_path: Path) -> None:
    fake(on_path, "samtools", "1.9")
    assert tools.command("samtools") == [sys.executable, "-P", tools.BUNDLED_PROGRAM, "samtools"]
    assert tools.versions()["samtools"].startswith("1.2")


def test_a_newer_binary_is_taken(on_path: Path) -> None:
    file = fake(on_path, "samtools", "9.1")
    assert tools.command("samtools") == [str(file)]
    assert tools.versions()["samtools"] == "9.1"


def test_without_a_binary_the_bundled_one_is_taken(on_path: Path) -> None:
    assert tools.command("bcftools")[-2:] == [tools.BUNDLED_PROGRAM, "bcftools"]


def test_an_absent_tool_is_refused_with_what_to_do(on_path: Path) -> None:
    with pytest.raises(InputRefused) as refused:
        tools.command("bwa")
    assert str(refused.value) == (
        "PATH: bwa: expected the tool bwa, found none;"
        " install it (envs/apt.txt on Debian, envs/baekman.yaml with conda)"
    )


def test_the_bundled_tool_works_in_a_pipe_and_fails_with_an_exit_code() -> None:
    command = [sys.executable, "-P", tools.BUNDLED_PROGRAM, "samtools", "view", "-h", "-"]
    sam = "@SQ\tSN:1\tLN:4\nr\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\tIIII\n"
    done = subprocess.run(command, input=sam, capture_output=True, text=True, check=True)
    assert sam.splitlines()[0] in done.stdout and done.stdout.endswith("ACGT\tIIII\n")
    failed = subprocess.run(command, input="nothing", capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr == '[main_samview] fail to read the header from "-".\n'


def test_the_bundled_tool_leaves_what_the_file_that_is_its_stdout_holds_already(tmp_path: Path) -> None:
    (tmp_path / "one.fa").write_text(">1\nACGT\n")
    log = tmp_path / "log"
    with log.open("w") as out:
        out.write("before\n")
        out.flush()
        for arguments in (["samtools", "faidx", "one.fa"], ["samtools", "faidx", "one.fa", "1:2-3"]):
            command = [sys.executable, "-P", tools.BUNDLED_PROGRAM, *arguments]
            subprocess.run(command, stdout=out, cwd=tmp_path, check=True)
        subprocess.run(["echo", "after"], stdout=out, check=True)
    assert log.read_text() == "before\n>1:2-3\nCG\nafter\n"


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_versions_compare_by_number(one: list[int], other: list[int]) -> None:
    texts = [".".join(map(str, numbers)) for numbers in (one, other)]
    assert (tools._numbers(texts[0]) > tools._numbers(texts[1])) == (one > other)
