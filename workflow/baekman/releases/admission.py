"""The consent to a release: of each candidate, the scopes that the project may use now."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from baekman.consent import ConsentEvent, ConsentState, Decision, Scope, states

if TYPE_CHECKING:
    from baekman.registry.records import Registry

# Article 4 of the Civil Act of Korea. The registry has years of birth, so a consent of a minor ends with the year
# before: nobody is released on the consent of others.
MAJORITY = 19
# the scopes of data; the others are about the use
DATA_SCOPES = (Scope.GENOME, Scope.CLINICAL, Scope.LIFESTYLE, Scope.PUBLIC_RECORD_LINKAGE)
# Purposes that consent to health, medical or biomedical research (DUO:0000006) does not cover, in the Data Use
# Ontology: population origins or ancestry, and general research use.
NOT_COVERED = frozenset({"DUO:0000011", "DUO:0000033", "DUO:0000042"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A member of a release. ``denied``: the scopes of the request that the participant has not granted, sorted."""

    participant_id: str
    denied: tuple[str, ...] = ()


def admitted(
    registry: Registry,
    candidates: Sequence[str],
    *,
    scopes: Collection[Scope],
    uses: Collection[Scope],
    at: date,
) -> Iterator[Member]:
    """Yield the members among ``candidates``, by ID.

    A member has granted all of ``uses`` (commercial, overseas) and at least one of ``scopes`` (the data that is asked
    for), and has not withdrawn. A consent from before majority has ended with it.
    """
    from baekman.registry.listing import persons

    people = persons(registry, candidates)
    for standing in registry.standing(candidates, at=at):
        person = people.get(standing.participant_id)
        if standing.is_withdrawn or person is None:
            continue
        in_force = states(until_majority(standing.events, birth_year=person.birth_year), at=at)
        granted = {scope for scope, state in in_force.items() if state is ConsentState.GRANTED}
        if granted.issuperset(uses) and granted.intersection(scopes):
            denied = tuple(sorted(scope.value for scope in scopes if scope not in granted))
            yield Member(participant_id=standing.participant_id, denied=denied)


def until_majority(events: Sequence[ConsentEvent], *, birth_year: int | None) -> Sequence[ConsentEvent]:
    """Return consent ``events`` in which a grant from before majority ends before it; all as they are without a year.

    A grant of the grown-up person begins after it, and stays.
    """
    if birth_year is None:
        return events
    majority = date(birth_year + MAJORITY, 1, 1)
    last = majority - timedelta(days=1)
    return [
        replace(event, valid_to=min(event.valid_to or last, last))
        if event.decision is Decision.GRANTED and event.valid_from < majority
        else event
        for event in events
    ]
