"""The description of a delivered file: its names, faults and identifiers, in bounded memory."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pysam
import pytest
from baekman.errors import WorkerDied
from baekman.intake import contents as contents_module
from baekman.intake.contents import Contents, examine
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.examination import cram_header
from baekman.intake.examination.reads import check_mates, check_reads
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
        ("@r\nA\n-\nF\n", 3),
        ("@r\x1b[0m\nA\n+\nF\n", 1),
        ("@r\nA\n+\nF\n@r\nA\n", 6),
        ("@r\nA\n+\nF\n\n@r\nA\n+\nF\n", 5),
    ],
)
def test_a_fault_is_reported_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert look(tmp_path, text).faults == [("unreadable", f"something else than a FASTQ record at line {line}")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("@r\nAC-T\n+\nFFFF\n", "a letter in the sequence that IUPAC has for no base at line 2"),
        ("@r\nA\n+\nF\n@r\nA*\n+\nFF\n", "a letter in the sequence that IUPAC has for no base at line 6"),
        ("@r\nA\n+\n\x7f\n", "a quality that Phred+33 does not have at line 4"),
        ("@r\nA\n+\n \n", "a quality that Phred+33 does not have at line 4"),
        ("@r\nAC\n+\nF\n", "another number of qualities than bases at line 4"),
        ("@r\nA\n+\nF\n@r\n\n+\n\n", "a read without bases at line 6"),
    ],
)
def test_a_fault_of_bases_or_qualities_has_its_own_words(tmp_path: Path, text: str, fault: str) -> None:
    assert look(tmp_path, text).faults == [("unreadable", fault)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("more", ["", "\n", "\r\n\r\n"])
def test_line_ends_and_blank_lines_at_the_end_change_nothing(tmp_path: Path, end: str, more: str) -> None:
    plain = look(tmp_path, fastq(1, 1))
    other = look(tmp_path, fastq(1, 1).replace("\n", end) + more)
    assert other.faults == [] and (other.records, other.names_digest) == (plain.records, plain.names_digest)
    assert (other.bases_digest, other.qualities) == (plain.bases_digest, (ord("F"), ord("F")))


@pytest.mark.parametrize("mark", [".", "_", "-", "_R", "/", ":"])
def test_names_that_end_with_their_mate_are_those_of_a_pair(tmp_path: Path, mark: str) -> None:
    looks = {}
    rows = []
    for mate in (1, 2):
        text = fastq(7, mate, name=lambda number, mate=mate: f"SRR1.{number}{mark}{mate} {number} length=50")
        looks[mate] = look(tmp_path, text)
        rows.append(replace(delivered(tmp_path / "a.fastq.gz", f"fastq_{mate}").row, row=mate))
    assert check_mates(rows, looks) == []
    exchanged = [replace(row, kind=other.kind) for row, other in zip(rows, reversed(rows), strict=True)]
    codes = {finding.reason.code for finding in check_mates(exchanged, looks)}
    codes |= {finding.reason.code for row in exchanged for finding in check_reads(row, looks[row.row])}
    assert codes == {"mate_wrong"}


def test_names_that_end_in_a_number_are_no_marks_of_mates(tmp_path: Path) -> None:
    first, second = (
        look(tmp_path, fastq(1, mate, name=lambda number, mate=mate: f"SRR1.{10 * number + mate * (number > 3)}"))
        for mate in (1, 2)
    )
    assert not first.stems_digest and first.names_digest != second.names_digest


@pytest.mark.parametrize(("lowest", "highest", "held"), [("@", "h", True), (";", "h", True), ("#", "h", False)])
def test_qualities_of_another_scale_are_seen_in_every_format(
    tmp_path: Path, lowest: str, highest: str, held: bool
) -> None:
    reference = write_reference(tmp_path / "reference")
    write_alignment(tmp_path / "a.bam", reference, sample="A", seed=1)
    with pysam.AlignmentFile(str(tmp_path / "a.bam")) as reads:
        header, records = reads.header, list(reads)
    with pysam.AlignmentFile(str(tmp_path / "b.bam"), "wb", header=header) as out:
        for read in records:
            read.query_qualities = pysam.qualitystring_to_array(lowest + highest * 99)
            out.write(read)
    file = delivered(tmp_path / "b.bam", "bam")
    bam = examine(file, reference=reference, registered=[], barcode="A")
    assert bam.faults == []
    text = look(tmp_path, fastq(1, 1).replace("F" * 50, lowest + highest * 49))
    for contents in (bam, text):
        codes = [finding.reason.code for finding in check_reads(file.row, contents)]
        assert codes == ["quality_scale"] * held


def test_a_bam_with_reads_without_qualities_is_refused(tmp_path: Path) -> None:
    reference = write_reference(tmp_path / "reference")
    write_alignment(tmp_path / "a.bam", reference, sample="A", seed=1)
    text = pysam.view("-h", str(tmp_path / "a.bam")).replace("I" * 100, "*", 3)
    (tmp_path / "a.sam").write_text(text)
    pysam.view("-b", "-o", str(tmp_path / "b.bam"), str(tmp_path / "a.sam"), catch_stdout=False)
    contents = examine(delivered(tmp_path / "b.bam", "bam"), reference=reference, registered=[], barcode="A")
    assert contents.faults == [("unreadable", "3 reads without bases or without qualities")]


@pytest.mark.parametrize(("version", "key"), [("2.1", "UR"), ("3.0", "UR:file"), ("3.0", "M5"), ("3.1", "UR")])
def test_a_cram_header_opens_no_file_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, key: str
) -> None:
    """The file outside has the sequence that decoding needs: whoever opened it would read the records."""
    reference = write_reference(tmp_path / "reference")
    outside = tmp_path / "outside"
    outside.mkdir()
    sequence = "".join(fastq(5, 1, pairs=40).splitlines()[1::4])
    (outside / "o.fa").write_text(f">other\n{sequence}\n")
    (outside / "plain").write_text(sequence)
    value = f"M5:{outside / 'plain'}" if key == "M5" else f"{key}:{outside / 'o.fa'}"
    header = "@SQ\tSN:other\tLN:2000\n@RG\tID:x\tSM:A\n"
    reads = [f"r{n}\t0\tother\t{n + 1}\t60\t50M\t*\t0\t0\t{sequence[n : n + 50]}\t{'F' * 50}\n" for n in range(20)]
    (tmp_path / "a.sam").write_text(header + "".join(reads))
    options = ["-T", str(outside / "o.fa"), "-O", f"cram,version={version}", "-o", str(tmp_path / "plain.cram")]
    pysam.view(*options, str(tmp_path / "a.sam"), catch_stdout=False)
    hostile = header.replace("LN:2000", f"LN:2000\t{value}")
    with monkeypatch.context() as patched:
        patched.setattr(cram_header, "cleaned", lambda _: hostile.encode())
        content = b"".join(cram_header.without_references([(tmp_path / "plain.cram").read_bytes()]))
    (tmp_path / "a.cram").write_bytes(content)
    (outside / "o.fa.fai").unlink()
    before = {path.name: path.stat().st_atime_ns for path in outside.iterdir()}
    contents = examine(delivered(tmp_path / "a.cram", "cram"), reference=reference, registered=[], barcode="A")
    assert [code for code, _ in contents.faults] == ["unreadable"]
    assert {path.name: path.stat().st_atime_ns for path in outside.iterdir()} == before
    assert contents.header == hostile and contents.samples == ("A",)
    good = examine(delivered(tmp_path / "a.cram", "cram"), reference=outside / "o.fa", registered=[], barcode="A")
    assert good.faults == [] and good.records == 20


@pytest.mark.parametrize("change", [(4, 4), (4, 1), (26, 0x7F), (30, 0xFF), (50, 0)])
def test_a_damaged_cram_header_is_a_fault(tmp_path: Path, change: tuple[int, int]) -> None:
    reference = write_reference(tmp_path / "reference")
    write_alignment(tmp_path / "a.cram", reference, sample="A", seed=1)
    content = bytearray((tmp_path / "a.cram").read_bytes())
    content[change[0]] = change[1]
    (tmp_path / "a.cram").write_bytes(content)
    contents = examine(delivered(tmp_path / "a.cram", "cram"), reference=reference, registered=[], barcode="A")
    assert "unreadable" in [code for code, _ in contents.faults]


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
