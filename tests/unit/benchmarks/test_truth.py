"""Genotypes compared as haplotypes: cases with known answers, and a slow oracle."""

from __future__ import annotations

from pathlib import Path

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from truth import Allele, CallSet, Comparison, Counts, Regions, compare, match_window

#            1234567890123456789012345678901234567890
REFERENCE = "ACGTTGCAACCAAAAAAAAGTCTCTCTCAGGATTACAGCA" * 3


@pytest.fixture()
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "ref.fa"
    path.write_text(f">c\n{REFERENCE}\n")
    pysam.faidx(str(path))
    return path


def write(path: Path, records: list[str]) -> Path:
    header = [
        "##fileformat=VCFv4.2",
        '##FILTER=<ID=LowQual,Description="x">',
        f"##contig=<ID=c,length={len(REFERENCE)}>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
        '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="x">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "S"]),
    ]
    lines = ["\t".join(["c", *record.split()]) for record in records]
    path.write_text("\n".join([*header, *lines]) + "\n")
    return path


def counted(tmp_path: Path, reference: Path, truth: list[str], calls: list[str], **options: int) -> Comparison:
    expected = CallSet(path=write(tmp_path / "t.vcf", truth))
    return compare(expected, CallSet(path=write(tmp_path / "c.vcf", calls), **options), reference=reference)


SAME = [
    # an MNP and its two SNVs
    (["5 . TG CA . . . GT 0/1"], ["5 . T C . . . GT 0/1", "6 . G A . . . GT 0/1"]),
    # a deletion at the right and at the left end of its repeat
    (["18 . AA A . . . GT 1/1"], ["11 . CA C . . . GT 1/1"]),
    # one multiallelic record, and two that overlap
    (["11 . CAA C,CA . . . GT 1/2"], ["11 . CA C . . . GT 0/1", "11 . CAA C . . . GT 0/1"]),
    # one complex allele, and an insertion with a SNV
    (["7 . CA CTG . . . GT 0/1"], ["7 . C CT . . . GT 0/1", "8 . A G . . . GT 0/1"]),
    # phased one way, unphased the other
    (["5 . T C . . . GT 0|1", "6 . G A . . . GT 1|0"], ["5 . T C . . . GT 0/1", "6 . G A . . . GT 0/1"]),
    # haploid and homozygous
    (["5 . T C . . . GT 1"], ["5 . T C . . . GT 1/1"]),
]


@pytest.mark.parametrize(("truth", "calls"), SAME)
def test_the_same_haplotypes_match_however_they_are_written(
    tmp_path: Path, reference: Path, truth: list[str], calls: list[str]
) -> None:
    result = counted(tmp_path, reference, truth, calls)
    assert (result.missed, result.false) == ([], [])
    assert sum(n.truth for n in result.counts.values()) > 0


DIFFERENT = [
    # het for hom: missed, and false
    (["5 . T C . . . GT 1/1"], ["5 . T C . . . GT 0/1"], 1, 1),
    (["5 . T C . . . GT 0/1"], ["5 . T G . . . GT 0/1"], 1, 1),
    # one right neighbour does not save the wrong one, nor suffer from it
    (["5 . T C . . . GT 0/1", "8 . A G . . . GT 0/1"], ["5 . T C . . . GT 0/1"], 1, 0),
    (["18 . AA A . . . GT 1/1"], ["11 . CAA C . . . GT 1/1"], 1, 1),
    # not PASS is no call
    (["5 . T C . . . GT 0/1"], ["5 . T C 9 LowQual . GT 0/1"], 1, 0),
]


@pytest.mark.parametrize(("truth", "calls", "missed", "false"), DIFFERENT)
def test_other_haplotypes_do_not_match(
    tmp_path: Path, reference: Path, truth: list[str], calls: list[str], missed: int, false: int
) -> None:
    result = counted(tmp_path, reference, truth, calls)
    assert (len(result.missed), len(result.false)) == (missed, false)


def test_an_equivalent_pair_is_found_next_to_an_error(tmp_path: Path, reference: Path) -> None:
    truth = ["11 . CAA C,CA . . . GT 1/2", "20 . G T . . . GT 0/1"]
    calls = ["11 . CA C . . . GT 0/1", "11 . CAA C . . . GT 0/1", "20 . G C . . . GT 0/1"]
    result = counted(tmp_path, reference, truth, calls)
    assert [allele.alt for allele in result.missed] == ["T"]
    assert [allele.alt for allele in result.false] == ["C"]


def test_quality_thresholds_leave_calls_out(tmp_path: Path, reference: Path) -> None:
    calls = ["5 . T C 30 . . GT:GQ 0/1:10", "8 . A G 10 . . GT:GQ 0/1:50"]
    assert counted(tmp_path, reference, [], calls).counts["snv"].calls == 2
    assert counted(tmp_path, reference, [], calls, min_gq=20).counts["snv"].calls == 1
    assert counted(tmp_path, reference, [], calls, min_qual=20).counts["snv"].calls == 1


def test_only_alleles_that_start_in_the_confident_regions_count(tmp_path: Path, reference: Path) -> None:
    bed = tmp_path / "sure.bed"
    bed.write_text("c\t4\t5\n")
    truth = CallSet(path=write(tmp_path / "t.vcf", ["5 . T C . . . GT 0/1", "6 . G A . . . GT 0/1"]))
    result = compare(truth, truth, reference=reference, confident_bed=bed)
    assert result.counts["snv"] == Counts(truth=1, truth_found=1, calls=1, calls_true=1)


def test_regions_are_half_open() -> None:
    regions = Regions([("c", 10, 20), ("c", 20, 30), ("c", 40, 41)])
    assert [pos for pos in range(1, 60) if ("c", pos) in regions] == [*range(11, 31), 41]


snvs = st.dictionaries(st.integers(1, 6), st.tuples(st.sampled_from("ACGT"), st.integers(1, 2)), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(snvs, snvs)
def test_snvs_match_exactly_where_position_base_and_copies_agree(
    first: dict[int, tuple[str, int]], second: dict[int, tuple[str, int]]
) -> None:
    def alleles(chosen: dict[int, tuple[str, int]]) -> list[Allele]:
        return [
            Allele("c", pos, REFERENCE[pos - 1], alt, copies)
            for pos, (alt, copies) in sorted(chosen.items())
            if alt != REFERENCE[pos - 1]
        ]

    truth, calls = alleles(first), alleles(second)
    matched, right = match_window(truth, calls, sequence=REFERENCE[:40], offset=1)
    same = {allele for allele in truth if allele in calls}
    assert (matched, right) == (same, same)
