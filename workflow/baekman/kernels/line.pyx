"""The INFO of a line, as far as it is read."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from baekman.kernels.text cimport EQUALS, MINUS, NEWLINE, SEMICOLON, integer, key_number, position

# bcftools wrote MinDP and MIN_DP, by version
cdef enum:
    END = 0
    SVLEN = 1
    INFO_KEYS = 4
    LANES = 64
cdef const uint8_t *INFO_POOL = b"ENDSVLENMIN_DPMinDP"
cdef int64_t[4] INFO_ENDS = [3, 8, 14, 19]


cdef void read_whole_info(
    const uint8_t *buf, const Line *line, int64_t *reach, int64_t *dp, int64_t *size
) noexcept nogil:
    """Read an INFO that has more than an END."""
    cdef int64_t start = line.columns[INFO], stop = line.columns[FORMAT] - 1, last, equals, key
    cdef int64_t cut = 0
    while start < stop:
        last = start
        equals = -1
        while last < stop and buf[last] != SEMICOLON:
            if equals < 0 and buf[last] == EQUALS:
                equals = last
            last += 1
        key = key_number(buf, start, equals, INFO_POOL, INFO_ENDS, INFO_KEYS) if equals >= 0 else -1
        if key == END:
            reach[0] = position(buf, equals + 1, last)
            if reach[0] == -1:  # END=.
                reach[0] = 0
        elif key == SVLEN:
            equals += buf[equals + 1] == MINUS
            size[0] = max(position(buf, equals + 1, last), <int64_t>0)
        elif key >= 0:
            dp[0] = integer(buf, equals + 1, last, &cut)
        start = last + 1


def count_lines(const uint8_t[::1] buf not None):
    """Return the number of newlines in ``buf``, counted without the reader of records."""
    cdef int64_t lines = 0, at = 0, size = len(buf), _turn, lane
    cdef uint8_t sums[LANES]
    with nogil:
        while size - at >= LANES:  # sums of bytes, which overflow after 255 turns
            memset(sums, 0, LANES)
            for _turn in range(min((size - at) // LANES, <int64_t>255)):
                for lane in range(LANES):
                    sums[lane] += buf[at + lane] == NEWLINE
                at += LANES
            for lane in range(LANES):
                lines += sums[lane]
        while at < size:
            lines += buf[at] == NEWLINE
            at += 1
    return lines
