"""The INFO of a line, as far as it is read."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.text cimport EQUALS, MINUS, SEMICOLON, integer, key_number, position

# bcftools wrote MinDP and MIN_DP, by version
cdef enum:
    END = 0
    SVLEN = 1
    INFO_KEYS = 4
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
