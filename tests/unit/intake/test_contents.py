"""The description of a delivered file: its names, faults and identifiers, in bounded memory."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from baekman.errors import WorkerDied
from baekman.intake import contents as contents_module
from baekman.intake.contents import Contents, examine
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.manifest import ManifestRow
from baekman.tools import programs as tools
from support.delivery_builder import fastq, write_alignment, write_reference


def delivered(path: Path, kind: str) -> DeliveredFile:
    content = path.read_bytes()
    row = ManifestRow(
        row=2,
        barcode="A",
        file=path.name,
        kind=kind,
        read_group="",
        sha256=hashlib.sha256(content).hexdigest(),
        md5="",
        size=len(content),
    )
    return DeliveredFile(folder=path.parent, row=row, key=None)


def look(folder: Path, text: str, registered: list[str] | None = None) -> Contents:
    path = folder / "a.fastq.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return examine(delivered(path, "fastq_1"), reference=folder, registered=registered or [], barcode="A")


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
def test_no_comment_is_missed_where_there_are_many(tmp_path: Path, number: int) -> None:
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
def test_a_fault_is_reported_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert look(tmp_path, text).faults == [("unreadable", f"something else than a FASTQ record at line {line}")]


def test_a_killed_tool_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "command", lambda _: ["sh", "-c", "kill -KILL $$"])
    reference = write_reference(tmp_path / "reference")
    write_alignment(tmp_path / "a.bam", reference, sample="A", seed=1)
    with pytest.raises(WorkerDied):
        examine(delivered(tmp_path / "a.bam", "bam"), reference=reference, registered=[], barcode="A")


@pytest.mark.parametrize(("kind", "suffix"), [("fastq_1", "fastq"), ("gvcf", "vcf"), ("bam", "bam")])
def test_an_endless_line_is_refused_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    reference = write_reference(tmp_path / "reference")
    if kind == "bam":
        monkeypatch.setattr(contents_module, "SAM_LINE_LIMIT", 16 << 20)
        header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}})
        with pysam.AlignmentFile(str(path), "wb", header=header) as out:
            read = pysam.AlignedSegment(header)
            read.query_name, read.flag, read.query_sequence = "r", 4, "A" * (100 << 20)
            out.write(read)
    else:
        beginning = b"@r\n" if kind == "fastq_1" else b"##fileformat=VCFv4.2\n#CHROM\tPOS\nchr1\t1\t.\t"
        path.write_bytes(beginning + b"A" * (100 << 20))
    file = delivered(path, kind)
    tracemalloc.start()
    contents = examine(file, reference=reference, registered=[], barcode="A")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [code for code, text in contents.faults if text.startswith("a line longer than")] == ["unreadable"]
    assert peak < (160 << 20 if kind == "gvcf" else 60 << 20)
