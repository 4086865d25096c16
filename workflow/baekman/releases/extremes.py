"""The values that a release shows: no value of numbers or categories is held by too few participants.

Only the extreme values per code are kept while buckets are read, so memory does not grow with their number.

The lowest and the highest value that are shown are round numbers, or those that the request states. So they do not
follow each person who comes or goes: counted ones move where too few people are left at an end, stated ones never.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Bounds = tuple[float, float]
STEPS = 100  # of a plausible range: the coarsest round numbers are as far apart


class Extremes:
    """The values of released codes, bucket by bucket.

    ``limits``: number code -> its plausible range in the dictionary, both ends included (infinite without a bound).
    ``stated``: number code -> the lowest and the highest value that the request states.
    """

    def __init__(
        self, *, threshold: int, limits: Mapping[str, Bounds], stated: Mapping[str, Bounds] | None = None
    ) -> None:
        self.threshold = threshold
        self.limits = limits
        self.stated = stated or {}
        self._beyond: Counter[tuple[str, int]] = Counter()
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
                if code in self.stated:
                    self._beyond[code, 0] += int((lowest[of_code] <= self.stated[code][0]).sum())
                    self._beyond[code, 1] += int((highest[of_code] >= self.stated[code][1]).sum())
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
        No value is shown where the participants are too few for two such ends. Stated ends are as they are stated.
        """
        shown: dict[str, Bounds] = {}
        for code, highest in sorted(self._highest.items()):
            lowest = self._lowest[code]
            if code in self.stated:
                shown[code] = self.stated[code]
            elif len(highest) == self.threshold and lowest[-1] <= highest[-1]:
                shown[code] = round_ends(float(lowest[-1]), float(highest[-1]), within=self.limits[code])
        return shown

    def fewest(self) -> dict[str, int]:
        """Return code -> the fewest people with a value at or beyond an end, for each code with stated ends."""
        return {code: min(self._beyond[code, 0], self._beyond[code, 1]) for code in sorted(self.stated)}

    def categories(self) -> dict[str, frozenset[str]]:
        """Return code -> the categories of at least ``threshold`` participants."""
        shown: dict[str, set[str]] = {}
        for (code, category), people in self._categories.items():
            if people >= self.threshold:
                shown.setdefault(code, set()).add(category)
        return {code: frozenset(shown[code]) for code in sorted(shown)}


def round_ends(low: float, high: float, *, within: Bounds) -> Bounds:
    """Return the round numbers next to ``low`` and ``high`` that lie between them.

    Their distance is a hundredth of the range ``within``, as 1, 2 or 5 times a power of ten, and of two digits at most.
    Where no such number is between both, tenths and hundredths of it are tried. The last resort are the values.
    """
    for part in (0, 1, 2):
        first, last = (
            _rounded(value, _step(value, within).scaleb(-part), rounding)
            for value, rounding in ((low, ROUND_CEILING), (high, ROUND_FLOOR))
        )
        if first <= last:
            return first, last
    return low, high


def _rounded(value: float, step: Decimal, rounding: str) -> float:
    return float((Decimal(repr(value)) / step).to_integral_value(rounding) * step)


def _step(value: float, within: Bounds) -> Decimal:
    """Return the distance of round numbers near ``value``."""
    steps = [Decimal(1).scaleb(math.floor(math.log10(abs(value))) - 1)] if value else []
    low, high = within
    if math.isfinite(high - low) and high > low:
        width = (high - low) / STEPS
        power = math.floor(math.log10(width))
        steps.append(next(each for each in (Decimal(n).scaleb(power) for n in (1, 2, 5, 10)) if each >= Decimal(width)))
    return min(steps, default=Decimal(1))
