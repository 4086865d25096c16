"""A gVCF's evidence: none is no coverage, and a quality that a record gives is never replaced by its depth."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.store_tools import C1, block, line, read_lines, spans

NOTHING = "0,0,0"
NUMBERED = 1 << 30  # the numbers of phase sets that have text for a name


@pytest.mark.parametrize("genotype", ["./.", "0/0", "0/1", "1/1"])
@pytest.mark.parametrize("depth", ["0", "."])
def test_a_record_without_a_read_and_without_a_likelihood_is_no_coverage(
    tmp_path: Path, genotype: str, depth: str
) -> None:
    reading = read_lines(tmp_path, [line(10, "C", "T", f"{genotype}:0:{depth}:0,0:{NOTHING}")], C1)
    assert (reading.rows, reading.segments) == ([], [])


def test_a_block_of_unknown_depth_with_equal_likelihoods_is_no_coverage(tmp_path: Path) -> None:
    lines = [line(1, "A", "<NON_REF>", f"0/0:{NOTHING}", info="END=9", format="GT:PL")]
    assert read_lines(tmp_path, lines, C1).segments == []


def test_equal_likelihoods_of_a_covered_record_are_none(tmp_path: Path) -> None:
    lines = [line(10, "C", "T", f"0/1:0:3:2,1:{NOTHING}")]
    (row,) = read_lines(tmp_path, lines, C1).rows
    assert (row.pl, row.called, row.genotyped) == ((-1, -1, -1), False, True)


@pytest.mark.parametrize(
    ("fields", "values", "failed", "gq", "state"),
    [
        ("GQX", "6", "PASS", 6, "weak"),
        ("GQX", "90", "PASS", 80, "called"),
        ("SQ", "0", ".", 0, "weak"),
        ("SQ", "45.7", ".", 40, "called"),
        ("RGQ", "3", ".", 3, "weak"),
        ("PL", "0,0,900", ".", 0, "weak"),
        ("PL", "900,60,0", ".", 0, "weak"),
        ("PL", "0,33,900", ".", 30, "called"),
        ("GL", "0,-0.3,-40", ".", 3, "weak"),
        ("GL", "-0.1,-6.1,-40", ".", 60, "called"),
        ("AD", "112,1579", ".", 0, "weak"),
        ("AD", "38,2", ".", 80, "called"),
        ("AD", "20,18", ".", 0, "weak"),
        ("GQ:AD", "60:112,1579", ".", 0, "weak"),
        ("GQ:PL", "60:0,0,900", ".", 0, "weak"),
        ("GQ", "-12", ".", 0, "weak"),
        ("GQ", ".", "LowGQX", 0, "weak"),
        ("GQX", "40", "LowGQX", 40, "weak"),
        ("GQ", "35", "AD;ADP", 30, "called"),
        ("GQ", ".", "RefCall", 80, "called"),
        ("PL", "0,.,900", ".", 0, "weak"),
        ("PL", "0,40", ".", 0, "weak"),
        ("GL", "nan,nan,nan", ".", 0, "weak"),
        ("GL", "0,-6,-inf", ".", 60, "called"),
        ("GL", "-INF,-Infinity,0", ".", 0, "weak"),
        ("GL", ".", ".", 80, "called"),
        ("PP", "0,40,400", ".", 0, "weak"),
        ("GP", "0.0,1.0,0.0", ".", 0, "weak"),
        ("GQ:GP", "60:1,0,0", ".", 60, "called"),
        ("GQ", ".", ".", 80, "called"),
    ],
)
def test_the_quality_of_a_block(tmp_path: Path, fields: str, values: str, failed: str, gq: int, state: str) -> None:
    record = line(1, "A", "<NON_REF>", f"0/0:40:{values}", info="END=9", format=f"GT:MIN_DP:{fields}", filter=failed)
    assert spans(read_lines(tmp_path, [record], C1)) == [(1, 9, gq, state)]


def test_gl_is_read_as_pl(tmp_path: Path) -> None:
    (row,) = read_lines(tmp_path, [line(10, "C", "T", "0/1:30:-40.6,-0.5,-40.7", format="GT:DP:GL")], C1).rows
    assert (row.pl, row.gq, row.called) == ((401, 0, 402), 99, True)


def test_a_quality_from_pl_is_that_of_the_genotype(tmp_path: Path) -> None:
    (row,) = read_lines(tmp_path, [line(10, "C", "T", "0/0:20:15,5:50,0,60", format="GT:DP:AD:PL")], C1).rows
    assert (row.gq, row.called) == (0, False)


@pytest.mark.parametrize(("reads", "copies"), [("5,4990", 2), ("300,4700", 1), ("4500,500", 1)])
def test_a_mitochondrial_record_is_called_by_sq(tmp_path: Path, reads: str, copies: int) -> None:
    for genotype in ("0/1", "1/0", "0|1", "1|0"):
        record = line(10, "C", "T,<NON_REF>", f"{genotype}:99.00:{reads},0:5000", format="GT:SQ:AD:DP")
        (row,) = read_lines(tmp_path, [record], C1).rows
        assert (row.copies, row.gq, row.called) == (copies, 99, True)


def test_a_freebayes_gvcf_has_blocks_without_gt(tmp_path: Path) -> None:
    keys = "GQ:DP:MIN_DP:QR:RO:QA:AO"
    lines = [
        line(1, "A", "<*>", "600:30:20:900:30:0:0", info="END=9", format=keys),
        line(10, "C", "T", "0/1:30:15:500:15:500:-40.1,0,-40.2", format="GT:DP:RO:QR:AO:QA:GL"),
        line(11, "A", "<*>", "-20:30:20:100:3:900:27", info="END=12", format=keys),
    ]
    reading = read_lines(tmp_path, lines, C1)
    (row,) = reading.rows
    assert (row.copies, row.ad, row.gq) == (1, (15, 15), 99)
    assert spans(reading) == [(1, 9, 80, "called"), (11, 12, 0, "weak")]
    assert reading.counts.contradicting == 0


def test_a_record_of_depth_0_hides_no_block(tmp_path: Path) -> None:
    lines = [block(1, 20, "A", gq=50), line(10, "C", "T", f"0/0:0:0:0,0:{NOTHING}")]
    assert spans(read_lines(tmp_path, lines, C1)) == [(1, 20, 50, "called")]


def test_a_star_with_end_is_a_block(tmp_path: Path) -> None:
    lines = [line(1, "A", "*", "0|0:35:8", info="AN=2;END=9", format="GT:GQ:DP")]
    assert spans(read_lines(tmp_path, lines, C1)) == [(1, 9, 30, "called")]


@pytest.mark.parametrize("info", ["END=15;SVTYPE=DEL", "SVLEN=-5", "SVLEN=5"])
def test_a_symbolic_deletion_begins_after_its_position(tmp_path: Path, info: str) -> None:
    lines = [
        block(1, 9, "A", gq=60),
        line(10, "C", "<DEL>,<NON_REF>", "1/1:60:0:600,60,0,600,60,600", info=info, format="GT:GQ:DP:PL"),
    ]
    segments = read_lines(tmp_path, lines, C1).segments
    assert [(s.start, s.end, s.other, s.dp, s.state) for s in segments] == [
        (1, 10, 0, 30, "called"),
        (11, 15, 2, 0, "called"),
    ]


def test_a_symbolic_deletion_that_nobody_carries_takes_no_base(tmp_path: Path) -> None:
    lines = [line(10, "C", "<DEL>", "0/0:60:30", info="END=40", format="GT:GQ:DP"), block(11, 50, "A", gq=50)]
    reading = read_lines(tmp_path, lines, C1)
    assert [(s.start, s.end, s.other) for s in reading.segments] == [(10, 10, 0), (11, 50, 0)]


def test_phase_sets_of_text_are_kept_apart(tmp_path: Path) -> None:
    keys = "GT:GQ:PS"
    lines = [
        line(10, "C", "T", "0|1:50:PATMAT", format=keys),
        line(12, "C", "T", "1|0:50:12_C_T", format=keys),
        line(14, "T", "A", "1|0:50:PATMAT", format=keys),
        line(16, "G", "A", "1|0:50:12_C_T", format=keys),
    ]
    first, second = NUMBERED + 10, NUMBERED + 12
    assert [row.phase_set for row in read_lines(tmp_path, lines, C1).rows] == [first, second, first, second]


def test_a_set_of_text_is_no_set_with_a_number(tmp_path: Path) -> None:
    keys = "GT:GQ:PS"
    lines = [
        line(pos, "C", "T", f"0|1:50:{name}", format=keys)
        for pos, name in ((10, "PATMAT"), (12, "10"), (20, "4000000000"), (22, "5000000000"), (30, "10"))
    ]
    sets = [row.phase_set for row in read_lines(tmp_path, lines, C1).rows]
    assert sets == [NUMBERED + 10, 10, NUMBERED + 20, NUMBERED + 22, 10]


def test_pids_that_begin_with_one_position_are_sets_apart(tmp_path: Path) -> None:
    keys = "GT:GQ:PGT:PID"
    lines = [
        line(pos, "C", "T", f"0/1:50:0|1:{name}", format=keys)
        for pos, name in ((10, "10_C_T"), (12, "10_C_A"), (20, "10_C_T"), (22, "10_C_A"))
    ]
    sets = [row.phase_set for row in read_lines(tmp_path, lines, C1).rows]
    assert sets == [10, NUMBERED + 12, 10, NUMBERED + 12]
