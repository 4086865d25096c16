"""The values that a release shows: no value of numbers or categories is held by too few participants.

Only the extreme values per code are kept while buckets are read, so memory does not grow with their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Bounds = tuple[float, float]


class Extremes:
    """The values of released codes, bucket by bucket.

    ``limits``: number code -> its plausible range in the dictionary, both ends included (infinite without a bound).
    """

    def __init__(self, *, threshold: int, limits: Mapping[str, Bounds]) -> None:
        self.threshold = threshold
        self.limits = limits
        self._highest: dict[str, Floats] = {}
        self._lowest: dict[str, Floats] = {}
        self._categories: Counter[tuple[str, str]] = Counter()

    def add(self, events: pa.Table) -> None:
        """Add a bucket: ``participant_id``, ``code`` (the released one), ``value``, ``category``.

        All rows of a participant are in one bucket.
        """
        numbers = events.filter(pc.is_valid(events["value"])).select(["participant_id", "code", "value"])
        if numbers.num_rows:
            per_person = numbers.group_by(["participant_id", "code"]).aggregate([("value", "max"), ("value", "min")])
            codes = np.array(per_person["code"].to_numpy(zero_copy_only=False), object)
            highest = per_person["value_max"].to_numpy(zero_copy_only=False)
            lowest = per_person["value_min"].to_numpy(zero_copy_only=False)
            for code in sorted(set(codes.tolist()) & self.limits.keys()):
                low, high = self.limits[code]
                of_code = codes == code
                self._highest[code] = self._kept(self._highest.get(code), np.clip(highest[of_code], low, high), sign=-1)
                self._lowest[code] = self._kept(self._lowest.get(code), np.clip(lowest[of_code], low, high), sign=1)
        texts = events.filter(pc.is_valid(events["category"])).select(["participant_id", "code", "category"])
        pairs = texts.group_by(["participant_id", "code", "category"]).aggregate([])
        counted = pairs.group_by(["code", "category"]).aggregate([("participant_id", "count")])
        for row in counted.to_pylist():  # a row per category of the dictionary
            self._categories[row["code"], row["category"]] += row["participant_id_count"]

    def _kept(self, kept: Floats | None, values: Floats, *, sign: int) -> Floats:
        """Return the ``threshold`` most extreme values: the highest with the ``sign`` -1, the lowest with 1."""
        joined = values if kept is None else np.concatenate([kept, values])
        return sign * np.sort(sign * joined)[: self.threshold]

    def bounds(self) -> dict[str, Bounds]:
        """Return number code -> the lowest and the highest value that are shown; no entry where no value is shown.

        At least ``threshold`` participants have a value at or above the highest, and as many at or below the lowest.
        No value is shown where the participants are too few for two such ends.
        """
        shown: dict[str, Bounds] = {}
        for code, highest in sorted(self._highest.items()):
            lowest = self._lowest[code]
            if len(highest) == self.threshold and lowest[-1] <= highest[-1]:
                shown[code] = (float(lowest[-1]), float(highest[-1]))
        return shown

    def categories(self) -> dict[str, frozenset[str]]:
        """Return code -> the categories of at least ``threshold`` participants."""
        shown: dict[str, set[str]] = {}
        for (code, category), people in self._categories.items():
            if people >= self.threshold:
                shown.setdefault(code, set()).add(category)
        return {code: frozenset(shown[code]) for code in sorted(shown)}
