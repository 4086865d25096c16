from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pytest
from baekman.errors import InputRefused
from baekman.qc.pileup import Sites, count_alleles, counts_of_mpileup, read_sites
from hypothesis import given
from hypothesis import strategies as st
from support.simulated_specimen import population

BASE = st.sampled_from(".,ACGTNacgtn*")
INDEL = st.tuples(st.sampled_from("+-"), st.text("ACGTacgtN", min_size=1, max_size=12)).map(
    lambda pair: f"{pair[0]}{len(pair[1])}{pair[1]}"
)
# one read in the column: start mark with any mapping quality, base, indel that follows, end mark
READ = st.tuples(
    st.sampled_from(["", "^]", "^^", "^$", "^+", "^1", "^,"]),
    BASE,
    st.one_of(st.just(""), INDEL),
    st.sampled_from(["", "$"]),
    st.integers(20, 60),
)


def sites_of(*pairs: tuple[str, str]) -> Sites:
    refs, alts = zip(*pairs, strict=True)
    return Sites(
        contig=np.array(["chr1"] * len(pairs)),
        position=np.arange(1, len(pairs) + 1) * 10,
        ref=np.array(refs),
        alt=np.array(alts),
        frequency=np.full(len(pairs), 0.5),
    )


@given(columns=st.lists(st.lists(READ, max_size=6), min_size=1, max_size=4))
def test_every_read_of_a_column_is_counted_once(columns: list[list[tuple[str, str, str, str, int]]]) -> None:
    sites = sites_of(*[("A", "C")] * len(columns))
    lines, expected = [], []
    for number, reads in enumerate(columns):
        bases = "".join(mark + base + indel + end for mark, base, indel, end, _ in reads) or "*"
        qualities = "".join(chr(quality + 33) for *_, quality in reads) or "*"
        lines.append(f"chr1\t{(number + 1) * 10}\tA\t{len(reads)}\t{bases}\t{qualities}\n")
        tally = {"ref": 0, "alt": 0, "other": 0}
        for _, base, *_ in reads:
            allele = {".": "ref", ",": "ref", "A": "ref", "C": "alt"}.get(base.upper(), "other")
            tally[allele] += base != "*"
        expected.append(tally)
    counts = counts_of_mpileup("".join(lines).encode(), sites=sites)
    counted = [
        {"ref": int(ref), "alt": int(alt), "other": int(other)}
        for ref, alt, other in zip(counts.ref.sum(axis=1), counts.alt.sum(axis=1), counts.other, strict=True)
    ]
    assert counted == expected


def test_qualities_make_the_classes_and_are_capped_at_40() -> None:
    text = "chr1\t10\tA\t4\t..CC\t" + "".join(chr(q + 33) for q in (20, 60, 20, 41)) + "\n"
    counts = counts_of_mpileup(text.encode(), sites=sites_of(("A", "C")))
    assert counts.error.tolist() == pytest.approx([0.01, 0.0001])
    assert counts.ref.tolist() == [[1, 1]]
    assert counts.alt.tolist() == [[1, 1]]


def test_sites_that_are_not_listed_have_no_reads() -> None:
    counts = counts_of_mpileup(b"", sites=sites_of(("A", "C"), ("G", "T")))
    assert counts.depth.tolist() == [0, 0]


def test_reads_are_counted_as_pysam_counts_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    people = population(tmp_path, sites=60)
    bam = people.write_reads(tmp_path / "reads.bam", [(people.person(rng), 1.0)], depth=20, rng=rng)
    sites = read_sites(people.write_sites(tmp_path / "sites.vcf.gz"))
    counts = count_alleles(bam, reference=people.fasta, sites=sites)
    with pysam.AlignmentFile(str(bam)) as file:
        for number, position in enumerate(sites.position.tolist()):
            by_base = dict(zip("ACGT", file.count_coverage(sites.contig[number], position - 1, position), strict=True))
            ref, alt = by_base[sites.ref[number]][0], by_base[sites.alt[number]][0]
            # base alignment quality takes reads' ends away from samtools
            assert ref * 0.7 <= counts.ref[number].sum() <= ref
            assert alt * 0.7 <= counts.alt[number].sum() <= alt
    assert counts.depth.sum() > 0.9 * 20 * 60


def write_vcf(path: Path, body: str, *, info: str = '##INFO=<ID=AF,Number=A,Type=Float,Description="AF">\n') -> Path:
    path.write_text(
        "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n##contig=<ID=chrX>\n"
        f"{info}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{body}",
        encoding="utf-8",
    )
    return path


def test_only_variable_autosomal_biallelic_snvs_are_sites(tmp_path: Path) -> None:
    rows = [
        ("chr1", 5, "A", "C", "AF=0.25"),
        ("chr1", 6, "A", "C,G", "AF=0.25,0.1"),
        ("chr1", 7, "AT", "A", "AF=0.25"),
        ("chr1", 8, "A", "C", "."),
        ("chr1", 9, "A", "C", "AF=0"),
        ("chr1", 10, "A", "C", "AF=1"),
        ("chrX", 11, "A", "C", "AF=0.25"),
        ("chr1", 12, "G", "T", "AF=1e-2"),
    ]
    body = "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t{i}\n" for c, p, r, a, i in rows)
    sites = read_sites(write_vcf(tmp_path / "sites.vcf", body))
    assert sites.position.tolist() == [5, 12]
    assert sites.frequency.tolist() == pytest.approx([0.25, 0.01])
    assert sites.loadings is None


def test_a_panel_of_verifybamid2_is_read_by_any_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "p.bed").write_text("chr1\t4\t5\tA\tC\nchr1\t9\t10\tG\tT\n")
    (tmp_path / "p.mu").write_text("chr1:5_A/C_rs1\t0.5\nchr1:10_G/T_rs2\t1.2\n")
    (tmp_path / "p.UD").write_text("1.5\t-2\n0.5\t3\n")
    for ending in ("bed", "mu", "UD"):
        sites = read_sites(tmp_path / f"p.{ending}")
        assert sites.position.tolist() == [5, 10]
        assert sites.frequency.tolist() == [0.25, 0.6]
        assert sites.loadings is not None
        assert sites.loadings.tolist() == [[1.5, -2], [0.5, 3]]


def test_a_panel_with_lines_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.bed").write_text("chr1\t4\t5\tA\tC\nchr1\t9\t10\tG\tT\n")
    (tmp_path / "p.mu").write_text("chr1:5_A/C_rs1\t0.5\n")
    (tmp_path / "p.UD").write_text("1.5\t-2\n0.5\t3\n")
    with pytest.raises(InputRefused) as refused:
        read_sites(tmp_path / "p.UD")
    assert str(refused.value) == (
        "p: expected as many lines in .bed, .mu and .UD, found 2, 1 and 2; fetch the panel again"
    )


def test_a_vcf_without_frequencies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused) as refused:
        read_sites(write_vcf(tmp_path / "sites.vcf", "chr1\t5\t.\tA\tC\t.\t.\t.\n", info=""))
    assert str(refused.value) == (
        "sites.vcf: header: expected a VCF with INFO/AF, the frequency of ALT in the population, "
        "found no INFO line for AF; fill AF in with bcftools +fill-tags, or give another file"
    )


def test_a_vcf_without_sites_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused) as refused:
        read_sites(write_vcf(tmp_path / "sites.vcf", "chrX\t5\t.\tA\tC\t.\t.\tAF=0.5\n"))
    assert str(refused.value) == (
        "sites.vcf: expected biallelic SNVs on autosomes with INFO/AF between 0 and 1, or a VerifyBamID2 panel, "
        "found no such site; give another file as contamination_sites, or null to leave contamination unassessed"
    )


def test_sites_of_another_reference_are_refused(tmp_path: Path) -> None:
    people = population(tmp_path, sites=10, contig="1")
    sites = sites_of(("A", "C"))
    with pytest.raises(InputRefused) as refused:
        count_alleles(tmp_path / "reads.bam", reference=people.fasta, sites=sites)
    assert str(refused.value) == (
        "contamination_sites: expected sites on contigs of the reference reference.fa, found none there; "
        "the first lies on chr1; give a file for this reference, with its contig names"
    )
