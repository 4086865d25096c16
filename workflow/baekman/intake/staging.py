"""Sanitised copies of delivered files: of headers and names, only what later steps need is kept.

Headers are rebuilt from an allow-list. All text streams through samtools or bcftools and the kernels of
``baekman.kernels.delivered``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from baekman.files import bgzf
from baekman.files.bgzf_index import indexed_records
from baekman.files.untrusted import FileFault
from baekman.intake.contents import fastq_text, require_readable, sam_text, vcf_text
from baekman.intake.delivered_file import whole_lines
from baekman.intake.examination.cram_header import without_references
from baekman.intake.headers import dropped_fields, filter_names, read_groups, sam_header, vcf_header
from baekman.kernels.delivered.fastq import FastqCopy
from baekman.kernels.delivered.pairs import PairLanes
from baekman.kernels.delivered.sam import SamCopy
from baekman.kernels.delivered.vcf import FilterCopy
from baekman.tools import programs as tools
from baekman.tools.pipes import Pipe, Untrusted, running

ROOM = 64 << 20  # bytes; with less the disk is full
# Each lane has two open files. The reads of more read groups than this go to one lane.
LANES_LIMIT = 16
# The tags that alignment and calling write and callers read: no text of a laboratory, and nothing that is not searched.
TAGS = "NM,MD,AS,XS,SA,MC,MQ,ms,RG,UQ,PQ,XA,NH,HI"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A delivered file: the blocks of its plaintext, their size in bytes, and its header ("" for FASTQ)."""

    blocks: Iterable[bytes]
    size: int
    header: str = ""

    @property
    def bounds(self) -> Untrusted:
        """Return the bounds of tools that read it."""
        return Untrusted(self.size)

    @property
    def read_groups(self) -> list[str]:
        """Return the read groups that get a lane each; none where there are too many."""
        groups = read_groups(self.header)
        return groups if len(groups) <= LANES_LIMIT else []


@dataclass(frozen=True, kw_only=True)
class Lane:
    """The staged files of a lane: FASTQ of the first and second mates, or one file.

    ``lane`` is ``L1``, ``L2``, …. ``records``: the reads or VCF records that were written; secondary and supplementary
    alignments are no reads.
    """

    lane: str
    file_1: Path
    file_2: Path | None = None
    records: int = 0


def stage_fastq(source: Source, output: Path, *, lane: str, rename: bool) -> int:
    """Write the FASTQ file ``source`` to ``output`` (BGZF) without comments, its reads named ``<lane>.<number>``.

    Without ``rename`` the names stay, without mate number and comment. Returns the number of reads. Raises
    ``FileFault``.
    """
    copy = FastqCopy(lane.encode() if rename else b"")
    with _bgzf_file(output) as writer:
        for text in whole_lines(fastq_text(source.blocks)):
            writer.write(copy.feed(text))
    return copy.reads


def stage_reads(
    source: Source, folder: Path, *, reference: Path, first_lane: int, rename: bool
) -> tuple[list[Lane], int]:
    """Write the read pairs of the BAM or CRAM ``source`` to ``folder`` as FASTQ, a lane per read group with reads.

    Returns the lanes, numbered from ``first_lane``, and the number of reads skipped because their mate is missing or
    they are no reads of a pair. Raises ``FileFault``.
    """
    pairs = PairLanes([_bytes(group) for group in source.read_groups], first_lane=first_lane, rename=rename)
    lanes = [_lane(folder, first_lane + index) for index in range(pairs.lanes)]
    with tempfile.TemporaryDirectory(dir=folder) as scratch, ExitStack() as files:
        writers = [
            (index, mate, files.enter_context(_bgzf_file(file)))
            for index, lane in enumerate(lanes)
            for mate, file in enumerate(_files(lane))
        ]
        skipped = [Path(scratch, name) for name in ("singles.fastq", "unpaired.fastq")]
        fastq = ["fastq", "-n", "-T", "RG", "-s", str(skipped[0]), "-0", str(skipped[1]), "-"]
        commands = (_collate(reference, scratch), [*tools.command("samtools"), *fastq])
        with running(*commands, source=without_references(source.blocks), untrusted=source.bounds) as pipe:
            for text in sam_text(pipe.blocks()):
                pairs.feed(text)
                for index, mate, writer in writers:
                    writer.write(pairs.take(index, mate))
            _finish(pipe, folder)
        if pairs.mixed:
            raise FileFault("reads_lost", f"{pairs.mixed} pairs with mates of two read groups")
        if not pairs.complete:
            raise FileFault("unreadable", "content that its format does not allow")
        single = sum(_count_lines(file) // 4 for file in skipped if file.exists())
    counted = [replace(lane, records=2 * count) for lane, count in zip(lanes, pairs.counts, strict=True)]
    for file in (file for lane in counted if not lane.records for file in _files(lane)):
        file.unlink()
    if not any(pairs.counts):
        raise FileFault("empty", "no read pair")
    return [lane for lane in counted if lane.records], single


def stage_alignment(
    source: Source, output: Path, *, participant: str, platform: str, reference: Path, rename: bool
) -> int:
    """Write the alignment ``source`` (BAM or CRAM) to ``output`` as sorted CRAM with a rebuilt header.

    The contigs of the delivered header stay; each read group becomes a lane. Returns the number of reads. Raises
    ``FileFault``.
    """
    groups = source.read_groups
    copy = SamCopy([_bytes(group) for group in groups], rename=rename)
    lanes = range(1, max(len(groups), 1) + 1)
    header = sam_header(source.header, participant=participant, platform=platform, lanes=lanes)
    samtools = tools.command("samtools")
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        view = [*samtools, "view", "--no-PG", "--keep-tag", TAGS, "-"]
        sort = [
            *(*samtools, "sort", "--no-PG", "-m", "512M", "-T", str(Path(scratch, "sort"))),
            *("-O", "cram,version=3.0", "--reference", str(reference), "-o", str(output), "-"),
        ]
        commands = (_collate(reference, scratch), view)
        with running(*commands, source=without_references(source.blocks), untrusted=source.bounds) as reads:
            copied = _copied(sam_text(reads.blocks()), copy.feed, header=header)
            with running(sort, source=copied, untrusted=source.bounds) as sorting:
                _finish_both(reads, sorting, output.parent)
    return copy.reads


def stage_vcf(source: Source, output: Path, *, sample: str) -> int:
    """Write the single-sample VCF or gVCF ``source`` to ``output`` (BGZF, level 1) with its index (``.tbi``).

    Records keep position, alleles, quality, filters and the INFO and FORMAT fields of the allow-list. The sample is
    named ``sample``, filters as ``filter_names`` says. Returns the number of records, by the index. Raises
    ``FileFault``.
    """
    bcftools = tools.command("bcftools")
    copy = FilterCopy({_bytes(name): _bytes(kept) for name, kept in filter_names(source.header).items()})
    annotate = [*bcftools, "annotate", "--no-version", "-x", dropped_fields(source.header), "-"]
    view = [*bcftools, "view", "--no-version", "-O", "z1", "-o", str(output), "-"]
    with running(annotate, source=vcf_text(source.blocks), untrusted=source.bounds) as records:
        copied = _copied(whole_lines(records.blocks()), copy.feed, header=vcf_header(source.header, sample=sample))
        with running(view, source=copied, untrusted=source.bounds) as writing:
            _finish_both(records, writing, output.parent)
    with running([*bcftools, "index", "--tbi", "--force", output], untrusted=source.bounds) as indexing:
        if any(indexing.finish()):
            _require_room(output.parent)
            raise FileFault("unreadable", "records that cannot be indexed")
    return indexed_records(output) or 0


def _copied(texts: Iterable[bytes], copy: Callable[[bytes], bytes], *, header: str) -> Iterator[bytes]:
    yield _bytes(header)
    for text in texts:
        yield copy(text)


def _finish(pipe: Pipe, folder: Path) -> None:
    """Wait for the tools; raise OSError where they had no room in ``folder``, which is no fault of the file."""
    try:
        require_readable(pipe)
    except FileFault:
        _require_room(folder)
        raise


def _finish_both(first: Pipe, second: Pipe, folder: Path) -> None:
    """Wait for two pipes, of which the second reads what the first writes; the first one's failure counts first."""
    codes = second.finish()
    _finish(first, folder)
    if any(codes):
        _finish(second, folder)


def _require_room(folder: Path) -> None:
    """Raise OSError when the disk or a quota leaves no room in ``folder``: a tool that failed does not say so."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        os.posix_fallocate(probe.fileno(), 0, ROOM)


def _collate(reference: Path, scratch: str) -> list[str]:
    """Return the command that brings reads of a name together; its spill files lie in ``scratch``."""
    return [
        *(*tools.command("samtools"), "collate", "--no-PG", "-u", "-O", "--reference", str(reference)),
        *("-T", str(Path(scratch, "collate")), "-"),
    ]


def _files(lane: Lane) -> list[Path]:
    """Return the one or two files of ``lane``."""
    return [file for file in (lane.file_1, lane.file_2) if file is not None]


def _lane(folder: Path, number: int) -> Lane:
    first, second = (folder / f"L{number}_{mate}.fastq.gz" for mate in (1, 2))
    return Lane(lane=f"L{number}", file_1=first, file_2=second)


@contextmanager
def _bgzf_file(path: Path) -> Iterator[bgzf.BlockWriter]:
    """Write ``path`` as BGZF, lightly compressed: a staged file is read once and deleted."""
    with path.open("wb") as raw:
        writer = bgzf.BlockWriter(raw)
        yield writer
        writer.flush()
        raw.write(bgzf.END)


def _count_lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
