"""The lane of a read group."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp

cdef struct Lanes:
    const uint8_t *names  # of the read groups, one after the other
    const int64_t *ends
    int64_t count


cdef inline int64_t lane_of(const Lanes *lanes, const uint8_t *group, int64_t length) noexcept nogil:
    """Return the number of the last read group of this name, from 0 on; -1 for an unknown one."""
    cdef int64_t index, first
    for index in range(lanes.count - 1, -1, -1):
        first = lanes.ends[index - 1] if index else 0
        if lanes.ends[index] - first == length and memcmp(lanes.names + first, group, length) == 0:
            return index
    return -1
