"""The participants of a snapshot by type and sex, as the registry has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from baekman.cohort.index import find_batches
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.report.cohort.small_cells import hidden

Types = Counter[tuple[str, str]]


def count_types(
    pages: Iterable[Sequence[tuple[str, str, str]]], store: Store, snapshot: Snapshot, *, without: Collection[str]
) -> Types:
    """Return the number of participants of ``snapshot`` by type and sex, except those in ``without``.

    ``pages``: participant ID, type and sex of people who may or may not be in the snapshot, some at a time.
    """
    counts: Types = Counter()
    for page in pages:
        members = find_batches(store, [participant_id for participant_id, _, _ in page], at=snapshot)
        counts.update((kind, sex) for person, kind, sex in page if person in members and person not in without)
    return counts


def shown_types(counts: Types, sexes: Mapping[str, int | None], *, threshold: int) -> dict[str, dict[str, int | None]]:
    """Return ``counts`` by type and sex, None where they are hidden.

    Totals by sex are known, so each sex is judged by itself; where its total is hidden, all its counts are.
    """
    types = sorted({kind for kind, _ in counts})
    table: dict[str, dict[str, int | None]] = {kind: {} for kind in types}
    for sex, total in sexes.items():
        small = hidden({kind: counts[kind, sex] for kind in types}, threshold=threshold)
        for kind in types:
            count = counts[kind, sex]
            table[kind][sex] = None if count and (total is None or kind in small) else count
    return table
