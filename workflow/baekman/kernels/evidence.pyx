"""The evidence that decides each position of one participant: sweeps over one contig's rows and intervals.

A record that starts at a position decides it (its call row), then a record that spans it, then a block. Among
equals the last to start decides, then the one of higher quality, then the first in the file.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, realloc

from baekman.kernels.intervals cimport NO_DEPTH_OF_ITS_OWN
from baekman.kernels.layout cimport (
    FLAG_CALLED, FLAG_GENOTYPED, MISSING, POSITION_FLAGS, CallRow, Interval, Segment,
)
from baekman.kernels.text cimport same


def settle_rows(
    int32_t[:, ::1] rows, const int64_t[::1] order, const uint8_t[::1] ref_pool, const uint8_t[::1] alt_pool,
    uint8_t[::1] keep,
):
    """Settle several records of one participant at one position.

    ``order`` sorts ``rows`` by position, stably. Of two rows with the same allele the one of higher quality
    (QUAL, then GQ, then the first) stays. All rows of a position get the flags of the best of its records
    (``POSITION_FLAGS``) and share the highest ploidy. Writes 1 to ``keep`` for each row that stays and 0 for the
    others. Returns the number of the others, of positions where alleles of one length have more copies than the ploidy,
    and of rows that got a higher ploidy.
    """
    cdef int64_t dropped, too_many = 0, raised = 0
    if len(order) == 0:
        return 0, 0, 0
    with nogil:
        dropped = _settle(
            <CallRow *>&rows[0, 0], &order[0], len(order), &ref_pool[0], &alt_pool[0], &keep[0], &too_many, &raised
        )
    return dropped, too_many, raised


cdef int64_t _settle(
    CallRow *rows, const int64_t *order, int64_t count, const uint8_t *ref_pool, const uint8_t *alt_pool,
    uint8_t *keep, int64_t *too_many, int64_t *raised,
) noexcept nogil:
    cdef int64_t dropped = 0, first = 0, last, at, before, row, other, flags, ploidy, single, longer
    cdef bint better
    while first < count:
        last = first + 1
        while last < count and rows[order[last]].pos == rows[order[first]].pos:
            last += 1
        for at in range(first, last):
            row = order[at]
            keep[row] = 1
            for before in range(first, at):
                other = order[before]
                if not keep[other] or not _same_allele(rows, row, other, ref_pool, alt_pool):
                    continue
                better = rows[row].quality > rows[other].quality or (
                    rows[row].quality == rows[other].quality and rows[row].gq > rows[other].gq
                )
                keep[other if better else row] = 0
                dropped += 1
                break
        flags = 0
        ploidy = 0
        single = 0
        longer = 0
        for at in range(first, last):
            row = order[at]
            if keep[row]:
                flags |= rows[row].flags & (FLAG_GENOTYPED | FLAG_CALLED)
                ploidy = max(ploidy, <int64_t>rows[row].ploidy)
                if is_single_base(rows, row):
                    single += rows[row].copies
                else:
                    longer += rows[row].copies
        too_many[0] += single > ploidy or longer > ploidy
        for at in range(first, last):
            row = order[at]
            rows[row].flags |= <int32_t>(flags << POSITION_FLAGS)
            if rows[row].ploidy != ploidy:
                # likelihoods of a haploid genotype do not hold for a diploid one
                raised[0] += 1
                rows[row].ploidy = <int32_t>ploidy
                rows[row].pl[0] = rows[row].pl[1] = rows[row].pl[2] = MISSING
        first = last
    return dropped


cdef inline bint is_single_base(const CallRow *rows, int64_t row) noexcept nogil:
    """Return whether a row's allele is an SNV."""
    return rows[row].ref_end - (rows[row - 1].ref_end if row else 0) == 1 and (
        rows[row].alt_end - (rows[row - 1].alt_end if row else 0) == 1
    )


cdef bint _same_allele(
    const CallRow *rows, int64_t row, int64_t other, const uint8_t *ref_pool, const uint8_t *alt_pool
) noexcept nogil:
    cdef int64_t start = rows[row - 1].ref_end if row else 0
    cdef int64_t other_start = rows[other - 1].ref_end if other else 0
    if not same(ref_pool, start, rows[row].ref_end, ref_pool, other_start, rows[other].ref_end):
        return False
    start = rows[row - 1].alt_end if row else 0
    other_start = rows[other - 1].alt_end if other else 0
    return same(alt_pool, start, rows[row].alt_end, alt_pool, other_start, rows[other].alt_end)


def gather_strings(const uint8_t[::1] pool, const int32_t[::1] ends, const int64_t[::1] chosen, int32_t[::1] offsets,
                   uint8_t[::1] out):
    """Copy the strings ``chosen`` to ``out``, and their places to ``offsets`` (one more than strings).

    ``ends``: the end of each string in ``pool``; it begins at the end of the previous one. Bytes beyond the end of
    ``out`` are left out. Returns the necessary length of ``out``.
    """
    cdef int64_t filled = 0, index, row, start, at
    offsets[0] = 0
    with nogil:
        for index in range(len(chosen)):
            row = chosen[index]
            start = ends[row - 1] if row else 0
            for at in range(start, ends[row]):
                if filled < len(out):
                    out[filled] = pool[at]
                filled += 1
            offsets[index + 1] = <int32_t>filled
    return filled


def resolve(
    const int32_t[:, ::1] intervals, const int32_t[::1] row_positions, int64_t first, const int32_t[::1] shard_ends,
    const int32_t[::1] band_of, const int32_t[::1] band_floor, int32_t[:, ::1] out,
):
    """Resolve overlapping intervals into segments without overlap, from ``first`` to the last shard's end.

    ``intervals`` are sorted by start, and start before that end. Positions in ``row_positions`` (sorted, unique) are
    left out: call rows decide there. Segments are cut at ``shard_ends`` (1-based inclusive), and neighbours that agree
    in GQ band, ploidy, other copies and state are merged: GQ becomes the floor of its band, depth the least. Writes
    ``SEGMENT_COLUMNS`` to ``out`` and returns the number of segments. Raises MemoryError.
    """
    cdef int64_t count
    if len(intervals) == 0:
        return 0
    with nogil:
        count = _resolve(
            <const Interval *>&intervals[0, 0], len(intervals), row_positions, first, shard_ends, band_of, band_floor,
            <Segment *>&out[0, 0],
        )
    if count < 0:
        raise MemoryError
    return count


cdef int64_t _resolve(
    const Interval *intervals, int64_t total, const int32_t[::1] row_positions, int64_t first,
    const int32_t[::1] shard_ends, const int32_t[::1] band_of, const int32_t[::1] band_floor, Segment *out,
) noexcept nogil:
    cdef int64_t count = 0, row_at = 0, shard = 0, actives = 0, room = 0, position = first
    cdef int64_t rows = len(row_positions)
    cdef int64_t index, until, alive, at, candidate, best, end, stop
    cdef int32_t band, floor, dp
    cdef int64_t *active = NULL
    cdef int64_t *bigger
    cdef Segment *last
    for index in range(total + 1):
        until = intervals[index].start if index < total else <int64_t>shard_ends[len(shard_ends) - 1] + 1
        # write everything before the next start
        while position < until:
            alive = 0
            best = -1
            for at in range(actives):
                candidate = active[at]
                if intervals[candidate].end < position:
                    continue
                active[alive] = candidate
                alive += 1
                if best < 0 or _decides(&intervals[candidate], &intervals[best]):
                    best = candidate
            actives = alive
            if best < 0:
                position = until
                break
            end = min(<int64_t>intervals[best].end, until - 1)
            while position <= end:
                while row_at < rows and row_positions[row_at] < position:
                    row_at += 1
                if row_at < rows and row_positions[row_at] == position:
                    position += 1
                    continue
                while shard_ends[shard] < position:
                    shard += 1
                stop = min(end, <int64_t>shard_ends[shard])
                if row_at < rows:
                    stop = min(stop, <int64_t>row_positions[row_at] - 1)
                band = band_of[intervals[best].gq] if intervals[best].gq >= 0 else -1
                floor = band_floor[band] if band >= 0 else 0
                dp = intervals[best].dp
                last = &out[count - 1]
                if (
                    count
                    and last.end == position - 1
                    and last.gq == floor
                    and last.ploidy == intervals[best].ploidy
                    and last.other == intervals[best].other
                    and last.state == intervals[best].state
                    and (dp == NO_DEPTH_OF_ITS_OWN or (last.dp < 0) == (dp < 0))
                    and (shard == 0 or shard_ends[shard - 1] != position - 1)
                ):
                    last.end = <int32_t>stop
                    last.dp = min(last.dp, dp)
                else:
                    last = &out[count]
                    last.start = <int32_t>position
                    last.end = <int32_t>stop
                    last.gq = floor
                    last.dp = dp if dp != NO_DEPTH_OF_ITS_OWN else <int32_t>MISSING
                    last.ploidy = intervals[best].ploidy
                    last.other = intervals[best].other
                    last.state = intervals[best].state
                    count += 1
                position = stop + 1
        if index < total:
            if actives == room:
                room = max(2 * room, <int64_t>1024)
                bigger = <int64_t *>realloc(active, room * sizeof(int64_t))
                if bigger == NULL:
                    free(active)
                    return -1
                active = bigger
            active[actives] = index
            actives += 1
    free(active)
    return count


cdef inline bint _decides(const Interval *candidate, const Interval *best) noexcept nogil:
    """Return whether ``candidate`` decides before ``best``; ``spans`` is the start of a record with many intervals."""
    if candidate.spans != best.spans:
        return candidate.spans > best.spans
    if candidate.spans == 0 and candidate.start != best.start:
        return candidate.start > best.start
    if candidate.gq != best.gq:
        return candidate.gq > best.gq
    return candidate.record < best.record
