"""Registration rows against what the registry has: what they add, and every conflict.

A row may repeat what is registered or add to it. A row that contradicts the registry is a problem; with ``correct``
the table wins, except for the link from specimen to participant, which never changes. Rows of the same import may
never contradict one another.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from baekman import pseudonyms
from baekman.consent import ConsentEvent, Decision, is_recorded, states, today
from baekman.errors import ProblemList
from baekman.files.digests import sha256_of
from baekman.registry.array_genotypes.kept import DELIVERED, is_kept
from baekman.registry.registration import RegistrationRow

PERSONAL_COLUMNS = (
    "participant_type",
    "registered_sex",
    "birth_year",
    "name",
    "resident_registration_number",
)


@dataclass(slots=True)
class ParticipantEntry:
    """A participant of an import: as registered, and as the rows change them.

    Attributes:
        participant_id: The pseudonym.
        values: The values to seal, as the rows leave them.
        withdrawn_at: Day of the withdrawal, ISO 8601; None without one.
        events: The recorded consent events, oldest first.
        is_new: Whether the registry does not have the participant yet.
        stored: The values that the registry has.
        sources: Column -> the row of this import that gave its value.
        consents: The rows of this import with their consent events.
        added: The events that the registry does not have yet.
    """

    participant_id: str
    values: dict[str, Any]
    withdrawn_at: str | None
    events: list[ConsentEvent]
    is_new: bool
    stored: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, RegistrationRow] = field(default_factory=dict)
    consents: list[tuple[RegistrationRow, ConsentEvent]] = field(default_factory=list)
    added: list[ConsentEvent] = field(default_factory=list)


@dataclass(slots=True)
class SpecimenEntry:
    """A specimen of an import; ``array`` is the row that gives it new array genotypes."""

    specimen_id: str
    participant_id: str
    values: dict[str, Any]
    is_new: bool
    array: RegistrationRow | None = None


class Reconciliation:
    """Some participants of an import with all of their rows, by blind index; conflicts go to ``problems``.

    ``folder``: that of the registry, where array genotypes are kept.
    """

    def __init__(self, problems: ProblemList, *, correct: bool, folder: Path) -> None:
        self.problems = problems
        self.correct = correct
        self.folder = folder
        self.participants: dict[str, ParticipantEntry] = {}
        self.specimens: dict[str, SpecimenEntry] = {}

    def add(self, row: RegistrationRow, *, participant_index: str, specimen_index: str) -> None:
        """Add a row, or note its conflicts; the blind indexes are those of its subject code and barcode."""
        participant = self.participants.get(participant_index)
        if participant is None:
            participant = ParticipantEntry(
                pseudonyms.new("P"),
                {"institution": row.institution, "participant": row.subject_code},
                None,
                [],
                is_new=True,
            )
            self.participants[participant_index] = participant
        if participant.withdrawn_at is None:
            self._add_values(participant, row)
        self._add_consent(participant, row)
        self._add_specimen(participant, row, specimen_index)

    def arrays(self) -> list[tuple[str, RegistrationRow]]:
        """Return the IDs of the specimens that get array genotypes, with the rows that name the files."""
        return [
            (specimen.specimen_id, specimen.array) for specimen in self.specimens.values() if specimen.array is not None
        ]

    def _refuse(self, row: RegistrationRow, column: str, *, expected: str, found: str, action: str) -> None:
        self.problems.note(row.problem(column, expected=expected, found=found, action=action), at=(row.number,))

    def _add_values(self, participant: ParticipantEntry, row: RegistrationRow) -> None:
        for column in PERSONAL_COLUMNS:
            value = getattr(row, column)
            if value in ("", None):
                continue
            known = participant.values.get(column)
            earlier = participant.sources.get(column)
            if known in ("", None, value) or (self.correct and earlier is None):
                participant.values[column] = value
                participant.sources.setdefault(column, row)
                continue
            source = f"row {earlier.row} of {earlier.file}" if earlier else "the registry"
            action = "correct the table" if earlier else "correct the table, or import it with --correct"
            self._refuse(
                row,
                column,
                expected=f"this participant's value in {source}",
                found="another value",
                action=action,
            )

    def _add_consent(self, participant: ParticipantEntry, row: RegistrationRow) -> None:
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
                self._refuse(
                    row,
                    "consent",
                    expected=f"the decision in row {earlier.row} of {earlier.file}, or another date",
                    found="another decision of the same participant on the same date",
                    action="correct the table",
                )
                return
        participant.consents.append((row, event))
        if _is_recorded(participant, event, has_date=row.consent_from is not None):
            return
        if participant.withdrawn_at is not None:
            if event.decision is Decision.GRANTED:
                self._refuse(
                    row,
                    "consent",
                    expected="no new consent of a participant who has withdrawn",
                    found="one",
                    action="if they join again, register the person under another subject code",
                )
            return
        participant.added.append(event)

    def _add_specimen(self, participant: ParticipantEntry, row: RegistrationRow, index: str) -> None:
        specimen = self.specimens.get(index)
        if specimen is None:
            specimen = SpecimenEntry(
                pseudonyms.new("S"),
                participant.participant_id,
                {"institution": row.institution, "specimen_id": row.barcode},
                is_new=True,
            )
            self.specimens[index] = specimen
        if specimen.participant_id != participant.participant_id:
            self._refuse(
                row,
                "specimen_id",
                expected="a specimen of this participant",
                found="one that is registered for another participant",
                action="give each specimen a barcode of its own",
            )
            return
        if row.array_genotypes is not None and participant.withdrawn_at is None:
            self._add_array(specimen, row, row.array_genotypes)

    def _add_array(self, specimen: SpecimenEntry, row: RegistrationRow, file: Path) -> None:
        if not file.is_file():
            self._refuse(
                row,
                "array_genotypes",
                expected="a VCF or BCF, its path relative to the table",
                found="no file of this name",
                action="deliver the file with the table",
            )
            return
        digest = sha256_of(file)
        known = specimen.values.get(DELIVERED, digest)
        if known != digest and (specimen.array is not None or not self.correct):
            self._refuse(
                row,
                "array_genotypes",
                expected="the array genotypes that are registered for this specimen",
                found="others",
                action="correct the table, or import it with --correct",
            )
            return
        is_same = specimen.values.get(DELIVERED) == digest
        if not (is_same and is_kept(self.folder, specimen_id=specimen.specimen_id, values=specimen.values)):
            specimen.values[DELIVERED] = digest
            specimen.array = row


def _is_recorded(participant: ParticipantEntry, event: ConsentEvent, *, has_date: bool) -> bool:
    """Return whether the registry or an earlier row has the event.

    A table that was imported before says nothing new, and a grant that was taken back is not given again by another
    table that repeats it. A refusal or withdrawal is recorded unless it is in force for each of its scopes.
    """
    recorded = [*participant.events, *participant.added]
    if event.decision is Decision.GRANTED:
        return any(event.same_decision(other) for other in recorded)
    if any(_is_same_row(event, other, has_date=has_date) for other in participant.events):
        return True
    if has_date:
        return is_recorded(event, recorded)
    now = states(recorded, at=event.valid_from)
    return all(now[scope].value == event.decision.value for scope in event.scopes)


def _is_same_row(event: ConsentEvent, other: ConsentEvent, *, has_date: bool) -> bool:
    """Return whether ``other`` has the same decision of the same table; the days of a row without a date may differ."""
    if not event.source_hash or event.source_hash != other.source_hash:
        return False
    return event.same_decision(replace(other, valid_from=other.valid_from if has_date else event.valid_from))
