"""Lines and columns of text."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr

from baekman.kernels.text cimport NEWLINE, RETURN, SLASH

cdef enum:
    TAB = 9
    BLANK = 32


cdef inline int64_t find(const uint8_t *text, int64_t begin, int64_t end, uint8_t byte) noexcept nogil:
    """Return the first place of ``byte`` in ``text[begin:end]``; ``end`` when it is not there."""
    cdef const uint8_t *place = <const uint8_t *>memchr(text + begin, byte, end - begin) if begin < end else NULL
    return end if place == NULL else place - text


cdef inline int64_t line_end(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return the end of the line at ``begin``, without its newline."""
    return find(text, begin, end, NEWLINE)


cdef inline int64_t text_end(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return the end of the line ``text[begin:end]`` without the carriage return of a Windows line end."""
    return end - 1 if end > begin and text[end - 1] == RETURN else end


cdef inline int64_t first_blank(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return the first space or tab in ``text[begin:end]``; ``end`` when there is none."""
    while begin < end and text[begin] != TAB and text[begin] != BLANK:
        begin += 1
    return begin


cdef inline int64_t mate_of(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return 1 or 2 for a read name ``text[begin:end]`` with ``/1`` or ``/2`` at its end, else 0."""
    if end - begin >= 2 and text[end - 2] == SLASH and 49 <= text[end - 1] <= 50:
        return text[end - 1] - 48
    return 0


cdef inline int64_t without_mate(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return the end of the read name ``text[begin:end]`` without ``/1`` or ``/2``."""
    return end - 2 if mate_of(text, begin, end) else end
