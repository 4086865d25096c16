"""The census of a shard: integer summaries per allele and along the genome, which add up over batches.

AC is additive per allele and AN per position, so the AN of an allele that was never seen before is known for
every old batch without opening it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.columns import allele_ranks, arrow, concat, empty, group_starts, numpy_of, table_of
from baekman.genotypes import ROW_WEIGHT, SEGMENT_WEIGHT, row_dosage
from baekman.kernels import compiled
from baekman.schema import (
    CALLED,
    CENSUS,
    FLAG_CALLED,
    FLAG_GENOTYPED,
    FLAG_POSITION_CALLED,
    FLAG_POSITION_GENOTYPED,
    GQ_BINS,
    STATE_CALLED,
    STATE_MISSING,
)

Array = Any  # a NumPy array inside compiled code

COUNTS = tuple(name for name in CENSUS.names if name not in ("pos", "ref", "alt"))
(
    HET, HOM, HEMI, HET_RAW, HOM_RAW, HEMI_RAW, NAMED, UNCALLED_1, UNCALLED_2, MISSING_1, MISSING_2, QUAL_SUM,
    QUAL_MAX, DP_SUM, DP_N, AD_REF_HET, AD_ALT_HET, DOSAGE, GQ_00,
) = range(19)  # fmt: skip
STEPS = tuple(name for name in CALLED.names if name != "start")


@compiled
def _count_alleles(
    starts: Array, copies: Array, ploidy: Array, gq: Array, dp: Array, ad_ref: Array, ad_alt: Array,
    pl: Array, flags: Array, dosage: Array, out: Array,
) -> None:  # fmt: skip
    for group in range(len(starts)):
        end = starts[group + 1] if group + 1 < len(starts) else len(copies)
        for row in range(starts[group], end):
            called = flags[row] & FLAG_CALLED != 0
            genotyped = flags[row] & FLAG_GENOTYPED != 0
            haploid = ploidy[row] == 1
            if not called and flags[row] & FLAG_POSITION_CALLED:
                out[group, UNCALLED_1 if haploid else UNCALLED_2] += 1
            if not genotyped and flags[row] & FLAG_POSITION_GENOTYPED:
                out[group, MISSING_1 if haploid else MISSING_2] += 1
            carried = copies[row]
            if carried == 0:
                out[group, NAMED] += 1
            elif haploid:
                out[group, HEMI] += called
                out[group, HEMI_RAW] += genotyped
            elif carried == 1:
                out[group, HET] += called
                out[group, HET_RAW] += genotyped
                if called and ad_ref[row] >= 0 and ad_alt[row] >= 0:
                    out[group, AD_REF_HET] += ad_ref[row]
                    out[group, AD_ALT_HET] += ad_alt[row]
            else:
                out[group, HOM] += called
                out[group, HOM_RAW] += genotyped
            if pl[row, 0] >= 0:
                least = pl[row, 0]
                for index in range(1, ploidy[row] + 1):
                    least = min(least, pl[row, index])
                quality = pl[row, 0] - least
                out[group, QUAL_SUM] += quality
                out[group, QUAL_MAX] = max(out[group, QUAL_MAX], quality)
            out[group, DOSAGE] += dosage[row]
            if carried:
                if dp[row] >= 0:
                    out[group, DP_SUM] += dp[row]
                    out[group, DP_N] += 1
                if gq[row] >= 0:
                    out[group, GQ_00 + min(gq[row] // 10, GQ_BINS - 1)] += 1


def count_alleles(calls: pa.Table) -> pa.Table:
    """The census of call rows (schema CALLS, sorted by pos, ref, alt): one row per allele, schema CENSUS."""
    if calls.num_rows == 0:
        return empty(CENSUS)
    pos = numpy_of(calls, "pos")
    rank = allele_ranks(calls.column("ref"), calls.column("alt"))
    starts = group_starts(pos, rank)
    out = np.zeros((len(starts), len(COUNTS)), np.int64)
    copies, ploidy, gq, dp, ad_ref, ad_alt = (
        numpy_of(calls, name) for name in ("copies", "ploidy", "gq", "dp", "ad_ref", "ad_alt")
    )
    pl = np.stack([numpy_of(calls, f"pl_{k}") for k in range(3)], axis=1)
    dosage = row_dosage(pl, ploidy, copies)
    _count_alleles(starts, copies, ploidy, gq, dp, ad_ref, ad_alt, pl, numpy_of(calls, "flags"), dosage, out)
    keys = calls.select(["pos", "ref", "alt"]).take(arrow(starts))
    arrays: dict[str, Any] = {name: keys.column(name).combine_chunks() for name in ("pos", "ref", "alt")}
    arrays.update({name: out[:, index] for index, name in enumerate(COUNTS)})
    return table_of(CENSUS, arrays)


@compiled
def _step_events(
    first: int, segments: tuple[Array, ...], rows: tuple[Array, ...], segment_weight: Array, row_weight: Array,
    samples: int, steps: Array,
) -> None:  # fmt: skip
    """Add +1 and -1 at the borders of everything that is known; ``steps`` is (positions + 1, STEPS)."""
    start, length, gq, ploidy, state = segments
    for index in range(len(start)):
        begin = start[index] - first
        end = begin + length[index]
        one = ploidy[index] == 1
        if state[index] == STATE_CALLED:
            column = 0 if one else 1
            steps[begin, column] += 1
            steps[end, column] -= 1
        if state[index] != STATE_MISSING:
            column = 2 if one else 3
            steps[begin, column] += 1
            steps[end, column] -= 1
        steps[begin, 4] += 1
        steps[end, 4] -= 1
        weight = segment_weight[gq[index]] * (1 if one else 2)
        steps[begin, 5] += weight
        steps[end, 5] -= weight
    sample, pos, row_ploidy, dp, flags = rows
    seen = np.zeros(samples, np.int64)
    for index in range(len(pos)):
        if seen[sample[index]] == pos[index]:
            continue
        seen[sample[index]] = pos[index]
        begin = pos[index] - first
        one = row_ploidy[index] == 1
        if flags[index] & FLAG_POSITION_CALLED:
            column = 0 if one else 1
            steps[begin, column] += 1
            steps[begin + 1, column] -= 1
        if flags[index] & FLAG_POSITION_GENOTYPED:
            column = 2 if one else 3
            steps[begin, column] += 1
            steps[begin + 1, column] -= 1
        steps[begin, 4] += 1
        steps[begin + 1, 4] -= 1
        depth = dp[index]
        weight = row_weight[min(depth, len(row_weight) - 1) if depth >= 0 else len(row_weight) - 1]
        weight *= 1 if one else 2
        steps[begin, 5] += weight
        steps[begin + 1, 5] -= weight


@compiled
def _accumulate(steps: Array) -> int:
    """Turn differences into values in place; returns how many runs of equal values there are."""
    runs = 0
    for at in range(len(steps)):
        changed = at == 0
        for column in range(steps.shape[1]):
            if steps[at, column] != 0:
                changed = True
            if at:
                steps[at, column] += steps[at - 1, column]
        runs += changed
    return runs


@compiled
def _runs(steps: Array, first: int, out_start: Array, out: Array) -> int:
    count = 0
    for at in range(len(steps)):
        changed = count == 0
        if not changed:
            for column in range(steps.shape[1]):
                if steps[at, column] != out[count - 1, column]:
                    changed = True
        if changed:
            out_start[count] = first + at
            for column in range(steps.shape[1]):
                out[count, column] = steps[at, column]
            count += 1
    return count


def _step_table(steps: npt.NDArray[np.int64], first: int) -> pa.Table:
    runs = _accumulate(steps)
    start = np.empty(runs, np.int32)
    out = np.empty((runs, len(STEPS)), np.int64)
    count = _runs(steps, first, start, out)
    arrays: dict[str, Any] = {"start": start[:count]}
    arrays.update({name: out[:count, index] for index, name in enumerate(STEPS)})
    return table_of(CALLED, arrays)


def count_called(calls: pa.Table, reference: pa.Table, *, samples: int) -> pa.Table:
    """How many participants are called, genotyped and covered along a shard, schema CALLED.

    ``calls`` and ``reference`` are one shard of a batch of ``samples`` participants. Before the first ``start``
    and after the last run (which is all zeros) nobody is covered.
    """
    start = numpy_of(reference, "start")
    length = numpy_of(reference, "length")
    pos = numpy_of(calls, "pos")
    if len(start) == 0 and len(pos) == 0:
        return empty(CALLED)
    first = int(min(start.min(initial=2**31 - 2), pos.min(initial=2**31 - 2)))
    ends = start.astype(np.int64) + length
    last = int(max(ends.max(initial=0) - 1, pos.max(initial=0)))
    steps = np.zeros((last - first + 2, len(STEPS)), np.int64)
    segments = (start, length, *(numpy_of(reference, name) for name in ("gq", "ploidy", "state")))
    rows = (numpy_of(calls, "sample"), pos, *(numpy_of(calls, name) for name in ("ploidy", "dp", "flags")))
    _step_events(first, segments, rows, SEGMENT_WEIGHT, ROW_WEIGHT, samples, steps)
    return _step_table(steps, first)


def merge_alleles(censuses: list[pa.Table]) -> pa.Table:
    """Add up censuses (schema CENSUS); the result is sorted by pos, ref, alt."""
    merged = concat([census for census in censuses if census.num_rows], CENSUS)
    if merged.num_rows == 0 or sum(census.num_rows > 0 for census in censuses) == 1:
        return merged
    pos = numpy_of(merged, "pos")
    rank = allele_ranks(merged.column("ref"), merged.column("alt"))
    order = np.lexsort((rank, pos))
    starts = group_starts(pos[order], rank[order])
    keys = merged.select(["pos", "ref", "alt"]).take(arrow(order[starts]))
    arrays: dict[str, Any] = {name: keys.column(name) for name in ("pos", "ref", "alt")}
    for name in COUNTS:
        add = np.maximum.reduceat if name == "qual_max" else np.add.reduceat
        arrays[name] = add(numpy_of(merged, name)[order].astype(np.int64), starts)
    return pa.table(
        [arrow(arrays[f.name]).cast(f.type) if f.name in COUNTS else arrays[f.name] for f in CENSUS],
        schema=CENSUS,
    ).combine_chunks()


@compiled
def _union(starts: Array, other_starts: Array, borders: Array, at: Array, other_at: Array) -> int:
    """All starts of two step functions in order, and which step of each holds there (-1 before the first)."""
    count = 0
    first = 0
    second = 0
    while first < len(starts) or second < len(other_starts):
        if second == len(other_starts) or (first < len(starts) and starts[first] <= other_starts[second]):
            border = starts[first]
        else:
            border = other_starts[second]
        if first < len(starts) and starts[first] == border:
            first += 1
        if second < len(other_starts) and other_starts[second] == border:
            second += 1
        borders[count] = border
        at[count] = first - 1
        other_at[count] = second - 1
        count += 1
    return count


@compiled
def _add_column(values: Array, at: Array, other_values: Array, other_at: Array, out: Array, changed: Array) -> None:
    """The sum of one column at every border; marks where it differs from the border before."""
    for border in range(len(at)):
        total = out.dtype.type(0)
        if at[border] >= 0:
            total += values[at[border]]
        if other_at[border] >= 0:
            total += other_values[other_at[border]]
        out[border] = total
        if border == 0 or total != out[border - 1]:
            changed[border] = True


def _add_called(one: pa.Table, other: pa.Table) -> pa.Table:
    """The sum of two step functions, a column at a time."""
    starts, other_starts = numpy_of(one, "start"), numpy_of(other, "start")
    room = len(starts) + len(other_starts)
    borders, at, other_at = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int32)
    count = _union(starts, other_starts, borders, at, other_at)
    borders, at, other_at = borders[:count], at[:count], other_at[:count]
    changed = np.zeros(count, np.bool_)
    sums = []
    for name in STEPS:
        values = numpy_of(one, name)
        sums.append(np.empty(count, values.dtype))
        _add_column(values, at, numpy_of(other, name), other_at, sums[-1], changed)
    return pa.table([arrow(column[changed]) for column in (borders, *sums)], schema=CALLED)


def merge_called(tables: list[pa.Table]) -> pa.Table:
    """Add up step functions (schema CALLED)."""
    tables = [table for table in tables if table.num_rows]
    # in pairs, and pairs of pairs: the steps of many batches are not gone through once a batch
    while len(tables) > 1:
        added = [_add_called(*pair) for pair in zip(tables[::2], tables[1::2], strict=False)]
        tables = [*added, *tables[2 * len(added) :]]
    return tables[0] if tables else empty(CALLED)


def called_at(called: pa.Table, positions: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.int64]]:
    """The step function's values at 1-based ``positions``, a column each."""
    start = numpy_of(called, "start")
    at = np.searchsorted(start, positions, side="right") - 1
    values: dict[str, npt.NDArray[np.int64]] = {}
    for name in STEPS:
        column = numpy_of(called, name).astype(np.int64)
        values[name] = np.where(at >= 0, column[at] if len(column) else 0, 0)
    return values
