"""The records at one position, and the search for repeated ones."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp

from baekman.kernels.line cimport ID, POS, Line
from baekman.kernels.reader cimport DONE, DUPLICATED
from baekman.kernels.record cimport Record
from baekman.kernels.text cimport NEWLINE, RETURN, digest

cdef enum:
    MOST_SAME = 16  # the number of records of one POS that a record is compared with


cdef struct Repeats:
    int64_t pos  # of the last record, 0 before the first of a contig
    int64_t count  # the number of its records with a digest
    int64_t digests[MOST_SAME]


cdef inline int check_repeated(
    Repeats *repeats, const uint8_t *buf, const Line *line, const Record *record, int64_t next_line, int64_t limit
) noexcept nogil:
    """Refuse a record that equals an earlier one at its POS."""
    cdef int64_t line_digest, index
    # the place of the next line's ID, if that line has the same contig and POS
    cdef int64_t after = next_line + line.columns[ID] - line.begin
    if record.pos != repeats.pos:
        repeats.count = 0
    if (
        record.pos == repeats.pos
        or after > limit
        or buf[next_line] == NEWLINE or buf[next_line] == RETURN  # an empty line
        # the last digits of POS differ first
        or (buf[after - 2] == buf[line.columns[ID] - 2]
            and not memcmp(buf + line.begin, buf + next_line, line.columns[ID] - line.begin))
    ):
        line_digest = digest(buf, line.columns[POS], line.end)
        for index in range(min(repeats.count, <int64_t>MOST_SAME)):
            if repeats.digests[index] == line_digest:
                return DUPLICATED
        repeats.digests[repeats.count % MOST_SAME] = line_digest
        repeats.count += 1
    repeats.pos = record.pos
    return DONE
