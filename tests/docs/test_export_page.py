"""Every command of the pages on exports and on the store's format runs."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import baekman
import pytest
from baekman.cli.shared.opening import BARE
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import create_store
from support import PROJECT
from support.example_workspace import example_workspace
from support.store_tools import baekman as run
from support.store_tools import block, gvcf_text, line, write_reference

DOCS = PROJECT / "docs"
BASES = "ACGTACGTTGCA" * 200_000


def commands() -> list[str]:
    lines = []
    for page in ("exports.md", "cohort-format.md"):
        for shown in re.findall(r"```console\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
            lines += shown.splitlines()
    return lines


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    store = create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", {"chr20": BASES}))
    lines = [
        block(1, 999_999, "A", contig="chr20"),
        line(1_000_001, BASES[1_000_000], "T,<NON_REF>", "0/1:50:30:14,16,0:250,0,300,400,400,400", contig="chr20"),
    ]
    (folder / "one.g.vcf").write_text(gvcf_text(lines, contigs={"chr20": len(BASES)}))
    member = Member(participant_id="P0123456789ABX", gvcf=str(folder / "one.g.vcf"))
    add_batch(store, batch="b", members=[member])
    (folder / "ids.txt").write_text("P0123456789ABX\n")
    (folder / "exome.bed").write_text("chr20\t1000000\t1000100\n")
    (folder / "pheno.csv").write_text("participant_id,smokes\nP0123456789ABX,no\n")
    return folder


@pytest.mark.parametrize("command", commands())
def test_command_of_the_page_runs(place: Path, command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "baekman"
    done = run(*arguments, cwd=place)
    # an export writes only its file
    assert (done.stdout if arguments[0] == "export" else done.stderr) == f"{BARE}\n"
    if arguments[0] == "query" and "--output" not in arguments:
        assert len(done.stdout.splitlines()) == 2


def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example_workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(DOCS / "exports.md"), module_relative=False, globs={"baekman": baekman})
    assert result.failed == 0 and result.attempted >= 6
