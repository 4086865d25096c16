"""Real gVCFs of several callers: the store reads the alleles of ``bcftools norm``."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pysam.bcftools
import pytest
from support.store_tools import genome_of, implied_bases, read_gvcf, write_reference

FILES = (
    "gatk_1kg50_grch38_chr22/HG00187.hg38.g.vcf.gz",
    "gatk_1kg50_grch38_chr22/NA19456.hg38.g.vcf.gz",
    "gatk_HG00268/HG00268.g.vcf.gz",
    "gatk_HG00268/has_filter.g.vcf.gz",
    "gatk_HG00268/non_ref_call.g.vcf.gz",
    "gatk_NA12878/NA12878.prod.chr20snippet.g.vcf.gz",
    "deepvariant/deepvariant/golden.postprocess_gvcf_output.g.vcf",
    "deepvariant/deepvariant/golden.postprocess_gvcf_output.med_dp.g.vcf",
    "deepvariant/deepvariant/golden.haploid_chr20.postprocess_gvcf_output.g.vcf",
    "deepvariant/deeptrio/golden.postprocess_gvcf_output.g.vcf",
)


@pytest.mark.parametrize("name", FILES)
def test_alleles_and_copies_are_those_of_bcftools_norm(shared_data: Path, tmp_path: Path, name: str) -> None:
    path = shared_data / "gvcf" / name
    bases = implied_bases([path])
    reference = write_reference(tmp_path / "ref.fa", bases)
    reading = read_gvcf(path, genome_of(bases))

    expected: Counter[tuple[str, int, str, str]] = Counter()
    for row in pysam.bcftools.norm("-f", str(reference), "-a", "-m", "-any", str(path)).splitlines():
        if row.startswith("#"):
            continue
        contig, pos, _id, ref, alts, *_others, sample = row.split("\t")
        genotype = sample.split(":")[0].replace("|", "/").split("/")
        for number, alt in enumerate(alts.split(","), start=1):
            if alt[0] in "ACGTN":
                allele = (contig, int(pos), ref, alt)
                expected[allele] = max(expected[allele], genotype.count(str(number)))
    copies = Counter({(row.contig, *row.allele): row.copies for row in reading.rows})
    assert +copies == +expected
    assert copies.keys() <= expected.keys()
    assert reading.counts.contradicting == 0

    # every base of a record is in one segment or row, unless it has no depth at all
    covered: set[tuple[str, int]] = set()
    for segment in reading.segments:
        places = {(segment.contig, pos) for pos in range(segment.start, segment.end + 1)}
        assert not places & covered
        covered |= places
    assert not covered & {(row.contig, row.pos) for row in reading.rows}
    with gzip.open(path, "rt") if name.endswith("gz") else path.open() as text:
        assert reading.counts.records == sum(not row.startswith("#") for row in text)
