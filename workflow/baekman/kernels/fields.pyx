"""The places of the fields of a record's sample, by the record's FORMAT."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp

from baekman.kernels.line cimport FORMAT, SAMPLE, Line
from baekman.kernels.reader cimport DONE, MORE_FIELDS, TOO_MANY_FIELDS
from baekman.kernels.text cimport COLON, key_number, named

cdef const uint8_t *KEY_POOL = b"GTGQDPMIN_DPADPLPSPGTPIDLENGQXSQRGQGLROAOFTGPPPDPI"
cdef int64_t[20] KEY_ENDS = [2, 4, 6, 12, 14, 16, 18, 21, 24, 27, 30, 32, 35, 37, 39, 41, 43, 45, 47, 50]


cdef int find_fields(Fields *fields, const uint8_t *buf, const Line *line) noexcept nogil:
    """Find the fields of this line."""
    cdef int64_t start = line.columns[FORMAT], end = line.columns[SAMPLE] - 1, stop
    cdef int64_t first, before, key, number
    cdef int64_t last = fields.last
    if last >= 0:
        first = fields.ends[last - 1] if last else 0
        if end - start != fields.ends[last] - first or memcmp(buf + start, fields.pool + first, end - start):
            last = -1
    if last < 0:
        before = fields.formats
        last = named(&fields.formats, buf, start, end, fields.pool, FORMAT_ROOM, fields.ends, MAX_FORMATS)
        if last < 0:  # the list is full: begin a new one
            fields.formats = 0
            before = 0
            last = named(&fields.formats, buf, start, end, fields.pool, FORMAT_ROOM, fields.ends, MAX_FORMATS)
            if last < 0:
                return TOO_MANY_FIELDS
        if fields.formats != before:
            for key in range(KEYS):
                fields.numbers[last][key] = -1
            number = 0
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
    start = line.columns[SAMPLE]
    end = line.end
    number = 0
    fields.start[0] = start
    for stop in range(start, end):
        if buf[stop] == COLON:
            fields.end[number] = stop
            number += 1
            if number >= MAX_FIELDS:
                return TOO_MANY_FIELDS
            fields.start[number] = stop + 1
    fields.end[number] = end
    fields.count = number + 1
    return MORE_FIELDS if number >= fields.numbers[last][KEYS] else DONE
