"""Identity: the agreement of a specimen's reads with the genotypes of the participant's array.

The compared sites are the array's autosomal biallelic SNVs with a called genotype, where the sequence has one too:
from at least ``MINIMUM_DEPTH`` reads, or from a gVCF. **Concordance** is the share of sites with the same genotype
in both. **Non-reference concordance** is the same share over the sites where the array's genotype is not homozygous
reference; chance agreement at rare alleles does not raise it. ``bcftools gtcheck`` counts both.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import pysam

from baekman.files import atomic
from baekman.genome.chromosomes import is_autosome
from baekman.qc.pileup import MINIMUM_BASE_QUALITY, MINIMUM_MAPPING_QUALITY
from baekman.tools import programs as tools
from baekman.tools.pipes import piped

MINIMUM_DEPTH = 8  # here a heterozygote shows only one allele at 2 x 0.5^8 = 0.8 % of sites
MINIMUM_SITES = 50  # unrelated people agree at about half of the sites: with 50 sites, five standard errors below 0.9

NO_ALIASES: Mapping[str, str] = MappingProxyType({})

Failure = Literal["no_array", "too_few_sites"]


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The comparison of a specimen with an array.

    Attributes:
        concordance: the share of sites with the same genotype; None when ``failure`` has the reason.
        failure: the reason why there is no concordance.
        sites: the number of compared sites.
        nonreference: the share over the non-reference sites; None without such a site.
        nonreference_sites: the number of compared sites where the array's genotype is not homozygous reference.
    """

    concordance: float | None
    failure: Failure | None = None
    sites: int = 0
    nonreference: float | None = None
    nonreference_sites: int = 0


def assess(
    *,
    cram: Path | None,
    gvcf: Path | None,
    reference: Path,
    array: Path | None,
    aliases: Mapping[str, str] = NO_ALIASES,
) -> Identity:
    """Compare an indexed CRAM or BAM, else an indexed gVCF, with ``array``, a VCF of one sample.

    ``aliases``: other names of contigs in gVCF and array -> their names in ``reference``.

    Raises ValueError when there is neither reads nor calls, and ``PipeFailed``.
    """
    if array is None:
        return Identity(concordance=None, failure="no_array")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        genotyped = folder / "array.bcf"
        targets = _targets(array, genotyped=genotyped, folder=folder, names=_renamed(array, aliases))
        if targets is None:
            return Identity(concordance=None, failure="too_few_sites")
        query = folder / "query.bcf"
        if cram is not None:
            _genotype_reads(cram, reference=reference, targets=targets, output=query)
        elif gvcf is not None:
            _genotype_gvcf(gvcf, reference=reference, targets=targets, output=query, names=_renamed(gvcf, aliases))
        else:
            raise ValueError("neither reads nor a gVCF to compare with the array")
        matches, sites = _compare(query, genotyped)
        nonreference_matches, nonreference_sites = _compare(query, genotyped, "--include", 'gt:GT="alt"')
    nonreference = nonreference_matches / nonreference_sites if nonreference_sites else None
    return Identity(
        concordance=None if sites < MINIMUM_SITES else matches / sites,
        failure="too_few_sites" if sites < MINIMUM_SITES else None,
        sites=sites,
        nonreference=nonreference,
        nonreference_sites=nonreference_sites,
    )


def write_identity(identity: Identity, output: Path) -> None:
    """Write ``identity`` to ``output``: a JSON object with its fields."""
    atomic.write_text(output, json.dumps(asdict(identity), indent=1) + "\n")


def read_identity(path: Path) -> Identity:
    """Return the comparison in a file of ``write_identity``."""
    return Identity(**json.loads(path.read_text(encoding="utf-8")))


def _renamed(file: Path, aliases: Mapping[str, str]) -> dict[str, str]:
    """Return the contigs in the header of a VCF with another name than in the reference: name -> reference's name."""
    with pysam.VariantFile(str(file)) as opened:
        names = list(opened.header.contigs)
    return {name: aliases[name] for name in names if name in aliases and aliases[name] not in names}


def _renaming(names: Mapping[str, str], *, folder: Path) -> list[str | Path]:
    """Return the command that renames the contigs ``names`` of a VCF on its stdin."""
    table = folder / "names.tsv"
    table.write_text("".join(f"{name}\t{other}\n" for name, other in names.items()), encoding="utf-8")
    return [*tools.command("bcftools"), "annotate", "--rename-chrs", table, "-Ou"]


def _targets(array: Path, *, genotyped: Path, folder: Path, names: Mapping[str, str]) -> Path | None:
    """Write the genotypes of the array's usable sites to ``genotyped``; its contigs ``names`` get other names.

    Returns their table for ``bcftools call -C alleles``; None without any site.
    """
    bcftools = tools.command("bcftools")
    piped(
        [*bcftools, "view", "-m2", "-M2", "-v", "snps", "-g", "^miss", "-Ou", array],
        *([_renaming(names, folder=folder)] if names else []),
        [*bcftools, "view", "-t", _autosomes(array, names), "-Ob", "-o", genotyped],
    )
    piped([*bcftools, "index", genotyped])
    sites = piped([*bcftools, "query", "-f", r"%CHROM\t%POS\t%REF,%ALT\n", genotyped])
    if not sites:
        return None
    plain, table = folder / "targets.tsv", folder / "targets.tsv.gz"
    plain.write_bytes(sites)
    pysam.tabix_compress(str(plain), str(table))
    pysam.tabix_index(str(table), seq_col=0, start_col=1, end_col=1)
    return table


def _autosomes(array: Path, names: Mapping[str, str]) -> str:
    with pysam.VariantFile(str(array)) as file:
        contigs = [name for contig in file.header.contigs if is_autosome(name := names.get(contig, contig))]
    # no contig has this name: no site is kept
    return ",".join(contigs) or "-"


def _genotype_reads(cram: Path, *, reference: Path, targets: Path, output: Path) -> None:
    samtools, bcftools = tools.command("samtools"), tools.command("bcftools")
    bed = output.with_suffix(".bed")
    bed.write_bytes(piped([*bcftools, "query", "-f", r"%CHROM\t%POS0\t%END\n", output.with_name("array.bcf")]))
    piped(
        # mpileup -R opens the CRAM for each site, and -T alone reads all of it
        [*samtools, "view", "-u", "-M", "-L", bed, "-T", reference, cram],
        [
            *bcftools,
            "mpileup",
            *("-f", str(reference), "-T", str(targets), "-a", "FORMAT/DP", "-I", "-Ou"),
            *("-q", str(MINIMUM_MAPPING_QUALITY), "-Q", str(MINIMUM_BASE_QUALITY), "-"),
        ],
        [*bcftools, "call", "-m", "-C", "alleles", "-T", targets, "-Ou"],
        [*bcftools, "view", "-e", f"FORMAT/DP<{MINIMUM_DEPTH}", "-Ob", "-o", output],
    )
    piped([*bcftools, "index", output])


def _genotype_gvcf(gvcf: Path, *, reference: Path, targets: Path, output: Path, names: Mapping[str, str]) -> None:
    bcftools = tools.command("bcftools")
    expanding: list[str | Path] = [*bcftools, "convert", "--gvcf2vcf", "-f", reference]
    blocks: list[list[str | Path]]
    if names:
        # the index of the gVCF has its own names, and the blocks are expanded by the reference's
        regions = output.with_name("delivered.tsv")
        regions.write_text(_regions(targets, names), encoding="utf-8")
        renaming = _renaming(names, folder=output.parent)
        blocks = [[*bcftools, "view", "-R", regions, "-Ou", gvcf], renaming, [*expanding, "-Ou", "-"]]
    else:
        blocks = [[*expanding, "-R", targets, "-Ou", gvcf]]
    piped(
        *blocks,
        # trimming stops at the first field whose number of values contradicts its header: only GT is needed
        [*bcftools, "annotate", "-x", "INFO,^FORMAT/GT", "-Ou"],
        # blocks extend beyond the sites
        [*bcftools, "view", "--trim-unseen-allele", "-T", targets, "-V", "indels,mnps", "-Ob", "-o", output],
    )
    piped([*bcftools, "index", output])


def _regions(targets: Path, names: Mapping[str, str]) -> str:
    """Return the sites of a table of targets as regions, with the names of contigs that ``names`` replaces."""
    delivered = {other: name for name, other in names.items()}
    with pysam.BGZFile(str(targets)) as table:
        sites = [line.decode().split("\t")[:2] for line in table]
    return "".join(f"{delivered.get(contig, contig)}\t{position}\t{position}\n" for contig, position in sites)


def _compare(query: Path, array: Path, *options: str) -> tuple[int, int]:
    """Return the number of sites with equal genotypes of the only samples, and of compared sites."""
    text = piped(
        [
            *tools.command("bcftools"),
            "gtcheck",
            *("--use", "GT,GT", "--error-probability", "0"),
            *(*options, "--genotypes", str(array), str(query)),
        ]
    )
    # the header repeats the command line, which the bundled bcftools garbles
    return matches_of_gtcheck(text.decode("utf-8", errors="replace"))


def matches_of_gtcheck(text: str) -> tuple[int, int]:
    """Return the numbers of matching and compared sites in the output of ``bcftools gtcheck -E 0`` for one pair.

    The line starts with ``DCv2``, before 1.20 with ``DC``. Without a probability of error, its discordance is the
    number of mismatches.
    """
    for line in text.splitlines():
        fields = line.split("\t")
        if fields[0] in ("DC", "DCv2"):
            sites = int(fields[5])
            return sites - round(float(fields[3])), sites
    return 0, 0
