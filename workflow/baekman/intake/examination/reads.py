"""Findings on the reads of a specimen: mates in the wrong file, reads that come twice, qualities of another scale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from baekman.intake.manifest import ManifestRow
from baekman.intake.reasons import Finding

if TYPE_CHECKING:
    from baekman.intake.contents import Contents

# Bytes of qualities. Phred+64 begins at ``@`` and Solexa's scale at ``;``; a whole file of Phred+33 has lower ones.
LEAST_OF_PHRED64 = 59
# Q42 in Phred+33: no sequencer of short reads goes above it in a file without a quality below Q26.
MOST_OF_PHRED33 = 75


def check_reads(row: ManifestRow, contents: Contents) -> list[Finding]:
    """Return the findings on the reads of one file: the scale of its qualities, its mates, its end marker."""
    findings = []
    if contents.qualities is not None:
        lowest, highest = contents.qualities
        if lowest >= LEAST_OF_PHRED64 and highest > MOST_OF_PHRED33:
            findings.append(
                Finding.of(
                    "quality_scale",
                    metric="qualities read as Phred+33",
                    observed=f"{lowest - 33} to {highest - 33}",
                    threshold="qualities of a sequencer; these look like Phred+64",
                    rows=(row.row,),
                )
            )
    first, second = contents.mates
    wrong = {"fastq_1": second, "fastq_2": first}.get(row.kind, 0)
    if wrong:
        findings.append(_mate_wrong(row, wrong, contents.records))
    if contents.unmarked:
        findings.append(
            Finding.of("end_marker_absent", metric="file", observed="BGZF without an end marker", rows=(row.row,))
        )
    return findings


def check_mates(rows: Sequence[ManifestRow], contents: Mapping[int, Contents]) -> list[Finding]:
    """Return the findings on FASTQ files that belong together; ``contents`` are by row of the manifest.

    The files of a pair have reads of the same names in the same order. No two files hold the same reads.
    """
    by_lane: dict[str, dict[str, ManifestRow]] = defaultdict(dict)
    for row in rows:
        by_lane[row.read_group][row.kind] = row
    findings = []
    for pair in by_lane.values():
        if {"fastq_1", "fastq_2"} <= set(pair):
            findings += _check_pair(pair["fastq_1"], pair["fastq_2"], contents)
    return findings + _check_repeated_reads(rows, contents)


def _check_pair(first: ManifestRow, second: ManifestRow, contents: Mapping[int, Contents]) -> list[Finding]:
    reads_1, reads_2 = contents[first.row], contents[second.row]
    # a file that could not be read to its end has no digest, and has its own finding
    if not (reads_1.names_digest and reads_2.names_digest) or reads_1.names_digest == reads_2.names_digest:
        return []
    if reads_1.stems_digest and reads_1.stems_digest == reads_2.stems_digest:
        # names such as SRR1.7.1 and SRR1.7.2
        return [] if reads_1.suffix == "1" else [_mate_wrong(first, reads_1.records, reads_1.records)]
    return [
        Finding.of(
            "pairs_differ",
            metric="reads",
            observed=f"{reads_1.records} and {reads_2.records}",
            threshold="the same names in the same order",
            rows=(first.row, second.row),
        )
    ]


def _check_repeated_reads(rows: Sequence[ManifestRow], contents: Mapping[int, Contents]) -> list[Finding]:
    """Return a finding for files with the same reads, also where they are compressed or named in another way."""
    alike: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        if digest := contents[row.row].bases_digest:
            alike[digest].append(row.row)
    return [
        Finding.of("content_repeated", metric="files with the same reads", observed=len(numbers), rows=tuple(numbers))
        for numbers in alike.values()
        if len(numbers) > 1
    ]


def _mate_wrong(row: ManifestRow, wrong: int, reads: int) -> Finding:
    return Finding.of(
        "mate_wrong",
        metric="reads of the other mate",
        observed=f"{wrong} of {reads}",
        threshold=f"none in a file of kind {row.kind}",
        rows=(row.row,),
    )
