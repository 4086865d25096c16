"""The places of the fields of a record's sample, by the record's FORMAT."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.line cimport FORMAT, SAMPLE, Line
from baekman.kernels.text cimport COLON, key_number, named

cdef const uint8_t *KEY_POOL = b"GTGQDPMIN_DPADPLPSPGTPIDLENGQXSQRGQGLROAOFTGPPPDPI"
cdef int64_t[20] KEY_ENDS = [2, 4, 6, 12, 14, 16, 18, 21, 24, 27, 30, 32, 35, 37, 39, 41, 43, 45, 47, 50]


cdef bint find_format(Fields *fields, const uint8_t *buf, const Line *line) noexcept nogil:
    """Find the FORMAT of a line among those of earlier records, or add it; return False where it has no room."""
    cdef int64_t start = line.columns[FORMAT], end = line.columns[SAMPLE] - 1, stop
    cdef int64_t before = fields.formats, key, number = 0
    cdef int64_t last = named(&fields.formats, buf, start, end, fields.pool, FORMAT_ROOM, fields.ends, MAX_FORMATS)
    if last < 0:  # the list is full: begin a new one
        fields.formats = 0
        before = 0
        last = named(&fields.formats, buf, start, end, fields.pool, FORMAT_ROOM, fields.ends, MAX_FORMATS)
        if last < 0:
            return False
    if fields.formats != before:
        for key in range(KEYS):
            fields.numbers[last][key] = -1
        while start <= end:
            stop = start
            while stop < end and buf[stop] != COLON:
                stop += 1
            key = key_number(buf, start, stop, KEY_POOL, KEY_ENDS, KEYS)
            if key >= 0:
                fields.numbers[last][key] = number
            number += 1
            start = stop + 1
        fields.numbers[last][KEYS] = number
    fields.last = last
    return True
