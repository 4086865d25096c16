from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport realloc

from baekman.kernels.layout cimport CallRow
from baekman.kernels.record cimport Record

# A growing array of rows, and their strings.
cdef struct RowTable:
    CallRow *rows
    int64_t count
    uint8_t *ref_pool
    uint8_t *alt_pool

# Working memory.
cdef struct Workspace:
    uint8_t *ref
    uint8_t *alt
    int64_t *begin
    int64_t *ref_length
    int64_t *alt_length
    int64_t *member_row  # pairs (row, ALT): the ALTs of the record that contain an atom
    int64_t *member_allele
    uint8_t *members  # one per allele

cdef void count_changed(const Record *record, int64_t *out) noexcept nogil

cdef int64_t part_rows(RowTable *table, int64_t end, CallRow *out, uint8_t *ref, uint8_t *alt) noexcept nogil

cdef void add_rows(const Record *record, const uint8_t *contig, RowTable *table, Workspace *work) noexcept nogil


cdef inline bint grown(void **array, int64_t wanted, int64_t *room, size_t width) noexcept nogil:
    """Make room for ``wanted`` elements; return False when there is no memory."""
    cdef void *bigger
    cdef int64_t count
    if wanted <= room[0]:
        return True
    count = max(2 * room[0], wanted, <int64_t>4096)
    bigger = realloc(array[0], count * width)
    if bigger == NULL:
        return False
    array[0] = bigger
    room[0] = count
    return True
