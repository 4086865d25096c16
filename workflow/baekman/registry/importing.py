"""Registration tables into the registry: all rows of all files, or none.

Importing a table again changes nothing. What contradicts the registry is refused with its row; ``correct``
takes the table's word instead for everything but the link from specimen to participant, which never
changes.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from baekman import pseudonyms
from baekman.consent import ConsentEvent, Decision, today
from baekman.errors import Refusal
from baekman.files.digests import sha256_of
from baekman.registry import array_staging
from baekman.registry import database as registry_store
from baekman.registry.arrays import UnusableArray, write_pseudonymous
from baekman.registry.database import participants, specimens
from baekman.registry.lookalikes import skeleton
from baekman.registry.records import Registry, chunks
from baekman.registry.registration import RegistrationRow
from baekman.registry.registration_files import RegistrationFiles, open_registrations

PERSONAL_COLUMNS = (
    "participant_type",
    "registered_sex",
    "birth_year",
    "name",
    "resident_registration_number",
)
ROWS_AT_ONCE = 5_000


@dataclass(kw_only=True)
class ImportSummary:
    """How many rows were read and what they added to the registry."""

    rows: int = 0
    participants: int = 0
    specimens: int = 0
    consent_events: int = 0
    corrected: int = 0


@dataclass(slots=True)
class _Participant:
    participant_id: str
    values: dict[str, Any]
    withdrawn_at: str | None
    events: list[ConsentEvent]
    is_new: bool
    stored: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, RegistrationRow] = field(default_factory=dict)
    consents: list[tuple[RegistrationRow, ConsentEvent]] = field(default_factory=list)
    added: list[ConsentEvent] = field(default_factory=list)


@dataclass(slots=True)
class _Specimen:
    specimen_id: str
    participant_id: str
    values: dict[str, Any]
    is_new: bool
    array: RegistrationRow | None = None


def import_registrations(registry: Registry, files: Sequence[Path], *, correct: bool = False) -> ImportSummary:
    """Import the registration tables ``files``, with about ``ROWS_AT_ONCE`` rows and what they touch in memory.

    InputRefused with every problem, and then nothing is changed.
    """
    stage = array_staging.new_stage(registry.folder)
    with open_registrations(files) as tables, registry_store.writing(registry.engine) as connection:
        array_staging.settle(connection, registry.folder)
        summary = _import(registry, connection, tables, stage, correct=correct)
    if stage.is_dir():
        with registry_store.writing(registry.engine) as connection:
            array_staging.settle(connection, registry.folder)
    return summary


def _import(
    registry: Registry, connection: Connection, tables: RegistrationFiles, stage: Path, *, correct: bool
) -> ImportSummary:
    refusal = Refusal()
    summary = ImportSummary(rows=tables.count)
    is_empty = connection.scalar(select(participants.c.participant_id).limit(1)) is None
    for rows in tables.parts(ROWS_AT_ONCE):
        part = _Part(registry, connection, refusal, correct=correct)
        part.take(rows, is_first=is_empty)
        if not refusal:
            part.store(summary)
            tables.set_aside(part.arrays())
    if not refusal:
        for specimen_id, row in tables.taken_up():
            _write_array(stage, specimen_id, row, refusal)
    if refusal:
        shutil.rmtree(stage, ignore_errors=True)
        raise refusal.refused(file="registration tables")
    if stage.is_dir():
        array_staging.note(connection, stage)
    return summary


class _Part:
    """Some participants of an import with all of their rows, so that no part needs what another has written."""

    def __init__(self, registry: Registry, connection: Connection, refusal: Refusal, *, correct: bool) -> None:
        self.registry = registry
        self.ring = registry.ring
        self.connection = connection
        self.refusal = refusal
        self.correct = correct
        self.participants: dict[str, _Participant] = {}
        self.specimens: dict[str, _Specimen] = {}

    def take(self, rows: Sequence[RegistrationRow], *, is_first: bool) -> None:
        """Take in ``rows``, or note what is wrong with them; ``is_first``: the registry had nobody before."""
        owners = [self.ring.blind_index("participant", row.institution, row.participant) for row in rows]
        labels = [self.ring.blind_index("specimen", row.institution, row.specimen_id) for row in rows]
        if not is_first:
            self.load(owners, labels)
        for row, owner, label in zip(rows, owners, labels, strict=True):
            self.take_row(row, owner, label)

    def load(self, owners: Sequence[str], labels: Sequence[str]) -> None:
        """Read what the registry has of these participants and specimens."""
        for some in chunks(sorted(set(owners))):
            query = select(participants).where(participants.c.participant_index.in_(some))
            found = self.connection.execute(query).all()
            events = self.registry.events_by_participant(self.connection, [one.participant_id for one in found])
            for one in found:
                values = self.ring.unseal(one.sealed, identity=f"participants {one.participant_id}")
                self.participants[one.participant_index] = _Participant(
                    one.participant_id,
                    values,
                    one.withdrawn_at,
                    events.get(one.participant_id, []),
                    is_new=False,
                    stored=dict(values),
                )
        for some in chunks(sorted(set(labels))):
            for one in self.connection.execute(select(specimens).where(specimens.c.specimen_index.in_(some))):
                values = self.ring.unseal(one.sealed, identity=f"specimens {one.specimen_id}")
                self.specimens[one.specimen_index] = _Specimen(
                    one.specimen_id, one.participant_id, values, is_new=False
                )

    def refuse(self, row: RegistrationRow, column: str, *, expected: str, found: str, action: str) -> None:
        self.refusal.note(row.reason(column, expected=expected, found=found, action=action), at=(row.number,))

    def take_row(self, row: RegistrationRow, index: str, specimen_index: str) -> None:
        participant = self.participants.get(index)
        if participant is None:
            participant = _Participant(
                pseudonyms.new("P"),
                {"institution": row.institution, "participant": row.participant},
                None,
                [],
                is_new=True,
            )
            self.participants[index] = participant
        if participant.withdrawn_at is None:
            self.take_values(participant, row)
        self.take_consent(participant, row)
        self.take_specimen(participant, row, specimen_index)

    def take_values(self, participant: _Participant, row: RegistrationRow) -> None:
        for column in PERSONAL_COLUMNS:
            value = getattr(row, column)
            if value in ("", None):
                continue
            known = participant.values.get(column)
            earlier = participant.seen.get(column)
            if known in ("", None, value) or (self.correct and earlier is None):
                participant.values[column] = value
                participant.seen.setdefault(column, row)
                continue
            where = f"row {earlier.row} of {earlier.file}" if earlier else "the registry"
            action = "correct the table" if earlier else "correct the table, or import it with --correct"
            self.refuse(
                row,
                column,
                expected=f"what {where} says of this participant",
                found="another value",
                action=action,
            )

    def take_consent(self, participant: _Participant, row: RegistrationRow) -> None:
        event = ConsentEvent(
            participant_id=participant.participant_id,
            decision=row.decision,
            scopes=row.scopes,
            valid_from=row.consent_from or today(),
            valid_to=row.consent_to,
            template=row.consent_template,
            template_version=row.consent_version,
            source_hash=row.source_hash,
        )
        for earlier, other in participant.consents:
            same_day = other.valid_from == event.valid_from and set(other.scopes) & set(event.scopes)
            if same_day and other.decision is not event.decision:
                self.refuse(
                    row,
                    "consent",
                    expected=f"the decision in row {earlier.row} of {earlier.file}, or another date",
                    found="another decision of the same participant on the same date",
                    action="correct the table",
                )
                return
        participant.consents.append((row, event))
        if self.known(participant, row, event):
            return
        if participant.withdrawn_at is not None:
            if event.decision is Decision.GRANTED:
                self.refuse(
                    row,
                    "consent",
                    expected="no new consent of a participant who has withdrawn",
                    found="one",
                    action="register the person anew, under another subject code, if they join again",
                )
            return
        participant.added.append(event)

    def known(self, participant: _Participant, row: RegistrationRow, event: ConsentEvent) -> bool:
        """Whether the event is recorded.

        One without a date is, where the newest event of its scopes says the same.
        """
        recorded = [*participant.events, *participant.added]
        if row.consent_from is not None:
            return any(event.same_decision(other) for other in recorded)
        newest = max(
            (other for other in recorded if set(event.scopes) & set(other.scopes)),
            key=lambda other: other.valid_from,
            default=None,
        )
        return newest is not None and newest.decision is event.decision

    def take_specimen(self, participant: _Participant, row: RegistrationRow, index: str) -> None:
        specimen = self.specimens.get(index)
        if specimen is None:
            specimen = _Specimen(
                pseudonyms.new("S"),
                participant.participant_id,
                {"institution": row.institution, "specimen_id": row.specimen_id},
                is_new=True,
            )
            self.specimens[index] = specimen
        if specimen.participant_id != participant.participant_id:
            self.refuse(
                row,
                "specimen_id",
                expected="a specimen of this participant",
                found="one that is registered for another participant",
                action="give each specimen a barcode of its own",
            )
            return
        if row.array_genotypes is not None and participant.withdrawn_at is None:
            self.take_array(specimen, row, row.array_genotypes)

    def take_array(self, specimen: _Specimen, row: RegistrationRow, file: Path) -> None:
        if not file.is_file():
            self.refuse(
                row,
                "array_genotypes",
                expected="a VCF or BCF, its path relative to the table",
                found="no file of this name",
                action="deliver the file with the table",
            )
            return
        digest = sha256_of(file)
        known = specimen.values.get("array_digest", digest)
        if known != digest and (specimen.array is not None or not self.correct):
            self.refuse(
                row,
                "array_genotypes",
                expected="the array genotypes that are registered for this specimen",
                found="others",
                action="correct the table, or import it with --correct",
            )
            return
        if specimen.values.get("array_digest") != digest:
            specimen.values["array_digest"] = digest
            specimen.array = row

    def arrays(self) -> list[tuple[str, RegistrationRow]]:
        """The specimens that get array genotypes, and the rows that name these."""
        return [(one.specimen_id, one.array) for one in self.specimens.values() if one.array is not None]

    def store(self, summary: ImportSummary) -> None:
        """Write everything but the arrays, and add it to ``summary``."""
        changed = [(index, one) for index, one in self.participants.items() if one.values != one.stored]
        new = [self.sealed(index, one) for index, one in changed if one.is_new]
        corrected = [self.sealed(index, one) for index, one in changed if not one.is_new]
        labelled = [self.sealed_specimen(index, one) for index, one in self.specimens.items() if one.is_new]
        given_arrays = [
            self.sealed_specimen(index, one) for index, one in self.specimens.items() if one.array and not one.is_new
        ]
        events = [event for one in self.participants.values() for event in one.added]
        for table, rows in ((participants, new), (specimens, labelled)):
            if rows:
                self.connection.execute(table.insert(), rows)
        for table, rows in ((participants, corrected), (specimens, given_arrays)):
            if rows:
                key = next(iter(table.primary_key))
                sealed = [{"key": row[key.name], "value": row["sealed"]} for row in rows]
                self.connection.execute(
                    update(table).where(key == bindparam("key")).values(sealed=bindparam("value")), sealed
                )
        self.registry.append_consent(self.connection, *events)
        summary.participants += len(new)
        summary.corrected += len(corrected)
        summary.specimens += len(labelled)
        summary.consent_events += len(events)

    def sealed(self, index: str, one: _Participant) -> dict[str, Any]:
        sealed = self.ring.seal(one.values, identity=f"participants {one.participant_id}")
        return {"participant_id": one.participant_id, "participant_index": index, "sealed": sealed}

    def sealed_specimen(self, index: str, one: _Specimen) -> dict[str, Any]:
        read = skeleton(one.values["specimen_id"])
        return {
            "specimen_id": one.specimen_id,
            "specimen_index": index,
            "lookalike_index": self.ring.blind_index("lookalike", one.values["institution"], read),
            "participant_id": one.participant_id,
            "sealed": self.ring.seal(one.values, identity=f"specimens {one.specimen_id}"),
        }


def _write_array(stage: Path, specimen_id: str, row: RegistrationRow, refusal: Refusal) -> None:
    assert row.array_genotypes is not None
    output = stage / f"{specimen_id}{array_staging.SUFFIX}"
    try:
        write_pseudonymous(row.array_genotypes, output, label=row.specimen_id, specimen_id=specimen_id)
    except UnusableArray as unusable:
        reason = row.reason(
            "array_genotypes",
            expected="a VCF or BCF with this specimen's genotypes",
            found=str(unusable),
            action="export the array genotypes again, one sample per file",
        )
        refusal.note(reason, at=(row.number,))
