"""Batches that differ from the others in the medians of their participants' measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_BATCHES = 5  # fewer say nothing about what is usual
FLAGGED_FROM = 5.0  # scaled median absolute deviations
LEAST_SPREAD = 0.01  # of the median: smaller differences are no effect, however alike the other batches are


def batch_effects(medians: Sequence[Mapping[str, float | None]]) -> list[dict[str, Any]]:
    """Return for each batch its ``flags`` and its place ``pc1``, ``pc2`` among the batches.

    A measure is flagged where its median is ``FLAGGED_FROM`` or more deviations from the median of the batches. A
    deviation is 1.4826 times the median absolute deviation, at least ``LEAST_SPREAD`` of the median. The places are the
    first two principal components of the deviations. Fewer than ``LEAST_BATCHES`` have no flags and no places.
    """
    nothing: list[dict[str, Any]] = [{"flags": [], "pc1": None, "pc2": None} for _ in medians]
    names = [name for name in (medians[0] if medians else {}) if all(of.get(name) is not None for of in medians)]
    if len(medians) < LEAST_BATCHES or not names:
        return nothing
    deviations = _deviations(np.array([[of[name] for name in names] for of in medians], np.float64))
    centred = deviations - deviations.mean(axis=0)
    left, sizes, right = np.linalg.svd(centred, full_matrices=False)
    signs = np.where(right[np.arange(len(right)), np.abs(right).argmax(axis=1)] < 0, -1.0, 1.0)  # SVD leaves them open
    places = np.zeros((len(medians), 2))
    number = min(2, len(sizes))
    places[:, :number] = (left * sizes * signs)[:, :number]
    return [
        {
            "flags": [name for name, far in zip(names, np.abs(row) >= FLAGGED_FROM, strict=True) if far],
            "pc1": round(float(place[0]), 4),
            "pc2": round(float(place[1]), 4),
        }
        for row, place in zip(deviations, places, strict=True)
    ]


def _deviations(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how many scaled median absolute deviations each value is from its column's median."""
    middle = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - middle), axis=0)
    return np.asarray((values - middle) / np.maximum(np.maximum(spread, LEAST_SPREAD * np.abs(middle)), 1e-9))
