"""Joint genotypes: each participant's likelihoods under the cohort's allele frequency.

The posterior of k copies is proportional to 10^(-PL_k/10) times the Hardy-Weinberg prior at the snapshot's
frequency (Li 2011, Bioinformatics 27:2987). All arithmetic is on tables of powers and plain products, so
that the same input gives the same bytes on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from baekman.kernels import compiled

Array = Any  # a NumPy array inside compiled code

MAX_PL = 2000
LIKELIHOOD = np.array([10.0 ** (-pl / 10.0) for pl in range(MAX_PL + 1)])  # of a phred-scaled value
GQ_LIMITS = np.array([10.0 ** (-gq / 10.0) for gq in range(1, 100)])  # error probability below which GQ holds

# How much a reference segment of a GQ, and a call row of a depth, tells of whether the allele is there: the
# chance that a heterozygote would have shown it, in 1/1000. 10^(-GQ/10) is that of missing it; 2^-depth too.
SEGMENT_WEIGHT = np.array([round(1000 * (1 - 10.0 ** (-gq / 10.0))) for gq in range(100)], np.int64)
ROW_WEIGHT = np.array([round(1000 * (1 - 2.0**-depth)) for depth in range(12)] + [1000], np.int64)


@compiled
def _dosage(pl: Array, ploidy: Array, copies: Array, likelihood: Array, out: Array) -> None:
    for row in range(len(pl)):
        if pl[row, 0] < 0:
            out[row] = 1000 * copies[row]
            continue
        least = pl[row, 0]
        for k in range(1, ploidy[row] + 1):
            least = min(least, pl[row, k])
        total = 0.0
        expected = 0.0
        for k in range(ploidy[row] + 1):
            weight = likelihood[min(pl[row, k] - least, MAX_PL)]
            if ploidy[row] == 2 and k == 1:
                weight *= 2.0
            total += weight
            expected += k * weight
        out[row] = np.int64(1000.0 * expected / total + 0.5)


def row_dosage(
    pl: npt.NDArray[np.int32], ploidy: npt.NDArray[np.uint8], copies: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64]:
    """Expected copies in 1/1000 of each call row from its likelihoods alone (prior 1:2:1, or 1:1 when haploid).

    ``pl`` is (rows, 3) with -1 for missing; a row without likelihoods counts its genotype.
    """
    out = np.empty(len(pl), np.int64)
    _dosage(pl, ploidy, copies, LIKELIHOOD, out)
    return out


@compiled
def posterior(l_0: float, l_1: float, l_2: float, ploidy: int, frequency: float, limits: Array) -> tuple[int, int]:
    """Most probable number of copies and its phred-scaled quality (0 to 99) from likelihoods and frequency."""
    if ploidy == 1:
        p_0 = l_0 * (1.0 - frequency)
        p_1 = l_1 * frequency
        p_2 = 0.0
    else:
        p_0 = l_0 * ((1.0 - frequency) * (1.0 - frequency))
        p_1 = l_1 * (2.0 * frequency * (1.0 - frequency))
        p_2 = l_2 * (frequency * frequency)
    total = p_0 + p_1 + p_2
    if not total > 0.0:
        return 0, 0
    copies = 0
    best = p_0
    rest = p_1 + p_2
    if p_1 > best:
        copies = 1
        best = p_1
        rest = p_0 + p_2
    if p_2 > best:
        copies = 2
        rest = p_0 + p_1
    error = rest / total
    # the largest GQ whose limit the error does not exceed
    low = 0
    high = len(limits)
    while low < high:
        middle = (low + high) // 2
        if error <= limits[middle]:
            low = middle + 1
        else:
            high = middle
    return copies, low


@compiled
def _joint_rows(
    pl: Array, ploidy: Array, copies: Array, gq: Array, frequency: Array, likelihood: Array, limits: Array,
    out_copies: Array, out_gq: Array,
) -> None:  # fmt: skip
    for row in range(len(pl)):
        if pl[row, 0] < 0:
            out_copies[row] = copies[row]
            out_gq[row] = max(gq[row], 0)
            continue
        least = pl[row, 0]
        for k in range(1, ploidy[row] + 1):
            least = min(least, pl[row, k])
        l_0 = likelihood[min(pl[row, 0] - least, MAX_PL)]
        l_1 = likelihood[min(pl[row, 1] - least, MAX_PL)]
        l_2 = likelihood[min(pl[row, 2] - least, MAX_PL)] if ploidy[row] == 2 else 0.0
        out_copies[row], out_gq[row] = posterior(l_0, l_1, l_2, ploidy[row], frequency[row], limits)


def joint_rows(
    pl: npt.NDArray[np.int32],
    ploidy: npt.NDArray[np.uint8],
    copies: npt.NDArray[np.uint8],
    gq: npt.NDArray[np.int16],
    frequency: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
    """Joint copies and joint GQ of call rows; ``frequency`` is the prior of each row's allele.

    A row without likelihoods keeps its genotype and quality.
    """
    out_copies = np.zeros(len(pl), np.uint8)
    out_gq = np.zeros(len(pl), np.int16)
    _joint_rows(pl, ploidy, copies, gq, frequency, LIKELIHOOD, GQ_LIMITS, out_copies, out_gq)
    return out_copies, out_gq


@compiled
def joint_reference(gq: int, ploidy: int, frequency: float, likelihood: Array, limits: Array) -> tuple[int, int]:
    """Joint copies and GQ where only a reference segment of quality ``gq`` speaks.

    Its GQ is the phred likelihood of one copy; of two copies twice that, as if each read spoke alone.
    """
    one = likelihood[gq]
    return posterior(1.0, one, one * one, ploidy, frequency, limits)


def prior_frequency(
    dosage: npt.NDArray[np.int64], weight: npt.NDArray[np.int64], *, pseudocount: float = 0.5
) -> npt.NDArray[np.float64]:
    """The frequency of the joint genotypes' prior: expected copies over informative ploidy, pseudo-counted.

    ``dosage`` and ``weight`` are sums in 1/1000 (see ``row_dosage``, ``SEGMENT_WEIGHT``, ``ROW_WEIGHT``).
    """
    copies = dosage / 1000.0
    ploidy = np.maximum(weight / 1000.0, copies)
    return (copies + pseudocount) / (ploidy + 2.0 * pseudocount + 1.0)
