"""The keys of a line's INFO that are read."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.text cimport EQUALS, SEMICOLON, integer, key_number, position

# bcftools wrote MinDP and MIN_DP, by version
cdef enum:
    END = 0
    INFO_KEYS = 3
cdef const uint8_t *INFO_POOL = b"ENDMIN_DPMinDP"
cdef int64_t[3] INFO_ENDS = [3, 9, 14]


cdef void read_info(const uint8_t *buf, const Line *line, int64_t *reach, int64_t *dp) noexcept nogil:
    """Write END and the least depth of a block, where INFO has them."""
    cdef int64_t start = line.columns[INFO], stop = line.columns[FORMAT] - 1, last, equals, key
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
        elif key >= 0:
            dp[0] = integer(buf, equals + 1, last)
        start = last + 1
