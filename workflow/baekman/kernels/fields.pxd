"""The places of the fields of a record's sample, by the record's FORMAT."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp

from baekman.kernels.line cimport FORMAT, SAMPLE, Line
from baekman.kernels.reader cimport DONE, MORE_FIELDS, TOO_MANY_FIELDS
from baekman.kernels.separators cimport WIDTH, bits_up_to, lowest
from baekman.kernels.text cimport COLON

cdef enum:
    MAX_FORMATS = 64
    MAX_FIELDS = 64
    FORMAT_ROOM = 16384

# Fields of a sample that are read, by their place in KEYS.
cdef enum:
    GT = 0
    GQ = 1
    DP = 2
    MIN_DP = 3
    AD = 4
    PL = 5
    PS = 6
    PGT = 7
    PID = 8
    LEN = 9
    GQX = 10  # Strelka and Isaac
    SQ = 11  # DRAGEN, of the mitochondrion
    RGQ = 12  # GenotypeGVCFs, of records without an ALT
    GL = 13  # freebayes
    RO = 14
    AO = 15
    FT = 16
    GP = 17
    PP = 18
    DPI = 19  # Strelka's depth of an indel
    KEYS = 20


# The fields of one record, and each FORMAT of the records before it.
cdef struct Fields:
    int64_t formats
    int64_t last  # the FORMAT of the record, -1 before the first
    uint8_t pool[FORMAT_ROOM]
    int64_t ends[MAX_FORMATS]
    int64_t numbers[MAX_FORMATS][KEYS + 1]  # the place of each key, and the number of fields
    int64_t start[MAX_FIELDS]
    int64_t end[MAX_FIELDS]
    int64_t count


cdef bint find_format(Fields *fields, const uint8_t *buf, const Line *line) noexcept nogil


cdef inline int find_fields(Fields *fields, const uint8_t *buf, const Line *line, int64_t limit) noexcept nogil:
    """Find the fields of this line; the buffer ends at ``limit``."""
    cdef int64_t start = line.columns[FORMAT], size = line.columns[SAMPLE] - 1 - start, stop, at
    cdef int64_t first, number = 0, last = fields.last
    cdef uint64_t bits
    if last >= 0:
        first = fields.ends[last - 1] if last else 0
        if size != fields.ends[last] - first or memcmp(buf + start, fields.pool + first, size):
            last = -1
    if last < 0 and not find_format(fields, buf, line):
        return TOO_MANY_FIELDS
    at = fields.start[0] = line.columns[SAMPLE]
    while at < line.end:
        bits = bits_up_to(buf, at, min(at + WIDTH, limit), COLON, COLON)
        while bits:
            stop = at + lowest(bits)
            if stop >= line.end:
                break
            fields.end[number] = stop
            number += 1
            if number >= MAX_FIELDS:
                return TOO_MANY_FIELDS
            fields.start[number] = stop + 1
            bits &= bits - 1
        at += WIDTH
    fields.end[number] = line.end
    fields.count = number + 1
    return MORE_FIELDS if number >= fields.numbers[fields.last][KEYS] else DONE


cdef inline bint find(const Fields *fields, int64_t key, int64_t *start, int64_t *stop) noexcept nogil:
    """Write the place of a field of the sample; return False when there is none."""
    cdef int64_t number = fields.numbers[fields.last][key]
    if number < 0 or number >= fields.count:
        return False
    start[0] = fields.start[number]
    stop[0] = fields.end[number]
    return True
