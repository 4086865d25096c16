"""The numbers on relatives, components and outliers of a snapshot, for which plink2 has made the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from baekman.arrow import numpy_of
from baekman.cohort.roster import read_roster
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store

MOST_POINTS = 2000  # more people, or pairs, are counted in squares
SQUARES = (4, 40)  # along each axis: the fewest, and the most of a large cohort
MOST_GROUPS = 7  # with a colour of their own
OTHERS = "others"
DEGREES = ("duplicate or twin", "first degree", "second degree", "third degree")
Numbers = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Relatives:
    """The relatedness of a snapshot without the participants who are left out.

    Attributes:
        note: Versions, options and numbers of the computing.
        pairs: ``participant_1 participant_2 kinship degree ibs0``.
        people: ``participant_id PC1 PC2 outlier``.
        types: ``participant_id type``, where types are known.
    """

    note: Mapping[str, Any]
    pairs: pa.Table
    people: pa.Table
    types: pa.Table | None = None


def relatives_numbers(store: Store, snapshot: Snapshot, relatives: Relatives, *, threshold: int) -> Numbers:
    """Return the numbers of the report on ``relatives``.

    Returns:
        ``participants variants candidates components doubts`` and ``outlier_sd`` of the note; ``degrees``: pairs by
        degree; ``pairs``: places of pairs by IBS0 and kinship; ``places``: those of participants by the first two
        components, for each of ``delivery sex type``; ``outliers``: participants by component, and ``named``, their
        IDs, with ``threshold`` 1. Counts below ``threshold`` are None, and no place stands for fewer people or pairs.
    """
    note, people, pairs = relatives.note, relatives.people, relatives.pairs
    groups = _groups(store, snapshot, relatives)
    degree = numpy_of(pairs, "degree")
    counts = np.bincount(degree, minlength=len(DEGREES)).tolist()
    named = people.filter(pc.is_valid(people.column("outlier")))
    texts = named.column("outlier").to_pylist()
    outliers = Counter(value for text in texts for value in text.split(";"))
    return {
        "participants": _shown(people.num_rows, threshold),
        "variants": note["variants"]["used"],
        "candidates": note["variants"]["candidates"],
        "components": note["components"],
        "plink2": note["plink2"],
        "outlier_sd": note["rules"]["outlier_sd"],
        "doubts": note["doubts"],
        "degrees": {name: _shown(count, threshold) for name, count in zip(DEGREES, counts, strict=True)},
        "pairs": places(
            _floats(pairs, "ibs0"),
            _floats(pairs, "kinship"),
            pa.array(DEGREES).take(pa.array(degree.astype(np.int64))),
            threshold=threshold,
        ),
        "places": {
            name: places(_floats(people, "PC1"), _floats(people, "PC2"), column, threshold=threshold)
            for name, column in groups.items()
        }
        if note["components"] >= 2
        else {},
        "outliers": {name: _shown(count, threshold) for name, count in sorted(outliers.items())},
        "named": dict(zip(named.column("participant_id").to_pylist(), texts, strict=True)) if threshold == 1 else {},
    }


def _shown(count: int, threshold: int) -> int | None:
    return count if count >= threshold or not count else None


def _groups(store: Store, snapshot: Snapshot, relatives: Relatives) -> dict[str, pa.Array]:
    """Return delivery, sex and type, if there are any, of each participant of ``relatives``."""
    rosters = [read_roster(store, entry.name)[0].select(["participant_id", "sex"]) for entry in snapshot.batches]
    batches = np.repeat(np.arange(len(rosters)), [roster.num_rows for roster in rosters])
    everyone = pa.concat_tables([roster.replace_schema_metadata(None) for roster in rosters]).combine_chunks()
    ids = relatives.people.column("participant_id").combine_chunks()
    rows = pc.index_in(ids, value_set=everyone.column("participant_id").combine_chunks())
    sexes = everyone.column("sex").combine_chunks().cast(pa.string())
    names = pa.array([entry.name for entry in snapshot.batches], pa.string())
    groups = {
        "delivery": names.take(pa.array(batches)).take(rows),
        "sex": pc.if_else(pc.is_in(sexes, value_set=pa.array(["female", "male"])), sexes, "unknown").take(rows),
    }
    if relatives.types is not None:
        rows = pc.index_in(ids, value_set=relatives.types.column("participant_id").combine_chunks())
        groups["type"] = pc.fill_null(relatives.types.column("type").combine_chunks().take(rows), OTHERS)
    return groups


def places(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], groups: pa.Array, *, threshold: int
) -> dict[str, list[tuple[float, float, int]]]:
    """Return by group the places ``x y count``, largest groups first; smaller ones than ``MOST_GROUPS`` are ``OTHERS``.

    With ``threshold`` 1 and at most ``MOST_POINTS`` each is a place. Else they are counted in squares, and squares with
    fewer than ``threshold`` of a group are left out.
    """
    known = ~(np.isnan(x) | np.isnan(y))
    if not known.any():
        return {}
    x, y, groups = x[known], y[known], groups.filter(pa.array(known))
    counted = sorted(groups.value_counts().to_pylist(), key=lambda row: (-row["counts"], row["values"]))
    large = [row["values"] for row in counted[:MOST_GROUPS]]
    is_point = threshold == 1 and len(x) <= MOST_POINTS
    number = int(np.clip(np.sqrt(len(x) / (3 * threshold)), *SQUARES))
    squares = [_middles(values, number, threshold=threshold) for values in (x, y)] if not is_point else [x, y]
    made: dict[str, list[tuple[float, float, int]]] = {}
    for name in [*large, OTHERS]:
        is_large = pc.is_in(groups, value_set=pa.array(large, pa.string()))
        own = np.asarray(pc.equal(groups, name) if name in large else pc.invert(is_large))
        spots, counts = np.unique(np.stack([each[own] for each in squares], axis=1), axis=0, return_counts=True)
        rows = [
            (round(float(place[0]), 5), round(float(place[1]), 5), int(count))
            for place, count in zip(spots, counts, strict=True)
            if count >= threshold
        ]
        if rows:
            made[name] = rows
    return made


def _middles(values: npt.NDArray[np.float64], number: int, *, threshold: int) -> npt.NDArray[np.float64]:
    """Return the middle of the square of each value, of ``number`` squares.

    They lie between the ``threshold``-th smallest and largest value, so that no end is the value of one person.
    """
    ordered = np.sort(values)
    end = min(threshold, (len(values) + 1) // 2)
    low, high = ordered[end - 1], ordered[-end]
    size = (high - low) / number or 1.0
    return np.asarray(low + (np.clip((values - low) // size, 0, number - 1) + 0.5) * size)


def _floats(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return np.asarray(pc.fill_null(table.column(name), np.nan).combine_chunks().to_numpy(zero_copy_only=False))
