"""The pseudonymous manifest of a delivery, ``specimens.tsv``: the staged files of each participant.

Intake writes it; the workflow reads nothing else of a delivery.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from baekman import pseudonyms
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import write_text
from baekman.files.sidecar import read_checked, write_checked
from baekman.verdicts import CAME_AGAIN, read_verdicts
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.runs.failures import read_failures

COLUMNS = (
    "participant_id",
    "specimen_id",
    "entry",
    "lane",
    "file_1",
    "file_2",
    "sex",
    "array_genotypes",
    "records",
)
ENTRIES = ("aligned", "fastq", "bam", "cram", "gvcf")  # aligned: by intake, from FASTQ
# An alignment that intake made, and the files next to it: the counts of duplicates, and the note of what made it.
STAGED_CRAM = "aligned.cram"
NEXT_TO_CRAM = ("markdup.txt", "aligned.json")
INDEX_ENDINGS = (".tbi", ".csi", ".bai", ".crai")
SEXES = ("female", "male", "unknown")


@dataclass(frozen=True, kw_only=True)
class StagedFiles:
    """One row: the staged files of one lane. Paths are relative to the workspace; an absent file is "".

    ``records``: the reads or gVCF records that intake wrote to the files. It is None in a delivery that an earlier
    version received. Secondary and supplementary alignments are no reads.
    """

    participant_id: str
    specimen_id: str
    entry: str
    lane: str
    file_1: str
    file_2: str
    sex: str
    array_genotypes: str
    records: int | None = None

    @property
    def files(self) -> list[str]:
        """Return the one or two files of reads or calls."""
        return [file for file in (self.file_1, self.file_2) if file]


def read(path: Path) -> list[StagedFiles]:
    """Return the rows of the ``specimens.tsv`` at ``path``, sorted by participant and lane.

    Raises:
        InputRefused: The columns differ from ``COLUMNS`` (an earlier version wrote no ``records``), an ID is not
            valid, or ``entry`` or ``sex`` is unknown.
        DamagedFile: It has other bytes than were written.
    """
    reader = csv.DictReader(io.StringIO(read_checked(path), newline=""), delimiter="\t")
    if tuple(reader.fieldnames or ()) not in (COLUMNS, COLUMNS[:-1]):
        raise InputRefused(Problem(file=path.name, place="header", expected=" ".join(COLUMNS), found="other columns"))
    rows = [_row(values) for values in reader]
    problems = [
        Problem(file=path.name, place=f"row {number}, {column}", expected=" or ".join(words), found="other")
        for number, row in enumerate(rows, start=2)
        for column, words in (("entry", ENTRIES), ("sex", SEXES))
        if getattr(row, column) not in words
    ]
    if problems:
        raise InputRefused(problems)
    for row in rows:
        pseudonyms.check(row.participant_id, "P")
    return sorted(rows, key=lambda row: (row.participant_id, row.lane))


def _row(values: dict[str, str]) -> StagedFiles:
    records = values.pop("records", None)
    is_number = records is not None and records.isascii() and records.isdigit()
    return StagedFiles(**values, records=int(records) if records and is_number else None)


def expected_records(rows: Iterable[StagedFiles]) -> int | None:
    """Return the reads or records in the files of ``rows``; None where intake of an earlier version counted none."""
    counts = [row.records for row in rows]
    return None if None in counts else sum(count or 0 for count in counts)


def of_participant(path: Path, participant: str) -> list[StagedFiles]:
    """Return the rows of ``participant``; raise InputRefused when there are none."""
    rows = [row for row in read(path) if row.participant_id == participant]
    if not rows:
        raise InputRefused(
            Problem(file=path.name, expected=f"rows of {participant}", found="none", action="check the ID")
        )
    return rows


def note_delivery(workspace: Workspace, delivery_id: str, participants: Iterable[str]) -> None:
    """Note that the files of ``participants`` are those of a delivery from now on, not of an earlier one."""
    for participant_id in participants:
        write_text(workspace.participant(participant_id).delivery, f"{delivery_id}\n", durable=False)


def superseded(workspace: Workspace, delivery_id: str, participants: Iterable[str]) -> frozenset[str]:
    """Return those of ``participants`` whose files are of another delivery than ``delivery_id``, a later one.

    Their verdicts on ``delivery_id`` stay as they are, and its workflow does nothing for them. A participant without
    a note, of an earlier version, is not among them.
    """
    return frozenset(
        participant_id
        for participant_id in participants
        if _delivery_of(workspace.participant(participant_id).delivery) not in ("", delivery_id)
    )


def _delivery_of(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def superseded_in(workspace: Workspace, delivery_id: str) -> frozenset[str]:
    """Return the participants of the delivery, by its verdicts at intake, of whom a later delivery brought data.

    Whom this delivery kept out because of earlier reads is not among them.
    """
    home = workspace.delivery(delivery_id)
    if not home.verdicts("intake").is_file():
        return frozenset()
    verdicts = {verdict.participant_id: verdict for verdict in read_verdicts(home.verdicts("intake"))}
    own, late = _received(home), set[str]()
    for participant_id in superseded(workspace, delivery_id, filter(None, verdicts)):
        verdict = verdicts[participant_id]
        other = _received(workspace.delivery(_delivery_of(workspace.participant(participant_id).delivery)))
        # times are in seconds: a delivery that was kept out because of the other one came after it
        came_after = any(reason.code in CAME_AGAIN for reason in verdict.failures)
        if verdict.verdict == "accept" or other > own or (other == own and not came_after):
            late.add(participant_id)
    return frozenset(late)


def _received(home: DeliveryFolder) -> str:
    """Return the time of the reception of a delivery, in ISO 8601 and UTC; "" where it is not known."""
    if not home.summary.is_file():
        return ""
    return str(json.loads(read_checked(home.summary)).get("received", ""))


def used_files(delivery_id: str) -> InputRefused:
    """Return the error for a job that needs staged files of a delivery which other jobs used and deleted."""
    return InputRefused(
        Problem(
            file=delivery_id,
            expected="the files that intake staged",
            found="none: they were used and deleted",
            action="receive the delivery again: baekman receive DELIVERY --again",
        )
    )


def write(path: Path, rows: Iterable[StagedFiles]) -> None:
    """Write ``rows`` as a ``specimens.tsv`` to ``path``, atomically."""
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(_text(getattr(row, column)) for column in COLUMNS) for row in rows]
    write_checked(path, "\n".join(lines) + "\n")


def _text(value: str | int | None) -> str:
    return "" if value is None else str(value)


def tidy_staged(delivery: DeliveryFolder, *, is_finished: bool = True) -> None:
    """Delete the staged files of ``delivery`` that no job needs.

    A finished delivery loses all of them, since Snakemake does not delete the files that a killed run used, except
    those of specimens that the next run tries again. Otherwise indexes without their file, what belongs to an alignment
    that was taken, and empty folders go.
    """
    staged = delivery.staged
    if is_finished and delivery.run_manifest.is_file():
        kept = read_failures(delivery)
        for folder in staged.glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)
    for index in [path for ending in INDEX_ENDINGS for path in staged.glob(f"*/*{ending}")]:
        if not index.with_name(index.name.removesuffix(index.suffix)).exists():
            index.unlink(missing_ok=True)
    for folder in staged.glob("P*"):
        if not (folder / STAGED_CRAM).exists():
            for name in NEXT_TO_CRAM:
                (folder / name).unlink(missing_ok=True)
    for folder in [*staged.glob("*"), staged]:
        with contextlib.suppress(OSError):  # jobs still need files in it
            folder.rmdir()
