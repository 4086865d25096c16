"""The pseudonymous manifest of a delivery: which staged files belong to which participant.

Intake writes it; it is the only thing that the workflow reads of a delivery.
"""

from __future__ import annotations

import contextlib
import csv
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from baekman import pseudonyms
from baekman.errors import InputRefused, Problem
from baekman.files import atomic

COLUMNS = (
    "participant_id",
    "specimen_id",
    "entry",
    "lane",
    "file_1",
    "file_2",
    "sex",
    "array_genotypes",
)
ENTRIES = ("fastq", "bam", "cram", "gvcf")
INDEX_ENDINGS = (".tbi", ".csi", ".bai", ".crai")
SEXES = ("female", "male", "unknown")


@dataclass(frozen=True, kw_only=True)
class StagedFiles:
    """One row: the staged files of one lane; paths are relative to the workspace, "" where there is none."""

    participant_id: str
    specimen_id: str
    entry: str
    lane: str
    file_1: str
    file_2: str
    sex: str
    array_genotypes: str

    @property
    def files(self) -> list[str]:
        """The files of reads or calls, one or two."""
        return [file for file in (self.file_1, self.file_2) if file]


def read(path: Path) -> list[StagedFiles]:
    """The rows of a ``specimens.tsv``, sorted by participant and lane.

    Raises ``InputRefused`` when a column is missing, an ID is none, or a word is not one of its column's.
    """
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines, delimiter="\t")
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise InputRefused(
                Problem(file=path.name, place="header", expected=" ".join(COLUMNS), found="other columns")
            )
        rows = [StagedFiles(**row) for row in reader]
    reasons = [
        Problem(file=path.name, place=f"row {number}, {column}", expected=" or ".join(words), found="other")
        for number, row in enumerate(rows, start=2)
        for column, words in (("entry", ENTRIES), ("sex", SEXES))
        if getattr(row, column) not in words
    ]
    if reasons:
        raise InputRefused(reasons)
    for row in rows:
        pseudonyms.check(row.participant_id, "P")
    return sorted(rows, key=lambda row: (row.participant_id, row.lane))


def of_participant(path: Path, participant: str) -> list[StagedFiles]:
    """The rows of one participant; raises ``InputRefused`` when there is none."""
    rows = [row for row in read(path) if row.participant_id == participant]
    if not rows:
        raise InputRefused(
            Problem(file=path.name, expected=f"rows of {participant}", found="none", action="check the ID")
        )
    return rows


def write(path: Path, rows: Iterable[StagedFiles]) -> None:
    """Write a ``specimens.tsv`` atomically."""
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(getattr(row, column) for column in COLUMNS) for row in rows]
    atomic.write_text(path, "\n".join(lines) + "\n")


def tidy_staged(folder: Path) -> None:
    """Delete what nothing needs any more of the staged files of the delivery in ``folder``.

    All of it when the delivery is finished: Snakemake forgets to delete what a killed run had used. Before that
    indexes without their file, and empty folders.
    """
    staged = folder / "staged"
    if (folder / "report" / "manifest.json").is_file():
        shutil.rmtree(staged, ignore_errors=True)
    for index in [path for ending in INDEX_ENDINGS for path in staged.glob(f"*/*{ending}")]:
        if not index.with_name(index.name.removesuffix(index.suffix)).exists():
            index.unlink(missing_ok=True)
    for place in [*staged.glob("*"), staged]:
        with contextlib.suppress(OSError):  # it is not empty: files in it are needed yet
            place.rmdir()
