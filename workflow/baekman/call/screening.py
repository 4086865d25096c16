"""The bases of a piece whose reads exclude each ALT: their evidence, without a pileup by bcftools.

At most bases all reads have the reference base, or one read has an error. Their likelihoods, which are those of
``bcftools mpileup`` to the last digit, come from the kernel ``pileup.bases``. The other bases are open: bcftools
piles them up, and a caller decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from baekman.call.callers import Job, reads_of
from baekman.call.reference_blocks import EVIDENCE_LIMIT, Evidence
from baekman.kernels.pileup.bases import Pileup
from baekman.tools.pipes import running

# At least one covered base of so many goes to bcftools too, so that it sees nearly every read: where mates overlap,
# the one changes the qualities of the other.
SAMPLED = 50


@dataclass(frozen=True)
class Screened:
    """The evidence of a piece, 0 at open bases, and which bases bcftools piles up: the open ones and some others."""

    evidence: Evidence
    is_piled: npt.NDArray[np.bool_]


def screen(job: Job, bases: str, *, is_called: npt.NDArray[np.bool_]) -> Screened:
    """Screen the piece of ``job`` and write the bases that bcftools piles up to ``job.piled_bed``.

    ``bases`` are those of the piece in the reference, in capitals; ``is_called`` tells which of them are called.
    Raises ``PipeFailed`` when samtools fails.
    """
    start = job.piece.region.start
    pileup = Pileup(bases.encode("ascii"), start - 1, ploidy=job.piece.ploidy, limit=EVIDENCE_LIMIT)
    with running(reads_of(job)) as reads:
        for block in reads.blocks():
            pileup.feed(block)
        reads.require_success()
    depth, gq, is_open = pileup.finish()
    depth[~is_called] = 0
    is_piled = is_called & (is_open | _sample(is_open, depth))
    # without reads bcftools still writes the header that declares its fields
    job.write_piled(is_piled if is_piled.any() else is_called)
    return Screened(Evidence(start, depth, gq), is_piled)


def _sample(is_open: npt.NDArray[np.bool_], depth: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Return every ``SAMPLED``-th base after an open one, of those with reads."""
    places = np.arange(len(is_open))
    since = places - np.maximum.accumulate(np.where(is_open, places, 0))
    sampled: npt.NDArray[np.bool_] = (since % SAMPLED == 0) & (depth > 0)
    return sampled
