"""Consent: denied by default; the newest decision counts; expiry and scope are exact."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from baekman import consent
from baekman.consent import ALL_SCOPES, ConsentEvent, ConsentState, Decision, Scope
from hypothesis import given
from hypothesis import strategies as st

DAY = date(2025, 6, 1)


def event(decision: str, begins: date = DAY, *scopes: Scope, ends: date | None = None) -> ConsentEvent:
    return ConsentEvent(
        participant_id="P0000000000000",
        decision=Decision(decision),
        scopes=scopes or (Scope.GENOME,),
        valid_from=begins,
        valid_to=ends,
    )


def state(events: list[ConsentEvent], at: date = DAY, scope: Scope = Scope.GENOME) -> str:
    return consent.evaluate(events, scope=scope, at=at).value


LATER = DAY + timedelta(days=1)


def test_without_an_event_there_is_no_consent() -> None:
    assert consent.states([], at=DAY) == dict.fromkeys(ALL_SCOPES, ConsentState.ABSENT)


def test_consent_holds_from_its_first_day_to_its_last() -> None:
    events = [event("granted", DAY, ends=LATER)]
    days = [DAY - timedelta(days=1), DAY, LATER, LATER + timedelta(days=1)]
    assert [state(events, day) for day in days] == ["absent", "granted", "granted", "expired"]


def test_a_withdrawal_ends_consent_from_its_day_in_any_order_of_recording() -> None:
    granted, withdrawn = event("granted"), event("withdrawn", LATER)
    for events in ([granted, withdrawn], [withdrawn, granted]):
        assert (state(events, DAY), state(events, LATER)) == ("granted", "withdrawn")


def test_the_decision_recorded_last_on_a_day_counts() -> None:
    assert state([event("granted"), event("refused")]) == "refused"
    assert state([event("refused"), event("granted")]) == "granted"


def test_an_expired_consent_does_not_bring_an_older_one_back() -> None:
    events = [event("granted"), event("granted", LATER, ends=LATER)]
    assert state(events, LATER + timedelta(days=5)) == "expired"


def test_scopes_are_independent() -> None:
    events = [
        event("granted", DAY, Scope.GENOME, Scope.COMMERCIAL_USE),
        event("withdrawn", LATER, Scope.COMMERCIAL_USE),
    ]
    states = consent.states(events, at=LATER)
    assert {scope.value: state.value for scope, state in states.items() if state != "absent"} == {
        "genome": "granted",
        "commercial_use": "withdrawn",
    }


@pytest.mark.parametrize(
    ("granted", "codes"),
    [
        ((), []),
        ((Scope.CLINICAL, Scope.COMMERCIAL_USE), []),
        ((Scope.GENOME,), ["DUO:0000006", "DUO:0000016", "DUO:0000021", "DUO:0000022", "DUO:0000046"]),
        ((Scope.GENOME, Scope.CLINICAL), ["DUO:0000006", "DUO:0000021", "DUO:0000022", "DUO:0000046"]),
        (ALL_SCOPES, ["DUO:0000006", "DUO:0000021"]),
    ],
)
def test_duo_codes_allow_no_more_than_was_granted(granted: tuple[Scope, ...], codes: list[str]) -> None:
    assert consent.duo_codes(dict.fromkeys(granted, ConsentState.GRANTED)) == codes


events_of = st.lists(
    st.builds(
        event,
        st.sampled_from([decision.value for decision in Decision]),
        st.dates(date(2025, 1, 1), date(2025, 1, 9)),
        st.sampled_from(ALL_SCOPES),
        ends=st.none() | st.dates(date(2025, 1, 9), date(2025, 1, 12)),
    ),
    max_size=8,
)


@given(events=events_of, at=st.dates(date(2024, 12, 30), date(2025, 1, 14)), scope=st.sampled_from(ALL_SCOPES))
def test_evaluation_equals_a_day_by_day_account(events: list[ConsentEvent], at: date, scope: Scope) -> None:
    """Compare with a walk through the days, each day's events in the order of recording."""
    current, day = None, date(2024, 12, 1)
    while day <= at:
        for recorded in events:
            if recorded.valid_from == day and scope in recorded.scopes:
                current = recorded
        day += timedelta(days=1)
    if current is None:
        expected = "absent"
    elif current.decision == "granted" and current.valid_to is not None and current.valid_to < at:
        expected = "expired"
    else:
        expected = current.decision.value
    assert state(events, at, scope) == expected


@given(events=events_of, since=st.dates(date(2024, 12, 30), date(2025, 1, 14)))
def test_future_days_without_consent_are_grouped_into_periods(events: list[ConsentEvent], since: date) -> None:
    periods = consent.periods_without(events, scope=Scope.GENOME, since=since)
    days = [since + timedelta(days=number) for number in range(30)]
    denied = [any(first <= day and (last is None or day <= last) for first, last in periods) for day in days]
    assert denied == [state(events, day) != "granted" for day in days]
    assert all(last is not None and last + timedelta(days=1) < first for (_, last), (first, _) in pairwise(periods))


def test_a_consent_until_the_last_day_of_the_calendar_never_ends() -> None:
    assert consent.periods_without([event("granted", ends=date.max)], scope=Scope.GENOME, since=DAY) == []


@given(events=events_of)
def test_events_survive_json(events: list[ConsentEvent]) -> None:
    assert [ConsentEvent.from_json(event.to_json()) for event in events] == events
