"""Exact tests of Hardy-Weinberg equilibrium for a biallelic locus.

Wigginton, Cutler & Abecasis 2005, "A note on exact tests of Hardy-Weinberg equilibrium", Am J Hum Genet 76:887;
mid-p as in Graffelman & Moreno 2013, Stat Appl Genet Mol Biol 12:433.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from baekman.kernels import compiled

Array = Any  # a NumPy array inside compiled code


@compiled
def _walk(rare: int, people: int, hets: int, observed: float, sums: Array) -> float:
    """Weights of all possible numbers of heterozygotes relative to the most likely; returns that of ``hets``.

    Adds to ``sums``: all weights, those not above ``observed``, and those with ``hets`` or more heterozygotes.
    """
    likeliest = int(rare * (2.0 * people - rare) / (2.0 * people))
    likeliest = min(likeliest + (likeliest ^ rare) % 2, rare)
    seen = 0.0
    for upward in range(2):
        het = likeliest
        hom_rare = (rare - het) // 2
        hom_common = people - het - hom_rare
        weight = 1.0
        while True:
            if het == hets:
                seen = weight
            if not (upward and het == likeliest):
                sums[0] += weight
                if weight <= observed * (1.0 + 1e-9):
                    sums[1] += weight
                if het >= hets:
                    sums[2] += weight
            if upward:
                if het + 2 > rare:
                    break
                weight *= 4.0 * hom_rare * hom_common / ((het + 2.0) * (het + 1.0))
                het += 2
                hom_rare -= 1
                hom_common -= 1
            else:
                if het < 2:
                    break
                weight *= het * (het - 1.0) / (4.0 * (hom_rare + 1.0) * (hom_common + 1.0))
                het -= 2
                hom_rare += 1
                hom_common += 1
            if weight == 0.0:
                break
    return seen


@compiled
def _exact(hets: int, hom_1: int, hom_2: int, mid_p: bool) -> tuple[float, float]:
    rare = 2 * min(hom_1, hom_2) + hets
    people = hets + hom_1 + hom_2
    if people == 0 or rare == 0:
        return 1.0, 1.0
    observed = _walk(rare, people, hets, 0.0, np.zeros(3))
    sums = np.zeros(3)
    _walk(rare, people, hets, observed, sums)
    half = 0.5 * observed if mid_p else 0.0
    return min((sums[1] - half) / sums[0], 1.0), min((sums[2] - half) / sums[0], 1.0)


@compiled
def _exact_all(hom_ref: Array, het: Array, hom_alt: Array, mid_p: bool, p: Array, excess: Array) -> None:
    for site in range(len(het)):
        p[site], excess[site] = _exact(het[site], hom_ref[site], hom_alt[site], mid_p)


def exact_tests(
    hom_ref: npt.NDArray[Any], het: npt.NDArray[Any], hom_alt: npt.NDArray[Any], *, mid_p: bool = False
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """P of Hardy-Weinberg equilibrium (two-sided) and P of so many heterozygotes or more, a value per site.

    ``mid_p`` counts half of the observed configuration only.
    """
    p = np.ones(len(het))
    excess = np.ones(len(het))
    _exact_all(hom_ref.astype(np.int64), het.astype(np.int64), hom_alt.astype(np.int64), mid_p, p, excess)
    return p, excess
