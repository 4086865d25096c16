"""The evidence that decides each position, against a dictionary of positions filled by the rule."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from baekman.cohort.schema import STATE_CALLED, STATE_MISSING, STATE_WEAK
from baekman.gvcf.piece import INTERVAL_COLUMNS
from baekman.kernels.evidence import resolve
from hypothesis import given, settings
from hypothesis import strategies as st

LENGTH = 60
BANDS = [0, 10, 20, 30]


@st.composite
def intervals(draw: Any) -> list[list[int]]:
    """Return the columns of INTERVAL_COLUMNS, sorted by start. A block has one interval, a record several."""
    rows = []
    positions = sorted(draw(st.lists(st.integers(1, LENGTH), max_size=12)))
    for number, pos in enumerate(positions):
        end = min(LENGTH, pos + draw(st.sampled_from([0, 0, 1, 3, 10, 40])))
        is_record = draw(st.booleans())
        cuts = sorted(draw(st.sets(st.integers(pos, end), max_size=2))) if is_record else []
        evidence = [
            draw(st.sampled_from([-1, 0, 5, 12, 19, 20, 25, 45])),
            draw(st.sampled_from([-1, 1, 7, 30])),
            draw(st.integers(1, 2)),
        ]
        state = draw(st.sampled_from([STATE_MISSING, STATE_WEAK, STATE_CALLED]))
        for start, last in pairwise([pos, *(cut + 1 for cut in cuts if cut < end), end + 1]):
            rows.append([start, last - 1, *evidence, draw(st.integers(0, 1)), state, pos if is_record else 0, number])
    return sorted(rows, key=lambda row: row[0])


def decided(intervals: list[list[int]], rows: set[int]) -> dict[int, tuple[int, ...]]:
    """Return (floor of the GQ band, dp, ploidy, other, state) of each position.

    A spanning record decides before a block, then the last start, then the higher GQ, then the first in the file.
    """
    decision = {}
    for position in set(range(1, LENGTH + 1)) - rows:
        touching = [
            (row[7] > 0, row[7] or row[0], row[2], -row[8], number)
            for number, row in enumerate(intervals)
            if row[0] <= position <= row[1]
        ]
        if touching:
            best = intervals[max(touching)[4]]
            floor = max((band for band in BANDS if band <= best[2]), default=0)
            decision[position] = (floor, best[3], best[4], best[5], best[6])
    return decision


def resolved(intervals: list[list[int]], rows: set[int], shard_ends: list[int]) -> list[list[int]]:
    array = np.array(intervals, np.int32).reshape(-1, len(INTERVAL_COLUMNS))
    out = np.empty((2 * len(array) + len(rows) + len(shard_ends) + 1, 7), np.int32)
    band_of = np.array([max(n for n, band in enumerate(BANDS) if band <= gq) for gq in range(100)], np.int32)
    count = resolve(
        array,
        np.array(sorted(rows), np.int32),
        1,
        np.array(shard_ends, np.int32),
        band_of,
        np.array(BANDS, np.int32),
        out,
    )
    return out[:count].tolist()  # type: ignore[no-any-return]


@settings(max_examples=300, deadline=None)
@given(
    intervals=intervals(),
    rows=st.sets(st.integers(1, LENGTH), max_size=6),
    border=st.one_of(st.none(), st.integers(1, LENGTH - 1)),
)
def test_every_position_is_in_the_segment_that_decides_there(
    intervals: list[list[int]], rows: set[int], border: int | None
) -> None:
    ends = [LENGTH] if border is None else [border, LENGTH]
    expected = decided(intervals, rows)
    values: dict[int, tuple[int, ...]] = {}
    depths: dict[int, int] = {}
    segments = resolved(intervals, rows, ends)
    for start, end, gq, dp, ploidy, other, state in segments:
        assert not any(start <= last < end for last in ends)
        for position in range(start, end + 1):
            assert position not in values
            values[position] = (gq, ploidy, other, state)
            depths[position] = dp
        # the depth of a merged segment is the least of its parts
        assert dp == min(expected[position][1] for position in range(start, end + 1))
    assert values == {position: (value[0], *value[2:]) for position, value in expected.items()}
    for before, after in pairwise(segments):
        mergeable = before[1] + 1 == after[0] and before[2] == after[2] and before[4:] == after[4:]
        assert not mergeable or before[1] in ends or (before[3] < 0) != (after[3] < 0)
