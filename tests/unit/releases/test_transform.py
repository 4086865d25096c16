"""Events and persons as a release shows them: roll-up, extremes, dates, birth, and nothing of ours."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from baekman.records.dictionary import Dictionary, Entry
from baekman.records.schema import COVERAGE, EVENTS
from baekman.releases.codes import choose, parents_within, roll_up, scopes_of_sources, with_targets
from baekman.releases.extremes import Extremes, round_ends
from baekman.releases.request import Request
from baekman.releases.transform import (
    Rules,
    birth_bands,
    coverage_rows,
    event_rows,
    fewest_alike,
    generalise,
    granted_coverage,
    person_rows,
)

START = datetime(2020, 1, 1, 9, 30)
BP = "LOINC/8480-6"


def entry(code: str, *, kind: Any = "event", parent: str | None = None, **more: Any) -> Entry:
    values = {"name_ko": code, "name_en": code, "scope": "clinical", "tier": "room", **more}
    return Entry(code=code, kind=kind, parent=parent, **values)


DICTIONARY = Dictionary.of(
    {
        each.code: each
        for each in (
            entry("KCD8/E10-E14", tier="low_risk"),
            entry("KCD8/E11", parent="KCD8/E10-E14"),
            entry("KCD8/E119", parent="KCD8/E11"),
            entry("KCD8/E112", parent="KCD8/E11"),
            entry("KCD8/B20", tier="never"),
            entry("KCD8/B200", parent="KCD8/B20"),
            entry(BP, kind="number", unit="mm[Hg]", low=40.0, high=300.0, tier="low_risk"),
            entry("SURVEY/smoking_status", kind="category", categories=("never", "current"), scope="lifestyle"),
        )
    }
)
SCOPES = frozenset({"clinical", "lifestyle"})


def events(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Return events of (participant, days after the start, code, value, category)."""
    columns: dict[str, list[Any]] = {name: [] for name in EVENTS.names}
    for participant, days, code, value, category in rows:
        known = {"participant_id": participant, "time": START + timedelta(days=days), "code": code, "value": value}
        known |= {"category": category, "source": "claims", "institution": "Hospital", "episode": f"E-{days}"}
        for name in EVENTS.names:
            columns[name].append(known.get(name))
    return pa.table(columns, schema=EVENTS)


def carriers(code: str, people: range, *, value: float | None = None) -> list[tuple[Any, ...]]:
    return [(f"P{number:03d}", number, code, value, None) for number in people]


def book(people: Sequence[str], *, shift: int = 30) -> pa.Table:
    ids = [f"X{number:03d}" for number in range(len(people))]
    shifts = pa.array([shift + number for number in range(len(people))], pa.int32())
    return pa.table({"participant_id": list(people), "project_id": ids, "date_shift_days": shifts})


def rules_of(table: pa.Table, *, threshold: int = 11, codes: Sequence[str] | None = None) -> Rules:
    """Return the rules of a release of all of ``table``."""
    asked = codes or [code for code in DICTIONARY.codes if DICTIONARY.entries[code].tier != "never"]
    parents = parents_within(DICTIONARY, tier="room", scopes=SCOPES)
    codes_of = roll_up(
        lambda: iter([table]), starts=dict(zip(asked, asked, strict=True)), parents=parents, threshold=threshold
    )
    targets, people = codes_of.targets, codes_of.people
    extremes = Extremes(threshold=threshold, limits={BP: (40.0, 300.0)})
    extremes.add(with_targets(table, targets))
    return Rules(
        targets=targets,
        rare=codes_of.rare,
        dropped=codes_of.dropped,
        units={code: (each.kind, each.unit or "") for code, each in DICTIONARY.entries.items()},
        bounds=extremes.bounds(),
        ends=extremes.fewest(),
        categories=extremes.categories(),
        institutions={"Hospital": "1"},
        people=people,
        sources={"claims": frozenset({"clinical"}), "survey": frozenset({"lifestyle"})},
        birth_years=5,
        oldest_birth_year=1936,
    )


# -- codes


def test_a_rare_code_is_released_as_its_parent_until_enough_people_hold_it() -> None:
    rows = carriers("KCD8/E119", range(12)) + carriers("KCD8/E112", range(20, 25)) + carriers("KCD8/E11", range(3))
    rules = rules_of(events(rows))
    # E112 and E11 together are held by 8 people, and so is their parent: nothing of them is released
    assert rules.targets == {"KCD8/E119": "KCD8/E119"}
    more = rules_of(events(rows + carriers("KCD8/E11", range(40, 43))))
    assert more.targets == {"KCD8/E119": "KCD8/E119", "KCD8/E112": "KCD8/E11", "KCD8/E11": "KCD8/E11"}
    assert more.people == {"KCD8/E119": 12, "KCD8/E11": 11}
    assert set(rules_of(events(carriers("KCD8/E119", range(10)) + carriers(BP, range(11)))).targets) == {BP}


def test_people_of_a_parent_are_counted_once() -> None:
    rows = carriers("KCD8/E119", range(8)) + carriers("KCD8/E112", range(4, 12))
    rules = rules_of(events(rows))
    assert rules.people == {"KCD8/E11": 12}
    assert {rules.targets[code] for code in ("KCD8/E119", "KCD8/E112")} == {"KCD8/E11"}


def test_a_parent_that_may_never_leave_is_skipped() -> None:
    table = events(carriers("KCD8/B200", range(5)))
    assert rules_of(table).targets == {} and rules_of(table).dropped == ("KCD8/B200",)
    _, counts = generalise(table, rules_of(table))
    assert counts["rows_dropped"] == 5


def test_the_order_and_number_of_buckets_change_no_roll_up() -> None:
    rows = carriers("KCD8/E119", range(8)) + carriers("KCD8/E112", range(4, 12)) + carriers(BP, range(30), value=120.0)
    whole = events(rows)
    parts = [whole.filter(pa.array([row[0] == f"P{number:03d}" for row in rows])) for number in range(30)]

    def shuffled() -> Iterator[pa.Table]:
        return iter(random.Random(4).sample(parts, len(parts)))

    parents = parents_within(DICTIONARY, tier="room", scopes=SCOPES)
    starts = {code: code for code in ("KCD8/E119", "KCD8/E112", BP)}
    assert roll_up(shuffled, starts=starts, parents=parents, threshold=11) == roll_up(
        lambda: iter([whole]), starts=starts, parents=parents, threshold=11
    )


def test_a_choice_keeps_within_tier_and_scopes() -> None:
    request = Request(project="J", tier="low_risk", who="", codes=("KCD8/*", "LOINC/1", "SURVEY/smoking_status"))
    choice = choose(request, dictionary=DICTIONARY, scopes={"clinical"})
    below = ("KCD8/E10-E14", "KCD8/E11", "KCD8/E112", "KCD8/E119")
    assert choice.starts == dict.fromkeys(below, "KCD8/E10-E14")
    assert (choice.unknown, choice.beyond, choice.skipped) == (("LOINC/1",), ("SURVEY/smoking_status",), 2)


def test_a_requested_code_stands_for_the_codes_below_it() -> None:
    request = Request(project="J", tier="room", who="", codes=("KCD8/E11", "KCD8/E119"))
    choice = choose(request, dictionary=DICTIONARY, scopes=SCOPES)
    assert choice.starts == {"KCD8/E11": "KCD8/E11", "KCD8/E112": "KCD8/E11", "KCD8/E119": "KCD8/E119"}
    rows = carriers("KCD8/E119", range(3)) + carriers("KCD8/E112", range(12))
    codes = roll_up(lambda: iter([events(rows)]), starts=choice.starts, parents={"KCD8/E119": "KCD8/E11"}, threshold=11)
    assert codes.people == {"KCD8/E11": 12} and codes.rare == {"KCD8/E119": "KCD8/E11"} and codes.dropped == ()


def test_two_thresholds_differ_only_in_codes_between_them() -> None:
    rows = carriers("KCD8/E119", range(25)) + carriers("KCD8/E112", range(15)) + carriers(BP, range(60), value=120.0)
    low, high = rules_of(events(rows), threshold=11), rules_of(events(rows), threshold=20)
    assert {code for code in low.targets if low.targets[code] != high.targets.get(code)} == {"KCD8/E112"}
    assert low.bounds == high.bounds


# -- values


def test_extreme_values_are_those_of_enough_people() -> None:
    rows = [(f"P{number:03d}", 0, BP, 100.0 + number, None) for number in range(40)]
    rules = rules_of(events(rows))
    assert rules.bounds == {BP: (110.0, 125.0)}  # round numbers: 11 people are at 129 or above
    kept, counts = generalise(events(rows), rules)
    values = kept["value"].to_pylist()
    assert values.count(110.0) == 11 and values.count(125.0) == 15
    assert (counts["values_bottom_coded"], counts["values_top_coded"], counts["values_missing"]) == (10, 14, 0)


@pytest.mark.parametrize(
    ("low", "high", "within", "ends"),
    [
        (108.0, 153.0, (40.0, 300.0), (110.0, 150.0)),
        (108.0, 153.0, (-math.inf, math.inf), (110.0, 150.0)),
        (36.21, 37.49, (30.0, 45.0), (36.4, 37.4)),
        (0.12, 213.0, (0.0, 500.0), (0.12, 210.0)),
        (-7.3, -2.05, (-50.0, 50.0), (-7.3, -2.1)),
        (0.0, 0.0, (0.0, 9.0), (0.0, 0.0)),
        (121.0, 123.9, (40.0, 300.0), (121.0, 123.5)),  # a tenth of the distance
        (5.03, 5.03, (0.0, 500.0), (5.03, 5.03)),
    ],
)
def test_bounds_are_round_numbers_between_the_ends(
    low: float, high: float, within: tuple[float, float], ends: tuple[float, float]
) -> None:
    assert round_ends(low, high, within=within) == ends


def test_bounds_move_only_where_too_few_people_are_left_at_an_end() -> None:
    """Whoever leaves, the values of the others stay, until ten people are left at or beyond a bound."""
    rows = [(f"P{number:03d}", 0, BP, 100.0 + number, None) for number in range(40)]
    bounds = rules_of(events(rows)).bounds[BP]
    assert all(rules_of(events(rows[:out] + rows[out + 1 :])).bounds[BP] == bounds for out in range(11, 40))
    assert all(rules_of(events(rows[:left])).bounds[BP] == bounds for left in range(36, 40))
    assert rules_of(events(rows[:35])).bounds == {BP: (110.0, 120.0)}


def test_stated_bounds_never_move_and_their_people_are_counted() -> None:
    rows = [(f"P{number:03d}", 0, BP, 100.0 + number, None) for number in range(40)]
    for people, fewest in ((40, 10), (35, 5)):
        extremes = Extremes(threshold=11, limits={BP: (40.0, 300.0)}, stated={BP: (112.0, 130.0)})
        extremes.add(events(rows[:people]))
        assert extremes.bounds() == {BP: (112.0, 130.0)} and extremes.fewest() == {BP: fewest}


def test_one_person_with_many_extreme_values_is_one_person() -> None:
    rows = [(f"P{number:03d}", 0, BP, 120.0, None) for number in range(30)]
    rows += [("P000", day, BP, 250.0, None) for day in range(1, 20)]
    assert rules_of(events(rows)).bounds == {BP: (120.0, 120.0)}


def test_values_of_too_few_people_are_missing() -> None:
    rows = [(f"P{number:03d}", 0, BP, 100.0 + number, None) for number in range(15)]
    kept, counts = generalise(events(rows), rules_of(events(rows)))
    assert kept["value"].null_count == counts["values_missing"] == 15


def test_a_value_in_another_unit_than_that_of_the_released_code_is_missing() -> None:
    rows = [(f"P{number:03d}", 0, BP, 100.0 + number, None) for number in range(40)]
    rules, kilo = rules_of(events(rows)), "LOINC/kPa"
    rules = replace(rules, targets={BP: BP, kilo: BP}, units={**rules.units, kilo: ("number", "kPa")})
    kept, counts = generalise(events([("P000", 1, kilo, 115.0, None), ("P000", 2, BP, 115.0, None)]), rules)
    assert kept["value"].to_pylist() == [None, 115.0] and counts["values_missing"] == 1


def test_a_category_of_too_few_people_is_missing() -> None:
    code = "SURVEY/smoking_status"
    rows = [(f"P{number:03d}", 0, code, None, "never" if number < 11 else "current") for number in range(21)]
    kept, counts = generalise(events(rows), rules_of(events(rows)))
    assert set(kept["category"].to_pylist()) == {"never", None}
    assert counts["categories_missing"] == kept["category"].null_count == 10


def test_extremes_of_many_buckets_are_those_of_one() -> None:
    draw = random.Random(1)
    rows = [(f"P{draw.randrange(80):03d}", day, BP, draw.gauss(120, 20), None) for day in range(400)]
    whole, parts = events(rows), Extremes(threshold=11, limits={BP: (40.0, 300.0)})
    for number in range(80):
        parts.add(whole.filter(pa.array([row[0] == f"P{number:03d}" for row in rows])))
    assert parts.bounds() == rules_of(whole).bounds


# -- dates, births and identifiers


def test_dates_of_a_person_move_together_and_intervals_stay() -> None:
    rows = carriers("KCD8/E119", range(12)) + [
        (f"P{number:03d}", number + 7, "KCD8/E119", None, None) for number in range(12)
    ]
    table = events(rows)
    stays = pc.add(table["time"], pa.scalar(timedelta(days=3), pa.duration("us")))
    table = table.set_column(table.schema.get_field_index("end"), table.schema.field("end"), stays)
    released = event_rows(table, rules_of(table), book([f"P{number:03d}" for number in range(12)]))
    assert {row["end"] - row["time"] for row in released.to_pylist()} == {timedelta(days=3)}
    coverage = pa.table(
        {
            "participant_id": ["P003", "P003"],
            "source": ["claims", "survey"],
            "first": [START.date()] * 2,
            "last": [START.date() + timedelta(days=364)] * 2,
        },
        schema=COVERAGE,
    )
    days = coverage_rows(coverage, book([f"P{number:03d}" for number in range(12)]))
    for number in range(12):
        times = [row["time"] for row in released.to_pylist() if row["project_id"] == f"X{number:03d}"]
        assert times[0] - START == timedelta(days=number + 30 + number)
        assert times[1] - times[0] == timedelta(days=7)
    # covered days lose 60 together: the first of all offsets from 1 to 61 that leave the same ones
    assert {row["first"] - START.date() for row in days.to_pylist()} == {timedelta(days=61)}
    assert {row["last"] - row["first"] for row in days.to_pylist()} == {timedelta(days=364 - 60)}


def test_who_knows_the_true_days_of_coverage_finds_an_offset_by_chance_alone() -> None:
    """Everybody is covered from and to one day, with a gap: 61 offsets each leave the same released days."""
    begin = START.date()
    ends = [(begin, begin + timedelta(days=900)), (begin + timedelta(days=1000), begin + timedelta(days=2000))]
    shifts = [shift for shift in range(-366, 367) if shift]
    people = [f"P{shift}" for shift in shifts]
    rows = [(person, "claims", first, last) for person in people for first, last in ends]
    rows += [(person, "survey", begin, begin + timedelta(days=59)) for person in people]  # too short
    columns = zip(*rows, strict=True)
    coverage = pa.table([pa.array(column, f.type) for column, f in zip(columns, COVERAGE, strict=True)], COVERAGE)
    keys = {"participant_id": people, "project_id": people, "date_shift_days": pa.array(shifts, pa.int32())}
    released: dict[str, list[tuple[date, date]]] = {}
    for row in coverage_rows(coverage, pa.table(keys)).to_pylist():
        released.setdefault(row["project_id"], []).append((row["first"], row["last"]))
    fitting = Counter(tuple(intervals) for intervals in released.values())
    assert set(fitting.values()) == {61} and fewest_alike() == 61 and len(released) == len(shifts)
    for shift, person in zip(shifts, people, strict=True):  # each released day was seen, and few are lost
        for (first, last), (true_first, true_last) in zip(released[person], ends, strict=True):
            lost = first - true_first - timedelta(days=shift), true_last + timedelta(days=shift) - last
            assert min(lost) >= timedelta() and sum(lost, timedelta()) == timedelta(days=60)


def test_a_source_has_the_scopes_of_the_code_systems_that_it_knows() -> None:
    systems = {"claims": ["KCD8"], "emr": ["KCD8", "SURVEY"], "survey": ["SURVEY"], "other": ["NONE"], "empty": []}
    both = {"emr": frozenset({"clinical", "lifestyle"})}
    claims, survey = {"claims": frozenset({"clinical"})}, {"survey": frozenset({"lifestyle"})}
    assert scopes_of_sources(systems, DICTIONARY, within={"clinical", "lifestyle"}) == claims | both | survey
    clinical = frozenset({"clinical"})
    assert scopes_of_sources(systems, DICTIONARY, within={"clinical"}) == {"claims": clinical, "emr": clinical}
    assert scopes_of_sources(systems, DICTIONARY, within=()) == {}


def test_coverage_is_that_of_sources_with_a_requested_scope_that_the_participant_has_granted() -> None:
    people, sources = ("P1", "P2", "P3"), ("claims", "emr", "register", "survey")
    rows = [(person, source, START.date(), START.date()) for person in people for source in sources]
    columns = zip(*rows, strict=True)
    days = pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, COVERAGE, strict=True)], schema=COVERAGE
    )
    clinical, lifestyle = frozenset({"clinical"}), frozenset({"lifestyle"})
    requested = {"claims": clinical, "emr": clinical | lifestyle, "survey": lifestyle}  # the register is of neither
    rules = replace(rules_of(events([])), sources=requested)
    denied = {"P2": ["lifestyle"], "P3": ["clinical", "lifestyle"]}
    kept = granted_coverage(days, rules.sources, denied).to_pylist()
    assert [(row["participant_id"], row["source"]) for row in kept] == [
        ("P1", "claims"),
        ("P1", "emr"),
        ("P1", "survey"),
        ("P2", "claims"),
        ("P2", "emr"),
    ]
    assert granted_coverage(days, {}, {}).num_rows == 0


def test_nothing_that_an_institution_wrote_is_released() -> None:
    table = events(carriers("KCD8/E119", range(12)))
    released = event_rows(table, rules_of(table), book([f"P{number:03d}" for number in range(12)]))
    text = repr(released.to_pylist())
    assert not any(word in text for word in ("P00", "Hospital", "E-"))
    assert set(released["institution"].to_pylist()) == {"1"} and set(released["episode"].to_pylist()) == {1}


def test_who_is_not_in_the_book_is_left_out() -> None:
    table = events(carriers("KCD8/E119", range(12)))
    assert event_rows(table, rules_of(table), book(["P001"])).num_rows == 1


def test_the_order_of_members_and_rows_changes_no_byte() -> None:
    table = events(carriers("KCD8/E119", range(12)) + carriers(BP, range(40), value=120.0))
    people = [f"P{number:03d}" for number in range(40)]
    keys = book(people)
    shuffled = table.take(pa.array(random.Random(2).sample(range(table.num_rows), table.num_rows)))
    other = keys.take(pa.array(random.Random(3).sample(range(40), 40)))
    assert event_rows(shuffled, rules_of(shuffled), other).equals(event_rows(table, rules_of(table), keys))


@pytest.mark.parametrize(
    ("year", "band"), [(1960, "1960-1964"), (1964, "1960-1964"), (1936, "1935-1939"), (1901, "1935-1939"), (None, None)]
)
def test_birth_is_a_band_of_five_years_and_90_and_more_is_90(year: int | None, band: str | None) -> None:
    table = events(carriers("KCD8/E119", range(12)))
    assert birth_bands(pa.array([year], pa.int32()), rules_of(table)).to_pylist() == [band]
    persons = pa.table({"participant_id": ["P001"], "sex": ["female"], "birth_year": pa.array([year], pa.int32())})
    rows = person_rows(persons, rules_of(table), book(["P001"])).to_pylist()
    assert rows == [{"project_id": "X000", "sex": "female", "birth": band}]


def test_rules_survive_their_way_to_another_process() -> None:
    rules = rules_of(events(carriers("KCD8/E119", range(12)) + carriers(BP, range(40), value=120.0)))
    assert Rules.from_json(rules.to_json()) == rules
