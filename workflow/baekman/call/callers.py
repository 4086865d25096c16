"""The variant callers behind one interface: the commands that call one participant in one piece of the genome.

Each caller is a function of a ``Job`` that gives steps; a step is a list of commands joined by pipes, the last of
which writes a file. ``bcftools`` and ``freebayes`` write records only (the blocks come from the pileup);
``gatk`` and ``deepvariant`` write a gVCF of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from baekman.call.reference_blocks import PILEUP_FORMAT
from baekman.genome.ploidy import Piece
from baekman.tools import programs as tools

Commands = list[list[str]]

# Why these options: docs/benchmarks.md, "Calling".
#   --indels-cns      realigns reads to consensus haplotypes: the best indel genotypes
#   -B                BAQ takes the evidence from heterozygous SNVs beside indels; the false ones that it keeps
#                     away are marked by calling.py's filters
#   -m 1              an indel that one read shows stays visible at low coverage
PILEUP_OPTIONS = ["--indels-cns", "-B", "-m", "1", "-a", "FORMAT/AD,FORMAT/DP"]
# borders of depth at which mpileup begins a new block: fine where one read changes the evidence
PILEUP_DEPTHS = "1,2,3,4,5,6,7,8,9,10,12,14,16,18,20,22,24,26,28,30,33"
# -C 1 -F 0.05: an ALT that one read shows at low coverage keeps its likelihoods
FREEBAYES_OPTIONS = ["-m", "20", "-q", "20", "-C", "1", "-F", "0.05"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One participant (``cram``, whose read groups hold the ID only), one piece, and a folder for the files."""

    cram: Path
    reference: Path
    piece: Piece
    folder: Path
    threads: int = 1

    @property
    def pileup(self) -> Path:
        return self.folder / "pileup.bcf"

    @property
    def pileup_table(self) -> Path:
        return self.folder / "pileup.tsv"

    @property
    def records(self) -> Path:
        return self.folder / "records.vcf"


def pileup(job: Job) -> list[Commands]:
    """The reads' evidence: ``job.pileup`` (likelihoods of every covered base) and ``job.pileup_table``."""
    bcftools = tools.command("bcftools")
    region = str(job.piece.region)
    mpileup = ["mpileup", *PILEUP_OPTIONS, "-g", PILEUP_DEPTHS, "--no-version", "-f", str(job.reference)]
    query = ["query", "-f", PILEUP_FORMAT, "-o", str(job.pileup_table), str(job.pileup)]
    return [
        [[*bcftools, *mpileup, "-r", region, "-Ob", "-o", str(job.pileup), str(job.cram)]],
        [[*bcftools, *query]],
    ]


def bcftools(job: Job) -> list[Commands]:
    """Genotypes at every position of the pileup where a read shows an ALT; all ALTs and their PLs are kept."""
    command = tools.command("bcftools")
    ploidy = str(job.piece.ploidy)
    with_alt = [*command, "view", "--no-version", "-e", 'ALT="<*>" && N_ALT=1', "-Ou", str(job.pileup)]
    call = [*command, *["call", "--no-version", "-m", "-A", "-Ov", "--ploidy"], ploidy]
    return [[with_alt, [*call, "-o", str(job.records), "-"]]]


def freebayes(job: Job) -> list[Commands]:
    """Haplotype-based records, those too whose genotype is the reference."""
    region = job.piece.region
    where = f"{region.contig}:{region.start - 1}-{region.end}"  # freebayes counts from 0, end exclusive
    ploidy = str(job.piece.ploidy)
    call = [*tools.command("freebayes"), *FREEBAYES_OPTIONS, "-p", ploidy, "-r", where, "-f", str(job.reference)]
    return [[[*call, "-v", str(job.records), str(job.cram)]]]


def gatk(job: Job) -> list[Commands]:
    """GATK HaplotypeCaller in GVCF mode; needs ``<reference>.dict`` beside the reference's .fai."""
    where = ["-L", str(job.piece.region), "--sample-ploidy", str(job.piece.ploidy)]
    paths = ["-R", str(job.reference), "-I", str(job.cram), "-O", str(job.records)]
    threads = ["--native-pair-hmm-threads", str(job.threads)]
    return [[[*tools.command("gatk"), "HaplotypeCaller", "-ERC", "GVCF", *paths, *where, *threads]]]


def deepvariant(job: Job) -> list[Commands]:
    """DeepVariant's WGS model; its gVCF goes to ``job.records``."""
    region = job.piece.region
    haploid = [f"--haploid_contigs={region.contig}"] if job.piece.ploidy == 1 else []
    return [
        [
            [
                *tools.command("run_deepvariant"),
                "--model_type=WGS",
                f"--ref={job.reference}",
                f"--reads={job.cram}",
                f"--regions={region}",
                f"--num_shards={job.threads}",
                f"--intermediate_results_dir={job.folder / 'deepvariant'}",
                f"--output_vcf={job.folder / 'variants.vcf'}",
                f"--output_gvcf={job.records}",
                *haploid,
            ]
        ]
    ]


@dataclass(frozen=True)
class Caller:
    """``steps`` of a job; ``own_blocks``: its records are a whole gVCF and need no pileup."""

    steps: Callable[[Job], list[Commands]]
    own_blocks: bool


CALLERS: dict[str, Caller] = {
    "bcftools": Caller(bcftools, own_blocks=False),
    "freebayes": Caller(freebayes, own_blocks=False),
    "gatk": Caller(gatk, own_blocks=True),
    "deepvariant": Caller(deepvariant, own_blocks=True),
}
