from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
import pytest
from baekman.qc import identity
from baekman.qc.identity import matches_of_gtcheck
from baekman.tools import programs as tools
from support.simulated_specimen import Population, population


@dataclass
class Specimen:
    people: Population
    genotypes: np.ndarray
    stranger: np.ndarray
    bam: Path
    gvcf: Path
    folder: Path

    def array(self, person: np.ndarray, *, every: int = 1) -> Path:
        return self.people.write_array(self.folder / f"array_{id(person)}_{every}.vcf.gz", person, every=every)


@pytest.fixture(scope="module")
def specimen(tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    folder = tmp_path_factory.mktemp("identity")
    rng = np.random.default_rng(9)
    people = population(folder, sites=240)
    person, other = people.person(rng), people.person(rng)
    bam = people.write_reads(folder / "reads.bam", [(person, 1.0)], depth=30, rng=rng)
    gvcf = folder / "calls.g.vcf.gz"
    bcftools = tools.command("bcftools")
    piled = [*bcftools, "mpileup", "-f", people.fasta, "-g", "0", "-a", "DP", "-o", folder / "p.bcf", "-Ob", bam]
    subprocess.run(piled, check=True, stderr=subprocess.DEVNULL)
    called = [*bcftools, "call", "-m", "-g", "0", "-Oz", "-o", gvcf, folder / "p.bcf"]
    subprocess.run(called, check=True, stderr=subprocess.DEVNULL)
    pysam.tabix_index(str(gvcf), preset="vcf")
    return Specimen(people=people, genotypes=person, stranger=other, bam=bam, gvcf=gvcf, folder=folder)


def agreement(specimen: Specimen, person: np.ndarray) -> float:
    """Return the obvious share of sites at which two people's genotypes are the same."""
    return float((specimen.genotypes.sum(axis=0) == person.sum(axis=0)).mean())


@pytest.mark.parametrize("entry", ["reads", "gvcf"])
@pytest.mark.parametrize("owner", ["genotypes", "stranger"])
def test_concordance_is_the_share_of_sites_with_the_same_genotype(specimen: Specimen, entry: str, owner: str) -> None:
    person = getattr(specimen, owner)
    result = identity.assess(
        cram=specimen.bam if entry == "reads" else None,
        gvcf=specimen.gvcf if entry == "gvcf" else None,
        reference=specimen.people.fasta,
        array=specimen.array(person),
    )
    assert result.failure is None
    assert result.sites >= 235
    assert result.concordance == pytest.approx(agreement(specimen, person), abs=0.02)
    carried = person.sum(axis=0) > 0
    same = (specimen.genotypes.sum(axis=0) == person.sum(axis=0))[carried].mean()
    assert result.nonreference == pytest.approx(same, abs=0.02)
    assert result.nonreference_sites == pytest.approx(carried.sum(), abs=5)


def test_a_gvcf_with_symbolic_alleles_of_gatk_is_compared_too(specimen: Specimen, tmp_path: Path) -> None:
    with pysam.VariantFile(str(specimen.gvcf)) as file:
        text = str(file.header) + "".join(
            "\t".join(
                field
                if column != 4
                else ("<NON_REF>" if field == "." else f"{field},<NON_REF>" if "<" not in field else field)
                for column, field in enumerate(str(record).split("\t"))
            )
            for record in file
        )
    # fields with a value per allele now contradict their header, as those of some callers do
    text = text.replace("##contig", '##ALT=<ID=NON_REF,Description="Any other allele">\n##contig', 1)
    gvcf = tmp_path / "gatk.g.vcf.gz"
    (tmp_path / "plain.vcf").write_text(text, encoding="utf-8")
    pysam.tabix_compress(str(tmp_path / "plain.vcf"), str(gvcf))
    pysam.tabix_index(str(gvcf), preset="vcf")
    result = identity.assess(
        cram=None,
        gvcf=gvcf,
        reference=specimen.people.fasta,
        array=specimen.array(specimen.genotypes),
    )
    assert result.sites >= 235
    assert result.concordance is not None and result.concordance > 0.98


def renamed(source: Path, target: Path, contig: str, name: str) -> Path:
    """Write a copy of a VCF with another name of its contig, and its index; return its path."""
    with pysam.BGZFile(str(source)) as file:
        text = "\n".join(line.decode() for line in file) + "\n"
    plain = target.with_suffix("")
    plain.write_text(re.sub(rf"(?m)^(##contig=<ID=|){contig}(?=[,\t>])", rf"\g<1>{name}", text))
    pysam.tabix_compress(str(plain), str(target), force=True)
    pysam.tabix_index(str(target), preset="vcf", force=True)
    return target


@pytest.mark.parametrize(("of_gvcf", "of_array"), [("NC_000001.11", "1"), ("NC_000001.11", "chr1"), ("chr1", "1")])
@pytest.mark.parametrize("owner", ["genotypes", "stranger"])
def test_contigs_with_other_names_are_compared_by_those_of_the_reference(
    specimen: Specimen, tmp_path: Path, of_gvcf: str, of_array: str, owner: str
) -> None:
    contig = specimen.people.contig
    person = getattr(specimen, owner)
    result = identity.assess(
        cram=None,
        gvcf=renamed(specimen.gvcf, tmp_path / "x.vcf.gz", contig, of_gvcf.replace("chr1", contig)),
        reference=specimen.people.fasta,
        array=renamed(specimen.array(person), tmp_path / "a.vcf.gz", contig, of_array.replace("chr1", contig)),
        aliases={"NC_000001.11": contig, "1": contig, "MT": "chrM"},
    )
    assert result.sites >= 235
    assert result.concordance == pytest.approx(agreement(specimen, person), abs=0.02)


def test_too_few_sites_give_no_concordance(specimen: Specimen) -> None:
    array = specimen.array(specimen.genotypes, every=6)  # 40 sites
    result = identity.assess(cram=specimen.bam, gvcf=None, reference=specimen.people.fasta, array=array)
    assert (result.concordance, result.failure, result.sites) == (None, "too_few_sites", 40)


def test_an_array_without_usable_sites_gives_no_concordance(specimen: Specimen, tmp_path: Path) -> None:
    array = tmp_path / "array.vcf"
    array.write_text(
        "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n##contig=<ID=chrX>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tP0\n"
        "chr1\t5\t.\tA\tC\t.\t.\t.\tGT\t./.\n"
        "chr1\t6\t.\tA\tAC\t.\t.\t.\tGT\t0/1\n"
        "chrX\t5\t.\tA\tC\t.\t.\t.\tGT\t0/1\n",
        encoding="utf-8",
    )
    result = identity.assess(cram=specimen.bam, gvcf=None, reference=specimen.people.fasta, array=array)
    assert (result.concordance, result.failure, result.sites) == (None, "too_few_sites", 0)


def test_without_an_array_the_failure_has_the_reason(tmp_path: Path) -> None:
    output = tmp_path / "identity.json"
    result = identity.assess(cram=None, gvcf=None, reference=tmp_path / "r.fa", array=None)
    identity.write_identity(result, output)
    assert (result.concordance, result.failure) == (None, "no_array")
    assert identity.read_identity(output) == result


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("DCv2\tP0\tP0\t3\t2.9e-01\t400\t397", (397, 400)),
        ("DC\tP0\tP0\t3.000000e+00\t5.4e+03\t400", (397, 400)),  # bcftools 1.16
        ("#DCv2\t[2]Query Sample", (0, 0)),
    ],
)
def test_gtcheck_of_any_version_is_read(line: str, expected: tuple[int, int]) -> None:
    assert matches_of_gtcheck(f"# header\nINFO\tsites-compared\t400\n{line}\n") == expected
