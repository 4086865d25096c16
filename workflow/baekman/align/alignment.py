"""Reads of one participant to one aligned CRAM, in one stream: align, fixmate, sort, mark duplicates.

The lanes are aligned one after the other into the same stream, each with its own read group. Only the sort's own
spill files touch the disk. Headers and read groups hold the participant's pseudonymous ID and no path.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import pysam

from baekman.align.aligners import Aligner, read_group
from baekman.align.cram import CRAM_FORMAT, clean_header, index_of, write_index
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_file
from baekman.tools import programs as tools
from baekman.tools.pipes import Pipe, piped, running
from baekman.workspace.specimens import StagedFiles

Words = list[str | Path]

SORT_MEMORY = "768M"  # per thread; the sort spills more to the temporary folder


def align(
    lanes: Sequence[StagedFiles], *, aligner: Aligner, output: Path, metrics: Path, platform: str = "ILLUMINA"
) -> None:
    """Align the ``lanes`` of one participant and write ``output`` (coordinate-sorted CRAM) with its .crai.

    Args:
        lanes: pairs of FASTQ files, or one BAM or CRAM; its reads are aligned again.
        aligner: the aligner, its indexed reference and the number of threads.
        output: the CRAM; its duplicates are marked.
        metrics: samtools markdup's counts.
        platform: the PL of the read groups, a value that the SAM specification allows.

    Raises:
        PipeFailed: a tool fails; no file appears.
    """
    with atomic_file(metrics) as counts, atomic_file(output) as cram, _scratch() as scratch:
        with running(
            *_sorted(aligner.threads, scratch, "-u", "-"),
            _markdup(aligner, scratch, counts=counts, output=cram),
            source=_alignments(lanes, aligner, platform),
            output=Path(os.devnull),
        ) as stages:
            stages.require_success()
        _finish(cram, output)


def align_lane(lane: StagedFiles, *, aligner: Aligner, output: Path, platform: str = "ILLUMINA") -> int:
    """Align one lane of a participant and write ``output`` (coordinate-sorted BAM) for ``merge_lanes``.

    Arguments are as for ``align``.

    Returns:
        The number of primary records.

    Raises:
        PipeFailed: a tool fails; no file appears.
    """
    samtools = tools.command("samtools")
    with atomic_file(output, durable=False) as bam, _scratch() as scratch:
        with running(
            *_sorted(aligner.threads, scratch, "-O", "bam,level=1", "-o", bam, "-"),
            source=_alignments([lane], aligner, platform),
            output=Path(os.devnull),
        ) as stages:
            stages.require_success()
        return int(piped([*samtools, "view", "-c", "-F", "0x900", "-@", str(aligner.threads), bam]))


def merge_lanes(lanes: Sequence[Path], *, aligner: Aligner, output: Path, metrics: Path) -> None:
    """Merge the BAM files of ``align_lane`` in their order and write ``output`` and ``metrics`` as ``align`` does.

    The records are those of ``align`` on the same lanes, in the same order. Raises ``PipeFailed``.
    """
    with atomic_file(metrics) as counts, atomic_file(output) as cram, _scratch() as scratch:
        with running(
            [
                *tools.command("samtools"),
                *("merge", "-u", "-c", "-p", "--no-PG", "-@", str(aligner.threads), "-"),
                *lanes,
            ],
            _markdup(aligner, scratch, counts=counts, output=cram),
            output=Path(os.devnull),
        ) as stages:
            stages.require_success()
        _finish(cram, output)


def _sorted(threads: int, scratch: Path, *words: str | Path) -> list[Words]:
    """Return the commands that bring mates together and sort; ``words`` are the output and input of the sort."""
    samtools = tools.command("samtools")
    sort: Words = ["sort", "--no-PG", "-@", str(threads), "-m", SORT_MEMORY, "-T", scratch / "sort", *words]
    return [[*samtools, "fixmate", "-u", "-m", "--no-PG", "-", "-"], [*samtools, *sort]]


def _markdup(aligner: Aligner, scratch: Path, *, counts: Path, output: Path) -> Words:
    """Return the command that marks duplicates, and writes them to ``output`` and their ``counts``."""
    return [
        *(*tools.command("samtools"), "markdup", "--no-PG", "-O", CRAM_FORMAT, "-@", str(aligner.threads)),
        *("-T", scratch / "markdup", "-f", counts, "--reference", aligner.reference, "-", output),
    ]


def accept(alignments: Path, *, reference: Path, output: Path, metrics: Path, threads: int = 1) -> None:
    """Write the delivered BAM or CRAM ``alignments`` to ``output``, sorted and with its .crai; reads stay as they are.

    Duplicates are counted, not marked: ``metrics`` gets samtools flagstat's counts. Raises ``PipeFailed``.
    """
    samtools = tools.command("samtools")
    with atomic_file(metrics) as counts, atomic_file(output) as cram, _scratch() as scratch:
        sort: Words = [
            "sort",
            "--no-PG",
            "-@",
            str(threads),
            "-m",
            SORT_MEMORY,
            "-O",
            CRAM_FORMAT,
            "-T",
            scratch / "sort",
        ]
        piped([*samtools, *sort, "--reference", reference, "-o", cram, alignments])
        counts.write_bytes(piped([*samtools, "flagstat", cram]))
        _finish(cram, output)


def merge(alignments: Sequence[Path], *, reference: Path, output: Path, metrics: Path, threads: int = 1) -> None:
    """Merge sorted ``alignments`` of one participant to ``output`` (CRAM with its .crai); mark duplicates again.

    Read groups stay apart. In files of another program mates are matched again, by name.

    Args:
        alignments: CRAM or BAM files with the contigs of the reference.
        reference: The FASTA of the CRAMs.
        output: The CRAM.
        metrics: samtools markdup's counts, over all reads.
        threads: The number of threads of each program.

    Raises:
        InputRefused: The files have different contigs.
        PipeFailed: A tool fails; no file appears.
    """
    _require_same_contigs(alignments)
    samtools, count = tools.command("samtools"), str(threads)
    with atomic_file(metrics) as counts, atomic_file(output) as cram, _scratch() as scratch:
        matching: list[Words] = [
            ["collate", "-u", "-O", "--no-PG", "-@", count, "-T", scratch / "collate", "-"],
            ["fixmate", "-u", "-m", "--no-PG", "-", "-"],
            ["sort", "-u", "--no-PG", "-@", count, "-m", SORT_MEMORY, "-T", scratch / "sort", "-"],
        ]
        words: list[Words] = [
            ["merge", "-u", "--no-PG", "-s", "1", "-@", count, "--reference", reference, "-o", "-", *alignments],
            *([] if all(_has_mate_tags(path, reference) for path in alignments) else matching),
            [
                *("markdup", "-c", "--no-PG", "-O", CRAM_FORMAT, "-@", count, "-T", scratch / "markdup"),
                *("-f", counts, "--reference", reference, "-", cram),
            ],
        ]
        with running(*([*samtools, *stage] for stage in words), output=Path(os.devnull)) as stages:
            stages.require_success()
        _finish(cram, output)


def _has_mate_tags(alignments: Path, reference: Path) -> bool:
    """Return whether the first pairs have the tags of samtools fixmate (MC and ms), which markdup needs."""
    with pysam.AlignmentFile(str(alignments), reference_filename=str(reference)) as opened:
        mapped = (read for read in opened if read.is_paired and not (read.is_unmapped or read.mate_is_unmapped))
        first = islice((read for read in mapped if not (read.is_secondary or read.is_supplementary)), 1000)
        return all(read.has_tag("MC") and read.has_tag("ms") for read in first)


def _require_same_contigs(alignments: Sequence[Path]) -> None:
    contigs = []
    for path in alignments:
        with pysam.AlignmentFile(str(path), check_sq=False) as opened:
            contigs.append(list(zip(opened.references, opened.lengths, strict=True)))
    if any(other != contigs[0] for other in contigs[1:]):
        raise InputRefused(
            Problem(
                file=alignments[-1].name,
                expected="the contigs of the earlier alignment",
                found="others",
                action="use the new reads alone: `baekman hold accept SPECIMEN --replace --instead`",
            )
        )


def _finish(cram: Path, output: Path) -> None:
    """Clean the header of ``cram``, which becomes ``output``, and write the index of ``output``."""
    clean_header(cram)
    write_index(cram)
    index_of(cram).replace(index_of(output))


def _alignments(lanes: Sequence[StagedFiles], aligner: Aligner, platform: str) -> Iterator[bytes]:
    """Align each lane in turn and yield one SAM stream: one header with every read group, then the records."""
    groups = [read_group(lane.participant_id, lane.lane, platform) for lane in lanes]
    for number, (lane, group) in enumerate(zip(lanes, groups, strict=True)):
        with _aligned_lane(lane, group, aligner) as records:
            header, first_record = _split_header(records.stdout)
            if number == 0:
                others = [other.encode().replace(b"\\t", b"\t") + b"\n" for other in groups[1:]]
                programs = [line for line in header if line.startswith(b"@PG\t")]  # last, as in `merge_lanes`
                yield b"".join([*(line for line in header if line not in programs), *others, *programs])
            yield first_record
            yield from records.blocks()
            records.require_success()


@contextmanager
def _aligned_lane(lane: StagedFiles, group: str, aligner: Aligner) -> Iterator[Pipe]:
    """Run the aligner on one lane; its stdout is SAM."""
    if lane.entry == "fastq":
        with running(aligner.command(lane.files, read_group=group)) as records:
            yield records
        return
    samtools = tools.command("samtools")
    with _scratch() as scratch:
        # Reads of a name come together, then become FASTQ. A read without its mate stays in the stream by itself.
        collate: Words = ["collate", "-u", "-O", "--no-PG", "-@", str(aligner.threads), "-T", scratch / "collate"]
        with running(
            [*samtools, *collate, "--reference", aligner.reference, lane.file_1],
            [*samtools, "fastq", "-n", "-F", "0x900", "-"],
            aligner.command(["-"], read_group=group),
        ) as records:
            yield records


def _split_header(stream: IO[bytes]) -> tuple[list[bytes], bytes]:
    """Read the header lines of a SAM stream, and its first record (b"" when it has none)."""
    header: list[bytes] = []
    for line in iter(stream.readline, b""):
        if not line.startswith(b"@"):
            return header, line
        header.append(line)
    return header, b""


@contextmanager
def _scratch() -> Iterator[Path]:
    """Make a temporary folder (in ``TMPDIR``), which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="baekman-") as folder:
        yield Path(folder)
