"""One participant's gVCF: called shard by shard, then gathered.

A baekman gVCF (callers ``bcftools`` and ``freebayes``) holds
- a record wherever reads show an ALT that they do not exclude by ``EVIDENCE_LIMIT`` phred, called or not, with
  ``GT:GQ:DP:AD:PL``, all ALTs and their likelihoods: a joint genotype later needs them;
- a block ``GT:GQ:DP:MIN_DP`` over every other covered base, GQ from its reads' own likelihoods;
- nothing where no read lies.
GQ is how much worse the next genotype's likelihood is, capped at 99, and for an ALT genotype at most QUAL (the
genotype is no surer than that there is a variant). It holds no prior: no reads give no confidence.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pysam

from baekman.call.callers import CALLERS, Caller, Commands, Job, pileup
from baekman.call.records import read_records
from baekman.call.reference_blocks import Block, blocks, reference_evidence
from baekman.files.atomic import atomic_file
from baekman.genome.par import par_of_reference, read_par
from baekman.genome.ploidy import Piece, pieces
from baekman.genome.regions import Region
from baekman.tools import programs as tools
from baekman.tools.pipes import piped

BASES = np.frombuffer(b"ACGT", np.uint8)
# INFO of called variants that goes on into the gVCF: annotations of bias and quality; never AC, AN, AF
KEPT_INFO = ("INDEL", "MQ", "MQ0F", "VDB", "SGB", "RPBZ", "MQBZ", "MQSBZ", "BQBZ", "SCBZ", "DP4")
KEPT_INFO_FREEBAYES = ("MQM", "MQMR", "SAP", "SRP", "EPP", "RPP", "ODDS")
# header lines of a gVCF from elsewhere that say what its records mean; all others may hold paths and dates
KEPT_HEADER = ("##fileformat=", "##FILTER=<", "##INFO=<", "##FORMAT=<", "##ALT=<", "##contig=<")

_HEADER = """\
##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##FILTER=<ID=LowQual,Description="QUAL below 20: no call">
##FILTER=<ID=ReadPosition,Description="SNV whose ALT bases stand elsewhere in their reads than REF bases">
##FILTER=<ID=Deleted,Description="SNV of a base that the same participant lacks on both haplotypes">
##ALT=<ID=*,Description="Any other allele">
##INFO=<ID=END,Number=1,Type=Integer,Description="Last position of the block">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Likelihood of the next genotype, phred, relative to GT">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads that count">
##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="Smallest depth in the block">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads by allele">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Genotype likelihoods, phred, the best is 0">
"""


def call_shard(
    cram: Path,
    *,
    reference: Path,
    regions: Sequence[Region],
    participant: str,
    sex: str,
    output: Path,
    caller: str = "bcftools",
    par: Path | str | None = None,
    threads: int = 1,
) -> None:
    """Write the gVCF (bgzip, with .tbi) of ``participant`` for the ``regions`` of one shard.

    ``regions`` are sorted as the reference is, 1-based and inclusive. ``sex``: ``female``, ``male``, ``unknown``
    (see ``ploidy.pieces``). ``par``: a BED file, the name of a reference, or None for no PARs. ``reference`` has its
    .fai beside it. ``caller`` is a key of ``callers.CALLERS``.
    Raises ``InputRefused`` for a malformed PAR table or an absent tool, ``PipeFailed`` when a tool fails.
    """
    par_regions = read_par(par) if isinstance(par, Path) else par_of_reference(par) if par else ()
    todo = [piece for region in regions for piece in pieces(region, sex=sex, par=par_regions)]
    with tempfile.TemporaryDirectory(prefix="baekman-call-") as scratch, atomic_file(output) as gvcf:
        text = Path(scratch) / "shard.vcf"
        with text.open("w", encoding="ascii") as sink:
            for number, piece in enumerate(todo):
                folder = Path(scratch) / str(number)
                folder.mkdir()
                job = Job(cram=cram, reference=reference, piece=piece, folder=folder, threads=threads)
                lines, header = _call_piece(job, caller)
                if number == 0:
                    sink.write(_header(reference, participant, header))
                sink.writelines(lines)
            if not todo:
                sink.write(_header(reference, participant, _HEADER))
        _compress(text, gvcf, index=output)


def gather(shards: Sequence[Path], *, output: Path) -> None:
    """Join the gVCFs of one participant's shards, in the order of the reference, into ``output`` with its .tbi."""
    with atomic_file(output) as gvcf:
        concat = ["concat", "--no-version", "-Oz", "-o", str(gvcf), *map(str, shards)]
        piped([*tools.command("bcftools"), *concat])
        _index(gvcf, index=output)


def _compress(text: Path, gvcf: Path, *, index: Path) -> None:
    view = ["view", "--no-version", "-Oz", "-o", str(gvcf), str(text)]
    piped([*tools.command("bcftools"), *view])
    _index(gvcf, index=index)


def _index(gvcf: Path, *, index: Path) -> None:
    tbi = index.with_name(index.name + ".tbi")
    with atomic_file(tbi) as temporary:
        piped([*tools.command("bcftools"), "index", "-f", "-t", "-o", str(temporary), str(gvcf)])


def _run(steps: Iterable[Commands]) -> None:
    for commands in steps:
        piped(*commands)


def _call_piece(job: Job, name: str) -> tuple[Iterable[str], str]:
    """The lines of one piece, sorted by position, and the header that declares their fields."""
    caller: Caller = CALLERS[name]
    if caller.own_blocks:
        _run(caller.steps(job))
        lines = job.records.read_text(encoding="ascii").splitlines(keepends=True)
        header = "".join(line for line in lines if line.startswith(KEPT_HEADER))
        return (line for line in lines if not line.startswith("#")), header
    _run(pileup(job))
    _run(caller.steps(job))
    kept = KEPT_INFO_FREEBAYES if name == "freebayes" else KEPT_INFO
    records, declared = read_records(job.records, piece=job.piece, kept_info=kept)
    region = job.piece.region
    evidence = reference_evidence(job.pileup_table, start=region.start, end=region.end, ploidy=job.piece.ploidy)
    with pysam.FastaFile(str(job.reference)) as fasta:
        sequence = fasta.fetch(region.contig, region.start - 1, region.end).upper()
    evidence.depth[~np.isin(np.frombuffer(sequence.encode("ascii"), np.uint8), BASES)] = 0
    free = blocks(evidence, taken=[record.taken for record in records])
    block_lines = [(block.start, _block_line(block, job.piece, sequence)) for block in free]
    merged = sorted([*((r.pos, r.line) for r in records), *block_lines], key=lambda item: item[0])
    return (line for _, line in merged), _HEADER + "".join(declared)


def _header(reference: Path, participant: str, declared: str) -> str:
    """A header with the meaning of the fields, the contigs and the participant; no path, date or command line."""
    fields = [line for line in declared.splitlines() if not line.startswith("##contig=")]
    with pysam.FastaFile(str(reference)) as fasta:
        contigs = [
            f"##contig=<ID={name},length={length}>"
            for name, length in zip(fasta.references, fasta.lengths, strict=True)
        ]
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", participant]
    return "\n".join([*fields, *contigs, "\t".join(columns)]) + "\n"


def _block_line(block: Block, piece: Piece, sequence: str) -> str:
    base = sequence[block.start - piece.region.start]
    genotype = "0/0" if piece.ploidy == 2 else "0"
    evidence = f"{genotype}:{block.gq}:{block.min_dp}:{block.min_dp}"
    where = f"{piece.region.contig}\t{block.start}\t.\t{base}\t<*>"
    return f"{where}\t.\t.\tEND={block.end}\tGT:GQ:DP:MIN_DP\t{evidence}\n"
