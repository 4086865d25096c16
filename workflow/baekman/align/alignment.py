"""Reads of one participant to one aligned CRAM, in one stream: align, fixmate, sort, mark duplicates.

The lanes are aligned one after the other into the same stream, each with its own read group. Only the sort's own
spill files touch the disk. Headers and read groups hold the participant's pseudonymous ID and no path.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from baekman.align.aligners import Aligner, read_group
from baekman.align.cram import CRAM_FORMAT, clean_header, index_of, write_index
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
    reference, threads = aligner.reference, str(aligner.threads)
    samtools = tools.command("samtools")
    with atomic_file(metrics) as counts, atomic_file(output) as cram, _scratch() as scratch:
        sort: Words = ["sort", "-u", "--no-PG", "-@", threads, "-m", SORT_MEMORY, "-T", scratch / "sort", "-"]
        markdup: Words = [
            *("markdup", "--no-PG", "-O", CRAM_FORMAT, "-@", threads, "-T", scratch / "markdup"),
            *("-f", counts, "--reference", reference, "-", cram),
        ]
        with running(
            [*samtools, "fixmate", "-u", "-m", "--no-PG", "-", "-"],
            [*samtools, *sort],
            [*samtools, *markdup],
            source=_alignments(lanes, aligner, platform),
            output=Path(os.devnull),
        ) as stages:
            stages.require_success()
        _finish(cram, output)


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
                yield b"".join([*header, *others])
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
