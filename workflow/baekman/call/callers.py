"""The variant callers behind one interface: the commands that call one participant in one piece of the genome.

Each caller is a function that returns the steps of a ``Job``. A step is a list of commands joined by pipes; the last
command writes a file. ``bcftools`` is one pipe instead, which reads the pileup. ``bcftools`` and ``freebayes`` write
records only, and the blocks come from the pileup. ``gatk`` and ``deepvariant`` write a gVCF of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from baekman.call.reference_blocks import EVIDENCE_LIMIT, PILEUP_FORMAT
from baekman.genome.ploidy import Piece
from baekman.genome.regions import Region
from baekman.genome.targets import format_targets
from baekman.tools import programs as tools

Commands = list[list[str]]

# Why these options: docs/benchmarks.md, "Calling".
#   --indels-cns      realigns reads to consensus haplotypes: the best indel genotypes
#   -B                BAQ would remove the evidence of heterozygous SNVs next to indels; the filters of records.py
#                     mark the false ones that it prevents
#   -m 1              an indel of a single read stays visible at low coverage
PILEUP_OPTIONS = ["--indels-cns", "-B", "-m", "1", "-a", "FORMAT/AD,FORMAT/DP"]
# samtools gives no read that mpileup would leave out by its flags, and no tags
SCREENED_READS = ["-F", "UNMAP,SECONDARY,QCFAIL,DUP", "--input-fmt-option", "required_fields=0x7ff"]
# -C 1 -F 0.05: an ALT of a single read keeps its likelihoods at low coverage
# --gvcf: blocks between the variants show how far freebayes came; the gVCF does not keep them
FREEBAYES_OPTIONS = ["-m", "20", "-q", "20", "-C", "1", "-F", "0.05", "--gvcf"]


# INFO of called variants that the gVCF keeps: annotations of bias and quality; never AC, AN, AF
KEPT_INFO_BCFTOOLS = ("INDEL", "MQ", "MQ0F", "VDB", "SGB", "RPBZ", "MQBZ", "MQSBZ", "BQBZ", "SCBZ", "DP4")
KEPT_INFO_FREEBAYES = ("MQM", "MQMR", "SAP", "SRP", "EPP", "RPP", "ODDS")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of one participant (``cram``: its read groups hold the ID only), and a folder for the files.

    ``stretches``: the parts of the piece that are called, sorted and disjoint; None: the whole piece.
    """

    cram: Path
    reference: Path
    piece: Piece
    folder: Path
    threads: int = 1
    stretches: Sequence[Region] | None = None

    @property
    def called(self) -> Sequence[Region]:
        """Return the regions that are called."""
        return [self.piece.region] if self.stretches is None else self.stretches

    def write_bed(self) -> Path:
        """Write a BED file with the regions that are called and return its path.

        The tools read a region as text in their own ways, and misread a contig such as ``HLA-A*01:01``.
        """
        path = self.folder / "region.bed"
        path.write_text(format_targets(self.called), encoding="utf-8")
        return path

    @property
    def piled_bed(self) -> Path:
        """Return the path of the BED file with the bases that bcftools piles up."""
        return self.folder / "piled.bed"

    def write_piled(self, is_piled: npt.NDArray[np.bool_]) -> None:
        """Write ``piled_bed``; ``is_piled`` has a value for each base of the piece."""
        contig, first = self.piece.region.contig, self.piece.region.start - 1
        changes = np.flatnonzero(np.diff(is_piled.astype(np.int8), prepend=0, append=0)) + first
        lines = (f"{contig}\t{start}\t{end}\n" for start, end in changes.reshape(-1, 2).tolist())
        self.piled_bed.write_text("".join(lines), encoding="utf-8")

    @property
    def pileup_table(self) -> Path:
        """Return the path of the likelihoods of the bases of ``piled_bed``, a table in ``PILEUP_FORMAT``."""
        return self.folder / "pileup.tsv"

    @property
    def records(self) -> Path:
        """Return the path of the caller's VCF, not compressed."""
        return self.folder / "records.vcf"


def reads_of(job: Job) -> list[str]:
    """Return the command that writes the reads of the called regions to its stdout, BAM without compression."""
    return [*_view(job), *SCREENED_READS, str(job.cram)]


def _view(job: Job) -> list[str]:
    view = [*tools.command("samtools"), "view", "-u", "-M", "-L", str(job.write_bed())]
    return [*view, "-T", str(job.reference)]


def pileup(job: Job) -> Commands:
    """Return the pipe that writes the likelihoods of the bases of ``piled_bed`` to its stdout, BCF."""
    mpileup = [*tools.command("bcftools"), "mpileup", *PILEUP_OPTIONS, "--no-version"]
    mpileup += ["-f", str(job.reference), "-Ou", "-T", str(job.piled_bed)]
    if job.stretches is None:
        return [[*mpileup, "-R", str(job.write_bed()), str(job.cram)]]
    # mpileup -R decodes a part of the CRAM again for each region in it
    return [[*_view(job), str(job.cram)], [*mpileup, "-"]]


def pileup_table() -> Commands:
    """Return the pipe that makes the table ``PILEUP_FORMAT`` of a pileup."""
    return [[*tools.command("bcftools"), "query", "-f", PILEUP_FORMAT, "-"]]


def bcftools(job: Job) -> Commands:
    """Return the pipe from a pileup to genotypes wherever a read shows an ALT, with all ALTs and their PLs.

    It leaves out the records that ``records.gvcf_record`` leaves out because their reads exclude each ALT. Most are
    such: an error in one read shows an ALT.
    """
    command = tools.command("bcftools")
    view = [*command, "view", "--no-version", "-e"]
    with_alt = [*view, 'ALT="<*>" && N_ALT=1', "-Ou", "-"]
    call = [*command, *["call", "--no-version", "-m", "-A", "-Ou", "--ploidy"], str(job.piece.ploidy), "-"]
    excluded = f'GT="ref" && MIN(FMT/PL[0:1-]) - FMT/PL[0:0] >= {EVIDENCE_LIMIT}'
    return [with_alt, call, [*view, excluded, "-Ov", "-"]]


def freebayes(job: Job) -> list[Commands]:
    """Return the steps for haplotype-based records, including those with the reference as genotype."""
    ploidy = str(job.piece.ploidy)
    call = [
        *tools.command("freebayes"),
        *FREEBAYES_OPTIONS,
        "-p",
        ploidy,
        "-t",
        str(job.write_bed()),
        "-f",
        str(job.reference),
    ]
    return [[[*call, "-v", str(job.records), str(job.cram)]]]


def gatk(job: Job) -> list[Commands]:
    """Return the steps of GATK HaplotypeCaller in GVCF mode; it needs ``<reference>.dict`` next to the .fai."""
    where = ["-L", str(job.write_bed()), "--sample-ploidy", str(job.piece.ploidy)]
    paths = ["-R", str(job.reference), "-I", str(job.cram), "-O", str(job.records)]
    threads = ["--native-pair-hmm-threads", str(job.threads)]
    return [[[*tools.command("gatk"), "HaplotypeCaller", "-ERC", "GVCF", *paths, *where, *threads]]]


def deepvariant(job: Job) -> list[Commands]:
    """Return the steps of DeepVariant's WGS model, which writes its gVCF to ``job.records``."""
    region = job.piece.region
    haploid = [f"--haploid_contigs={region.contig}"] if job.piece.ploidy == 1 else []
    return [
        [
            [
                *tools.command("run_deepvariant"),
                "--model_type=WGS",
                f"--ref={job.reference}",
                f"--reads={job.cram}",
                f"--regions={job.write_bed()}",
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
    """A caller: its ``steps`` for a job, or the pipe ``of_pileup`` from a pileup to its records.

    ``kept_info``: INFO fields that the gVCF keeps. ``own_blocks``: the records are a whole gVCF and need no pileup.
    ``reports_reach``: the records have blocks up to the end of the region, which are not kept.
    """

    steps: Callable[[Job], list[Commands]] = lambda job: []
    of_pileup: Callable[[Job], Commands] | None = None
    kept_info: tuple[str, ...] = ()
    own_blocks: bool = False
    reports_reach: bool = False


CALLERS: dict[str, Caller] = {
    "bcftools": Caller(of_pileup=bcftools, kept_info=KEPT_INFO_BCFTOOLS),
    "freebayes": Caller(freebayes, kept_info=KEPT_INFO_FREEBAYES, reports_reach=True),
    "gatk": Caller(gatk, own_blocks=True),
    "deepvariant": Caller(deepvariant, own_blocks=True),
}
