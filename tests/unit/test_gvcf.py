"""Every dialect of gVCF is read for what it says, and nothing is assumed that it does not say."""

from __future__ import annotations

import gzip
from pathlib import Path

import pysam
import pysam.bcftools
import pytest
from baekman import gvcf
from baekman.errors import InputRefused
from baekman.gvcf import Thresholds
from store_tools import Reading, Segment, block, genome_of, gvcf_text, line, read_gvcf, read_lines

BASES = "ACGTTGCAAC" * 30
C1 = {"c1": BASES}


def spans(reading: Reading) -> list[tuple[int, int, int, str]]:
    return [(s.start, s.end, s.gq, s.state) for s in reading.segments]


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


def test_len_of_vcf_4_5_says_how_far_a_block_goes(tmp_path: Path) -> None:
    reading = read_lines(
        tmp_path,
        [
            line(5, "T", "<*>", "0/0:40:20:7", format="GT:GQ:DP:LEN"),
            line(12, "C", "<*>", "0/0:40:20", info="END=.", format="GT:GQ:DP"),
        ],
        C1,
    )
    assert spans(reading) == [(5, 12, 40, "called")]


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


def test_gq_is_taken_from_pl_where_it_is_not_given(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, [line(10, "C", "T", "0/1:20:33,0,90", format="GT:DP:PL")], C1)
    assert (reading.rows[0].gq, reading.rows[0].called) == (33, True)


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


def test_where_a_record_has_no_base_it_is_the_references(tmp_path: Path) -> None:
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
    assert [(one.start, one.end, one.other) for one in reading.segments] == [(11, 12, 0), (13, 13, 1)]


def test_a_genotype_of_an_allele_where_a_record_has_no_alt_is_missing_and_counted(tmp_path: Path) -> None:
    lines = [line(10, C1["c1"][9], ".", "1/1:30:40", format="GT:DP:GQ")]
    reading = read_lines(tmp_path, lines, C1)
    assert (reading.rows, reading.counts.contradicting) == ([], 1)
    assert [(one.start, one.end, one.state) for one in reading.segments] == [(10, 10, "missing")]


def test_more_contradictions_than_configured_refuse_the_file(tmp_path: Path) -> None:
    lines = [line(10 + n, BASES[9 + n], "N", "0/1:40:22:11,11:45,0") for n in range(3)]
    assert read_lines(tmp_path, lines, C1, thresholds=Thresholds(max_contradicting=3)).counts.contradicting == 3
    with pytest.raises(InputRefused) as refused:
        read_lines(tmp_path, lines, C1, thresholds=Thresholds(max_contradicting=2))
    assert str(refused.value) == (
        "gVCF of P1: all records: expected at most 2 fields that contradict their header, found 3; "
        "call the participant again, or raise cohort.max_contradicting"
    )


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


def test_haploid_beside_diploid_at_one_position_claims_no_likelihoods(tmp_path: Path) -> None:
    lines = [line(10, "C", "T", "1:40:22:0,22:90,0"), line(10, "C", "G", "0/1:40:22:11,11:45,0,42")]
    reading = read_lines(tmp_path, lines, C1)
    assert {row.alt: (row.ploidy, row.pl) for row in reading.rows} == {
        "T": (2, (-1, -1, -1)),
        "G": (2, (45, 0, 42)),
    }


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


def test_two_records_of_one_allele_keep_the_better_and_count_the_other(tmp_path: Path) -> None:
    lines = [
        line(3, BASES[2:5], BASES[2:4], "0/1:30:20:10,10:30,0,40", qual="30"),
        line(4, BASES[3:5], BASES[3:4], "1/1:60:20:0,20:90,60,0", qual="90"),
    ]
    reading = read_lines(tmp_path, lines, C1)
    (row,) = reading.rows
    assert (row.allele, row.copies, row.gq) == ((3, "GT", "G"), 2, 60)
    assert reading.counts.duplicates == 1


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
        block(11, 20, "A", contig="20"),
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
    assert [(s.start, s.end, s.other) for s in reading.segments] == [(10, 10, 1), (30, 30, 1)]


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
    if how == "plain":
        return plain
    if how == "no newline at the end":
        path.write_text(text.rstrip("\n"))
    elif how == "CRLF":
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
    ["no newline at the end", "CRLF", "empty lines", "gzip", "two gzip members", "BGZF", "BCF", "uncompressed BCF"],
)
def test_the_same_is_read_however_it_is_written(tmp_path: Path, how: str) -> None:
    expected = read_gvcf(as_written(tmp_path, "plain"), genome_of(C1))
    reading = read_gvcf(as_written(tmp_path, how), genome_of(C1))
    assert (reading.rows, reading.segments) == (expected.rows, expected.segments)
    assert len(reading.rows) == 1 and reading.rows[0].filter == "LowQual"


def test_a_file_without_records_says_nothing(tmp_path: Path) -> None:
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
    monkeypatch.setattr("baekman.gvcf.CHUNK_BYTES", 1000)
    lines = [
        block(1, 9, "A"),
        line(10, "C", "T", "0/1:40:22:11,11:45,0,42", info="X=" + "y" * 50_000),
        block(11, 20, "A"),
    ]
    reading = read_lines(tmp_path, lines, C1)
    assert (len(reading.rows), spans(reading)) == (1, [(1, 9, 50, "called"), (11, 20, 50, "called")])
