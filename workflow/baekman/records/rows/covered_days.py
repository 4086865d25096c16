"""Covered days: the intervals of participants and sources, and the batch that decides each day.

A day of a participant and a source is covered by some batches. The batches with the newest ``as_of`` decide it. All
work is on arrays; a pair of participant and source and a day are one integer, ``pair << 23 | day``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import arrow, concat, take
from baekman.records.rows.order import codes_of
from baekman.records.schema import COVERAGE, DATED_COVERAGE

Numbers = npt.NDArray[np.int64]

_DAY_BITS = 23
_EPOCH = 1 << 20  # added to days since 1970-01-01, which may be before it
MICROSECONDS_A_DAY = 86_400_000_000
_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class CoveredDays:
    """The coverage of several batches in one bucket, cut where one of them begins or ends.

    ``edges``: the first day of each segment, sorted; a segment lasts until the next edge. ``newest``: the newest
    ``as_of`` on it, in microseconds; ``depth``: the number of batches that cover it, ``winners`` that of the batches
    with the newest ``as_of``.
    """

    participants: pa.Array
    sources: pa.Array
    edges: Numbers
    newest: Numbers
    depth: Numbers
    winners: Numbers

    @property
    def is_disjoint(self) -> bool:
        """Return whether no day of a participant and a source is covered by two batches."""
        return bool((self.depth <= 1).all())

    def pairs_of(self, participants: pa.ChunkedArray, sources: pa.ChunkedArray) -> Numbers:
        """Return the number of each pair; -1 for one that has no coverage."""
        people, places = _numbers_in(participants, self.participants), _numbers_in(sources, self.sources)
        return np.where((people < 0) | (places < 0), -1, people * len(self.sources) + places)

    def segments_of(self, participants: pa.ChunkedArray, sources: pa.ChunkedArray, days: Numbers) -> Numbers:
        """Return the segment of each day of a participant and a source; -1 where no batch covers it."""
        pairs = self.pairs_of(participants, sources)
        segments = np.searchsorted(self.edges, _place(pairs, days), side="right") - 1
        inside = (pairs >= 0) & (segments >= 0)
        inside[inside] = self.depth[segments[inside]] > 0
        return np.where(inside, segments, -1)

    def overlapping(self) -> pa.Array:
        """Return the participants with a day that two batches cover."""
        pairs = np.unique(self.edges[self.depth > 1] >> _DAY_BITS)
        return take(self.participants, np.unique(pairs // max(len(self.sources), 1)))

    def table(self, *, dated: bool) -> pa.Table:
        """Return the covered days as the fewest intervals, sorted: schema COVERAGE, or DATED_COVERAGE if ``dated``."""
        covered = np.flatnonzero(self.depth > 0)
        begins, ends = self.edges[covered], self.edges[covered + 1] if len(covered) else self.edges[covered]
        marks = self.newest[covered] if dated else np.zeros(len(covered), np.int64)
        starts = np.ones(len(covered), np.bool_)
        starts[1:] = (begins[1:] != ends[:-1]) | (marks[1:] != marks[:-1])
        rows = np.flatnonzero(starts)
        finish = np.append(rows[1:], len(covered)) - 1 if len(rows) else rows
        pairs = begins[rows] >> _DAY_BITS
        columns = [
            take(self.participants, pairs // max(len(self.sources), 1)),
            take(self.sources, pairs % max(len(self.sources), 1)),
            _dates(begins[rows]),
            _dates(ends[finish] - 1),
        ]
        if not dated:
            return pa.Table.from_arrays(columns, schema=COVERAGE)
        as_of = arrow(marks[rows]).cast(pa.timestamp("us"))
        return pa.Table.from_arrays([*columns, as_of], schema=DATED_COVERAGE)


def covered_days(coverages: Sequence[pa.Table]) -> CoveredDays:
    """Return the covered days of ``coverages`` (schema DATED_COVERAGE), one of each batch, for one bucket."""
    whole = concat([table for table in coverages if table.num_rows], DATED_COVERAGE)
    people, participants = codes_of(whole.column("participant_id"))
    places, sources = codes_of(whole.column("source"))
    pairs = people * max(len(sources), 1) + places
    begins = _place(pairs, days_of(whole.column("first")))
    ends = _place(pairs, days_of(whole.column("last")) + 1)
    as_of = np.asarray(whole.column("as_of").cast(pa.int64())).astype(np.int64)
    edges = np.unique(np.concatenate([begins, ends]))
    from_edge, to_edge = np.searchsorted(edges, begins), np.searchsorted(edges, ends)
    lengths = to_edge - from_edge
    offsets = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    segments, marks = np.repeat(from_edge, lengths) + offsets, np.repeat(as_of, lengths)
    newest = np.full(len(edges), _NEVER)
    np.maximum.at(newest, segments, marks)
    depth = np.bincount(segments, minlength=len(edges)).astype(np.int64)
    winners = np.bincount(segments[marks == newest[segments]], minlength=len(edges)).astype(np.int64)
    return CoveredDays(participants, sources, edges, newest, depth, winners)


def days_of(column: pa.ChunkedArray) -> Numbers:
    """Return the days since 1970-01-01 of dates or of times."""
    if pa.types.is_date32(column.type):
        return np.asarray(column.cast(pa.int32())).astype(np.int64)
    return np.asarray(column.cast(pa.int64())).astype(np.int64) // MICROSECONDS_A_DAY


def _numbers_in(column: pa.ChunkedArray, texts: pa.Array) -> Numbers:
    """Return the number of each text of ``column`` in ``texts``; -1 for one that is not there."""
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        ranks, distinct = codes_of(column)
        return np.append(_numbers_in(distinct, texts), -1)[ranks]
    return np.asarray(pc.index_in(column, texts).fill_null(-1)).astype(np.int64)


def _place(pairs: Numbers, days: Numbers) -> Numbers:
    return (pairs << _DAY_BITS) | (days + _EPOCH)


def _dates(places: Numbers) -> pa.Array:
    days = (places & ((1 << _DAY_BITS) - 1)) - _EPOCH
    return arrow(days.astype(np.int32)).cast(pa.date32())
