"""What is found inside a FASTQ file, whatever its comments."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from baekman.errors import WorkerDied
from baekman.intake.contents import Contents, examine
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.delivery import ManifestRow
from support.delivery_builder import fastq


def look(folder: Path, text: str, registered: list[str] | None = None) -> Contents:
    content = gzip.compress(text.encode())
    (folder / "a.fastq.gz").write_bytes(content)
    row = ManifestRow(
        row=2,
        specimen="A",
        file="a.fastq.gz",
        kind="fastq_1",
        read_group="",
        sha256=hashlib.sha256(content).hexdigest(),
        md5="",
        size=len(content),
    )
    delivered = DeliveredFile(folder=folder, row=row, key=None)
    return examine(delivered, reference=folder, registered=registered or [], label="A")


@pytest.mark.parametrize(
    "name",
    [
        lambda number, mate: f"r{number}",
        lambda number, mate: f"r{number}/{mate}",
        lambda number, mate: f"r{number} {mate}:N:0:ACGT",
        lambda number, mate: f"r{number}/{mate}\tBC:Z:{number * mate}",  # a comment of its own for each
        lambda number, mate: f"r{number} {'x' * 300}{mate}",
    ],
)
def test_mates_are_recognised_by_their_names_alone(tmp_path: Path, name: Callable[[int, int], str]) -> None:
    first, second = (
        look(tmp_path, fastq(1, mate, pairs=12_000, name=lambda number, mate=mate: name(number, mate)))
        for mate in (1, 2)
    )
    other = look(tmp_path, fastq(1, 1, pairs=12_000, name=lambda number: name(number + 1, 1)))
    assert first.faults == second.faults == []
    assert first.records == 12_000
    assert first.names_digest == second.names_digest != other.names_digest


@pytest.mark.parametrize("number", [0, 11_999])
def test_no_comment_is_overlooked_because_there_are_many(tmp_path: Path, number: int) -> None:
    def name(of: int) -> str:
        return f"r{of} {of}" + (" Kim Hanbit" if of == number else "")

    assert look(tmp_path, fastq(1, 1, pairs=12_000, name=name), ["Kim Hanbit"]).read_identifiers == {"registered"}


def test_the_line_after_the_plus_is_searched_too(tmp_path: Path) -> None:
    text = fastq(1, 1).replace("\n+\n", "\n+Kim Hanbit\n", 1)
    assert look(tmp_path, text, ["Kim Hanbit"]).read_identifiers == {"registered"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("r\nA\n+\nF\n", 1),
        ("@r\nA C\n+\nFFF\n", 2),
        ("@r\nA\n-\nF\n", 3),
        ("@r\nAC\n+\nF\n", 4),
        ("@r\nA\n+\n\x7f\n", 4),
        ("@r\x1b[0m\nA\n+\nF\n", 1),
        ("@r\nA\n+\nF\n@r\nA\n", 6),
        ("@r\r\nA\r\n+\r\nF\r\n", 1),
    ],
)
def test_the_line_of_a_fault_is_told(tmp_path: Path, text: str, line: int) -> None:
    assert look(tmp_path, text).faults == [("unreadable", f"something else than a FASTQ record at line {line}")]


def test_a_tool_that_is_killed_for_want_of_memory_says_nothing_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    awk = tmp_path / "bin" / "awk"
    awk.parent.mkdir()
    awk.write_text("#!/bin/sh\nkill -KILL $$\n", encoding="utf-8")
    awk.chmod(0o755)
    monkeypatch.setenv("PATH", f"{awk.parent}:{os.environ['PATH']}")
    with pytest.raises(WorkerDied):
        look(tmp_path, fastq(1, 1))
