"""The fields of a gVCF's sample, where they are missing, contradict each other or stand in for one another."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.errors import InputRefused
from baekman.gvcf.thresholds import Thresholds
from support.store_tools import BASES, C1, block, line, read_lines, spans


def test_missing_pl_keeps_the_genotype(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, [line(10, "C", "T,G", "1/2:40:22:0,11,11:.")], C1)
    assert [(r.alt, r.copies, r.other, r.pl, r.called) for r in reading.rows] == [
        ("T", 1, 1, (-1, -1, -1), True),
        ("G", 1, 1, (-1, -1, -1), True),
    ]
    assert reading.counts.contradicting == 0


def test_genotype_without_any_likelihood_or_quality_is_not_called(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, [line(10, "C", "T", "0/1", format="GT")], C1)
    (row,) = reading.rows
    assert (row.copies, row.gq, row.dp, row.ad, row.called, row.genotyped) == (1, -1, -1, (-1, -1), False, True)


def test_gq_comes_from_pl_where_it_is_missing(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, [line(10, "C", "T", "0/1:20:33,0,90", format="GT:DP:PL")], C1)
    assert (reading.rows[0].gq, reading.rows[0].called) == (33, True)


@pytest.mark.parametrize(
    ("value", "gq"), [("9.6e-05", 0), ("29.97", 29), ("1.5e+01", 15), ("1E2", 99), ("160.002", 99), ("2e1000", 99)]
)
def test_gq_may_have_decimals_and_an_exponent(tmp_path: Path, value: str, gq: int) -> None:
    reading = read_lines(tmp_path, [line(10, "C", "T", f"0/1:{value}:20", format="GT:GQ:DP")], C1)
    assert (reading.rows[0].gq, reading.counts.contradicting) == (gq, 0)


@pytest.mark.parametrize("value", ["x", "-3", "1e", "1e+", "e5", "1e5x", "1.2.3", "20.x", "nan"])
def test_gq_that_is_no_number_is_missing_and_counted(tmp_path: Path, value: str) -> None:
    reading = read_lines(tmp_path, [line(10, "C", "T", f"0/1:{value}:20", format="GT:GQ:DP")], C1)
    assert (reading.rows[0].gq, reading.counts.contradicting) == (-1, 1)


def test_pl_of_the_wrong_number_is_missing_and_counted(tmp_path: Path) -> None:
    lines = [line(10, "C", "T", "0/1:40:22:11,11:45,0,42,9,9,9"), line(11, "A", "T", "0/1:40:22:11,11:45,0,42")]
    reading = read_lines(tmp_path, lines, C1)
    assert [row.pl for row in reading.rows] == [(-1, -1, -1), (45, 0, 42)]
    assert reading.counts.contradicting == 1


def test_ad_of_the_wrong_number_is_missing_and_counted(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, [line(10, "C", "T", "0/1:40:22:11:45,0,42")], C1)
    assert (reading.rows[0].ad, reading.counts.contradicting) == ((-1, -1), 1)


@pytest.mark.parametrize("ad", [".,8", "20,.", ".,."])
def test_ad_with_a_missing_value_is_missing(tmp_path: Path, ad: str) -> None:
    reading = read_lines(tmp_path, [line(10, "C", "T", f"0/1:50:20:{ad}", format="GT:GQ:DP:AD")], C1)
    assert (reading.rows[0].ad, reading.counts.contradicting) == ((-1, -1), 0)


def test_ad_of_dots_is_no_depth_of_nothing(tmp_path: Path) -> None:
    (row,) = read_lines(tmp_path, [line(10, "C", "T", "0/0:50:.,.", format="GT:GQ:AD")], C1).rows
    assert (row.copies, row.called, row.dp, row.ad) == (0, True, -1, (-1, -1))


@pytest.mark.parametrize(
    "sample", ["0/1:40:22:11,11:1e2,0,42", "0/1:40:22:11,11:-3,0,5", "0/1:40:22:x,8:45,0,42", "0/1:x:22:11,11:45,0,42"]
)
def test_a_value_that_is_no_number_is_missing_and_counted(tmp_path: Path, sample: str) -> None:
    assert read_lines(tmp_path, [line(10, "C", "T", sample)], C1).counts.contradicting == 1


def test_a_genotype_of_an_allele_where_a_record_has_no_alt_is_missing_and_counted(tmp_path: Path) -> None:
    lines = [line(10, C1["c1"][9], ".", "1/1:30:40", format="GT:DP:GQ")]
    reading = read_lines(tmp_path, lines, C1)
    assert (reading.rows, reading.counts.contradicting) == ([], 1)
    assert [(s.start, s.end, s.state) for s in reading.segments] == [(10, 10, "missing")]


def test_more_contradictions_than_configured_refuse_the_file(tmp_path: Path) -> None:
    lines = [line(10 + n, BASES[9 + n], "N", "0/1:40:22:11,11:45,0") for n in range(3)]
    assert read_lines(tmp_path, lines, C1, thresholds=Thresholds(max_contradicting=3)).counts.contradicting == 3
    with pytest.raises(InputRefused) as refused:
        read_lines(tmp_path, lines, C1, thresholds=Thresholds(max_contradicting=2))
    assert str(refused.value) == (
        "gVCF of P1: all records: expected at most 2 fields that contradict their header, found 3; "
        "call the participant again, or set cohort.max_contradicting in the configuration to 3 or more "
        "and run the same command again"
    )


@pytest.mark.parametrize(
    ("sample", "format", "phase", "phase_set"),
    [
        ("0|1:40:22:11,11:45,0,42", "GT:GQ:DP:AD:PL", 2, -1),
        ("1|0:40:22:11,11:45,0,42:10", "GT:GQ:DP:AD:PL:PS", 1, 10),
        ("1|1:40:22:0,22:90,42,0", "GT:GQ:DP:AD:PL", 3, -1),
        ("0/1:40:22:11,11:45,0,42:0|1:10_C_T", "GT:GQ:DP:AD:PL:PGT:PID", 2, 10),
        ("0/1:40:22:11,11:45,0,42:1|0:10_C_T", "GT:GQ:DP:AD:PL:PGT:PID", 1, 10),
        ("0/1:40:22:11,11:45,0,42", "GT:GQ:DP:AD:PL", 0, -1),
        ("|0|1:40:22:11,11:45,0,42", "GT:GQ:DP:AD:PL", 2, -1),
    ],
)
def test_phase(tmp_path: Path, sample: str, format: str, phase: int, phase_set: int) -> None:
    (row,) = read_lines(tmp_path, [line(10, "C", "T", sample, format=format)], C1).rows
    assert (row.copies, row.phase, row.phase_set) == (bin(phase).count("1") or 1, phase, phase_set)


@pytest.mark.parametrize("genotype", ["./.", ".", ".|.", "./1", "0/."])
def test_half_and_missing_genotypes_are_not_genotyped(tmp_path: Path, genotype: str) -> None:
    (row,) = read_lines(tmp_path, [line(10, "C", "T", f"{genotype}:40:22:11,11:45,0,42")], C1).rows
    assert (row.genotyped, row.called, row.ploidy, row.pl) == (False, False, 2, (45, 0, 42))


def test_zero_depth_is_no_coverage(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, [block(1, 10, "A", gq=0, dp=0), block(11, 20, "A", gq=0, dp=1)], C1)
    assert spans(reading) == [(11, 20, 0, "weak")]


def test_depth_and_allele_balance_thresholds(tmp_path: Path) -> None:
    lines = [
        line(10, "C", "T", "0/1:40:22:20,2:45,0,42"),
        line(11, "A", "T", "0/1:40:22:11,11:45,0,42"),
        line(12, "C", "T", "0/1:40:9:5,4:45,0,42"),
        line(13, "G", "T", "1/1:40:22:20,2:45,40,0"),
    ]
    reading = read_lines(tmp_path, lines, C1, thresholds=Thresholds(min_dp=10, min_het_percent=20))
    assert [row.called for row in reading.rows] == [False, True, False, True]
