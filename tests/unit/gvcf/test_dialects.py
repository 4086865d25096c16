"""Every dialect of gVCF is read, and nothing is assumed that the file does not state."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from baekman.gvcf.thresholds import Thresholds
from support.store_tools import BASES, C1, Segment, block, genome_of, gvcf_text, line, read_gvcf, read_lines, spans


def test_gatk_blocks_and_variants(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            block(1, 10, "A", gq=45, dp=22),
            line(11, "A", "G,<NON_REF>", "0/1:99:31:16,15,0:120,0,130,170,175,340", qual="500.6"),
            block(12, 20, "C", gq=5, dp=2),
        ],
        C1,
    )
    (row,) = reading.rows
    assert (row.allele, row.copies, row.ploidy, row.other) == ((11, "A", "G"), 1, 2, 0)
    assert (row.gq, row.dp, row.ad, row.pl) == (99, 31, (16, 15), (120, 0, 130))
    assert row.called and row.genotyped
    # GQ is kept as the floor of its band; the depth of a block is its MIN_DP
    assert reading.segments == [
        Segment("c1", 1, 10, 40, 22, 2, 0, "called"),
        Segment("c1", 12, 20, 3, 2, 2, 0, "weak"),
    ]
    assert (reading.counts.records, reading.counts.contradicting, reading.counts.duplicates) == (3, 0, 0)


def test_reblocked_gvcf_without_pl_in_blocks_and_with_a_deletion(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            line(1, "A", "<NON_REF>", "0/0:30:40:28", info="END=4", format="GT:DP:GQ:MIN_DP"),
            line(5, "TGC", "T,<NON_REF>", "0/1:80:20:10,10,0:80,0,90,110,120,230"),
            line(8, "A", "<NON_REF>", "0/0:30:40:28", info="END=9", format="GT:DP:GQ:MIN_DP"),
        ],
        C1,
    )
    (row,) = reading.rows
    assert row.allele == (5, "TGC", "T")
    deleted = [(s.start, s.end, s.other) for s in reading.segments if s.other]
    assert deleted == [(6, 7, 1)]


def test_dragen_haploid_blocks_and_variants(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            line(1, "A", "<NON_REF>", "0:20:18:40:0,40", info="END=9", format="GT:DP:MIN_DP:GQ:PL"),
            line(10, "C", "T,<NON_REF>", "1:60:20:0,20,0:600,0,600", filter="PASS"),
        ],
        C1,
    )
    (row,) = reading.rows
    assert (row.copies, row.ploidy, row.pl, row.filter) == (1, 1, (600, 0), "PASS")
    assert reading.segments == [Segment("c1", 1, 9, 40, 18, 1, 0, "called")]


def test_deepvariant_star_blocks(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            line(1, "A", "<*>", "0/0:50:30:0,90,899", info="END=9", format="GT:GQ:MIN_DP:PL", qual="0"),
            line(10, "C", "T,<*>", "1/1:40:22:0,22,0:45,42,0,990,990,990", qual="45", filter="PASS"),
            line(11, "A", "G,<*>", "0/0:30:22:18,4,0:0,30,50,990,990,990", qual="0", filter="RefCall"),
            line(12, "C", "G,<*>", "./.:3:22:12,10,0:0,3,50,990,990,990", qual="0", filter="RefCall"),
        ],
        C1,
    )
    hom, refcall, nocall = reading.rows
    assert (hom.copies, hom.pl, hom.called) == (2, (45, 42, 0), True)
    assert (refcall.copies, refcall.called, refcall.filter) == (0, True, "RefCall")
    assert (nocall.copies, nocall.called, nocall.genotyped) == (0, False, False)


def test_refcall_over_a_variant_keeps_the_one_of_higher_quality(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            line(10, "C", "T,<*>", "0/1:40:22:11,11,0:45,0,42,990,990,990", qual="45", filter="PASS"),
            line(10, "C", "T,<*>", "0/0:20:22:18,4,0:0,20,50,990,990,990", qual="0", filter="RefCall"),
        ],
        C1,
    )
    (row,) = reading.rows
    assert (row.copies, row.gq, reading.counts.duplicates) == (1, 40, 1)


@pytest.mark.parametrize("where", ["FORMAT/MIN_DP", "FORMAT/DP", "INFO/MIN_DP", "INFO/MinDP"])
def test_bcftools_blocks_take_gq_from_depth(tmp_path: Path, where: str) -> None:
    kind, name = where.split("/")
    reading = read_lines(
        tmp_path,
        [
            line(
                1,
                "A",
                ".",
                "0/0:7" if kind == "FORMAT" else "0/0",
                info="END=5" if kind == "FORMAT" else f"END=5;{name}=7;QS=1,0",
                format=f"GT:{name}" if kind == "FORMAT" else "GT",
            )
        ],
        C1,
        thresholds=Thresholds(gq_bands=tuple(range(100))),
    )
    assert reading.segments == [Segment("c1", 1, 5, 21, 7, 2, 0, "called")]


def test_depth_gives_at_most_gq_99(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [line(1, "A", ".", "0/0:400", info="END=5", format="GT:DP")],
        C1,
        thresholds=Thresholds(gq_bands=tuple(range(100))),
    )
    assert reading.segments[0].gq == 99


def test_hom_ref_record_with_ref_longer_than_its_end(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            line(5, BASES[4:12], ".", "0/0:20", info="END=6;MIN_DP=20", format="GT:DP"),
            line(7, BASES[6], ".", "0/0:20", info="END=9;MIN_DP=20", format="GT:DP"),
        ],
        C1,
    )
    assert spans(reading) == [(5, 9, 60, "called")]


def test_hom_ref_record_of_many_bases_without_end_covers_its_ref(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, [line(5, BASES[4:12], ".", "0/0:20", format="GT:DP")], C1)
    assert spans(reading) == [(5, 12, 60, "called")]


def test_len_of_vcf_4_5_is_the_length_of_a_block(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            line(5, "T", "<*>", "0/0:40:20:7", format="GT:GQ:DP:LEN"),
            line(12, "C", "<*>", "0/0:40:20", info="END=.", format="GT:GQ:DP"),
        ],
        C1,
    )
    assert spans(reading) == [(5, 12, 40, "called")]


def test_a_letter_that_is_no_base_is_read_as_the_references_base(tmp_path: Path) -> None:
    bases = {"c1": BASES[:9] + "M" + BASES[10:]}
    lines = [line(10, "M", "T", "0/1:40:22:11,11:45,0,42"), line(12, "NGT", "N", "0/1:40:22:11,11:45,0,42")]
    reading = read_lines(tmp_path, lines, bases)
    assert [row.allele for row in reading.rows] == [(10, "M", "T"), (12, BASES[11:14], BASES[11])]


def test_of_two_records_that_span_a_base_from_one_pos_the_first_decides_though_the_other_changes_it(
    tmp_path: Path,
) -> None:
    lines = [
        line(10, BASES[9:12], f"{BASES[9]},<NON_REF>", "0/0:0:3:3,0,0:0,0,0,0,0,0"),
        line(10, BASES[9:13], f"{BASES[9]},<NON_REF>", "0/1:0:3:3,0,0:0,0,0,0,0,0"),
    ]
    reading = read_lines(tmp_path, lines, C1)
    assert [(s.start, s.end, s.other) for s in reading.segments] == [(11, 12, 0), (13, 13, 1)]


def test_star_allele_is_another_allele_and_makes_no_row(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            line(10, "CAC", "C,<NON_REF>", "0/1:60:20:10,10,0:60,0,60,90,90,180"),
            line(12, "C", "T,*,<NON_REF>", "1/2:60:20:0,10,10,0:90,60,55,60,0,50,90,60,55,99"),
        ],
        C1,
    )
    deletion, snv = reading.rows
    assert snv.allele == (12, "C", "T")
    assert (snv.copies, snv.other, snv.ad) == (1, 1, (0, 10))
    assert deletion.copies == 1


def test_a_record_that_spans_decides_before_a_block(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            block(1, 20, "A", gq=60),
            line(10, "CACG", "C,<NON_REF>", "1/1:25:20:0,20,0:90,25,0,90,25,90"),
        ],
        C1,
    )
    assert [(s.start, s.end, s.gq, s.other) for s in reading.segments] == [
        (1, 9, 60, 0),
        (11, 13, 20, 2),
        (14, 20, 60, 0),
    ]


def test_hom_ref_record_with_evidence_keeps_a_row_and_without_evidence_none(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            line(10, "C", "T,<NON_REF>", "0/0:12:20:17,3,0:0,12,200,50,200,250"),
            line(11, "A", "T,<NON_REF>", "0/0:60:20:20,0,0:0,60,200,60,200,250"),
        ],
        C1,
    )
    (row,) = reading.rows
    assert (row.pos, row.copies, row.called) == (10, 0, False)
    assert spans(reading) == [(11, 11, 60, "called")]


def test_haploid_next_to_diploid_at_one_position_claims_no_likelihoods(tmp_path: Path) -> None:
    lines = [line(10, "C", "T", "1:40:22:0,22:90,0"), line(10, "C", "G", "0/1:40:22:11,11:45,0,42")]
    reading = read_lines(tmp_path, lines, C1)
    assert {row.alt: (row.ploidy, row.pl) for row in reading.rows} == {
        "T": (2, (-1, -1, -1)),
        "G": (2, (45, 0, 42)),
    }


def test_two_records_of_one_allele_keep_the_better_and_count_the_other(tmp_path: Path) -> None:
    lines = [
        line(3, BASES[2:5], BASES[2:4], "0/1:30:20:10,10:30,0,40", qual="30"),
        line(4, BASES[3:5], BASES[3:4], "1/1:60:20:0,20:90,60,0", qual="90"),
    ]
    reading = read_lines(tmp_path, lines, C1)
    (row,) = reading.rows
    assert (row.allele, row.copies, row.gq) == ((3, "GT", "G"), 2, 60)
    assert reading.counts.duplicates == 1


def test_a_record_may_have_a_thousand_alleles(tmp_path: Path) -> None:
    alts = ["C" + "".join(bases) for bases in itertools.product("AGT", repeat=7)][:1000]
    likelihoods = ["60"] * (1001 * 1002 // 2)
    likelihoods[1000 * 1001 // 2 + 999] = "0"  # 999/1000
    reading = read_lines(
        tmp_path, [line(10, "C", ",".join(alts), f"999/1000:60:{','.join(likelihoods)}", format="GT:GQ:PL")], C1
    )
    carried = {row.alt: (row.copies, row.other, row.pl) for row in reading.rows if row.copies}
    assert carried == dict.fromkeys(alts[998:], (1, 1, (60, 0, 60)))


@pytest.mark.parametrize(
    ("lesser", "better"), [("3.02e-13", "0.5"), ("9.5", "1.23457e+06"), ("9e0", "1E1"), ("x", "0")]
)
def test_a_quality_may_have_an_exponent(tmp_path: Path, lesser: str, better: str) -> None:
    for first, second, copies in ((lesser, better, 2), (better, lesser, 1)):
        lines = [
            line(3, BASES[2:5], BASES[2:4], "0/1:30:20:10,10:30,0,40", qual=first),
            line(4, BASES[3:5], BASES[3:4], "1/1:30:20:0,20:90,30,0", qual=second),
        ]
        (row,) = read_lines(tmp_path, lines, C1).rows
        assert row.copies == copies


def test_blocks_are_cut_at_shard_borders_and_merged_within_a_band(tmp_path: Path) -> None:
    lines = [block(1, 30, "A", gq=45, dp=20), block(31, 40, "A", gq=41, dp=12), block(41, 50, "A", gq=31)]
    reading = read_lines(tmp_path, lines, C1, shard_ends=[[35, 300]])
    assert [(s.start, s.end, s.gq, s.dp) for s in reading.segments] == [
        (1, 35, 40, 12),
        (36, 40, 40, 12),
        (41, 50, 30, 30),
    ]


def test_an_allele_that_slides_over_a_shard_border_belongs_to_where_it_lands(tmp_path: Path) -> None:
    bases = "ACGT" + "A" * 20 + "CGT" * 10
    reading = read_lines(
        tmp_path, [line(23, "AA", "A", "0/1:40:22:11,11:45,0,42")], {"c1": bases}, shard_ends=[[10, len(bases)]]
    )
    assert reading.rows[0].allele == (4, "TA", "T")


def test_every_contig_is_kept_under_its_name_or_alias(tmp_path: Path) -> None:
    contigs = {"20": BASES, "21": BASES, "MT": BASES}
    lines = [
        line(10, "C", "T", "0/1:40:22:11,11:45,0,42", contig="chr20"),
        block(11, 20, "A", contig="chr20"),
        line(10, "C", "G", "0/1:40:22:11,11:45,0,42", contig="MT"),
        line(10, "C", "A", "0/1:40:22:11,11:45,0,42", contig="21"),
    ]
    path = tmp_path / "one.g.vcf"
    path.write_text(gvcf_text(lines, contigs={name: len(bases) for name, bases in contigs.items()}))
    reading = read_gvcf(path, genome_of(contigs, aliases={"chr20": "20"}))
    assert [(row.contig, row.alt) for row in reading.rows] == [("20", "T"), ("MT", "G"), ("21", "A")]
    assert [(s.contig, s.start) for s in reading.segments] == [("20", 11)]


def test_breakends_and_symbolic_alleles_are_other_alleles(tmp_path: Path) -> None:
    lines = [
        line(10, "C", "<DEL>", "0/1:40:22", format="GT:GQ:DP", info="END=20"),
        line(30, "C", "C[c1:100[", "0/1:40:22", format="GT:GQ:DP"),
    ]
    reading = read_lines(tmp_path, lines, C1)
    assert reading.rows == []
    assert [(s.start, s.end, s.other) for s in reading.segments] == [(10, 10, 0), (11, 20, 1), (30, 30, 1)]
