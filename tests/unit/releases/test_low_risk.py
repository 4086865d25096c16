"""Rows of ``low_risk``: k by an oracle, and what two thresholds may differ in."""

from __future__ import annotations

import random
from collections import Counter

import pyarrow as pa
import pytest
from baekman.releases.low_risk import group_sizes, number_bands, row_schema, suppressed
from hypothesis import given, settings
from hypothesis import strategies as st

CODES = ("KCD8/E11", "LOINC/8480-6", "SURVEY/smoking_status")
SCHEMA = row_schema(CODES, key="participant_id")
NAMES = SCHEMA.names[1:]


def people(count: int, *, seed: int, values: int = 4) -> pa.Table:
    """Return a row each for ``count`` people, with few frequent and some rare values."""
    draw = random.Random(seed)
    weights = [2.0**-place for place in range(values)]
    cells = [None, *map(str, range(values - 1))]
    columns = [[f"P{number:05d}" for number in range(count)]]
    columns += [draw.choices(cells, weights, k=count) for _ in NAMES]
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=SCHEMA)


def shown(table: pa.Table, *, threshold: int) -> tuple[list[tuple[str | None, ...]], dict[str, int]]:
    with suppressed([table], schema=SCHEMA, threshold=threshold) as (relation, counts):
        return relation.fetchall(), dict(counts)


@pytest.mark.parametrize("seed", range(3))
def test_k_is_that_of_an_independent_library(seed: int) -> None:
    anonymity = pytest.importorskip("pycanon.anonymity")
    rows, _ = shown(people(400, seed=seed), threshold=11)
    frame = pa.table(list(map(list, zip(*rows, strict=True))), names=SCHEMA.names).to_pandas().fillna("missing")
    assert anonymity.k_anonymity(frame, NAMES) >= 11


@given(st.integers(11, 60), st.integers(0, 1 << 16), st.sampled_from([2, 3, 11]))
@settings(max_examples=4, deadline=None)
def test_no_combination_is_held_by_fewer_than_the_threshold(count: int, seed: int, threshold: int) -> None:
    table = people(count, seed=seed, values=6)
    rows, counts = shown(table, threshold=threshold)
    assert min(Counter(row[1:] for row in rows).values()) >= threshold
    before = [tuple(row.values()) for row in table.to_pylist()]
    assert [row[0] for row in rows] == [row[0] for row in before]
    for number, name in enumerate(NAMES, start=1):
        lost = [(old[number], new[number]) for old, new in zip(before, rows, strict=True) if old[number] != new[number]]
        assert {new for _, new in lost} <= {None} and counts[name] == len(lost)


def test_fewer_people_than_the_threshold_show_nothing() -> None:
    rows, _ = shown(people(10, seed=1), threshold=11)
    assert {row[1:] for row in rows} == {(None,) * len(NAMES)}


def test_the_order_of_rows_changes_nothing() -> None:
    table = people(200, seed=7)
    shuffled = table.take(pa.array(random.Random(1).sample(range(200), 200)))
    with suppressed([shuffled.slice(0, 90), shuffled.slice(90)], schema=SCHEMA, threshold=11) as (relation, counts):
        assert (relation.fetchall(), dict(counts)) == shown(table, threshold=11)


def test_two_thresholds_differ_only_where_a_group_is_between_them() -> None:
    """In rows that are alike in the columns before, more people never show less, and large groups stay."""
    table = people(300, seed=3)
    low, high = shown(table, threshold=11)[0], shown(table, threshold=20)[0]
    for place in range(1, len(SCHEMA.names)):
        alike = [number for number in range(300) if low[number][1:place] == high[number][1:place]]
        prefixes = Counter(low[number][1:place] for number in alike)
        whole = {prefix for prefix, size in Counter(row[1:place] for row in low).items() if prefixes[prefix] == size}
        for number in alike:
            if low[number][1:place] in whole and high[number][place] is not None:
                assert low[number][place] == high[number][place]
    assert low != high


def test_bands_of_numbers_come_from_the_dictionary_alone() -> None:
    values = pa.array([89.9, 120.0, None, 260.0])
    assert number_bands(values, low=40, high=300).to_pylist() == ["80-100", "120-140", None, "260-280"]
    assert number_bands(values, low=None, high=300).to_pylist() == [None] * 4


def test_the_group_sizes_is_counted_over_missing_values_too() -> None:
    with suppressed([people(100, seed=2)], schema=SCHEMA, threshold=11) as (relation, _):
        assert group_sizes(relation, NAMES)[0] >= 11
