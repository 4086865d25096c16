"""A memory of short texts that keeps repeated ones out; a text may be forgotten, none is mistaken for another."""

from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from baekman.kernels.text cimport digest

cdef enum:
    SLOTS = 8192
    LONGEST = 200  # bytes; a longer text is always new

cdef struct Seen:
    uint8_t *texts
    uint8_t *lengths  # 0: an empty slot


cdef inline bint make_seen(Seen *seen) noexcept nogil:
    """Allocate the memory; return False when there is none."""
    seen.texts = <uint8_t *>malloc(SLOTS * LONGEST)
    seen.lengths = <uint8_t *>calloc(SLOTS, 1)
    return seen.texts != NULL and seen.lengths != NULL


cdef inline void free_seen(Seen *seen) noexcept nogil:
    """Free the memory."""
    free(seen.texts)
    free(seen.lengths)


cdef inline bint is_new(Seen *seen, const uint8_t *text, int64_t length) noexcept nogil:
    """Return whether this text of 1 byte or more differs from the last one of its slot, which it replaces."""
    cdef int64_t slot
    if length > LONGEST:
        return True
    slot = digest(text, 0, length) & (SLOTS - 1)
    if seen.lengths[slot] == length and memcmp(seen.texts + slot * LONGEST, text, length) == 0:
        return False
    seen.lengths[slot] = <uint8_t>length
    memcpy(seen.texts + slot * LONGEST, text, length)
    return True
