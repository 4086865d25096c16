"""The primitives of reading VCF text: numbers, comparisons and lists of strings in byte arrays."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef enum:
    TAB = 9
    NEWLINE = 10
    RETURN = 13
    STAR = 42
    COMMA = 44
    DOT = 46
    SLASH = 47
    COLON = 58
    SEMICOLON = 59
    LESS = 60
    EQUALS = 61
    OPENING = 91
    CLOSING = 93
    PIPE = 124


cdef inline int64_t integer(const uint8_t *buf, int64_t start, int64_t end) noexcept nogil:
    """The integer at ``buf[start:end]`` (decimals cut off); -1 when ``.`` or empty, -2 when it is none."""
    cdef int64_t value = 0, at, digit
    if start >= end or (end - start == 1 and buf[start] == DOT):
        return -1
    for at in range(start, end):
        digit = <int64_t>buf[at] - 48
        if digit < 0 or digit > 9:
            if buf[at] == DOT and at > start:
                return value
            return -2
        value = value * 10 + digit
        if value > 2_000_000_000:
            return 2_000_000_000
    return value


cdef inline int64_t position(const uint8_t *buf, int64_t start, int64_t end) noexcept nogil:
    """The same of a number that has no decimals: -2 when it has."""
    cdef int64_t at
    for at in range(start + 1, end):
        if buf[at] == DOT:
            return -2
    return integer(buf, start, end)


cdef inline int64_t quality(const uint8_t *buf, int64_t start, int64_t end) noexcept nogil:
    """QUAL in hundredths, -1 when missing; only compared, never stored."""
    cdef int64_t hundredths, at
    cdef int64_t whole = integer(buf, start, end)
    if whole < 0:
        return -1
    hundredths = min(whole, <int64_t>10_000_000) * 100
    for at in range(start, end):
        if buf[at] == DOT:
            if at + 1 < end and 48 <= buf[at + 1] <= 57:
                hundredths += 10 * (buf[at + 1] - 48)
            if at + 2 < end and 48 <= buf[at + 2] <= 57:
                hundredths += buf[at + 2] - 48
            break
    return hundredths


cdef inline bint same(
    const uint8_t *buf, int64_t start, int64_t end, const uint8_t *pool, int64_t first, int64_t last
) noexcept nogil:
    """Whether ``buf[start:end]`` equals ``pool[first:last]``."""
    cdef int64_t index
    if end - start != last - first:
        return False
    for index in range(end - start):
        if buf[start + index] != pool[first + index]:
            return False
    return True


cdef inline uint8_t upper(uint8_t base) noexcept nogil:
    """The upper-case letter."""
    return base - 32 if 97 <= base <= 122 else base


cdef inline bint is_base(uint8_t base) noexcept nogil:
    """Whether it is A, C, G or T."""
    return base == 65 or base == 67 or base == 71 or base == 84


cdef inline bint is_allele_letter(uint8_t base) noexcept nogil:
    """Whether it is an upper-case base, N or another letter that IUPAC has for several bases."""
    # the bits of A B C D G H K M N R S T V W Y, counted from A
    return 65 <= base <= 90 and (0x16e34cf >> (base - 65)) & 1


cdef inline int64_t named(
    int64_t *count, const uint8_t *buf, int64_t start, int64_t end, uint8_t *pool, int64_t room, int64_t *ends,
    int64_t limit,
) noexcept nogil:
    """Number of the string at ``buf[start:end]`` in a growing list of strings; -1 when the list is full."""
    cdef int64_t index, first = 0
    for index in range(count[0]):
        if same(buf, start, end, pool, first, ends[index]):
            return index
        first = ends[index]
    if count[0] >= limit or first + end - start > room:
        return -1
    for index in range(end - start):
        pool[first + index] = buf[start + index]
    ends[count[0]] = first + end - start
    count[0] += 1
    return count[0] - 1


cdef inline int64_t key_number(
    const uint8_t *buf, int64_t start, int64_t end, const uint8_t *key_pool, const int64_t *key_ends, int64_t keys
) noexcept nogil:
    """Which of the keys stands at ``buf[start:end]``; -1 for none of them."""
    cdef int64_t index, first = 0
    for index in range(keys):
        if same(buf, start, end, key_pool, first, key_ends[index]):
            return index
        first = key_ends[index]
    return -1


cdef inline int64_t digest(const uint8_t *buf, int64_t start, int64_t stop) noexcept nogil:
    """64 bits that stand for these bytes (FNV-1a)."""
    cdef uint64_t value = 14695981039346656037ULL
    cdef int64_t index
    for index in range(start, stop):
        value = (value ^ buf[index]) * <uint64_t>1099511628211ULL
    return <int64_t>value
