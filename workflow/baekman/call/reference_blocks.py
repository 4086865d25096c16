"""The evidence of reference genotypes, base by base, and the gVCF blocks made from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

Integers = npt.NDArray[np.int32]

# A record stays unless its reads make every genotype with an ALT this much (phred) worse than the reference. The
# HWE prior of a het against the reference, 2f / (1 - f), reverses that only where the ALT's frequency f > 0.9998.
EVIDENCE_LIMIT = 40
GQ_CAP = 99
# Lower borders of the GQ bands. A band is as wide as the effect of one read (3 phred) where that may decide a joint
# genotype, and wider elsewhere. The store's own default bands are among the borders.
GQ_BANDS = (0, 3, 6, 9, 10, 12, 15, 18, 20, 24, 30, 40, 60)
# the input of add_pileup(): bcftools query -f PILEUP_FORMAT
PILEUP_FORMAT = r"%POS\t[%DP\t%PL]\n"
_COLUMNS = ("pos", "dp", "pl")


@dataclass(frozen=True)
class Evidence:
    """Read depth per base from ``start`` (1-based), and GQ of the homozygous reference genotype (0 to 99).

    Depth is 0 where there is no read.
    """

    start: int
    depth: Integers
    gq: Integers


@dataclass(frozen=True)
class Blocks:
    """Stretches (``start`` to ``end``, 1-based, inclusive) without a record, with their smallest GQ and depth.

    They are sorted, and all arrays have an element for each.
    """

    start: Integers
    end: Integers
    gq: Integers
    min_dp: Integers


def homozygous_reference_gq(likelihoods: pa.Array, *, ploidy: int) -> Integers:
    """Return the distance of the best other genotype from the reference in each row, phred, 0 to 99.

    ``likelihoods`` are diploid PLs as text (``0,30,255``, in VCF order, of any number of alleles). With ploidy 1 only
    the homozygous ones count. The distance for d reads of good quality is 10·log10(2)·d: a het shows either allele
    in each read with probability one half.
    """
    lists = pc.split_pattern(likelihoods, ",").combine_chunks()
    values = np.asarray(lists.flatten().cast(pa.int32()))
    offsets = np.asarray(lists.offsets)
    if not len(offsets) - 1:
        return np.empty(0, np.int32)
    within = np.arange(len(values)) - np.repeat(offsets[:-1], np.diff(offsets))
    if ploidy == 1:
        # genotype k/k stands at k(k+3)/2 (VCF 4.3, section 1.6.2)
        k = np.floor((np.sqrt(9 + 8 * within) - 3) / 2 + 0.5).astype(np.int64)
        values = np.where(k * (k + 3) // 2 == within, values, np.iinfo(np.int32).max)
    reference = values[offsets[:-1]]
    others = np.where(within == 0, np.iinfo(np.int32).max, values)
    best_other = np.minimum.reduceat(others, offsets[:-1])
    return np.asarray(np.clip(best_other - reference, 0, GQ_CAP), np.int32)


def add_pileup(evidence: Evidence, pileup: Path, *, ploidy: int) -> int:
    """Set the evidence of the bases in ``bcftools query -f PILEUP_FORMAT`` of a ``bcftools mpileup``.

    Where rows share a position (an indel and its anchor base) the weaker evidence stays.

    Returns:
        The position of the last row; that before ``evidence`` when there is none.
    """
    if pileup.stat().st_size == 0:
        return evidence.start - 1
    table = pyarrow.csv.read_csv(
        pileup,
        read_options=pyarrow.csv.ReadOptions(column_names=list(_COLUMNS)),
        parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={"pos": pa.int32(), "dp": pa.int32(), "pl": pa.string()},
            null_values=["."],
            strings_can_be_null=False,
        ),
    )
    rows = np.asarray(table["pos"].combine_chunks()) - evidence.start
    for values, of_rows in (
        (evidence.depth, np.asarray(table["dp"].combine_chunks())),
        (evidence.gq, homozygous_reference_gq(table["pl"], ploidy=ploidy)),
    ):
        values[rows] = np.iinfo(np.int32).max
        np.minimum.at(values, rows, of_rows)
    return evidence.start + int(rows[-1])


def blocks(evidence: Evidence, *, taken: Iterable[tuple[int, int]], bands: Sequence[int] = GQ_BANDS) -> Blocks:
    """Return the stretches of covered bases outside ``taken`` (1-based, inclusive), each with its GQ in one band."""
    band = np.searchsorted(np.asarray(bands), evidence.gq, side="right").astype(np.int32)
    band[evidence.depth == 0] = -1
    for first, last in taken:
        band[max(0, first - evidence.start) : max(0, last - evidence.start + 1)] = -1
    starts = np.flatnonzero(band != np.concatenate(([-2], band[:-1])))
    if not len(starts):
        nothing = np.empty(0, np.int32)
        return Blocks(nothing, nothing, nothing, nothing)
    ends = np.append(starts[1:], len(band)) - 1
    kept = band[starts] >= 0
    return Blocks(
        start=(starts[kept] + evidence.start).astype(np.int32),
        end=(ends[kept] + evidence.start).astype(np.int32),
        gq=np.minimum.reduceat(evidence.gq, starts)[kept],
        min_dp=np.minimum.reduceat(evidence.depth, starts)[kept],
    )
