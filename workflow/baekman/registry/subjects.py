"""The participants of an institution by its subject codes: registration, year of birth and consent at a date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import select

from baekman import consent
from baekman.consent import ConsentState, Scope, today
from baekman.registry import database
from baekman.registry.database import chunks, participants
from baekman.registry.records import Registry


class Subject(NamedTuple):
    """A registered participant: ``birth_year`` is None where none is known, ``scopes`` has the granted scopes.

    Nothing is granted after a withdrawal.
    """

    participant_id: str
    birth_year: int | None
    scopes: frozenset[Scope]


def resolve_subjects(
    registry: Registry, institution: str, subject_codes: Sequence[str], *, at: date | None = None
) -> list[Subject | None]:
    """Return the participants of ``subject_codes``, as ``institution`` writes them (after NFC), in their order.

    None stands for a code that is not registered. ``scopes`` are those granted at ``at`` (today by default). Give some
    thousand codes at a time: all of them are in memory.
    """
    indexes = [registry.ring.blind_index("participant", institution, code) for code in subject_codes]
    subjects: dict[str, Subject] = {}
    with database.paging(registry.engine) as connection:
        for some in chunks(indexes):
            records = connection.execute(select(participants).where(participants.c.participant_index.in_(some))).all()
            ids = [record.participant_id for record in records]
            registry.guard.require(ids)
            events = registry.events_by_participant(connection, ids)
            for record in records:
                participant_id = record.participant_id
                values = registry.ring.unseal(record.sealed, identity=f"participants {participant_id}")
                states = consent.states(events.get(participant_id, []), at=at or today())
                granted = (scope for scope, state in states.items() if state is ConsentState.GRANTED)
                subjects[record.participant_index] = Subject(
                    participant_id,
                    int(values.get("birth_year") or 0) or None,
                    frozenset() if record.withdrawn_at else frozenset(granted),
                )
    return [subjects.get(index) for index in indexes]
