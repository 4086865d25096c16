"""The primitives for reading VCF text: numbers, comparisons and lists of strings in byte arrays."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef enum:
    TAB = 9
    NEWLINE = 10
    RETURN = 13
    ASTERISK = 42
    PLUS = 43
    COMMA = 44
    MINUS = 45
    DOT = 46
    SLASH = 47
    ZERO = 48
    COLON = 58
    SEMICOLON = 59
    LESS = 60
    EQUALS = 61
    GREATER = 62
    OPENING = 91
    CLOSING = 93
    EXPONENT = 101
    PIPE = 124
    MAX_QUALITY = 1_000_000_000
    SAFE_DIGITS = 9  # a number of so many digits is below any limit here


cdef inline bint is_missing(const uint8_t *buf, int64_t start, int64_t stop) noexcept nogil:
    """Return whether a field is ``.`` or empty."""
    return stop - start <= 1 and (stop == start or buf[start] == DOT)


cdef inline int64_t digits(const uint8_t *buf, int64_t start, int64_t end, int64_t *value) noexcept nogil:
    """Read at most ``SAFE_DIGITS`` digits of ``buf[start:end]`` as a number; return the place after them."""
    cdef int64_t at = start, last = min(end, start + SAFE_DIGITS)
    cdef uint8_t digit
    value[0] = 0
    while at < last:
        digit = buf[at] - 48
        if digit > 9:
            break
        value[0] = value[0] * 10 + digit
        at += 1
    return at


cdef inline int64_t integer(const uint8_t *buf, int64_t start, int64_t end, int64_t *cut) noexcept nogil:
    """Return the integer at ``buf[start:end]``; -1 for ``.`` or empty, -2 for other text.

    Decimals are cut off, and counted in ``cut`` where they are not 0.
    """
    cdef bint lossy = False
    cdef int64_t value, at, digit, after
    if start >= end:
        return -1
    if digits(buf, start, end, &value) == end:
        return value
    if end - start == 1 and buf[start] == DOT:
        return -1
    value = 0
    for at in range(start, end):
        digit = <int64_t>buf[at] - 48
        if digit < 0 or digit > 9:
            if buf[at] != DOT or at == start:
                return -2
            for after in range(at + 1, end):
                if buf[after] < 48 or buf[after] > 57:
                    return -2
                lossy = lossy or buf[after] != 48
            cut[0] += lossy
            return value
        value = value * 10 + digit
        if value > 2_000_000_000:
            return 2_000_000_000
    return value


cdef inline int64_t list_integer(
    const uint8_t *buf, int64_t start, int64_t end, int64_t *after, int64_t *cut
) noexcept nogil:
    """Return the integer at the start of a list with commas in ``buf[start:end]``, and the place ``after`` it."""
    cdef int64_t value, at = digits(buf, start, end, &value)
    after[0] = at
    if at > start and (at == end or buf[at] == COMMA):
        return value
    while at < end and buf[at] != COMMA:
        at += 1
    after[0] = at
    return integer(buf, start, at, cut)


cdef inline int64_t position(const uint8_t *buf, int64_t start, int64_t end) noexcept nogil:
    """Return the same for a number without decimals; -2 for one with decimals."""
    cdef int64_t at, value, cut = 0
    if start < end and digits(buf, start, end, &value) == end:
        return value
    for at in range(start + 1, end):
        if buf[at] == DOT:
            return -2
    return integer(buf, start, end, &cut)


cdef inline int64_t quality(const uint8_t *buf, int64_t start, int64_t end) noexcept nogil:
    """Return a phred quality in hundredths, further decimals cut off; -1 for ``.`` or empty, -2 for no number.

    It may have an exponent: htslib writes one below 0.0001 and from a million on.
    """
    cdef int64_t value = 0, shift = 2, power = 0, at = start, digit
    cdef bint decimals = False, negative
    if start >= end or (end - start == 1 and buf[start] == DOT):
        return -1
    while at < end:
        digit = <int64_t>buf[at] - 48
        if 0 <= digit <= 9:
            if value < <int64_t>1 << 46:
                value = value * 10 + digit
                shift -= decimals
            else:
                shift += not decimals
        elif buf[at] == DOT and at > start and not decimals:
            decimals = True
        elif at > start and (buf[at] == EXPONENT or buf[at] == EXPONENT - 32):
            break
        else:
            return -2
        at += 1
    if at < end:
        at += 1
        negative = at < end and buf[at] == MINUS
        if at < end and (buf[at] == MINUS or buf[at] == PLUS):
            at += 1
        if at == end:
            return -2
        for at in range(at, end):
            digit = <int64_t>buf[at] - 48
            if digit < 0 or digit > 9:
                return -2
            power = min(power * 10 + digit, <int64_t>1000)
        shift += -power if negative else power
    while shift < 0 and value:
        value //= 10
        shift += 1
    while shift > 0 and 0 < value < MAX_QUALITY:
        value *= 10
        shift -= 1
    return min(value, <int64_t>MAX_QUALITY)


cdef inline bint is_infinity(const uint8_t *buf, int64_t start, int64_t end) noexcept nogil:
    """Return whether a number is written as ``inf`` or ``Infinity``, in any case."""
    cdef const uint8_t *word = b"infinity"
    cdef int64_t index
    if end - start != 3 and end - start != 8:
        return False
    for index in range(end - start):
        if buf[start + index] | 32 != word[index]:
            return False
    return True


cdef inline bint same(
    const uint8_t *buf, int64_t start, int64_t end, const uint8_t *pool, int64_t first, int64_t last
) noexcept nogil:
    """Return whether ``buf[start:end]`` equals ``pool[first:last]``."""
    cdef int64_t index
    if end - start != last - first:
        return False
    for index in range(end - start):
        if buf[start + index] != pool[first + index]:
            return False
    return True


cdef inline uint8_t upper(uint8_t base) noexcept nogil:
    """Return the upper-case letter."""
    return base - 32 if 97 <= base <= 122 else base


cdef inline bint is_base(uint8_t base) noexcept nogil:
    """Return whether a letter is A, C, G or T."""
    return base == 65 or base == 67 or base == 71 or base == 84


cdef inline bint is_allele_letter(uint8_t base) noexcept nogil:
    """Return whether a letter is an upper-case base, N or another letter that IUPAC has for several bases."""
    # the bits of A B C D G H K M N R S T V W Y, counted from A
    return 65 <= base <= 90 and (0x16e34cf >> (base - 65)) & 1


cdef inline int64_t named(
    int64_t *count, const uint8_t *buf, int64_t start, int64_t end, uint8_t *pool, int64_t room, int64_t *ends,
    int64_t limit,
) noexcept nogil:
    """Return the number of the string at ``buf[start:end]`` in a growing list of strings; -1 when the list is full."""
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
    """Return the number of the key at ``buf[start:end]``; -1 for none of the keys."""
    cdef int64_t index, first = 0
    for index in range(keys):
        if same(buf, start, end, key_pool, first, key_ends[index]):
            return index
        first = key_ends[index]
    return -1


cdef inline int64_t digest(const uint8_t *buf, int64_t start, int64_t stop) noexcept nogil:
    """Return a digest of 64 bits of these bytes (FNV-1a)."""
    cdef uint64_t value = 14695981039346656037ULL
    cdef int64_t index
    for index in range(start, stop):
        value = (value ^ buf[index]) * <uint64_t>1099511628211ULL
    return <int64_t>value
