"""Bytes that grow: the text that a kernel writes."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy

cdef enum:
    NUMBER_ROOM = 20  # digits of the largest int64

cdef struct Buffer:
    uint8_t *data
    int64_t used
    int64_t room


cdef inline bint reserve(Buffer *buffer, int64_t more) noexcept nogil:
    """Make room for ``more`` bytes; return False when there is no memory."""
    cdef int64_t room
    cdef uint8_t *bigger
    if buffer.used + more <= buffer.room:
        return True
    room = max(2 * buffer.room, buffer.used + more, <int64_t>4096)
    bigger = <uint8_t *>realloc(buffer.data, room)
    if bigger == NULL:
        return False
    buffer.data = bigger
    buffer.room = room
    return True


cdef inline void add(Buffer *buffer, const uint8_t *text, int64_t length) noexcept nogil:
    """Add bytes for which there is room."""
    memcpy(buffer.data + buffer.used, text, length)
    buffer.used += length


cdef inline void add_byte(Buffer *buffer, uint8_t byte) noexcept nogil:
    """Add one byte for which there is room."""
    buffer.data[buffer.used] = byte
    buffer.used += 1


cdef inline void add_number(Buffer *buffer, int64_t number) noexcept nogil:
    """Add a number of at least 0 in decimals; there is room for ``NUMBER_ROOM`` bytes."""
    cdef uint8_t digits[NUMBER_ROOM]
    cdef int64_t at = NUMBER_ROOM
    while True:
        at -= 1
        digits[at] = <uint8_t>(48 + number % 10)
        number //= 10
        if number == 0:
            break
    add(buffer, digits + at, NUMBER_ROOM - at)


cdef inline bytes taken(Buffer *buffer):
    """Return the bytes and empty the buffer."""
    text = PyBytes_FromStringAndSize(<const char *>buffer.data, buffer.used) if buffer.used else b""
    buffer.used = 0
    return text
