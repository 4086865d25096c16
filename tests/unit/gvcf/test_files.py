"""A gVCF is read the same however it is written, and however long its lines are."""

from __future__ import annotations

import gzip
from pathlib import Path

import pysam
import pysam.bcftools
import pytest
from baekman.errors import InputRefused
from baekman.gvcf import reader as gvcf
from support.store_tools import BASES, C1, block, genome_of, gvcf_text, line, read_gvcf, read_lines, spans


@pytest.mark.parametrize("chunk", [1, 40, 1 << 18])
def test_a_record_is_found_again_where_the_chunks_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(gvcf, "CHUNK_BYTES", chunk)
    once = line(10, "C", "T", "0/1:40:22:11,11:45,0,42")
    with pytest.raises(InputRefused, match="the same as a record above it"):
        read_lines(tmp_path, [block(3, 9, BASES[2]), once, once], C1)
    other = line(10, "C", "T", "0/1:41:22:11,11:45,0,42")
    assert read_lines(tmp_path, [block(3, 9, BASES[2]), once, other], C1).counts.duplicates == 1


SMALL = [
    block(1, 9, "A"),
    line(10, "C", "T,<NON_REF>", "0/1:40:22:11,11,0:45,0,42,90,90,90", filter="LowQual"),
    block(11, 200, "A", gq=30),
]


def as_written(folder: Path, how: str) -> Path:
    text = gvcf_text(SMALL, contigs={"c1": len(BASES)})
    plain = folder / "plain.g.vcf"
    plain.write_text(text)
    path = folder / f"one.{how}"
    if how == "gzip, no newline at the end":
        path.write_bytes(gzip.compress(text.rstrip("\n").encode()))
        return path
    if how == "plain":
        return plain
    if how == "CRLF":
        path.write_bytes(text.replace("\n", "\r\n").encode())
    elif how == "empty lines":
        path.write_text(text + "\n\n")
    elif how == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    elif how == "two gzip members":
        path.write_bytes(gzip.compress(text[:900].encode()) + gzip.compress(text[900:].encode()))
    elif how == "BGZF":
        pysam.tabix_compress(str(plain), str(path))
    else:
        pysam.bcftools.view(
            "-O", {"BCF": "b", "uncompressed BCF": "u"}[how], "-o", str(path), str(plain), catch_stdout=False
        )
    return path


@pytest.mark.parametrize(
    "how",
    [
        "gzip, no newline at the end",
        "CRLF",
        "empty lines",
        "gzip",
        "two gzip members",
        "BGZF",
        "BCF",
        "uncompressed BCF",
    ],
)
def test_the_same_is_read_however_it_is_written(tmp_path: Path, how: str) -> None:
    expected = read_gvcf(as_written(tmp_path, "plain"), genome_of(C1))
    reading = read_gvcf(as_written(tmp_path, how), genome_of(C1))
    assert (reading.rows, reading.segments) == (expected.rows, expected.segments)
    assert len(reading.rows) == 1 and reading.rows[0].filter == "LowQual"


def test_a_file_without_records_has_no_evidence(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, [], C1)
    assert (reading.rows, reading.segments, reading.counts.records) == ([], [], 0)


@pytest.mark.parametrize("likelihoods", [True, False])
def test_many_long_alts(tmp_path: Path, likelihoods: bool) -> None:
    bases = "".join("ACGT"[(n * n // 7) % 4] for n in range(2000))
    alts = [bases[0] + "".join("ACGT"[(number >> 2 * k) & 3] for k in range(3)) + "A" * 1000 for number in range(60)]
    values = ",".join(["0"] * ((len(alts) + 1) * (len(alts) + 2) // 2)) if likelihoods else "."
    reading = read_lines(
        tmp_path, [line(1, bases[:1500], ",".join(alts), f"1/2:40:20:{values}", format="GT:GQ:DP:PL")], {"c1": bases}
    )
    assert {row.copies for row in reading.rows} == {0, 1, 2}


def test_a_long_ref_with_many_short_alts(tmp_path: Path) -> None:
    bases = "".join("ACGT"[(n * n // 7) % 4] for n in range(20_000))
    alts = [bases[0] + "".join("ACGT"[(number >> 2 * k) & 3] for k in range(4)) for number in range(200)]
    alts = [alt for alt in dict.fromkeys(alts) if not bases.startswith(alt)]
    reading = read_lines(
        tmp_path, [line(1, bases[:10_000], ",".join(alts), "1/2:40:20", format="GT:GQ:DP")], {"c1": bases}
    )
    assert sum(len(row.ref) > 9000 for row in reading.rows) >= 1


def test_a_line_longer_than_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baekman.gvcf.reader.CHUNK_BYTES", 1000)
    lines = [
        block(1, 9, "A"),
        line(10, "C", "T", "0/1:40:22:11,11:45,0,42", info="X=" + "y" * 50_000),
        block(11, 20, "A"),
    ]
    reading = read_lines(tmp_path, lines, C1)
    assert (len(reading.rows), spans(reading)) == (1, [(1, 9, 50, "called"), (11, 20, 50, "called")])


def test_a_record_is_read_the_same_wherever_its_separators_lie(tmp_path: Path) -> None:
    # separators are found 64 bytes at a time, and fewer at the end of a chunk
    for width in range(1, 140, 9):
        other = "X" * width
        samples = (f"0/1:40:22:11,11:45,0,42:{other}:7", f"0/0:30:{other}")
        lines = [
            line(10, "C", "T", samples[0], info=other, format="GT:GQ:DP:AD:PL:XX:PS"),
            line(20, BASES[19], "<*>", samples[1], info=f"END=29;{other}=1;MIN_DP=9", format="GT:GQ:XX"),
        ]
        reading = read_lines(tmp_path, lines, C1)
        (row,) = reading.rows
        assert (row.gq, row.dp, row.ad, row.pl, row.phase_set) == (40, 22, (11, 11), (45, 0, 42), 7)
        assert [(s.start, s.end, s.gq, s.dp) for s in reading.segments] == [(20, 29, 30, 9)]
