"""A set of participants without close relatives among them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


def related_to_others(first: Numbers, second: Numbers, *, people: int) -> npt.NDArray[np.bool_]:
    """Return for each of ``people`` (numbers from 0) whether to set them aside, so that no pair is left together.

    ``first[i]`` and ``second[i]`` are a pair of relatives. Of relatives, those with fewer pairs stay, and of equals
    the smaller number. Everyone set aside has a relative who stays: a maximal independent set by the parallel algorithm
    of Luby, SIAM Journal on Computing 15:1036 (1986), with these priorities.
    """
    pairs = np.bincount(np.concatenate([first, second]), minlength=people)
    rank = np.empty(people, np.int64)
    rank[np.lexsort((np.arange(people), pairs))] = np.arange(people)
    aside = np.zeros(people, np.bool_)
    while len(first):
        lowest = np.full(people, people, np.int64)  # the best rank among the relatives that are undecided
        np.minimum.at(lowest, first, rank[second])
        np.minimum.at(lowest, second, rank[first])
        stays = rank < lowest
        aside[second[stays[first]]] = True
        aside[first[stays[second]]] = True
        open_pairs = ~(aside[first] | aside[second])
        first, second = first[open_pairs], second[open_pairs]
    return aside
