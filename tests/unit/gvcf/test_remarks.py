"""Remarks: every value of a gVCF that is dropped, cut, replaced or taken from another field has a kind and a count."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from baekman.gvcf.remarks import KERNEL_NAMES, MEANINGS, REMARKS, describe
from baekman.gvcf.thresholds import Thresholds
from baekman.kernels import layout
from support.store_tools import C1, block, genome_of, gvcf_text, line, read_gvcf, read_lines, spans

KEYS = "GT:GQ:DP:AD:PL"
VARIANT = "0/1:50:30:15,15:500,0,500"
PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"

# name of a case -> lines, remarks
CASES: dict[str, tuple[list[str], dict[str, int]]] = {
    "nothing to remark": ([block(1, 9, "A"), line(10, "C", "T", VARIANT)], {}),
    "PL of another ploidy": ([line(10, "C", "T", "0/1:50:30:15,15:500,0")], {"pl_count": 1}),
    "PL without numbers": ([line(10, "C", "T", "0/1:50:30:15,15:a,b,c")], {"pl_count": 1}),
    "AD of one allele": ([line(10, "C", "T", "0/1:50:30:15:500,0,500")], {"ad_count": 1}),
    "GT with an allele that is not there": (
        [line(10, "C", ".", "0/1:50:30", format="GT:GQ:DP")],
        {"gt_allele": 1, "half_call": 1},
    ),
    "text in GQ": ([line(10, "C", "T", "0/1:high:30", format="GT:GQ:DP")], {"not_a_number": 1, "gq_missing": 1}),
    "text in DP": ([line(10, "C", "T", "0/1:50:many", format="GT:GQ:DP")], {"not_a_number": 1, "dp_missing": 1}),
    "text in QUAL": ([line(10, "C", "T", "0/1:50:30", format="GT:GQ:DP", qual="high")], {"not_a_number": 1}),
    "a triploid GT": ([line(10, "C", "T", "0/0/1:50:30:15,15:500,0,500,900")], {"ploidy": 1}),
    "PL with a dot": ([line(10, "C", "T", "0/1:50:30:15,15:500,0,.")], {"pl_partly_missing": 1}),
    "AD with a dot": ([line(10, "C", "T", "0/1:50:30:15,.:500,0,500")], {"ad_partly_missing": 1}),
    "a half call": ([line(10, "C", "T", "./1:50:30:15,15:500,0,500")], {"half_call": 1}),
    "a phased half call": ([line(10, "C", "T", "0|.:50:30:15,15:500,0,500")], {"half_call": 1}),
    "no call": ([line(10, "C", "T", "./.:50:30:15,15:500,0,500")], {}),
    "decimals": ([line(10, "C", "T", "0/1:50.7:30.5:15.2,14.0:500,0.5,500")], {"decimals_cut": 4}),
    "decimals of 0": ([line(10, "C", "T", "0/1:50.00:30.0:15.0,15:500,0.0,500")], {}),
    "a GQ of 300": ([line(10, "C", "T", "0/1:300:30", format="GT:GQ:DP")], {"gq_above_99": 1}),
    "a negative GQ": ([line(1, "A", "<NON_REF>", "0/0:-7:30", format="GT:GQ:DP", info="END=9")], {"gq_below_0": 1}),
    "GQX": ([line(10, "C", "T", "0/1:40:30", format="GT:GQX:DP")], {"gq_from_gqx": 1}),
    "SQ": ([line(10, "C", "T", "0/1:40:30:15,15", format="GT:SQ:DP:AD")], {"gq_from_sq": 1}),
    "RGQ": ([line(10, "C", ".", "0/0:40:30", format="GT:RGQ:DP")], {"gq_from_rgq": 1}),
    "PL for GQ": ([line(10, "C", "T", "0/1:.:30:15,15:500,0,500")], {"gq_from_pl": 1}),
    "GL": ([line(10, "C", "T", "0/1:30:-50,0,-50", format="GT:DP:GL")], {"gq_from_gl": 1, "gl_as_pl": 1}),
    "AD for GQ": (
        [line(1, "A", "<NON_REF>", "0/0:30:29,1", format="GT:DP:AD", info="END=9")],
        {"gq_from_ad": 1},
    ),
    "most reads against a block": (
        [line(1, "A", "<NON_REF>", "0/0:60:30:1,29", format="GT:GQ:DP:AD", info="END=9")],
        {"gq_overruled": 1},
    ),
    "a block that failed": (
        [line(1, "A", "<NON_REF>", "0/0:30", format="GT:DP", info="END=9", filter="LowGQ")],
        {"gq_from_filter": 1, "block_filter": 1},
    ),
    "depth for GQ": ([line(1, "A", "<NON_REF>", "0/0:30", format="GT:DP", info="END=9")], {"gq_from_depth": 1}),
    "no quality": ([line(10, "C", "T", "0/1:30", format="GT:DP")], {"gq_missing": 1}),
    "depth in INFO": (
        [line(1, "A", "<NON_REF>", "0/0:50", format="GT:GQ", info="END=9;MIN_DP=12")],
        {"dp_from_info": 1},
    ),
    "depth from AD": ([line(10, "C", "T", "0/1:50:15,15", format="GT:GQ:AD")], {"dp_from_ad": 1}),
    "no depth": ([line(10, "C", "T", "0/1:50", format="GT:GQ")], {"dp_missing": 1}),
    "no GT": ([line(10, "C", "T", "50:30", format="GQ:DP")], {"no_gt": 1}),
    "ALT of REF": ([line(10, "C", "C", "0/1:50:30", format="GT:GQ:DP")], {"alt_equals_ref": 1}),
    "GP alone": ([line(10, "C", "T", "0/1:50:30:0,1,0", format="GT:GQ:DP:GP")], {"posterior_unread": 1}),
    "a block of freebayes": (
        [line(1, "A", "<*>", "60:30:30:0", format="GQ:DP:RO:AO", info="END=9")],
        {"gt_from_gq": 1},
    ),
    "a homoplasmy": (
        [line(10, "C", "T", "0/1:50:100:2,98", format="GT:SQ:DP:AD")],
        {"gq_from_sq": 1, "homoplasmic": 1},
    ),
    "no evidence": ([line(10, "C", "T", "0/1:0:0:0,0:0,0,0")], {"no_evidence": 1}),
    "equal likelihoods": ([line(10, "C", "T", "0/1:50:30:15,15:0,0,0")], {"pl_equal": 1}),
    "a failed FT": ([line(10, "C", "T", "0/1:50:30:LowGQX", format="GT:GQ:DP:FT")], {"ft_failed": 1}),
    "a passed FT": ([line(10, "C", "T", "0/1:50:30:PASS", format="GT:GQ:DP:FT")], {}),
    "ALT * with END": ([line(1, "A", "*", "0|0:50:30", format="GT:GQ:DP", info="END=9")], {"star_block": 1}),
    "a deletion": (
        [line(10, "C", "<DEL>", "0/1:50:30", format="GT:GQ:DP", info="END=15")],
        {"symbolic_deletion": 1},
    ),
    "a deletion without end": (
        [line(10, "C", "<DEL>", "0/1:50:30", format="GT:GQ:DP", info="SVTYPE=DEL")],
        {"symbolic_deletion": 1, "deletion_without_end": 1},
    ),
    "a duplication": ([line(10, "C", "<DUP>", "0/1:50:30", format="GT:GQ:DP", info="END=15")], {"symbolic_allele": 1}),
    "a breakend": ([line(10, "C", "C[c1:30[", "0/1:50:30", format="GT:GQ:DP")], {"breakend": 1}),
    "<NON_REF> in GT": ([line(10, "C", "T,<NON_REF>", "0/2:50:30", format="GT:GQ:DP")], {"non_ref_called": 1}),
    "an ALT without evidence": (
        [line(10, "C", "T,A", "0/1:50:30:15,15,0", format="GT:GQ:DP:AD")],
        {"unsupported_allele": 1},
    ),
    "text in PS": ([line(10, "C", "T", "0|1:50:30:PATMAT", format="GT:GQ:DP:PS")], {"ps_text": 1}),
    "text in PID": ([line(10, "C", "T", "0/1:50:30:0|1:x_1", format="GT:GQ:DP:PGT:PID")], {"ps_text": 1}),
    "a REF beyond END": (
        [line(10, "CAC", "<NON_REF>", "0/0:50:30", format="GT:GQ:DP", info="END=10")],
        {"block_ref_cut": 1},
    ),
    "a record in a block": ([block(1, 20, "A"), line(10, "C", "T", VARIANT)], {"overlapping_record": 1}),
    "a spanning deletion": (
        [
            line(10, "CAC", "C", VARIANT),
            line(12, "C", "T,*", "1/2:50:30:0,15,15:500,500,500,500,0,500"),
        ],
        {},
    ),
    "three copies": (
        [line(10, "C", "T", "1/1:50:30", format="GT:GQ:DP"), line(10, "C", "A", "0/1:50:30", format="GT:GQ:DP")],
        {"overlapping_record": 1, "contradicting_alleles": 1},
    ),
    "an allele twice": (
        [line(10, "C", "T", "0/1:50:30", format="GT:GQ:DP"), line(10, "C", "T", "0/1:40:30", format="GT:GQ:DP")],
        {"overlapping_record": 1, "duplicate_allele": 1},
    ),
    "two ploidies": (
        [line(10, "C", "T", "0/1:50:30", format="GT:GQ:DP"), line(10, "C", "A", "1:50:30", format="GT:GQ:DP")],
        {"overlapping_record": 1, "ploidy_raised": 1},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_taken_as_it_is_has_a_kind_and_a_count(tmp_path: Path, case: str) -> None:
    lines, remarks = CASES[case]
    assert read_lines(tmp_path, lines, C1).counts.remarks == remarks


def test_every_kind_has_a_case() -> None:
    covered = {name for _, remarks in CASES.values() for name in remarks}
    assert set(MEANINGS) - covered == {"other_letter", "ignored_contig"}


def test_records_of_ignored_contigs_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "one.g.vcf"
    path.write_text(gvcf_text([block(1, 9, "A", contig=name) for name in ("c1", "d1", "d1", "HLA-A*01")], contigs={}))
    genome = replace(genome_of(C1), ignored=("d*", "HLA-A*01"))
    reading = read_gvcf(path, genome)
    assert (reading.counts.remarks, reading.counts.records) == ({"ignored_contig": 3}, 1)


def test_letters_of_several_bases_are_counted(tmp_path: Path) -> None:
    remarks = [read_lines(tmp_path, [line(10, ref, alt, VARIANT)], C1).counts.remarks for ref, alt in ["YT", "CN"]]
    assert remarks == [{"other_letter": 1}, {"other_letter": 1}]


def test_the_kernel_and_the_vocabulary_agree() -> None:
    assert [getattr(layout, f"COUNT_{name.upper()}") for name in KERNEL_NAMES] == list(range(layout.COUNTED))
    assert len(MEANINGS) == len(REMARKS)


def test_the_page_has_each_kind() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## Remarks")[1].split("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", table, re.MULTILINE)) == MEANINGS


def test_a_failed_ft_counts_as_a_failed_filter_and_is_that_of_the_row(tmp_path: Path) -> None:
    keys = "GT:GQ:DP:FT"
    lines = [
        line(1, "A", "<NON_REF>", "0/0:.:30:LowGQX", format=keys, info="END=8"),
        line(9, "A", "*", "0|0:35:8:AD,ADP", format=keys, info="END=9", filter="AD;ADP"),
        line(10, "C", "T", "0/1:50:30:LowGQX;HighDPF", format=keys),
        line(11, "A", "T", "0/1:50:30:PASS", format=keys),
        line(12, "C", "T", "0/1:50:30:.", format=keys),
        line(13, "G", "<NON_REF>", "0/0:50:30:RefCall", format=keys, info="END=20"),
    ]
    reading = read_lines(tmp_path, lines, C1)
    assert [(row.called, row.genotyped) for row in reading.rows] == [(True, True), (True, True), (True, True)]
    assert reading.counts.filters == ["LowGQX;HighDPF"]
    assert [state for _, _, _, state in spans(reading)] == ["weak", "called", "called"]


def test_a_triploid_genotype_is_covered_without_a_genotype(tmp_path: Path) -> None:
    lines = [line(10, "C", "T", "0/0/1:50:30:15,15:500,0,500,900")]
    (row,) = read_lines(tmp_path, lines, C1, thresholds=Thresholds(max_contradicting=1)).rows
    assert (row.genotyped, row.called, row.ad, row.pl) == (False, False, (15, 15), (-1, -1, -1))


def test_few_remarks_are_a_line_each() -> None:
    assert describe({"P2": {"ps_text": 3}, "P1": {"ps_text": 1, "breakend": 2}}) == [
        f"P1: ps_text 1 ({MEANINGS['ps_text']})",
        f"P1: breakend 2 ({MEANINGS['breakend']})",
        f"P2: ps_text 3 ({MEANINGS['ps_text']})",
    ]


def test_values_that_are_understood_are_counted_and_not_printed() -> None:
    understood = {"no_evidence": 5, "gq_from_gqx": 1, "gl_as_pl": 3, "dp_missing": 1, "star_block": 2, "pl_equal": 1}
    assert describe({"P1": understood, "P2": {"breakend": 1, **understood}}) == [
        f"P2: breakend 1 ({MEANINGS['breakend']})"
    ]


def test_many_remarks_are_summed_and_the_worst_participants_named() -> None:
    lines = describe({f"P{number:03}": {"ps_text": number} for number in range(1, 101)})
    assert lines[:4] == [
        "remarks on the gVCFs of 100 participants",
        f"ps_text 5050, participants 100 ({MEANINGS['ps_text']})",
        "participants with the most remarks, 10 of 100:",
        "P100: ps_text 100",
    ]
    assert (len(lines), lines[-1]) == (13, "P091: ps_text 91")


NON_REF = "<NON_REF>"
# caller -> lines, (position, copies, GQ, called) of the rows, segments, remarks
CALLERS: dict[str, tuple[list[str], list[object], list[object], dict[str, int]]] = {
    "octopus": (
        [
            line(1, "A", "*", "0|0:35:8:1", info="END=9", format="GT:GQ:DP:PS"),
            line(10, "C", "T", "0|1:300:30:10", filter="PASS", format="GT:GQ:DP:PS"),
            line(12, "C", "*,T", "1|2:50:30:10", format="GT:GQ:DP:PS"),
            line(13, "G", "A", "1|0|1:50:30:13", format="GT:GQ:DP:PS"),
        ],
        [(10, 1, 99, True), (12, 1, 50, True), (13, 0, 50, False)],
        [(1, 9, 30, "called")],
        {"ploidy": 1, "gq_above_99": 1, "star_block": 1},
    ),
    "freebayes": (
        [
            line(1, "A", "<*>", "160.2:20:12:20:0", info="DP=20;END=9;MIN_DP=12", format="GQ:DP:MIN_DP:RO:AO"),
            line(10, "C", "T", "0/1:30:15:15:-40.1,0,-40.2", format="GT:DP:RO:AO:GL"),
            line(14, "T", "A", "1/1:.:.:.:.", format="GT:DP:RO:AO:GL"),
        ],
        [(10, 1, 99, True), (14, 2, -1, False)],
        [(1, 9, 80, "called")],
        {
            "decimals_cut": 1,
            "gq_above_99": 1,
            "gq_from_gl": 1,
            "gq_missing": 1,
            "dp_missing": 1,
            "gl_as_pl": 1,
            "gt_from_gq": 1,
        },
    ),
    "Strelka": (
        [
            line(1, "A", ".", "0/0:66:23:0:20", filter="PASS", info="END=9", format="GT:GQX:DP:DPF:MIN_DP"),
            line(11, "A", "ATT", "0/1:98:20:34:15,19:LowGQX:132,0,95", format="GT:GQ:GQX:DPI:AD:FT:PL"),
            line(12, "C", ".", ".:.:0:0:0", filter="LowGQX", info="END=20", format="GT:GQX:DP:DPF:MIN_DP"),
        ],
        [(11, 1, 98, True)],
        [(1, 9, 60, "called")],
        {"gq_from_gqx": 1, "ft_failed": 1, "block_filter": 1},
    ),
    "GATK at each base": (
        [
            line(1, "A", NON_REF, "0/0:20,0:20:60:0,60,900", format="GT:AD:DP:GQ:PL"),
            line(2, "C", NON_REF, "0/0:0,20:20:0:0,0,0", format="GT:AD:DP:GQ:PL"),
            line(4, "T", NON_REF, "./.:0,0:0:0:0,0,0", format="GT:AD:DP:GQ:PL"),
        ],
        [],
        [(1, 1, 60, "called"), (2, 2, 0, "weak")],
        {},
    ),
    "Platypus": (
        [
            line(1, "A", NON_REF, "0/0:0.0,-6.1,-40:60:20:0", info="END=9", format="GT:GL:GQ:NR:NV"),
            line(10, "C", "T", "1/0:-30.2,0.0,-40.9:99:30:14", filter="alleleBias", format="GT:GL:GQ:NR:NV"),
        ],
        [(10, 1, 99, True)],
        [(1, 9, 60, "called")],
        {"dp_missing": 2, "gl_as_pl": 2},
    ),
    "DeepVariant": (
        [
            line(10, "C", "T,<*>", "./.:3:5:3,2,0:0,1,20,990,990,990", filter="NoCall", format="GT:GQ:DP:AD:PL"),
            line(11, "A", "T,<*>", "0/0:12:30:25,5,0:0,11,40,990,990,990", filter="RefCall", format="GT:GQ:DP:AD:PL"),
        ],
        [(10, 0, 3, False), (11, 0, 12, False)],
        [],
        {},
    ),
    "weCall": (
        [
            line(10, "C", "T", "1|.:30:0,15:80:10", format="GT:DP:AD:GQ:PS"),
            line(10, "C", "A", ".|1:30:0,15:80:10", format="GT:DP:AD:GQ:PS"),
        ],
        [(10, 1, 80, False), (10, 1, 80, False)],
        [],
        {"half_call": 2, "overlapping_record": 1},
    ),
    "old bcftools": (
        [line(1, "A", "<X>", "0/0:30:60", info="END=9", format="GT:DP:GQ")],
        [],
        [(1, 9, 60, "called")],
        {},
    ),
    "another block": (
        [line(1, "A", "<M>", "0/0:30:60", info="END=9", format="GT:DP:GQ")],
        [],
        [(1, 1, 60, "called")],
        {"symbolic_allele": 1},
    ),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_a_caller_is_read_or_the_remarks_say_so(tmp_path: Path, caller: str) -> None:
    lines, rows, segments, remarks = CALLERS[caller]
    reading = read_lines(tmp_path, lines, C1)
    assert [(row.allele[0], row.copies, row.gq, row.called) for row in reading.rows] == rows
    assert spans(reading) == segments
    assert reading.counts.remarks == remarks
