"""The reader of one participant's gVCF as columns: call rows and reference segments, a piece of a contig at a time.

It reads the gVCFs of GATK HaplotypeCaller, ReblockGVCF, DRAGEN, DeepVariant and bcftools, as text, gzip, BGZF or BCF.
It checks everything that a record states, and reads a file whole or refuses it whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from baekman.arrow import group_starts
from baekman.errors import InputRefused, Problem
from baekman.files.bgzf_index import indexed_records
from baekman.files.digests import sha256_of
from baekman.genome.contigs import Contig
from baekman.genome.vcf_header import lines_end
from baekman.gvcf.header import column_fault, contig_lines, contig_problems, is_ignored
from baekman.gvcf.piece import INTERVAL_COLUMNS, ROW_COLUMNS, SEGMENT_COLUMNS, Bytes, Ints, Piece
from baekman.gvcf.problems import REFUSED, contig_of, explain
from baekman.gvcf.remarks import CONTRADICTING, counted
from baekman.gvcf.text import BROKEN, CutLine, LineTooLong, UnreadableBcf, open_text, whole_lines
from baekman.gvcf.thresholds import Thresholds
from baekman.kernels import reader as kernel
from baekman.kernels.evidence import gather_strings, resolve, settle_rows
from baekman.kernels.line import count_lines

T = TypeVar("T")

CHUNK_BYTES = 1 << 18
PIECE_RECORDS = 1 << 16  # rows and intervals that make a piece
SLIDE_BASES = 10_000  # a record within this distance after a piece may, left-aligned, begin in the piece
MAX_LINE_BYTES = 64 << 20
MAX_HEADER_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Genome:
    """The reference that a store is bound to. ``sequence``: all contigs, upper case, one after the other.

    ``starts``: the 0-based place of each contig in ``sequence``. ``aliases``: a contig's name by its name in a gVCF.
    ``ignored``: names of contigs of a gVCF that are left out (``thresholds.is_ignored``). ``m5s``: by contig, or none.
    """

    names: tuple[str, ...]
    lengths: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    sequence: npt.NDArray[np.uint8]
    aliases: dict[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    m5s: tuple[str, ...] = ()

    @cached_property
    def contigs(self) -> dict[str, Contig]:
        """Return the contigs by name."""
        m5s = self.m5s or ("",) * len(self.names)
        return {
            name: Contig(name=name, length=int(length), m5=m5)
            for name, length, m5 in zip(self.names, self.lengths, m5s, strict=True)
        }

    @cached_property
    def _checked(self) -> dict[bytes, list[Problem]]:
        """Return the problems of the header that was checked last, by its lines of contigs."""
        return {}

    def contig_problems(self, head: bytes, *, label: str) -> list[Problem]:
        """Return the problems of the contigs in the header lines ``head`` (see ``header.contig_problems``).

        A batch is of one caller: its gVCFs have the same lines, thousands for GRCh38.
        """
        lines = contig_lines(head)
        if lines not in self._checked:
            self._checked.clear()
            self._checked[lines] = contig_problems(lines, label="", contigs=self.contigs, aliases=self.aliases)
        return [replace(problem, file=label) for problem in self._checked[lines]]


@dataclass(kw_only=True)
class ReadCounts:
    """Counts of the records of a gVCF, its SHA-256, and the CRC-32 of its evidence.

    ``evidence`` is the same for files that differ in compression, header or name of the sample alone; it depends on
    the size of the pieces.
    """

    records: int = 0
    remarks: dict[str, int] = field(default_factory=dict)  # by name, without 0; complete after the last piece
    filters: list[str] = field(default_factory=list)  # by code - 1; complete after the last piece
    sha256: str = ""
    evidence: int = field(default=0, compare=False)

    @property
    def contradicting(self) -> int:
        """Return the number of fields that contradict their header."""
        return sum(number for name, number in self.remarks.items() if name in CONTRADICTING)

    @property
    def duplicates(self) -> int:
        """Return the number of records that normalise to an allele of an earlier record."""
        return self.remarks.get("duplicate_allele", 0)


class AlleleSlid(Exception):
    """An allele, left-aligned, begins in an earlier piece: the pieces so far are void."""


def read_in_pieces(read: Callable[[bool], T]) -> T:
    """Return ``read(False)``, which reads a gVCF in pieces; ``read(True)`` if an allele slides into an earlier piece.

    The argument is ``whole_contigs`` of the GvcfReader that ``read`` makes.
    """
    try:
        return read(False)
    except AlleleSlid:
        return read(True)


class GvcfReader:
    """Reader of one gVCF; iterate ``pieces()`` once, then look at ``counts``.

    ``label``: the name of the file in errors (a participant ID, never a path). ``shard_ends``: the 1-based inclusive
    ends of each contig's shards. Raises InputRefused with the line and record of the first problem, and AlleleSlid
    unless ``whole_contigs`` are pieces: see ``read_in_pieces``.
    """

    def __init__(
        self,
        path: Path,
        *,
        label: str,
        genome: Genome,
        thresholds: Thresholds,
        shard_ends: Sequence[Ints],
        whole_contigs: bool,
    ) -> None:
        self.path = path
        self.label = label
        self.genome = genome
        self.thresholds = thresholds
        self.shard_ends = shard_ends
        self.counts = ReadCounts()
        self._of_pieces = [0, 0, 0]  # duplicate alleles, contradicting alleles and raised ploidies
        targets = [genome.names.index(target) for target in genome.aliases.values()]
        self._records = kernel.RecordReader(
            [*genome.names, *genome.aliases],
            np.array([*range(len(genome.names)), *targets], np.int64),
            genome.starts,
            genome.lengths,
            genome.sequence,
            np.concatenate([*shard_ends, np.zeros(0, np.int32)]).astype(np.int64),
            np.cumsum([0, *map(len, shard_ends)], dtype=np.int64),
            piece_records=PIECE_RECORDS,
            margin=-1 if whole_contigs else SLIDE_BASES,
            min_gq=thresholds.min_gq,
            min_dp=thresholds.min_dp,
            min_het_percent=thresholds.min_het_percent,
        )

    @property
    def filters(self) -> list[str]:
        """Return the values of FILTER in the records so far, by code - 1."""
        return self._records.filters

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces of the contigs in the order of the file; pieces without evidence are left out.

        Holds one piece, and the records of the ``SLIDE_BASES`` before its end.
        """
        records = self._records
        header = b""
        in_header = True
        lines = 0
        for chunk in self._chunks():
            lines += count_lines(chunk)
            begin = 0
            if in_header:
                header += chunk
                if b"\n#CHROM" not in header or header.find(b"\n", header.find(b"\n#CHROM") + 1) < 0:
                    if len(header) > MAX_HEADER_BYTES:
                        raise self._refusal(place="header", expected="a #CHROM line", found="none in 64 MiB")
                    continue
                chunk = header
                begin = self._header(chunk)
                in_header = False
            reason = kernel.NEXT_CONTIG
            while reason != kernel.DONE:
                reason, begin = records.read(chunk, begin)
                if reason in REFUSED:
                    self._ignore_or_refuse(reason, bytes(chunk[begin:]).partition(b"\n")[0])
                if reason == kernel.SLID:
                    raise AlleleSlid
                if reason in (kernel.NEXT_CONTIG, kernel.NEXT_PIECE):
                    yield self._noted(self._take_piece(rest=reason == kernel.NEXT_CONTIG))
        if in_header:
            raise self._refusal(place="header", expected="a #CHROM line", found="none")
        if records.contig >= 0:
            yield self._noted(self._take_piece(rest=True))
        self._require_all(lines)
        self.counts.records = records.records
        duplicates, contradicting, raised = self._of_pieces
        self.counts.remarks = counted(
            records.counts,
            ignored_contig=records.ignored,
            duplicate_allele=duplicates,
            contradicting_alleles=contradicting,
            ploidy_raised=raised,
        )
        self.counts.filters = self.filters
        if self.counts.contradicting > self.thresholds.max_contradicting:
            raise self._refusal(
                place="all records",
                expected=f"at most {self.thresholds.max_contradicting} fields that contradict their header",
                found=str(self.counts.contradicting),
                action="call the participant again, or set cohort.max_contradicting in the configuration to "
                f"{self.counts.contradicting} or more and run the same command again",
            )

    def _noted(self, piece: Piece) -> Piece:
        for part in (piece.rows, piece.ref[1], piece.alt[1], piece.segments):
            self.counts.evidence = isal_zlib.crc32(np.ascontiguousarray(part).data, self.counts.evidence)
        return piece

    def _require_all(self, lines: int) -> None:
        """Raise InputRefused unless all ``lines`` of the file were read, and all records that its index counts."""
        records = self._records
        if records.line != lines:
            raise self._refusal(
                place="all records",
                expected=f"{lines} lines read, as the file has",
                found=str(records.line),
                action="run the same command again; if it is refused again, report the fault",
            )
        counted = indexed_records(self.path)
        if counted is not None and counted != records.records + records.ignored:
            raise self._refusal(
                place="end of the file",
                expected=f"{counted} records, as its index counts",
                found=str(records.records),
                action="send it again if it was cut; make the index again if it is of another file",
            )

    def _ignore_or_refuse(self, reason: int, line: bytes) -> None:
        """Leave out the contig of a ``line`` that was refused, where the settings say so; else raise the refusal."""
        genome, records = self.genome, self._records
        if reason == kernel.BAD_CONTIG and is_ignored(contig_of(line), genome.ignored):
            records.ignore(line.split(b"\t", 1)[0])
            return
        expected, found, action = explain(reason, line, contigs=genome.names, aliases=genome.aliases)
        place = f"line {records.line} (record {records.records + 1})"
        raise self._refusal(place=place, expected=expected, found=found, action=action)

    def _refusal(self, *, place: str, expected: str, found: str, action: str = "") -> InputRefused:
        return InputRefused(Problem(file=self.label, place=place, expected=expected, found=found, action=action))

    def _chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the file's whole lines, a chunk at a time, header included."""
        try:
            self.counts.sha256 = sha256_of(self.path)
            text = open_text(self.path)
        except (FileNotFoundError, PermissionError) as error:
            raise self._refusal(
                place="",
                expected="a file that can be read",
                found="none" if isinstance(error, FileNotFoundError) else "one that this user may not read",
            ) from error
        except (EOFError, OSError, zlib.error) as error:
            raise self._refusal(
                place="end of the file",
                expected="a whole gVCF",
                found="a truncated or unreadable one",
                action="send it again",
            ) from error
        lines = whole_lines(text, chunk_bytes=CHUNK_BYTES, longest=MAX_LINE_BYTES)
        with text:
            while True:
                try:
                    chunk = next(lines, None)
                except LineTooLong:
                    raise self._refusal(
                        place=f"line {self._records.line + 1}",
                        expected=f"lines of at most {MAX_LINE_BYTES >> 20} MiB",
                        found="a longer one",
                    ) from None
                except CutLine:
                    raise self._refusal(
                        place=f"line {self._records.line + 1}",
                        expected="a newline at the end of the last line",
                        found="none, as in a file that was cut",
                        action="send it again; if it is whole, add the newline",
                    ) from None
                except UnreadableBcf:
                    raise self._refusal(
                        place="", expected="a readable BCF", found="one that bcftools cannot read"
                    ) from None
                except BROKEN as error:
                    raise self._refusal(
                        place=f"after line {self._records.line}",
                        expected="readable compressed data",
                        found="a broken block",
                        action="send it again",
                    ) from error
                if chunk is None:
                    return
                yield chunk

    def _header(self, head: bytes) -> int:
        """Check the header at the start of the file; return its length in bytes."""
        if not head.startswith(b"##fileformat=VCF"):
            raise self._refusal(place="line 1", expected="##fileformat=VCF", found="something else")
        at = lines_end(head, b"##")
        line = head[at : head.find(b"\n", at) + 1]
        self._records.line += head.count(b"\n", 0, at) + 1
        if fault := column_fault(line):
            raise self._refusal(
                place=f"line {self._records.line}",
                expected="a #CHROM line with exactly one sample, its columns separated by tabs",
                found=fault,
            )
        if problems := self.genome.contig_problems(head[:at], label=self.label):
            raise InputRefused(problems)
        return at + len(line)

    def _take_piece(self, *, rest: bool) -> Piece:
        """Take the piece that is complete out of the kernel's reader, or the ``rest`` of the contig, and settle it."""
        contig = self._records.contig
        first, last, rows, ref, alt, intervals = self._records.take(rest=rest)
        order = np.argsort(rows[:, ROW_COLUMNS.index("pos")], kind="stable")
        keep = np.zeros(len(rows), np.bool_)
        numbers = settle_rows(rows, order, ref, alt, keep.view(np.uint8))
        self._of_pieces = [sum(pair) for pair in zip(self._of_pieces, numbers, strict=True)]
        chosen = order[keep[order]]
        chosen_rows = rows[chosen]
        starts = intervals[:, INTERVAL_COLUMNS.index("start")]
        if len(starts) > 1 and not (starts[1:] >= starts[:-1]).all():
            intervals = intervals[np.argsort(starts, kind="stable")]
        positions = np.ascontiguousarray(chosen_rows[:, ROW_COLUMNS.index("pos")])
        positions = positions[group_starts(positions)]
        begin = int(self.shard_ends[contig][first - 1]) + 1 if first else 1
        ends = self.shard_ends[contig][first : last + 1]
        segments = np.empty((2 * len(intervals) + len(positions) + len(ends) + 1, len(SEGMENT_COLUMNS)), np.int32)
        bands = np.asarray(self.thresholds.gq_bands, np.int32)
        band_of = (np.searchsorted(bands, np.arange(100), side="right") - 1).astype(np.int32)
        count = resolve(intervals, positions, begin, ends, band_of, bands, segments)
        return Piece(
            contig=contig,
            first=first,
            last=last,
            rows=chosen_rows,
            ref=_strings(ref, rows, "ref_end", chosen),
            alt=_strings(alt, rows, "alt_end", chosen),
            segments=segments[:count].copy(),
        )


def _strings(pool: Bytes, rows: Ints, column: str, chosen: npt.NDArray[np.int64]) -> tuple[Ints, Bytes]:
    ends = np.ascontiguousarray(rows[:, ROW_COLUMNS.index(column)])
    offsets = np.zeros(len(chosen) + 1, np.int32)
    size = gather_strings(pool, ends, chosen, offsets, np.empty(0, np.uint8))
    out = np.empty(size, np.uint8)
    gather_strings(pool, ends, chosen, offsets, out)
    return offsets, out
