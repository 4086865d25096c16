"""One participant's gVCF: called shard by shard, then gathered.

A baekman gVCF (callers ``bcftools`` and ``freebayes``) holds
- a record at each site where reads show an ALT that they do not exclude by ``EVIDENCE_LIMIT`` phred, called or not,
  with ``GT:GQ:DP:AD:PL``, all ALTs and their likelihoods: a joint genotype needs them later;
- a block ``GT:GQ:DP:MIN_DP`` over every other covered base, with GQ from the likelihoods of its reads;
- nothing where there is no read.
GQ is the distance to the likelihood of the next genotype, capped at 99. That of an ALT genotype is at most QUAL: the
genotype is no surer than the variant. GQ has no prior: without reads there is no confidence.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pysam

from baekman.call.callers import CALLERS, Commands, Job, pileup, pileup_table
from baekman.call.completeness import gaps_of, read_note, uncalled_regions, whole_lines_of, write_note
from baekman.call.records import Record, read_records
from baekman.call.reference_blocks import Blocks, add_pileup, blocks
from baekman.call.screening import screen
from baekman.files.atomic import atomic_file
from baekman.genome.par import find_par
from baekman.genome.ploidy import Piece, pieces
from baekman.genome.reference import contig_lengths
from baekman.genome.regions import Region
from baekman.genome.targets import Overlaps, Targets
from baekman.tools import programs as tools
from baekman.tools.fan_out import fan_out
from baekman.tools.pipes import piped

BASES = np.frombuffer(b"ACGT", np.uint8)
LINES = 100_000  # that are written at a time
# the header lines of another program's gVCF that define its records; all others may hold paths and dates
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


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """The options of calling.

    ``caller`` is a key of ``callers.CALLERS``. ``par`` is a BED file of the pseudo-autosomal regions, the name of a
    known reference, or "" for no such regions. ``targets``: the target regions; None: the whole genome is called.
    """

    caller: str = "bcftools"
    par: str = ""
    threads: int = 1
    targets: Targets | None = None


def call_shard(
    cram: Path,
    *,
    reference: Path,
    regions: Sequence[Region],
    participant_id: str,
    sex: str,
    output: Path,
    options: CallOptions | None = None,
) -> None:
    """Write the gVCF (bgzip, with .tbi and a note, see ``completeness``) of one participant for a shard's ``regions``.

    Args:
        cram: the participant's reads, indexed; a BAM will do.
        reference: the FASTA, with its .fai next to it.
        regions: sorted in the order of the reference, 1-based and inclusive.
        participant_id: the name of the gVCF's sample.
        sex: ``female``, ``male`` or ``unknown`` (see ``ploidy.pieces``).
        output: the gVCF.
        options: the caller, its threads, the pseudo-autosomal regions and the target regions.

    Raises:
        InputRefused: the PAR table is malformed, or a tool is not installed.
        PipeFailed: a tool fails.
    """
    options = options or CallOptions()
    lengths = contig_lengths(reference)
    par = find_par(options.par, contigs=lengths)
    todo = [piece for region in regions for piece in pieces(region, sex=sex, par=par)]
    targets = Overlaps(options.targets.padded(lengths)) if options.targets else None
    if targets is not None:
        todo = [piece for piece in todo if targets.within(piece.region)]
    gaps: list[Region] = []
    with tempfile.TemporaryDirectory(prefix="baekman-call-") as scratch, atomic_file(output) as gvcf:
        text = Path(scratch) / "shard.vcf"
        with text.open("w", encoding="ascii") as sink:
            for number, piece in enumerate(todo):
                folder = Path(scratch) / str(number)
                folder.mkdir()
                job = Job(cram=cram, reference=reference, piece=piece, folder=folder, threads=options.threads)
                if targets is not None:
                    job = replace(job, stretches=targets.within(piece.region))
                called = _call_piece(job, options.caller)
                if number == 0:
                    sink.write(_header(reference, participant_id, called.header))
                sink.writelines(called.lines)
                gaps += called.gaps
            if not todo:
                sink.write(_header(reference, participant_id, _HEADER))
        piped([*tools.command("bcftools"), "view", "--no-version", "-Oz", "-o", gvcf, text])
        _write_index(gvcf, output=output)
    write_note(output, uncalled=uncalled_regions(cram, gaps, reference=reference))


def gather(shards: Sequence[Path], *, output: Path) -> None:
    """Join the gVCFs of one participant's shards, in the order of the reference, into ``output`` with its .tbi.

    The note of ``output`` compares its records with those of the shards.
    """
    concat = [*tools.command("bcftools"), "concat", "--no-version"]
    with atomic_file(output) as gvcf:
        if not _join_blocks(shards, concat, output=gvcf):
            piped([*concat, "-Oz", "-o", gvcf, *shards])
        _write_index(gvcf, output=output)
    write_note(output, pieces=shards)


def _join_blocks(shards: Sequence[Path], concat: Sequence[str], *, output: Path) -> bool:
    """Join shards that this module wrote (they have notes) without compressing again; return whether it was done.

    It needs headers that are the same: those of a shard without any base to call define fewer fields.
    """
    if any(read_note(shard) is None for shard in shards) or len({_header_of(shard) for shard in shards}) > 1:
        return False
    if len(shards) == 1:
        shutil.copyfile(shards[0], output)
    else:
        piped([*concat, "--naive", "-Oz", "-o", output, *shards])
    return True


def _header_of(gvcf: Path) -> str:
    with pysam.VariantFile(str(gvcf)) as file:
        return str(file.header)


def _write_index(gvcf: Path, *, output: Path) -> None:
    """Write the index of ``gvcf`` under the name that it has for ``output``."""
    with atomic_file(output.with_name(output.name + ".tbi")) as index:
        piped([*tools.command("bcftools"), "index", "-f", "-t", "-o", index, gvcf])


def _run(steps: Iterable[Commands]) -> None:
    for commands in steps:
        piped(*commands)


@dataclass(frozen=True, kw_only=True)
class _Calls:
    """The ``lines`` of one piece, sorted by position, and the ``header`` lines that declare their fields.

    ``gaps``: stretches that the caller did not come to, unless they hold no read.
    """

    lines: Iterable[str]
    header: str
    gaps: Sequence[Region]


def _call_piece(job: Job, name: str) -> _Calls:
    """Call one piece."""
    caller = CALLERS[name]
    region = job.piece.region
    if caller.own_blocks:
        _run(caller.steps(job))
        lines = whole_lines_of(job.records)
        header = "".join(line for line in lines if line.startswith(KEPT_HEADER))
        records_lines = [line for line in lines if not line.startswith("#")]
        gaps = _within(gaps_of(records_lines, region), job)
        return _Calls(lines=records_lines, header=header or _HEADER, gaps=gaps)
    with pysam.FastaFile(str(job.reference)) as fasta:
        sequence = fasta.fetch(region.contig, region.start - 1, region.end).upper()
    is_called = _called_bases(job)
    screened = screen(job, sequence, is_called=is_called)
    readers = {job.pileup_table: pileup_table()}
    if caller.of_pileup:
        readers[job.records] = caller.of_pileup(job)
    fan_out(pileup(job), readers)
    _run(caller.steps(job))
    records, declared, reached = read_records(job.records, piece=job.piece, kept_info=caller.kept_info)
    records = [record for record in records if is_called[record.pos - region.start]]
    evidence = screened.evidence
    last = add_pileup(evidence, job.pileup_table, ploidy=job.piece.ploidy)
    missing = np.flatnonzero(screened.is_piled[last - region.start + 1 :])
    covered = np.flatnonzero(evidence.depth)
    if len(missing):  # mpileup ended early
        last += int(missing[0])
    else:
        last = region.start + int(covered[-1]) if len(covered) else region.start - 1
    reached = min(last, reached) if caller.reports_reach else last
    evidence.depth[~np.isin(np.frombuffer(sequence.encode("ascii"), np.uint8), BASES)] = 0
    free = blocks(evidence, taken=[record.taken for record in records])
    return _Calls(
        lines=_in_order(records, free, _block_lines(free, job.piece, sequence)),
        header=_HEADER + "".join(declared),
        gaps=_within([Region(region.contig, reached + 1, region.end)], job),
    )


def _called_bases(job: Job) -> npt.NDArray[np.bool_]:
    """Return at which bases of the piece variants are called."""
    region = job.piece.region
    is_called = np.zeros(region.end - region.start + 1, bool)
    for stretch in job.called:
        is_called[stretch.start - region.start : stretch.end - region.start + 1] = True
    return is_called


def _within(gaps: Sequence[Region], job: Job) -> list[Region]:
    """Return the parts of ``gaps`` that are called."""
    called = Overlaps(job.called)
    return [part for gap in gaps for part in called.within(gap)]


def _header(reference: Path, participant_id: str, declared: str) -> str:
    """Return a header with the fields, the contigs and the participant, and no path, date or command line."""
    fields = [line for line in declared.splitlines() if not line.startswith("##contig=")]
    with pysam.FastaFile(str(reference)) as fasta:
        contigs = [
            f"##contig=<ID={name},length={length}>"
            for name, length in zip(fasta.references, fasta.lengths, strict=True)
        ]
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", participant_id]
    return "\n".join([*fields, *contigs, "\t".join(columns)]) + "\n"


def _block_lines(made: Blocks, piece: Piece, sequence: str) -> pa.Array:
    """Return the lines of the blocks; ``sequence`` has the bases of the piece."""
    bases = np.frombuffer(sequence.encode("ascii"), "S1")[made.start - piece.region.start]
    start, end, gq, min_dp = (
        pa.array(values).cast(pa.large_string()) for values in (made.start, made.end, made.gq, made.min_dp)
    )
    genotype = "0/0" if piece.ploidy == 2 else "0"
    parts = [f"{piece.region.contig}\t", start, "\t.\t", pa.array(bases.astype(str), pa.large_string())]
    parts += ["\t<*>\t.\t.\tEND=", end, f"\tGT:GQ:DP:MIN_DP\t{genotype}:", gq, ":", min_dp, ":", min_dp, "\n"]
    texts = [pa.scalar(part, pa.large_string()) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*texts, pa.scalar("", pa.large_string()))


def _in_order(records: Sequence[Record], made: Blocks, block_lines: pa.Array) -> Iterator[str]:
    """Yield the text of the records and of the lines of blocks by position, some lines at a time."""
    starts = np.concatenate([np.array([record.pos for record in records], np.int32), made.start])
    own = pa.array([record.line for record in records], pa.large_string())
    lines = pa.concat_arrays([own, block_lines]).take(pa.array(np.argsort(starts, kind="stable")))
    for at in range(0, len(lines), LINES):
        yield "".join(lines[at : at + LINES].to_pylist())
