"""The numbers of the report on a snapshot, put together from its shards and batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from baekman.cohort.snapshot import Snapshot, no_snapshot, reading
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.report.cohort.batch_effects import batch_effects
from baekman.report.cohort.people import EDGES, MEASURES, BatchPeople, people_of_batch, percentile
from baekman.report.cohort.small_cells import THRESHOLD, hidden
from baekman.report.cohort.types import Types, shown_types
from baekman.report.cohort.variants import Variants, variants_of_shard
from baekman.workspace.paths import Workspace

SCHEMA_VERSION = "1"
PERCENTS = (5, 25, 50, 75, 95)
PARTS = 30  # of a distribution
Numbers = dict[str, Any]


def cohort_numbers(
    store: Store,
    snapshot: Snapshot,
    *,
    without: Collection[str],
    threshold: int = THRESHOLD,
    types: Types | None = None,
    institutions: Mapping[str, str] | None = None,
    engine: Engine | None = None,
) -> Numbers:
    """Return every number of the report on ``snapshot``.

    Each shard and each batch is a task of its own, so memory does not grow with the cohort. Participants in ``without``
    are not counted, except in the numbers of variants, which are those of the snapshot's sites. ``types``: the
    participants by type and sex (``count_types``), where they are known. ``institutions``: the institution of each
    batch, where it is known; numbers stand for the names. ``threshold`` 1 hides nothing: for operators.

    Returns:
        ``snapshot participants left_out sexes types batches institutions variants measures relatedness`` and
        ``threshold``; ``relatedness`` is None: ``relatives_numbers`` returns its numbers where it is computed. Counts
        of fewer than ``threshold`` people are None, and so is what would give them away (``small_cells``). A
        percentile is None where fewer people are at or beyond it. A batch of fewer people has no medians.

    Raises InputRefused for a cohort without a batch.
    """
    home = None if store.is_bare else Workspace(store.workspace)
    if snapshot.number == 0:
        raise no_snapshot()
    batches = [entry.name for entry in snapshot.batches]
    with reading(store, snapshot), (engine or Engine()).open() as map_tasks:
        shards = map_tasks("variants", partial(variants_of_shard, store, snapshot), len(store.shards))
        people: Sequence[BatchPeople] = map_tasks(
            "participants", partial(_people, store, snapshot, batches, frozenset(without), home), len(batches)
        )
    variants = Variants()
    for shard in shards:
        variants.add(shard)
    total = sum(of.participants for of in people)
    numbered = _numbered(institutions or {}, batches)
    left_out = snapshot.participants - total
    sexes = _sexes(people, threshold=threshold)
    return {
        "schema": SCHEMA_VERSION,
        "snapshot": snapshot.number,
        "threshold": threshold,
        "participants": total if total >= threshold or not total else None,
        "left_out": left_out if left_out >= threshold or not left_out else None,
        "sexes": sexes,
        "types": shown_types(types or Counter(), sexes, threshold=threshold),
        "batches": _batches(people, numbered, threshold=threshold),
        "institutions": _institutions(people, numbered, threshold=threshold),
        "variants": variants.to_json(),
        "measures": {measure: _measure(people, measure, threshold=threshold) for measure in MEASURES},
        "relatedness": None,
    }


def _people(
    store: Store,
    snapshot: Snapshot,
    batches: Sequence[str],
    without: Collection[str],
    workspace: Workspace | None,
    number: int,
) -> BatchPeople:
    return people_of_batch(store, snapshot, batches[number], without=without, workspace=workspace)


def _sexes(people: Sequence[BatchPeople], *, threshold: int) -> dict[str, int | None]:
    """Return the number of participants by sex."""
    sexes: Counter[str] = Counter()
    for of in people:
        sexes.update(of.sexes)
    small = hidden(sexes, threshold=threshold)
    return {sex: None if sex in small else sexes[sex] for sex in ("female", "male", "unknown")}


def _numbered(institutions: Mapping[str, str], batches: Sequence[str]) -> dict[str, int]:
    """Return a number for the institution of each batch, in the order of their first batches."""
    numbers: dict[str, int] = {}
    return {
        batch: numbers.setdefault(institutions[batch], len(numbers) + 1) for batch in batches if batch in institutions
    }


def _institutions(people: Sequence[BatchPeople], numbered: Mapping[str, int], *, threshold: int) -> list[Numbers]:
    """Return the rows of the institutions; their medians are the medians of their batches with enough people."""
    rows: list[Numbers] = []
    medians: list[dict[str, float | None]] = []
    for number in sorted(set(numbered.values())):
        own = [of for of in people if numbered.get(of.batch) == number]
        rows.append({"institution": number, "batches": len(own), "participants": sum(of.participants for of in own)})
        large = [of.medians for of in own if of.participants >= threshold]
        known = {name: [v for of in large if (v := of.get(name)) is not None] for name in (large[0] if large else {})}
        medians.append({name: float(np.median(values)) if values else None for name, values in known.items()})
    compared = [place for place, of in enumerate(medians) if of]
    effects = dict(zip(compared, batch_effects([medians[place] for place in compared]), strict=True))
    small = hidden({str(row["institution"]): row["participants"] for row in rows}, threshold=threshold)
    for place, row in enumerate(rows):
        row["flags"] = effects[place]["flags"] if place in effects else []
        row["participants"] = None if str(row["institution"]) in small else row["participants"]
    return rows


def _batches(people: Sequence[BatchPeople], numbered: Mapping[str, int], *, threshold: int) -> list[Numbers]:
    """Return the rows of the batches in the order in which the snapshot lists them."""
    small = hidden({of.batch: of.participants for of in people}, threshold=threshold)
    rows: list[Numbers] = [
        {
            "batch": of.batch,
            "institution": numbered.get(of.batch),
            "participants": None if of.batch in small else of.participants,
            "medians": of.medians if of.participants >= threshold else {},
            **{"flags": [], "pc1": None, "pc2": None},
        }
        for of in people
    ]
    compared = [row for row in rows if row["medians"]]
    for row, effect in zip(compared, batch_effects([row["medians"] for row in compared]), strict=True):
        row |= effect
    return rows


def _measure(people: Sequence[BatchPeople], measure: str, *, threshold: int) -> Numbers:
    """Return the percentiles of a measure, and its distribution in ``PARTS`` parts between the outer percentiles."""
    histogram = np.zeros(len(EDGES[measure]) - 1, np.int64)
    for of in people:
        histogram += of.histograms[measure]
    total = int(histogram.sum())
    percents = {
        f"p{percent}": percentile(histogram, measure, percent)
        if total * min(percent, 100 - percent) >= threshold * 100 or (threshold == 1 and total)
        else None
        for percent in PERCENTS
    }
    filled = np.flatnonzero(histogram)
    if not len(filled):
        return {"participants": 0, **percents, "distribution": []}
    edges = EDGES[measure]
    step = max(1, -(-(filled[-1] + 1 - filled[0]) // PARTS))
    parts: list[Numbers] = [
        {
            "from": round(float(edges[place]), 4),
            "to": round(float(edges[min(place + step, len(edges) - 1)]), 4),
            "participants": int(histogram[place : place + step].sum()),
        }
        for place in range(filled[0], filled[-1] + 1, step)
    ]
    for part in parts:
        if 0 < part["participants"] < threshold:
            part["participants"] = None
    return {"participants": total if total >= threshold else None, **percents, "distribution": parts}
