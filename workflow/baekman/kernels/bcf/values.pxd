"""The typed values of BCF 2.2 (VCF specification 4.3, section 6.3.3)."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

cdef enum:
    NOTHING = -2147483648  # a missing value
    VECTOR_END = -2147483647

# Types of BCF other than integers of 1, 2 and 4 bytes.
cdef enum:
    FLOAT = 5
    TEXT = 7


cdef inline int64_t put(uint8_t *out, int64_t at, int64_t value, int64_t size) noexcept nogil:
    """Write an integer of ``size`` bytes, little-endian; return the place of the next value."""
    if size == 1:
        out[at] = <uint8_t>value if value > VECTOR_END else (0x80 if value == NOTHING else 0x81)
        return at + 1
    if size == 2:
        if value <= VECTOR_END:
            value = 0x8000 if value == NOTHING else 0x8001
        out[at] = <uint8_t>value
        out[at + 1] = <uint8_t>(value >> 8)
        return at + 2
    out[at] = <uint8_t>value
    out[at + 1] = <uint8_t>(value >> 8)
    out[at + 2] = <uint8_t>(value >> 16)
    out[at + 3] = <uint8_t>(value >> 24)
    return at + 4


cdef inline int64_t put_float(uint8_t *out, int64_t at, double value) noexcept nogil:
    cdef float single = <float>value
    memcpy(out + at, &single, 4)
    return at + 4


cdef inline int64_t size_of(int64_t largest) noexcept nogil:
    return 1 if largest <= 127 else (2 if largest <= 32767 else 4)


cdef inline int64_t put_type(uint8_t *out, int64_t at, int64_t count, int64_t size) noexcept nogil:
    """Write the descriptor of ``count`` integers of ``size`` bytes, or of TEXT or FLOAT."""
    cdef int64_t length, code = 3 if size == 4 else size
    if count < 15:
        out[at] = <uint8_t>((count << 4) | code)
        return at + 1
    out[at] = <uint8_t>(0xF0 | code)
    length = size_of(count)
    out[at + 1] = <uint8_t>(0x10 | (3 if length == 4 else length))
    return put(out, at + 2, count, length)


cdef inline int64_t put_key(uint8_t *out, int64_t at, int64_t key, int64_t count, int64_t size) noexcept nogil:
    """Write the key and type of an INFO or FORMAT field."""
    out[at] = 0x11
    out[at + 1] = <uint8_t>key
    return put_type(out, at + 2, count, size)


cdef inline int64_t fill(uint8_t *out, int64_t at, int64_t count, int64_t width, int64_t size) noexcept nogil:
    """Write ``count`` missing vectors of ``width``: a missing value, then ends of vector."""
    cdef int64_t _vector, _rest
    for _vector in range(count):
        at = put(out, at, NOTHING, size)
        for _rest in range(width - 1):
            at = put(out, at, VECTOR_END, size)
    return at
