"""The proof that a caller came to the end of its region, and the note of it next to a gVCF.

A caller that ends early with exit code 0 leaves the rest of its region without a record. No record means no read, so
the reads of the alignment itself are the proof.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pysam

from baekman.files import atomic
from baekman.files.bgzf_index import indexed_records
from baekman.genome.regions import Region

# every caller counts a read of this mapping quality with a base of this quality
MAPPING_QUALITY = 20
BASE_QUALITY = 20
LEAST_GAP = 50  # bases; hardly a read is shorter
UNCOUNTED = 0x4 | 0x100 | 0x200 | 0x400 | 0x800  # unmapped, secondary, failed, duplicate, supplementary
ENDINGS = (".g.vcf.gz", ".vcf.gz")


@dataclass(frozen=True, kw_only=True)
class Completeness:
    """The number of records of a gVCF, the number of its pieces' records, and the regions that were not called."""

    records: int
    expected: int
    uncalled: tuple[str, ...] = ()


def note_path(gvcf: Path) -> Path:
    """Return the path of the note next to ``gvcf``: ``calls.json`` of ``calls.g.vcf.gz``."""
    ending = next((ending for ending in ENDINGS if gvcf.name.endswith(ending)), "")
    return gvcf.with_name(f"{gvcf.name.removesuffix(ending)}.json")


def write_note(gvcf: Path, *, pieces: Sequence[Path] = (), uncalled: Iterable[Region] = ()) -> None:
    """Write the note of ``gvcf``, which has an index; of a gathered gVCF with the notes of its ``pieces``.

    A piece without a note is a delivered gVCF, which counts with all of its records.
    """
    notes = [read_note(piece) for piece in pieces]
    records = indexed_records(gvcf) or 0
    counts = [
        note.records if note is not None else indexed_records(piece) or 0
        for note, piece in zip(notes, pieces, strict=True)
    ]
    regions = [*(region for note in notes if note is not None for region in note.uncalled), *map(str, uncalled)]
    values = {"records": records, "expected": sum(counts) if pieces else records, "uncalled": regions}
    atomic.write_text(note_path(gvcf), json.dumps(values) + "\n")


def read_note(gvcf: Path) -> Completeness | None:
    """Return the note of ``gvcf``; None where there is none."""
    path = note_path(gvcf)
    if not path.is_file():
        return None
    values = json.loads(path.read_text(encoding="utf-8"))
    return Completeness(records=values["records"], expected=values["expected"], uncalled=tuple(values["uncalled"]))


def uncalled_regions(cram: Path, gaps: Iterable[Region], *, reference: Path) -> list[Region]:
    """Return those of ``gaps``, stretches without a record, in which a whole read lies that every caller counts."""
    wide = [gap for gap in gaps if gap.end - gap.start + 1 >= LEAST_GAP]
    with pysam.AlignmentFile(str(cram), reference_filename=str(reference)) as alignments:
        return [gap for gap in wide if _has_reads(alignments, gap)]


def _has_reads(alignments: pysam.AlignmentFile, gap: Region) -> bool:
    for read in alignments.fetch(gap.contig, gap.start - 1, gap.end):
        qualities = read.query_qualities
        if (
            not read.flag & UNCOUNTED
            and (not read.is_paired or read.is_proper_pair)
            and read.mapping_quality >= MAPPING_QUALITY
            and gap.start - 1 <= read.reference_start
            and (read.reference_end or 0) <= gap.end
            and qualities is not None
            and max(qualities, default=0) >= BASE_QUALITY
        ):
            return True
    return False


def gaps_of(lines: Iterable[str], region: Region) -> list[Region]:
    """Return the stretches of ``region`` that no record of the gVCF ``lines`` covers, by REF and INFO/END."""
    gaps, reached = [], region.start - 1
    for line in lines:
        _, pos, _, ref, _, _, _, info, _ = line.split("\t", 8)
        start, end = int(pos), int(pos) + len(ref) - 1
        for entry in info.split(";"):
            if entry.startswith("END="):
                end = int(entry[4:])
        if start > reached + 1:
            gaps.append(Region(region.contig, reached + 1, start - 1))
        reached = max(reached, end)
    if reached < region.end:
        gaps.append(Region(region.contig, reached + 1, region.end))
    return gaps


def whole_lines_of(path: Path) -> list[str]:
    """Return the whole lines of the VCF ``path``: a tool that ended early may leave part of a line, or no file."""
    text = path.read_text(encoding="ascii") if path.is_file() else ""
    return text[: text.rfind("\n") + 1].splitlines(keepends=True)


def cut_to_whole_lines(path: Path) -> bool:
    """Cut part of a line from the end of the VCF ``path``; return whether its header is whole."""
    if not path.is_file():
        return False
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        block = min(size, 1 << 24)
        file.seek(size - block)
        end = size - block + file.read(block).rfind(b"\n") + 1
        file.truncate(end)
        file.seek(0)
        return any(line.startswith(b"#CHROM") for line in file if line.startswith(b"#"))
