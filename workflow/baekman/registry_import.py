"""Registration tables into the registry: all rows of all files, or none.

Importing a table again changes nothing. What contradicts the registry is refused with its row; ``correct``
takes the table's word instead for everything but the link from specimen to participant, which never
changes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from baekman import identifiers, registry_store
from baekman.consent import ConsentEvent, Decision, today
from baekman.errors import InputRefused, Reason
from baekman.lookalikes import skeleton
from baekman.registration import RegistrationRow, read_registrations
from baekman.registry import Registry, chunks, digest_of
from baekman.registry_arrays import UnusableArray, write_pseudonymous
from baekman.registry_store import participants, specimens

PERSONAL_COLUMNS = (
    "participant_type",
    "registered_sex",
    "birth_year",
    "name",
    "resident_registration_number",
)


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
    """Import the registration tables ``files``.

    InputRefused with every problem, and then nothing is changed.
    """
    with _uncollected():
        rows = read_registrations(files)
        with registry_store.writing(registry.engine) as connection:
            work = _Import(registry, connection, correct=correct)
            indexes = [(work.owner_index(row), work.specimen_index(row)) for row in rows]
            work.load(indexes)
            for row, (owner, specimen) in zip(rows, indexes, strict=True):
                work.take(row, owner, specimen)
            if work.problems:
                raise InputRefused(work.problems)
            return work.store(len(rows))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of circular references, which would go through a million rows again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Import:
    """One import inside one transaction."""

    def __init__(self, registry: Registry, connection: Connection, *, correct: bool) -> None:
        self.registry = registry
        self.ring = registry.ring
        self.connection = connection
        self.correct = correct
        self.problems: list[Reason] = []
        self.participants: dict[str, _Participant] = {}
        self.specimens: dict[str, _Specimen] = {}

    def load(self, indexes: Sequence[tuple[str, str]]) -> None:
        """Read what the registry has of the rows' participants and specimens."""
        if self.connection.scalar(select(participants.c.participant_id).limit(1)) is None:
            return
        for some in chunks(sorted({owner for owner, _ in indexes})):
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
        for some in chunks(sorted({specimen for _, specimen in indexes})):
            for one in self.connection.execute(select(specimens).where(specimens.c.specimen_index.in_(some))):
                values = self.ring.unseal(one.sealed, identity=f"specimens {one.specimen_id}")
                self.specimens[one.specimen_index] = _Specimen(
                    one.specimen_id, one.participant_id, values, is_new=False
                )

    def owner_index(self, row: RegistrationRow) -> str:
        return self.ring.blind_index("participant", row.institution, row.participant)

    def specimen_index(self, row: RegistrationRow) -> str:
        return self.ring.blind_index("specimen", row.institution, row.specimen_id)

    def take(self, row: RegistrationRow, index: str, specimen_index: str) -> None:
        """Take in one row, or note what is wrong with it."""
        participant = self.participants.get(index)
        if participant is None:
            participant = _Participant(
                identifiers.new("P"),
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
            self.problems.append(
                row.reason(
                    column,
                    expected=f"what {where} says of this participant",
                    found="another value",
                    action=action,
                )
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
                self.problems.append(
                    row.reason(
                        "consent",
                        expected=f"the decision in row {earlier.row} of {earlier.file}, or another date",
                        found="another decision of the same participant on the same date",
                        action="correct the table",
                    )
                )
                return
        participant.consents.append((row, event))
        if self.known(participant, row, event):
            return
        if participant.withdrawn_at is not None:
            if event.decision is Decision.GRANTED:
                self.problems.append(
                    row.reason(
                        "consent",
                        expected="no new consent of a participant who has withdrawn",
                        found="one",
                        action="register the person anew, under another subject code, if they join again",
                    )
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
                identifiers.new("S"),
                participant.participant_id,
                {"institution": row.institution, "specimen_id": row.specimen_id},
                is_new=True,
            )
            self.specimens[index] = specimen
        if specimen.participant_id != participant.participant_id:
            self.problems.append(
                row.reason(
                    "specimen_id",
                    expected="a specimen of this participant",
                    found="one that is registered for another participant",
                    action="give each specimen a barcode of its own",
                )
            )
            return
        if row.array_genotypes is not None and participant.withdrawn_at is None:
            self.take_array(specimen, row, row.array_genotypes)

    def take_array(self, specimen: _Specimen, row: RegistrationRow, file: Path) -> None:
        if not file.is_file():
            self.problems.append(
                row.reason(
                    "array_genotypes",
                    expected="a VCF or BCF, its path relative to the table",
                    found="no file of this name",
                    action="deliver the file with the table",
                )
            )
            return
        digest = digest_of(file)
        known = specimen.values.get("array_digest", digest)
        if known != digest and (specimen.array is not None or not self.correct):
            self.problems.append(
                row.reason(
                    "array_genotypes",
                    expected="the array genotypes that are registered for this specimen",
                    found="others",
                    action="correct the table, or import it with --correct",
                )
            )
            return
        if specimen.values.get("array_digest") != digest:
            specimen.values["array_digest"] = digest
            specimen.array = row

    def store(self, rows: int) -> ImportSummary:
        """Write everything; the arrays first, as they may still be refused."""
        for specimen in self.specimens.values():
            if specimen.array is not None:
                self.store_array(specimen, specimen.array)
        if self.problems:
            raise InputRefused(self.problems)
        summary = ImportSummary(rows=rows)
        new_participants = [
            row for index, one in self.participants.items() if (row := self.stored(index, one, summary))
        ]
        new_specimens = [row for index, one in self.specimens.items() if (row := self.stored_specimen(index, one))]
        events = [event for one in self.participants.values() for event in one.added]
        if new_participants:
            # in the order of the index: pages are filled one after the other
            new_participants.sort(key=itemgetter("participant_id"))
            self.connection.execute(participants.insert(), new_participants)
        if new_specimens:
            new_specimens.sort(key=itemgetter("specimen_id"))
            self.connection.execute(specimens.insert(), new_specimens)
        self.registry.append_consent(self.connection, *events)
        summary.participants = len(new_participants)
        summary.specimens = len(new_specimens)
        summary.consent_events = len(events)
        return summary

    def store_array(self, specimen: _Specimen, row: RegistrationRow) -> None:
        assert row.array_genotypes is not None
        try:
            write_pseudonymous(
                row.array_genotypes,
                self.registry.array_path(specimen.specimen_id),
                label=row.specimen_id,
                specimen_id=specimen.specimen_id,
            )
        except UnusableArray as unusable:
            self.problems.append(
                row.reason(
                    "array_genotypes",
                    expected="a VCF or BCF with this specimen's genotypes",
                    found=str(unusable),
                    action="export the array genotypes again, one sample per file",
                )
            )

    def stored(self, index: str, participant: _Participant, summary: ImportSummary) -> dict[str, Any] | None:
        """The row of a new participant; one who is there already is updated at once."""
        if participant.values == participant.stored:
            return None
        participant_id = participant.participant_id
        sealed = self.ring.seal(participant.values, identity=f"participants {participant_id}")
        if participant.is_new:
            return {"participant_id": participant_id, "participant_index": index, "sealed": sealed}
        summary.corrected += 1
        self.connection.execute(
            update(participants).where(participants.c.participant_id == participant_id).values(sealed=sealed)
        )
        return None

    def stored_specimen(self, index: str, specimen: _Specimen) -> dict[str, Any] | None:
        """The row of a new specimen; one that is there already is updated at once."""
        if not specimen.is_new and specimen.array is None:
            return None
        specimen_id, values = specimen.specimen_id, specimen.values
        sealed = self.ring.seal(values, identity=f"specimens {specimen_id}")
        if specimen.is_new:
            read = skeleton(values["specimen_id"])
            return {
                "specimen_id": specimen_id,
                "specimen_index": index,
                "lookalike_index": self.ring.blind_index("lookalike", values["institution"], read),
                "participant_id": specimen.participant_id,
                "sealed": sealed,
            }
        self.connection.execute(update(specimens).where(specimens.c.specimen_id == specimen_id).values(sealed=sealed))
        return None
