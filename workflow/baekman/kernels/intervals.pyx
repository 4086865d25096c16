"""The intervals of a contig: the evidence of each record or block at the positions that it covers."""

from libc.stdint cimport int32_t, int64_t

from baekman.kernels.fields cimport LEN, Fields, find
from baekman.kernels.layout cimport (
    COUNT_BLOCK_REF_CUT, COUNT_DELETION_WITHOUT_END, COUNT_NOT_A_NUMBER, COUNT_OVERLAPPING_RECORD, Interval,
)
from baekman.kernels.reader cimport BAD_END, DONE, PAST_END
from baekman.kernels.record cimport DELETION, STAR, Record
from baekman.kernels.text cimport position


cdef inline void add_interval(
    IntervalTable *table, const Record *record, int64_t start, int64_t end, int64_t other, int64_t state, int64_t spans
) noexcept nogil:
    cdef Interval *out = &table.intervals[table.count]
    out.start = <int32_t>start
    out.end = <int32_t>end
    out.gq = <int32_t>record.gq
    out.dp = <int32_t>record.dp
    out.ploidy = <int32_t>record.ploidy
    out.other = <int32_t>other
    out.state = <int32_t>state
    out.spans = <int32_t>spans
    out.record = <int32_t>record.number
    table.count += 1


cdef inline void note_overlap(IntervalTable *table, const Record *record, int64_t end) noexcept nogil:
    """Count a record or block that begins before an earlier one ends, unless it names ``*``; keep the later end."""
    cdef int64_t index
    if record.pos <= table.reach:
        for index in range(1, record.alleles):
            if record.allele_kind[index] == STAR:
                break
        else:
            record.counts[COUNT_OVERLAPPING_RECORD] += 1
    table.reach = max(table.reach, end)


cdef int add_block(
    IntervalTable *table, const Record *record, Fields *fields, int64_t length, int64_t reach, bint covered,
    int64_t state,
) noexcept nogil:
    """Add the interval of a record that names no ALT.

    ``reach``: its END, 0 when there is none. ``length``: that of the contig.
    """
    cdef int64_t start, stop, size, copies = 0, last_pos = record.pos + record.ref_length - 1
    if reach == 0 and find(fields, LEN, &start, &stop):
        size = position(record.buf, start, stop)
        if size == -2:
            record.counts[COUNT_NOT_A_NUMBER] += 1
        elif size > 0:
            reach = record.pos + size - 1
    if reach:
        if reach < record.pos:
            return BAD_END
        record.counts[COUNT_BLOCK_REF_CUT] += reach < last_pos
        last_pos = reach
    if last_pos > length:
        return PAST_END
    if covered:
        note_overlap(table, record, last_pos)
        copies = (record.genotype[0] > 0) + (record.ploidy == 2 and record.genotype[1] > 0)
        add_interval(table, record, record.pos, last_pos, copies, state, 0)
    return DONE


cdef int add_deletion(
    IntervalTable *table, const Record *record, int64_t length, int64_t reach, int64_t size, int64_t state,
) noexcept nogil:
    """Add the interval of the bases after REF that a carried ``<DEL>`` takes away.

    ``reach`` is its END and ``size`` the length of its SVLEN, 0 where there is none; ``length`` is the contig's.
    """
    cdef int64_t copies = 0, index, first = record.pos + record.ref_length
    for index in range(record.ploidy):
        if record.genotype[index] > 0 and record.allele_kind[record.genotype[index]] == DELETION:
            copies += 1
    if reach == 0 and size > 0:
        reach = record.pos + size
    if reach and reach < record.pos:
        return BAD_END
    if reach > length:
        return PAST_END
    record.counts[COUNT_DELETION_WITHOUT_END] += copies > 0 and reach == 0
    if copies and reach >= first:
        add_interval(table, record, first, reach, copies, state, record.pos)
    return DONE


cdef void add_bases(IntervalTable *table, const Record *record, const int64_t *changed, int64_t state) noexcept nogil:
    """Add intervals for the bases that a record spans; ``changed``: the number of copies that change each base."""
    cdef int64_t base = 0, stop
    note_overlap(table, record, record.pos + record.ref_length - 1)
    while base < record.ref_length:
        stop = base + 1
        while stop < record.ref_length and changed[stop] == changed[base]:
            stop += 1
        add_interval(table, record, record.pos + base, record.pos + stop - 1, changed[base], state, record.pos)
        if record.deletion and base == 0 and changed[base] == 0:
            # the record's depth is that of the deletion: it says nothing of the base before
            table.intervals[table.count - 1].dp = NO_DEPTH_OF_ITS_OWN
        base = stop


cdef int64_t part_intervals(IntervalTable *table, int64_t end, Interval *out) noexcept nogil:
    """Copy the intervals that begin up to ``end`` to ``out``, and return their number; remove those that end there."""
    cdef Interval *intervals = table.intervals
    cdef int64_t index, copied = 0, kept = 0
    for index in range(table.count):
        if intervals[index].start <= end:
            out[copied] = intervals[index]
            copied += 1
        if intervals[index].end > end:
            intervals[kept] = intervals[index]
            kept += 1
    table.count = kept
    return copied
