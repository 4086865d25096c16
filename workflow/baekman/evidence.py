"""Which evidence decides each position of one participant: compiled sweeps over one contig's rows and intervals.

A record that starts at a position decides it (its call row), then a record that spans it, then a block. Among
equals the one that starts last decides, then the one of higher quality, then the first in the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from baekman.gvcf_kernel import I_DP, I_END, I_GQ, I_OTHER, I_PLOIDY, I_SPANS, I_START, I_STATE
from baekman.gvcf_rows import R_ALT_END, R_FLAGS, R_GQ, R_PL_0, R_PL_1, R_PL_2, R_PLOIDY, R_POS, R_QUALITY, R_REF_END
from baekman.kernels import compiled
from baekman.schema import MISSING, POSITION_FLAGS

Array = Any  # a NumPy array inside compiled code

SEGMENT_COLUMNS = ("start", "end", "gq", "dp", "ploidy", "other", "state")


@compiled
def settle_rows(rows: Array, order: Array, ref_pool: Array, alt_pool: Array, keep: Array) -> int:
    """Settle what several records of one participant say of one position.

    ``order`` sorts ``rows`` by position, stably. Of two rows with the same allele the one of higher quality
    (QUAL, then GQ, then the first) is kept; all rows of a position learn the flags of the best of its records
    (``POSITION_FLAGS``) and share the highest ploidy. Writes ``keep`` and returns the number of rows that were
    dropped.
    """
    dropped = 0
    first = 0
    while first < len(order):
        last = first + 1
        while last < len(order) and rows[order[last], R_POS] == rows[order[first], R_POS]:
            last += 1
        for at in range(first, last):
            row = order[at]
            keep[row] = True
            for before in range(first, at):
                other = order[before]
                if not keep[other]:
                    continue
                if not _same_string(ref_pool, rows, R_REF_END, row, other):
                    continue
                if not _same_string(alt_pool, rows, R_ALT_END, row, other):
                    continue
                better = rows[row, R_QUALITY] > rows[other, R_QUALITY] or (
                    rows[row, R_QUALITY] == rows[other, R_QUALITY] and rows[row, R_GQ] > rows[other, R_GQ]
                )
                keep[other if better else row] = False
                dropped += 1
                break
        flags = 0
        ploidy = 0
        for at in range(first, last):
            if keep[order[at]]:
                flags |= rows[order[at], R_FLAGS]
                ploidy = max(ploidy, rows[order[at], R_PLOIDY])
        for at in range(first, last):
            row = order[at]
            rows[row, R_FLAGS] |= flags << POSITION_FLAGS
            if rows[row, R_PLOIDY] != ploidy:
                # likelihoods of a haploid genotype say nothing of a diploid one
                rows[row, R_PLOIDY] = ploidy
                rows[row, R_PL_0] = rows[row, R_PL_1] = rows[row, R_PL_2] = MISSING
        first = last
    return dropped


@compiled
def _same_string(pool: Array, rows: Array, column: int, row: int, other: int) -> bool:
    row_start = rows[row - 1, column] if row else 0
    other_start = rows[other - 1, column] if other else 0
    size = rows[row, column] - row_start
    if rows[other, column] - other_start != size:
        return False
    for index in range(size):
        if pool[row_start + index] != pool[other_start + index]:
            return False
    return True


@compiled
def gather_strings(pool: Array, rows: Array, column: int, chosen: Array, offsets: Array, out: Array) -> int:
    """Copy the strings of the rows ``chosen`` to ``out``; ``offsets`` (one more than rows) says where each is."""
    filled = 0
    offsets[0] = 0
    for index in range(len(chosen)):
        row = chosen[index]
        start = rows[row - 1, column] if row else 0
        for at in range(start, rows[row, column]):
            if filled < len(out):
                out[filled] = pool[at]
            filled += 1
        offsets[index + 1] = filled
    return filled


@compiled
def resolve(
    intervals: Array, row_positions: Array, shard_ends: Array, band_of: Array, band_floor: Array, out: Array
) -> int:
    """Resolve overlapping intervals into segments that tell each position once.

    ``intervals`` are sorted by start. Positions in ``row_positions`` (sorted, unique) are left out: call rows
    decide there. Segments are cut at ``shard_ends`` (1-based inclusive), and neighbours that agree in GQ band,
    ploidy, other copies and state are merged: GQ becomes the floor of its band, depth the least. Writes
    ``SEGMENT_COLUMNS`` to ``out`` and returns how many.
    """
    count = 0
    row_at = 0
    shard = 0
    active = np.empty(1024, np.int64)
    actives = 0
    position: Any = 1
    total = len(intervals)
    for index in range(total + 1):
        until = intervals[index, I_START] if index < total else np.int64(1) << 40
        # tell everything before the next start
        while position < until:
            alive = 0
            best = -1
            for at in range(actives):
                candidate = active[at]
                if intervals[candidate, I_END] < position:
                    continue
                active[alive] = candidate
                alive += 1
                if best < 0 or _decides(intervals, candidate, best):
                    best = candidate
            actives = alive
            if best < 0:
                position = until
                break
            end = min(intervals[best, I_END], until - 1)
            while position <= end:
                while row_at < len(row_positions) and row_positions[row_at] < position:
                    row_at += 1
                if row_at < len(row_positions) and row_positions[row_at] == position:
                    position += 1
                    continue
                while shard_ends[shard] < position:
                    shard += 1
                stop = min(end, shard_ends[shard])
                if row_at < len(row_positions):
                    stop = min(stop, row_positions[row_at] - 1)
                gq = intervals[best, I_GQ]
                band = band_of[gq] if gq >= 0 else -1
                floor = band_floor[band] if band >= 0 else 0
                dp = intervals[best, I_DP]
                if (
                    count
                    and out[count - 1, 1] == position - 1
                    and out[count - 1, 2] == floor
                    and out[count - 1, 4] == intervals[best, I_PLOIDY]
                    and out[count - 1, 5] == intervals[best, I_OTHER]
                    and out[count - 1, 6] == intervals[best, I_STATE]
                    and (out[count - 1, 3] < 0) == (dp < 0)
                    and (shard == 0 or shard_ends[shard - 1] != position - 1)
                ):
                    out[count - 1, 1] = stop
                    out[count - 1, 3] = min(out[count - 1, 3], dp)
                else:
                    out[count, 0] = position
                    out[count, 1] = stop
                    out[count, 2] = floor
                    out[count, 3] = dp
                    out[count, 4] = intervals[best, I_PLOIDY]
                    out[count, 5] = intervals[best, I_OTHER]
                    out[count, 6] = intervals[best, I_STATE]
                    count += 1
                position = stop + 1
        if index < total:
            if actives == len(active):
                bigger = np.empty(2 * len(active), np.int64)
                bigger[:actives] = active
                active = bigger
            active[actives] = index
            actives += 1
    return count


@compiled
def _decides(intervals: Array, candidate: int, best: int) -> bool:
    """Whether ``candidate``, which stands behind ``best`` in the file, decides before it."""
    if intervals[candidate, I_SPANS] != intervals[best, I_SPANS]:
        return intervals[candidate, I_SPANS] > intervals[best, I_SPANS]
    if intervals[candidate, I_START] != intervals[best, I_START]:
        return intervals[candidate, I_START] > intervals[best, I_START]
    return intervals[candidate, I_GQ] > intervals[best, I_GQ]
