"""Joint genotypes: each participant's likelihoods under the cohort's allele frequency.

The posterior of k copies is proportional to 10^(-PL_k/10) times the Hardy-Weinberg prior at the snapshot's
frequency (Li 2011, Bioinformatics 27:2987). All arithmetic is on tables of powers and plain products, so
that the same input gives the same bytes on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from baekman.kernels import genotypes as kernel

LIKELIHOOD = np.array([10.0 ** (-pl / 10.0) for pl in range(kernel.MAX_PL + 1)])  # of a phred-scaled value
GQ_LIMITS = np.array([10.0 ** (-gq / 10.0) for gq in range(1, kernel.GQ_STEPS + 1)])  # the largest error of a GQ

# The informative weight of a reference segment by GQ, and of a call row by depth: the probability, in 1/1000, that a
# heterozygote would have shown the allele there. The probability of missing it is 10^(-GQ/10), or 2^-depth.
SEGMENT_WEIGHT = np.array([round(1000 * (1 - 10.0 ** (-gq / 10.0))) for gq in range(100)], np.int64)
ROW_WEIGHT = np.array([round(1000 * (1 - 2.0**-depth)) for depth in range(12)] + [1000], np.int64)


def row_dosage(
    pl: npt.NDArray[np.int32],
    ploidy: npt.NDArray[np.uint8],
    copies: npt.NDArray[np.uint8],
    *,
    joint_ploidy: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.int64]:
    """Return the expected copies in 1/1000 of each call row from its likelihoods alone.

    The prior is 1:2:1, or 1:1 when haploid. ``pl`` is (rows, 3) with -1 for missing; a row without likelihoods counts
    its genotype. ``joint_ploidy`` as in ``joint_rows``.
    """
    out = np.empty(len(pl), np.int64)
    kernel.dosages(pl, ploidy, ploidy if joint_ploidy is None else joint_ploidy, copies, LIKELIHOOD, out)
    return out


def joint_rows(
    pl: npt.NDArray[np.int32],
    ploidy: npt.NDArray[np.uint8],
    copies: npt.NDArray[np.uint8],
    gq: npt.NDArray[np.int16],
    frequency: npt.NDArray[np.float64],
    *,
    joint_ploidy: npt.NDArray[np.uint8] | None = None,
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int16]]:
    """Return the joint copies and joint GQ of call rows; ``frequency`` is the prior of each row's allele.

    ``joint_ploidy`` is the participants' own ploidy, by default ``ploidy``. A diploid row of a participant with one
    copy has 0 or 1 joint copies, by the likelihoods of 0 and of 2 copies. A row without likelihoods keeps its genotype
    and quality; if that is heterozygous and there is one copy, both results are -1.
    """
    out_copies = np.zeros(len(pl), np.int8)
    out_gq = np.zeros(len(pl), np.int16)
    own = ploidy if joint_ploidy is None else joint_ploidy
    kernel.joint_rows(pl, ploidy, own, copies, gq, frequency, LIKELIHOOD, GQ_LIMITS, out_copies, out_gq)
    return out_copies, out_gq


def joint_reference(gq: int, ploidy: int, frequency: float) -> tuple[int, int]:
    """Return the joint copies and GQ where a reference segment of quality ``gq`` is the only evidence.

    Its GQ is the phred likelihood of one copy. The phred likelihood of two copies is twice that, as for independent
    reads.
    """
    return kernel.reference_genotype(gq, ploidy, frequency, LIKELIHOOD, GQ_LIMITS)


def prior_frequency(
    dosage: npt.NDArray[np.int64], weight: npt.NDArray[np.int64], *, pseudocount: float = 0.5
) -> npt.NDArray[np.float64]:
    """Return the frequency of the joint genotypes' prior: expected copies over informative ploidy, pseudo-counted.

    ``dosage`` and ``weight`` are sums in 1/1000 (see ``row_dosage``, ``SEGMENT_WEIGHT``, ``ROW_WEIGHT``).
    """
    copies = dosage / 1000.0
    ploidy = np.maximum(weight / 1000.0, copies)
    return (copies + pseudocount) / (ploidy + 2.0 * pseudocount + 1.0)
