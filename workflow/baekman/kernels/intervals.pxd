"""The intervals of a contig: what each record or block says of the positions that it covers."""

from libc.stdint cimport int64_t

from baekman.kernels.fields cimport Fields
from baekman.kernels.layout cimport Interval
from baekman.kernels.record cimport Record

cdef enum:
    NO_DEPTH_OF_ITS_OWN = 2147483647

# A growing array of intervals.
cdef struct IntervalTable:
    Interval *intervals
    int64_t count
    int64_t reach  # the last end of the contig's records so far

cdef int add_block(
    IntervalTable *table, const Record *record, Fields *fields, int64_t length, int64_t reach, bint covered,
    int64_t state,
) noexcept nogil

cdef int64_t part_intervals(IntervalTable *table, int64_t end, Interval *out) noexcept nogil

cdef int add_deletion(
    IntervalTable *table, const Record *record, int64_t length, int64_t reach, int64_t size, int64_t state,
) noexcept nogil

cdef void add_bases(IntervalTable *table, const Record *record, const int64_t *changed, int64_t state) noexcept nogil
