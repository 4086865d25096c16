"""Corrections against a slow, obvious account: the newest covering batch decides each day."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

import pyarrow as pa
from baekman.records.rows.corrections import resolved
from baekman.records.rows.covered_days import covered_days
from baekman.records.rows.firsts import firsts_of, merged_firsts
from baekman.records.rows.order import is_sorted, sorted_rows
from baekman.records.schema import COVERAGE, DATED_COVERAGE, EVENTS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.record_batches import (
    CODES,
    PEOPLE,
    Batch,
    Event,
    Interval,
    covered,
    day,
    event,
    firsts,
    rows_of,
    sort_key,
    standing_events,
    table,
)

SOURCES = ("claims", "survey")
PAIRS = st.tuples(st.sampled_from(PEOPLE[:2]), st.sampled_from(SOURCES))


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    person, source = draw(PAIRS)
    first = draw(st.integers(0, 12))
    return person, source, day(first), day(first + draw(st.integers(0, 6)))


@st.composite
def batches(draw: st.DrawFn, *, same_as_of: bool = False) -> list[Batch]:
    made = []
    for number in draw(st.permutations(range(draw(st.integers(1, 4))))):
        coverage = draw(st.lists(intervals(), max_size=4))
        events: list[Event] = []
        for person, source, first, last in coverage:
            for offset in draw(st.lists(st.integers(0, (last - first).days), max_size=3)):
                code = draw(st.sampled_from(sorted(CODES)))
                value = draw(st.sampled_from([None, 1.0, -2.5]))
                events.append(event(person, source, first + timedelta(days=offset), code, value))
        made.append(Batch(f"B{number}", datetime(2020, 1, 1 if same_as_of else number + 1), coverage, events))
    return made


def dated(batch: Batch) -> pa.Table:
    rows = [(*interval, batch.as_of) for interval in batch.coverage]
    return covered_days([table(rows, DATED_COVERAGE)]).table(dated=True)


def resolve(some: list[Batch]) -> pa.Table:
    return resolved([sorted_rows(table(each.events, EVENTS)) for each in some], [dated(each) for each in some])


@settings(max_examples=40, deadline=None)
@given(batches())
def test_the_newest_covering_batch_decides_each_day(some: list[Batch]) -> None:
    result = resolve(some)
    assert rows_of(result) == standing_events(some)
    assert is_sorted(result)
    assert rows_of(covered_days([dated(each) for each in some]).table(dated=False)) == covered(some)


@settings(max_examples=20, deadline=None)
@given(batches())
def test_a_compaction_in_between_changes_nothing(some: list[Batch]) -> None:
    middle = len(some) // 2
    first, second = some[: middle + 1], some[middle + 1 :]
    compacted = covered_days([dated(each) for each in first]).table(dated=True)
    events = [resolve(first), *(sorted_rows(table(each.events, EVENTS)) for each in second)]
    coverages = [compacted, *(dated(each) for each in second)]
    assert resolved(events, coverages).equals(resolve(some))
    assert (
        covered_days(coverages).table(dated=True).equals(covered_days([dated(each) for each in some]).table(dated=True))
    )


DAY = (PEOPLE[0], "claims", day(3))
TIED = [
    Batch(f"B{value:.0f}", datetime(2020, 1, 1), [(*DAY, day(3))], [event(*DAY, "LOINC/8480-6", value)])
    for value in (1.0, 2.0, 3.0)
]


@settings(max_examples=12, deadline=None)
@given(batches(same_as_of=True), st.randoms(use_true_random=False))
@example(TIED, Random(1))
def test_batches_of_one_time_have_the_same_result_in_any_order(some: list[Batch], random: object) -> None:
    expected = resolve(some)
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert resolve(shuffled).equals(expected) and resolve(some[::-1]).equals(expected)
    # each day and code is that of one of the batches
    for key in {(row[0], row[6], row[1], row[3]) for row in rows_of(expected)}:
        kept = [row for row in rows_of(expected) if (row[0], row[6], row[1], row[3]) == key]
        own = [[row for row in each.events if (row[0], row[6], row[1], row[3]) == key] for each in some]
        assert kept in [sorted(rows, key=sort_key) for rows in own]


@settings(max_examples=20, deadline=None)
@given(batches())
def test_firsts_count_the_events_of_each_code(some: list[Batch]) -> None:
    events = [row for each in some for row in each.events]
    expected = firsts(events)
    assert rows_of(firsts_of(sorted_rows(table(events, EVENTS)))) == expected
    parts = [firsts_of(sorted_rows(table(each.events, EVENTS))) for each in some]
    assert rows_of(merged_firsts(parts)) == expected


def test_covered_days_before_1970_and_far_ahead() -> None:
    rows = [(PEOPLE[0], "registry", datetime(1, 1, 1).date(), datetime(1, 1, 2).date(), datetime(2020, 1, 1))]
    rows += [
        (PEOPLE[0], "registry", datetime(9999, 12, 30).date(), datetime(9999, 12, 31).date(), datetime(2020, 1, 1))
    ]
    result = covered_days([table(rows, DATED_COVERAGE)]).table(dated=False)
    assert rows_of(result) == [row[:4] for row in rows]
    assert result.schema == COVERAGE
