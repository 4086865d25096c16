"""The bases of reads in text."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.delivered.buffer cimport Buffer, add
from baekman.kernels.text cimport DOT, EQUALS, upper


cdef inline bint all_plain(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return whether all bytes are one of ``ACGTN``; the loop is one that compilers vectorise."""
    cdef uint8_t bad = 0, byte
    cdef int64_t at
    for at in range(begin, end):
        byte = text[at]
        bad |= (byte != 65) & (byte != 67) & (byte != 71) & (byte != 84) & (byte != 78)
    return not bad


cdef inline void add_bases(Buffer *out, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Add bases in upper case, with N for ``.`` and ``=``, which aligners do not read."""
    cdef int64_t at, first = out.used
    cdef uint8_t byte
    add(out, text + begin, end - begin)
    if all_plain(text, begin, end):
        return
    for at in range(end - begin):
        byte = text[begin + at]
        out.data[first + at] = 78 if byte == DOT or byte == EQUALS else upper(byte)
