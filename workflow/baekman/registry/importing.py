"""The import of registration tables into the registry: all rows of all files, or none.

An import of the same table again changes nothing. ``reconciliation`` says what may change and what is refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from baekman.errors import ProblemList
from baekman.files.digests import sha256_of
from baekman.registry import database
from baekman.registry.array_genotypes import kept, staging
from baekman.registry.array_genotypes.pseudonymous import UnusableArray, write_pseudonymous
from baekman.registry.database import chunks, participants, specimens
from baekman.registry.denied_list import ConsentChange
from baekman.registry.lookalikes import skeleton
from baekman.registry.reconciliation import ParticipantEntry, Reconciliation, SpecimenEntry
from baekman.registry.records import Registry
from baekman.registry.registration import RegistrationRow
from baekman.registry.registration_files import RegistrationFiles, open_registrations
from baekman.registry.seal.change import SealedChange

ROWS_PER_PART = 5_000


@dataclass(kw_only=True)
class ImportSummary:
    """Counts of an import: the rows that were read, and what they added to the registry."""

    rows: int = 0
    participants: int = 0
    specimens: int = 0
    consent_events: int = 0
    corrected: int = 0


def import_registrations(
    registry: Registry, files: Sequence[Path], *, correct: bool = False, change: ConsentChange | None = None
) -> ImportSummary:
    """Import the registration tables ``files``; return the counts.

    Memory holds about ``ROWS_PER_PART`` rows and the records that they touch. InputRefused with every problem; then
    nothing is changed. ``change`` gets the denials of registered participants before the registry has them.
    """
    stage = staging.new_stage(registry.folder)
    with open_registrations(files) as tables, registry.changing() as sealed:
        staging.settle(sealed.connection, folder=registry.folder)
        summary = _import(registry, sealed, tables, stage, correct=correct, change=change)
        if change is not None:
            change.put_in_force()
    if stage.is_dir():
        with database.writing(registry.engine) as connection:
            staging.settle(connection, folder=registry.folder)
    return summary


def _import(
    registry: Registry,
    sealed: SealedChange,
    tables: RegistrationFiles,
    stage: Path,
    *,
    correct: bool,
    change: ConsentChange | None,
) -> ImportSummary:
    problems = ProblemList()
    summary = ImportSummary(rows=tables.count)
    is_empty = sealed.connection.scalar(select(participants.c.participant_id).limit(1)) is None
    for rows in tables.parts(ROWS_PER_PART):
        part = _Part(registry, sealed, Reconciliation(problems, correct=correct, folder=registry.folder))
        part.add(rows, is_first=is_empty)
        if not problems:
            if change is not None:
                part.note_denials(change)
            part.store(summary)
            tables.set_aside(part.entries.arrays())
    if not problems:
        _write_arrays(registry, sealed, tables, stage, problems)
    if problems:
        shutil.rmtree(stage, ignore_errors=True)
        raise problems.refusal(file="registration tables")
    if stage.is_dir():
        staging.note(sealed.connection, stage=stage)
    return summary


class _Part:
    """Some participants of an import with all of their rows: no part needs what another part wrote."""

    def __init__(self, registry: Registry, sealed: SealedChange, entries: Reconciliation) -> None:
        self.registry = registry
        self.ring = registry.ring
        self.sealed = sealed
        self.connection = sealed.connection
        self.entries = entries

    def add(self, rows: Sequence[RegistrationRow], *, is_first: bool) -> None:
        """Add ``rows``, or note their problems; ``is_first``: the registry was empty before this import."""
        owners = [self.ring.blind_index("participant", row.institution, row.subject_code) for row in rows]
        labels = [self.ring.blind_index("specimen", row.institution, row.barcode) for row in rows]
        if not is_first:
            self._load(owners, labels)
        for row, owner, label in zip(rows, owners, labels, strict=True):
            self.entries.add(row, participant_index=owner, specimen_index=label)

    def _load(self, participant_indexes: Sequence[str], specimen_indexes: Sequence[str]) -> None:
        """Read the registry's records of these participants and specimens."""
        for some in chunks(sorted(set(participant_indexes))):
            query = select(participants).where(participants.c.participant_index.in_(some))
            records = self.connection.execute(query).all()
            self.sealed.open([record.participant_id for record in records])
            events = self.registry.events_by_participant(self.connection, [record.participant_id for record in records])
            for record in records:
                values = self.ring.unseal(record.sealed, identity=f"participants {record.participant_id}")
                self.entries.participants[record.participant_index] = ParticipantEntry(
                    record.participant_id,
                    values,
                    record.withdrawn_at,
                    events.get(record.participant_id, []),
                    is_new=False,
                    stored=dict(values),
                )
        for some in chunks(sorted(set(specimen_indexes))):
            for record in self.connection.execute(select(specimens).where(specimens.c.specimen_index.in_(some))):
                values = self.ring.unseal(record.sealed, identity=f"specimens {record.specimen_id}")
                self.entries.specimens[record.specimen_index] = SpecimenEntry(
                    record.specimen_id, record.participant_id, values, is_new=False
                )

    def note_denials(self, change: ConsentChange) -> None:
        """Note the denials of registered participants in ``change``; there is no data yet of new ones."""
        for entry in self.entries.participants.values():
            if entry.added and not entry.is_new:
                change.note(entry.participant_id, [*entry.events, *entry.added])

    def store(self, summary: ImportSummary) -> None:
        """Write everything but the arrays, and count it in ``summary``."""
        changed = [(index, entry) for index, entry in self.entries.participants.items() if entry.values != entry.stored]
        new = [self._participant(index, entry) for index, entry in changed if entry.is_new]
        corrected = [self._participant(index, entry) for index, entry in changed if not entry.is_new]
        labelled = [self._specimen(index, entry) for index, entry in self.entries.specimens.items() if entry.is_new]
        with_new_arrays = [
            self._specimen(index, entry)
            for index, entry in self.entries.specimens.items()
            if entry.array and not entry.is_new
        ]
        events = [event for entry in self.entries.participants.values() for event in entry.added]
        self.sealed.insert(participants, new)
        self.sealed.insert(specimens, labelled)
        self.sealed.update(participants, corrected)
        self.sealed.update(specimens, with_new_arrays)
        self.registry.append_consent(self.sealed, *events)
        self.sealed.flush()
        summary.participants += len(new)
        summary.corrected += len(corrected)
        summary.specimens += len(labelled)
        summary.consent_events += len(events)

    def _participant(self, index: str, entry: ParticipantEntry) -> dict[str, Any]:
        sealed = self.ring.seal(entry.values, identity=f"participants {entry.participant_id}")
        return {"participant_id": entry.participant_id, "participant_index": index, "sealed": sealed}

    def _specimen(self, index: str, entry: SpecimenEntry) -> dict[str, Any]:
        likeness = skeleton(entry.values["specimen_id"])
        return {
            "specimen_id": entry.specimen_id,
            "specimen_index": index,
            "lookalike_index": self.ring.blind_index("lookalike", entry.values["institution"], likeness),
            "participant_id": entry.participant_id,
            "sealed": self.ring.seal(entry.values, identity=f"specimens {entry.specimen_id}"),
        }


def _write_arrays(
    registry: Registry, sealed: SealedChange, tables: RegistrationFiles, stage: Path, problems: ProblemList
) -> None:
    """Write the array genotypes of the rows that were set aside to ``stage``, and seal their digests."""
    digests: dict[str, str] = {}
    for specimen_id, row in tables.rows_set_aside():
        output = stage / f"{specimen_id}{staging.SUFFIX}"
        if _write_array(output, specimen_id, row, problems) and not problems:
            digests[specimen_id] = sha256_of(output)
        if len(digests) >= ROWS_PER_PART:
            kept.bind(sealed, digests, ring=registry.ring)
            digests = {}
    if not problems:
        kept.bind(sealed, digests, ring=registry.ring)


def _write_array(output: Path, specimen_id: str, row: RegistrationRow, problems: ProblemList) -> bool:
    """Write the array genotypes of a row to ``output``, or note their problem; return whether they are there."""
    assert row.array_genotypes is not None
    try:
        write_pseudonymous(row.array_genotypes, output, barcode=row.barcode, specimen_id=specimen_id)
    except UnusableArray as unusable:
        problem = row.problem(
            "array_genotypes",
            expected="a VCF or BCF with this specimen's genotypes",
            found=str(unusable),
            action="export the array genotypes again, one sample per file",
        )
        problems.note(problem, at=(row.number,))
        return False
    return True
