"""samtools and bcftools are those of pysam wherever the pipeline runs; absent tools are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pysam.version
import pytest
from baekman.errors import InputRefused
from baekman.tools import programs as tools

STEP = [sys.executable, "-c", "from baekman.cli import main; main()", "step", "tool"]


@pytest.fixture
def only_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def fake(folder: Path, tool: str, version: str) -> Path:
    file = folder / tool
    file.write_text(f"#!/bin/sh\necho {tool} {version}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize("tool", ["samtools", "bcftools"])
def test_the_bundled_tool_is_used_whatever_is_on_path(only_path: Path, tool: str) -> None:
    fake(only_path, tool, "99.1")
    assert tools.command(tool) == [sys.executable, "-P", tools.BUNDLED_PROGRAM, tool]
    assert tools.versions()[tool] == getattr(pysam.version, f"__{tool}_version__")


def test_other_tools_come_from_path_with_their_version(only_path: Path) -> None:
    file = fake(only_path, "mosdepth", "0.3.3")
    assert tools.command("mosdepth") == [str(file)]
    assert tools.versions()["mosdepth"] == "0.3.3" and "bwa" not in tools.versions()


def test_an_absent_tool_is_refused_with_what_to_do(only_path: Path) -> None:
    with pytest.raises(InputRefused) as refused:
        tools.command("bwa")
    assert str(refused.value) == (
        "PATH: bwa: expected the tool bwa, found none;"
        " install it (envs/apt.txt on Debian, envs/baekman.yaml with conda)"
    )


def test_the_bundled_tool_works_in_a_pipe_and_fails_with_an_exit_code() -> None:
    command = [*tools.command("samtools"), "view", "-h", "-"]
    sam = "@SQ\tSN:1\tLN:4\nr\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\tIIII\n"
    done = subprocess.run(command, input=sam, capture_output=True, text=True, check=True)
    assert sam.splitlines()[0] in done.stdout and done.stdout.endswith("ACGT\tIIII\n")
    failed = subprocess.run(command, input="nothing", capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr == '[main_samview] fail to read the header from "-".\n'


@pytest.mark.parametrize("prefix", [tools.command("samtools"), [*STEP, "samtools"]])
def test_the_bundled_tool_keeps_what_its_stdout_file_holds_already(tmp_path: Path, prefix: list[str]) -> None:
    (tmp_path / "one.fa").write_text(">1\nACGT\n")
    log = tmp_path / "log"
    with log.open("w") as out:
        out.write("before\n")
        out.flush()
        for arguments in (["faidx", "one.fa"], ["faidx", "one.fa", "1:2-3"]):
            subprocess.run([*prefix, *arguments], stdout=out, cwd=tmp_path, check=True)
        subprocess.run(["echo", "after"], stdout=out, check=True)
    assert log.read_text() == "before\n>1:2-3\nCG\nafter\n"


def test_the_step_that_runs_a_bundled_tool_ends_with_its_exit_code() -> None:
    command = [*STEP, "samtools", "view", "absent.bam"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert 'failed to open "absent.bam" for reading: No such file or directory' in failed.stderr
