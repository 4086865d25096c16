"""A line of a gVCF: its columns."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp

from baekman.kernels.reader cimport BAD_COLUMNS, DONE, EMPTY
from baekman.kernels.separators cimport Ends, next_end
from baekman.kernels.text cimport DOT, NEWLINE, RETURN, digits, same

cdef enum:
    CHROM = 0
    POS = 1
    ID = 2
    REF = 3
    ALT = 4
    QUAL = 5
    FILTER = 6
    INFO = 7
    FORMAT = 8
    SAMPLE = 9
    COLUMNS = 10


cdef struct Line:
    int64_t begin
    int64_t end  # without the line's end
    int64_t columns[COLUMNS + 1]  # the start of each


cdef inline int split(
    Ends *ends, const uint8_t *buf, int64_t at, int64_t limit, Line *line, int64_t *next_line
) noexcept nogil:
    """Find the columns of a line, if it has any, and the line after it."""
    cdef int64_t column = 0, end
    line.begin = at
    line.columns[0] = at
    while True:
        end = next_end(ends, buf, limit)
        if end == limit or buf[end] == NEWLINE:
            break
        column += 1
        if column >= COLUMNS:
            return BAD_COLUMNS
        line.columns[column] = end + 1
    next_line[0] = end + 1
    if end > at and buf[end - 1] == RETURN:
        end -= 1
    line.end = end
    if end == at:
        return EMPTY
    return DONE if column == SAMPLE else BAD_COLUMNS


cdef inline bint is_pass(const uint8_t *buf, int64_t start, int64_t stop) noexcept nogil:
    """Return whether a FILTER is missing or PASS."""
    if stop - start == 1:
        return buf[start] == DOT
    return stop - start == 4 and buf[start] == 80 and buf[start + 1] == 65 and buf[start + 2] == 83


cdef inline bint fails(const uint8_t *buf, int64_t start, int64_t stop) noexcept nogil:
    """Return whether a FILTER or FT is neither missing nor PASS, nor DeepVariant's RefCall: that says reference."""
    cdef const uint8_t *ref_call = b"RefCall"
    return stop > start and not is_pass(buf, start, stop) and not same(buf, start, stop, ref_call, 0, 7)


cdef inline bint has_failed(const uint8_t *buf, const Line *line) noexcept nogil:
    """Return whether the record failed its FILTER."""
    return fails(buf, line.columns[FILTER], line.columns[INFO] - 1)


cdef void read_whole_info(
    const uint8_t *buf, const Line *line, int64_t *reach, int64_t *dp, int64_t *size
) noexcept nogil


cdef inline void read_info(
    const uint8_t *buf, const Line *line, int64_t *reach, int64_t *dp, int64_t *size
) noexcept nogil:
    """Read END, the least depth of a block and the length of SVLEN, where INFO has them."""
    cdef int64_t start = line.columns[INFO], stop = line.columns[FORMAT] - 1
    if stop - start > 4 and not memcmp(buf + start, b"END=", 4) and digits(buf, start + 4, stop, reach) == stop:
        return  # as in most blocks
    reach[0] = 0
    read_whole_info(buf, line, reach, dp, size)
