"""The overlap of batches: whether two of them may cover one day, by the spans of their sources alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from baekman.records.batch import read_description
from baekman.records.snapshot import RecordSnapshot
from baekman.records.store import RecordStore

Span = tuple[str, str, str, str]  # source, as_of, first day, last day


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """How the batches of a snapshot, by their place in it, correct each other.

    ``newer``: for each batch the batches that may replace days of it. ``is_tied``: two batches with one ``as_of`` may
    cover a day.
    """

    newer: dict[int, tuple[int, ...]]
    is_tied: bool

    @property
    def is_disjoint(self) -> bool:
        """Return whether no two batches cover a day."""
        return not self.is_tied and not any(self.newer.values())


@lru_cache(maxsize=64)  # snapshots never change
def overlap_of(store: RecordStore, snapshot: RecordSnapshot) -> Overlap:
    """Return how the batches of ``snapshot`` may correct each other; only their descriptions are read."""
    spans = [_spans(store, snapshot, place) for place in range(len(snapshot.batches))]
    newer: dict[int, tuple[int, ...]] = {}
    is_tied = False
    for place, own in enumerate(spans):
        others = []
        for other, theirs in enumerate(spans):
            marks = {(a[1], b[1]) for a in own for b in theirs if other != place and _meet(a, b)}
            is_tied = is_tied or any(mine == their for mine, their in marks)
            if any(mine < their for mine, their in marks):
                others.append(other)
        newer[place] = tuple(others)
    return Overlap(newer=newer, is_tied=is_tied)


def _meet(own: Span, other: Span) -> bool:
    return own[0] == other[0] and own[2] <= other[3] and other[2] <= own[3]


def _spans(store: RecordStore, snapshot: RecordSnapshot, place: int) -> Sequence[Span]:
    merged: dict[tuple[str, str], tuple[str, str]] = {}
    for summary in read_description(store, snapshot.batches[place])["buckets"].values():
        for source, as_of, first, last in summary["spans"]:
            known = merged.get((source, as_of), (first, last))
            merged[source, as_of] = (min(first, known[0]), max(last, known[1]))
    return [(source, as_of, first, last) for (source, as_of), (first, last) in merged.items()]
