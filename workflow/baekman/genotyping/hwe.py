"""Exact tests of Hardy-Weinberg equilibrium for a biallelic locus.

Wigginton, Cutler & Abecasis 2005, "A note on exact tests of Hardy-Weinberg equilibrium", Am J Hum Genet 76:887;
mid-p as in Graffelman & Moreno 2013, Stat Appl Genet Mol Biol 12:433.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from baekman.kernels import hwe as kernel


def exact_tests(
    hom_ref: npt.NDArray[Any], het: npt.NDArray[Any], hom_alt: npt.NDArray[Any], *, mid_p: bool = False
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return P of Hardy-Weinberg equilibrium (two-sided) and P of as many heterozygotes or more, a value per site.

    ``mid_p`` counts half of the observed configuration only.
    """
    p = np.empty(len(het))
    excess = np.empty(len(het))
    kernel.exact_tests(hom_ref.astype(np.int64), het.astype(np.int64), hom_alt.astype(np.int64), mid_p, p, excess)
    return p, excess
