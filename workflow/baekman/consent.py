"""Consent: an append-only list of events per participant, denied by default.

An event is a participant's decision about some uses, under a form and for a time. No event is ever changed or deleted;
the state at a date follows from the events alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from baekman.errors import InputRefused, Problem


class Scope(StrEnum):
    """A use that a participant may allow."""

    __hash__ = str.__hash__  # that of enumerations is ten times as slow
    GENOME = "genome"
    CLINICAL = "clinical"
    LIFESTYLE = "lifestyle"
    PUBLIC_RECORD_LINKAGE = "public_record_linkage"
    COMMERCIAL_USE = "commercial_use"
    OVERSEAS_USE = "overseas_use"
    RECONTACT = "recontact"


class Decision(StrEnum):
    """A decision of a participant."""

    __hash__ = str.__hash__  # that of enumerations is ten times as slow
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class ConsentState(StrEnum):
    """The consent in force for one scope at one date; only ``GRANTED`` permits anything."""

    __hash__ = str.__hash__
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    ABSENT = "absent"


ALL_SCOPES = tuple(Scope)
# the decision, its scopes and its days
Terms = tuple[Decision, tuple[Scope, ...], date, date | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsentEvent:
    """One decision of a participant.

    Attributes:
        participant_id: Pseudonym of the participant.
        decision: The decision.
        scopes: The uses that it is about.
        valid_from: First day.
        valid_to: Last day, inclusive; None without an end.
        template: The consent form; "" when unknown.
        template_version: Version of the form; "" when unknown.
        source_hash: SHA-256 (hex) of the table that the event came from; "" without one.
    """

    participant_id: str
    decision: Decision
    scopes: tuple[Scope, ...]
    valid_from: date
    valid_to: date | None = None
    template: str = ""
    template_version: str = ""
    source_hash: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the event as JSON values, keys sorted, scopes in their fixed order."""
        return {
            "decision": self.decision.value,
            "participant_id": self.participant_id,
            "scopes": list(_names(self.scopes)),
            "source_hash": self.source_hash,
            "template": self.template,
            "template_version": self.template_version,
            "valid_from": self.valid_from.isoformat(),
            "valid_to": self.valid_to.isoformat() if self.valid_to else None,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ConsentEvent:
        """Return the event that ``to_json`` took."""
        decision, scopes, valid_from, valid_to = _terms(
            values["decision"], tuple(values["scopes"]), values["valid_from"], values["valid_to"]
        )
        return cls(
            participant_id=values["participant_id"],
            decision=decision,
            scopes=scopes,
            valid_from=valid_from,
            valid_to=valid_to,
            template=values["template"],
            template_version=values["template_version"],
            source_hash=values["source_hash"],
        )

    @property
    def terms(self) -> Terms:
        """The decision with its scopes and days, without participant and form."""
        return self.decision, self.scopes, self.valid_from, self.valid_to

    def same_decision(self, other: ConsentEvent) -> bool:
        """Return whether both events are equal, apart from their source."""
        return self._content() == other._content()

    def _content(self) -> tuple[object, ...]:
        form = (self.template, self.template_version)
        return (self.participant_id, self.decision, frozenset(self.scopes), self.valid_from, self.valid_to, form)


# the events of a million participants have few different terms: each state is computed once


@lru_cache(maxsize=4096)
def _names(scopes: tuple[Scope, ...]) -> tuple[str, ...]:
    return tuple(scope.value for scope in ALL_SCOPES if scope in scopes)


@lru_cache(maxsize=4096)
def _terms(decision: str, scopes: tuple[str, ...], valid_from: str, valid_to: str | None) -> Terms:
    return (
        Decision(decision),
        tuple(Scope(scope) for scope in scopes),
        date.fromisoformat(valid_from),
        date.fromisoformat(valid_to) if valid_to else None,
    )


def evaluate(events: Sequence[ConsentEvent], *, scope: Scope | str, at: date) -> ConsentState:
    """Return the state of ``scope`` at the date ``at``, from one participant's events in the order of their recording.

    The event that began last decides; among events that began on the same day, the one recorded last.
    """
    return states(events, at=at)[Scope(scope)]


def states(events: Sequence[ConsentEvent], *, at: date) -> dict[Scope, ConsentState]:
    """Return the state of every scope at the date ``at``, from events as for ``evaluate``."""
    return dict(zip(ALL_SCOPES, _states(tuple([event.terms for event in events]), at), strict=True))


def is_recorded(event: ConsentEvent, events: Sequence[ConsentEvent]) -> bool:
    """Return whether ``events``, in the order of their recording, have the decision of ``event`` in force.

    Who takes consent back, gives it and takes it back again on one day makes the same decision twice: the second one
    is recorded as well, since the grant came after the first.
    """
    if not any(event.same_decision(other) for other in events):
        return False
    after = [*events, event]
    ends = (other.valid_to for other in after if other.valid_to is not None and other.valid_to < date.max)
    days = {*(other.valid_from for other in after), *(day + timedelta(days=1) for day in ends)}
    return all(states(events, at=day) == states(after, at=day) for day in days)


def periods_without(
    events: Sequence[ConsentEvent], *, scope: Scope | str, since: date
) -> list[tuple[date, date | None]]:
    """Return the periods from ``since`` on without a grant of ``scope``: first and last day (None: without end)."""
    return list(_periods(tuple([event.terms for event in events]), Scope(scope), since, False))


def periods_with(events: Sequence[ConsentEvent], *, scope: Scope | str, since: date) -> list[tuple[date, date | None]]:
    """Return the periods from ``since`` on with a grant of ``scope``: first and last day (None: without end)."""
    return list(_periods(tuple([event.terms for event in events]), Scope(scope), since, True))


@lru_cache(maxsize=4096)
def _periods(
    events: tuple[Terms, ...], scope: Scope, since: date, is_granted: bool
) -> tuple[tuple[date, date | None], ...]:
    ends = (end for _, _, _, end in events if end is not None and end < date.max)
    days = {since, *(begins for _, _, begins, _ in events), *(day + timedelta(days=1) for day in ends)}
    changes = sorted(day for day in days if day >= since)
    place = ALL_SCOPES.index(scope)
    periods: list[tuple[date, date | None]] = []
    for begins, next_change in zip(changes, [*changes[1:], None], strict=True):
        if (_states(events, begins)[place] is ConsentState.GRANTED) is is_granted:
            last = next_change - timedelta(days=1) if next_change else None
            joined = periods and periods[-1][1] == begins - timedelta(days=1)
            periods.append((periods.pop()[0] if joined else begins, last))
    return tuple(periods)


@lru_cache(maxsize=4096)
def _states(events: tuple[Terms, ...], at: date) -> tuple[ConsentState, ...]:
    by_scope = dict.fromkeys(ALL_SCOPES, ConsentState.ABSENT)
    # by first day, then in the order of recording: the last event decides
    for decision, scopes, begins, ends in sorted(events, key=lambda event: event[2]):
        if begins > at:
            break
        state = ConsentState(decision.value)
        if state is ConsentState.GRANTED and ends is not None and at > ends:
            state = ConsentState.EXPIRED
        by_scope.update(dict.fromkeys(scopes, state))
    return tuple(by_scope[scope] for scope in ALL_SCOPES)


def state_hash(
    participants: Iterable[tuple[str, Mapping[Scope, ConsentState], Sequence[ConsentEvent]]],
) -> str:
    """Return the SHA-256 (hex) of the consent of ``participants``: (ID, states, events) of each, sorted by ID.

    Any new event, expiry or withdrawal changes it. ValueError when the IDs are not sorted: the hash would differ.
    """
    encode = json.JSONEncoder(sort_keys=True).encode
    digest = hashlib.sha256()
    last = ""
    for participant_id, by_scope, events in participants:
        if participant_id <= last:
            raise ValueError("participants out of order")
        encoded = encode([event.to_json() for event in events])
        line = f"[{encode(participant_id)}, {_encoded(tuple(by_scope.items()))}, {encoded}]"
        digest.update((f"\n{line}" if last else line).encode())
        last = participant_id
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _encoded(by_scope: tuple[tuple[Scope, ConsentState], ...]) -> str:
    return json.dumps({scope.value: state.value for scope, state in by_scope}, sort_keys=True)


# The purposes of a use, each with the scopes that a participant must have granted next to that of the genome.
PURPOSES: Mapping[str, tuple[Scope, ...]] = {
    "research": (),
    "commercial": (Scope.COMMERCIAL_USE,),
    "overseas": (Scope.OVERSEAS_USE,),
}
# The scopes that a purpose may need: nobody is assumed to have granted them.
PURPOSE_SCOPES = (Scope.COMMERCIAL_USE, Scope.OVERSEAS_USE)
# The scopes of records; the dictionary gives each code one of them.
RECORD_SCOPES = (Scope.CLINICAL, Scope.LIFESTYLE, Scope.PUBLIC_RECORD_LINKAGE)


def scopes_of(purpose: str) -> frozenset[Scope]:
    """Return the scopes next to the genome that ``purpose`` needs: words of ``PURPOSES`` separated by commas.

    A word may be a scope of ``PURPOSE_SCOPES`` too. "" is ``research``.

    Raises:
        InputRefused: A word is none of these.
    """
    words = {**PURPOSES, **{scope.value: (scope,) for scope in PURPOSE_SCOPES}}
    typed = [word.strip() for word in purpose.split(",") if word.strip()]
    unknown = [word for word in typed if word not in words]
    if unknown:
        raise InputRefused(
            Problem(
                file="--purpose",
                expected=f"{', '.join(PURPOSES)}, or several with commas",
                found="another word",
                action="name a project in BAEKMAN_PURPOSE",
            )
        )
    return frozenset(scope for word in typed for scope in words[word])


# GA4GH Data Use Ontology, http://purl.obolibrary.org/obo/duo.owl
DUO_HEALTH_MEDICAL_BIOMEDICAL = "DUO:0000006"
DUO_GENETIC_STUDIES_ONLY = "DUO:0000016"
DUO_ETHICS_APPROVAL_REQUIRED = "DUO:0000021"
DUO_GEOGRAPHICAL_RESTRICTION = "DUO:0000022"
DUO_NON_COMMERCIAL_USE_ONLY = "DUO:0000046"


def duo_codes(by_scope: Mapping[Scope, ConsentState]) -> list[str]:
    """Return the DUO codes under which the genome may be shared, sorted; an empty list when it may not be shared.

    The permission is health, medical or biomedical research. The modifiers are:

    - ethics approval, always, since every project is reviewed;
    - genetic studies only, when neither clinical nor lifestyle records are allowed;
    - non-commercial use only, and a geographical restriction (Korea), unless these uses are allowed.
    """

    def granted(scope: Scope) -> bool:
        return by_scope.get(scope, ConsentState.ABSENT) is ConsentState.GRANTED

    if not granted(Scope.GENOME):
        return []
    codes = [DUO_HEALTH_MEDICAL_BIOMEDICAL, DUO_ETHICS_APPROVAL_REQUIRED]
    if not (granted(Scope.CLINICAL) or granted(Scope.LIFESTYLE)):
        codes.append(DUO_GENETIC_STUDIES_ONLY)
    if not granted(Scope.COMMERCIAL_USE):
        codes.append(DUO_NON_COMMERCIAL_USE_ONLY)
    if not granted(Scope.OVERSEAS_USE):
        codes.append(DUO_GEOGRAPHICAL_RESTRICTION)
    return sorted(codes)


def today() -> date:
    """Return the date in UTC."""
    return datetime.now(UTC).date()
