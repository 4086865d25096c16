"""The census of a shard: integer summaries per allele and along the genome, which add up over batches.

AC is additive per allele and AN per position. So the AN of a new allele is known for every old batch without opening
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import allele_ranks, arrow, concat, empty, filtered, group_starts, numpy_of, table_of, take
from baekman.cohort.schema import CALLED, CENSUS
from baekman.genome.ploidy import one_copy_in_males, own_ploidy
from baekman.genome.regions import Region
from baekman.genotyping.joint import ROW_WEIGHT, SEGMENT_WEIGHT, row_dosage
from baekman.kernels import census as kernel

COUNTS = tuple(name for name in CENSUS.names if name not in ("pos", "ref", "alt"))
STEPS = tuple(name for name in CALLED.names if name != "start")
CALLED_BY = ("sample", "pos", "ploidy", "dp", "flags")  # the columns of call rows that ``count_called`` reads


@dataclass(frozen=True, kw_only=True)
class Males:
    """The males of a batch: they have one copy of X and Y outside the PARs, whatever ploidy they were called with.

    ``male``: by sample number. ``contig``: the contig of the shard. ``par``: the reference's PARs, empty when unknown.
    """

    male: npt.NDArray[np.bool_]
    contig: str
    par: Sequence[Region]

    def have_one_copy(self, sample: npt.NDArray[np.uint32], pos: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Return whether each sample has one copy at the 1-based position of the same index."""
        one_copy = one_copy_in_males(self.contig, pos, self.par)
        one_copy[one_copy] = self.male[sample[one_copy]]
        return one_copy

    def cut(self, reference: pa.Table) -> pa.Table:
        """Return the segments ``reference``, cut where a PAR of the contig begins or ends; in no order."""
        for border in sorted({end for region in self.par for end in (region.start, region.end + 1)}):
            if one_copy_in_males(self.contig, np.array([border - 1, border]), self.par).sum() != 1:
                continue
            start, length = numpy_of(reference, "start"), numpy_of(reference, "length")
            crosses = (start < border) & (start + length > border)
            if crosses.any():
                before = _placed(reference, start, np.where(crosses, border - start, length))
                after = _placed(reference, np.full_like(start, border), start + length - border)
                reference = pa.concat_tables([before, filtered(after, crosses)]).combine_chunks()
        return reference


def _placed(reference: pa.Table, start: npt.NDArray[np.int32], length: npt.NDArray[np.int32]) -> pa.Table:
    """Return the segments ``reference`` with other places."""
    for name, values in (("start", start), ("length", length)):
        number = reference.schema.get_field_index(name)
        reference = reference.set_column(number, reference.schema.field(number), arrow(values))
    return reference


def count_alleles(calls: pa.Table, *, males: Males) -> pa.Table:
    """Return the census of call rows (schema CALLS, sorted by pos, ref, alt): one row per allele, schema CENSUS."""
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
    one_copy = males.have_one_copy(numpy_of(calls, "sample"), pos)
    dosage = row_dosage(pl, ploidy, copies, joint_ploidy=own_ploidy(ploidy, one_copy=one_copy))
    flags = numpy_of(calls, "flags")
    kernel.count_alleles(
        starts,
        copies,
        ploidy,
        gq,
        dp,
        ad_ref,
        ad_alt,
        pl,
        flags,
        numpy_of(calls, "qual"),
        one_copy.view(np.uint8),
        dosage,
        out,
    )
    keys = take(calls.select(["pos", "ref", "alt"]), starts)
    arrays: dict[str, Any] = {name: keys.column(name).combine_chunks() for name in ("pos", "ref", "alt")}
    arrays.update({name: out[:, index] for index, name in enumerate(COUNTS)})
    return table_of(CENSUS, arrays)


def _step_table(steps: npt.NDArray[np.int64], borders: npt.NDArray[np.int32]) -> pa.Table:
    """Return a step function; ``steps`` holds the differences at ``borders``."""
    runs = kernel.accumulate(steps)
    at = np.empty(runs, np.int32)
    out = np.empty((runs, len(STEPS)), np.int64)
    count = kernel.find_runs(steps, 0, at, out)
    arrays: dict[str, Any] = {"start": borders[at[:count]]}
    arrays.update({name: out[:count, index] for index, name in enumerate(STEPS)})
    return table_of(CALLED, arrays)


def count_called(calls: pa.Table, reference: pa.Table, *, males: Males) -> pa.Table:
    """Return the number of participants who are called, genotyped and covered along a shard, schema CALLED.

    ``calls`` (the columns CALLED_BY of schema CALLS) and ``reference`` are one shard of a batch. Before the first
    ``start`` and after the last run (which is all zeros) nobody is covered.
    """
    reference = males.cut(reference)
    start = numpy_of(reference, "start")
    length = numpy_of(reference, "length")
    pos = numpy_of(calls, "pos")
    if len(start) == 0 and len(pos) == 0:
        return empty(CALLED)
    # a batch changes at few of a shard's positions: only these take time and memory
    first = int(min(start.min(initial=2**31 - 2), pos.min(initial=2**31 - 2)))
    begin, end, at = start - first, start - first + length, pos - first
    changes = np.zeros(max(end.max(initial=0), at.max(initial=0) + 1) + 1, np.bool_)
    for positions in (begin, end, at, at + 1):
        changes[positions] = True
    borders = np.flatnonzero(changes).astype(np.int32)
    number = np.empty(len(changes), np.int32)  # of the border at a position, from 1; only defined at borders
    number[borders] = np.arange(1, len(borders) + 1, dtype=np.int32)
    steps = np.zeros((len(borders), len(STEPS)), np.int64)
    begin, length = number[begin], number[end] - number[begin]
    gq, ploidy, state = (numpy_of(reference, name) for name in ("gq", "ploidy", "state"))
    one_copy = males.have_one_copy(numpy_of(reference, "sample"), start).view(np.uint8)
    kernel.add_segments(1, begin, length, gq, ploidy, state, one_copy, SEGMENT_WEIGHT, steps)
    sample, ploidy, dp, flags = (numpy_of(calls, name) for name in ("sample", "ploidy", "dp", "flags"))
    one_copy = males.have_one_copy(sample, pos).view(np.uint8)
    seen = np.zeros((len(males.male), 2), np.int64)
    kernel.add_rows(1, sample, number[at], ploidy, dp, flags, one_copy, ROW_WEIGHT, seen, steps)
    return _step_table(steps, borders + first)


def merge_alleles(censuses: Iterable[pa.Table]) -> pa.Table:
    """Return the sum of censuses (schema CENSUS), sorted by pos, ref, alt."""
    return _add_up(censuses, _add_alleles, CENSUS)


def merge_called(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the sum of step functions (schema CALLED)."""
    return _add_up(tables, _add_called, CALLED)


def _add_up(tables: Iterable[pa.Table], add: Callable[[pa.Table, pa.Table], pa.Table], schema: pa.Schema) -> pa.Table:
    """Add tables in pairs, and pairs of pairs: each row is copied a few times, and few tables are in memory at once."""
    sums: list[tuple[int, pa.Table]] = []  # (n, the sum of 2^n tables), by descending n
    for table in tables:
        if table.num_rows:
            doublings = 0
            while sums and sums[-1][0] == doublings:
                table = add(sums.pop()[1], table)
                doublings += 1
            sums.append((doublings, table))
    if not sums:
        return empty(schema)
    _, total = sums.pop()
    while sums:
        total = add(sums.pop()[1], total)
    return total


def _add_alleles(left: pa.Table, right: pa.Table) -> pa.Table:
    """Return the sum of two censuses."""
    merged = concat([left, right], CENSUS)
    pos = numpy_of(merged, "pos")
    rank = allele_ranks(merged.column("ref"), merged.column("alt"))
    order = np.lexsort((rank, pos))
    starts = group_starts(pos[order], rank[order])
    keys = take(merged.select(["pos", "ref", "alt"]), order[starts])
    arrays: dict[str, Any] = {name: keys.column(name) for name in ("pos", "ref", "alt")}
    for name in COUNTS:
        add = np.maximum.reduceat if name == "qual_max" else np.add.reduceat
        arrays[name] = add(numpy_of(merged, name)[order].astype(np.int64), starts)
    return table_of(CENSUS, arrays).combine_chunks()


def _add_called(left: pa.Table, right: pa.Table) -> pa.Table:
    """Return the sum of two step functions."""
    ours, theirs = ([numpy_of(table, name) for name in CALLED.names] for table in (left, right))
    total = [np.empty(len(ours[0]) + len(theirs[0]), column.dtype) for column in ours]
    count = kernel.add_steps(ours, theirs, total)
    return pa.table([arrow(column[:count]) for column in total], schema=CALLED)


def called_at(called: pa.Table, positions: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the step function's values at 1-based ``positions``, an array for each column."""
    start = numpy_of(called, "start")
    at = np.searchsorted(start, positions, side="right") - 1
    values: dict[str, npt.NDArray[np.int64]] = {}
    for name in STEPS:
        column = numpy_of(called, name).astype(np.int64)
        values[name] = np.where(at >= 0, column[at] if len(column) else 0, 0)
    return values
