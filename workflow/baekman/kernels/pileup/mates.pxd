"""Reads of a pileup, and the bases that two mates share, as htslib treats them."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    MATCH = 0
    INSERTION = 1
    DELETION = 2
    SKIP = 3
    SOFT_CLIP = 4
    EQUAL = 7
    DIFFERENCE = 8
    CONSUMES_READ = 0x193  # bit by operation: M I S = X
    CONSUMES_REFERENCE = 0x18D  # M D N = X

cdef struct Read:
    uint8_t *data
    uint32_t *cigar
    uint8_t *sequence
    uint8_t *quality
    uint8_t *name
    int64_t start
    int64_t end
    int64_t at  # reference position of the operation `operation`
    Read *next_of_name
    uint64_t name_hash
    int32_t length
    int32_t operations
    int32_t operation
    int32_t offset  # in the read, of the operation `operation`
    int32_t name_length
    int32_t edge  # a base whose quality at the end of the stretch before is `edge_quality`
    uint8_t edge_quality
    uint8_t mapping_quality
    uint8_t strand
    bint waits  # for its mate, by name


cdef inline int64_t operation_length(uint32_t word) noexcept nogil:
    return word >> 4


cdef inline bint is_match(uint32_t word) noexcept nogil:
    return (word & 15) == MATCH or (word & 15) == EQUAL or (word & 15) == DIFFERENCE


cdef inline int base_at(const uint8_t *sequence, int64_t index) noexcept nogil:
    """Return a base of a read as BAM has it: 1, 2, 4 or 8 for A, C, G or T, 0 for the reference's."""
    return (sequence[index >> 1] >> (4 if (index & 1) == 0 else 0)) & 15


cdef inline uint32_t hash_of(const uint8_t *name) noexcept nogil:
    """Return khash's hash of a string (X31), hashed as a number (Thomas Wang's)."""
    cdef uint32_t key = name[0]
    if key:
        name += 1
        while name[0]:
            key = (key << 5) - key + name[0]
            name += 1
    key += ~(key << 15)
    key ^= key >> 10
    key += key << 3
    key ^= key >> 6
    key += ~(key << 11)
    key ^= key >> 16
    return key


# A place in a read, base by base along the reference (htslib's cigar_iref2iseq).
cdef struct Walk:
    uint32_t *cigar
    uint32_t *end
    int64_t within
    int64_t base
    int64_t position  # from the start of the read; -1 at the end


cdef inline bint set_walk(Walk *walk, Read *read, int64_t position) noexcept nogil:
    """Set ``walk`` to the first aligned base at or after ``position``; return False when there is none."""
    cdef int64_t left = position, length
    cdef uint32_t word
    walk.cigar, walk.end = read.cigar, read.cigar + read.operations
    walk.within = walk.base = walk.position = 0
    if position < 0:
        return False
    while walk.cigar < walk.end:
        word = walk.cigar[0]
        length = operation_length(word)
        if is_match(word):
            left -= length
            if left < 0:
                walk.within = length + left
                walk.base += walk.within
                walk.position += walk.within
                return True
            walk.base += length
            walk.position += length
        elif (word & 15) == SOFT_CLIP or (word & 15) == INSERTION:
            walk.base += length
        elif (word & 15) == DELETION or (word & 15) == SKIP:
            left -= length
            if left < 0:
                left = 0
            walk.position += length
        walk.cigar += 1
    return False


cdef inline bint step(Walk *walk) noexcept nogil:
    """Go to the next aligned base; return False when there is none."""
    cdef int64_t length
    cdef uint32_t word
    while walk.cigar < walk.end:
        word = walk.cigar[0]
        length = operation_length(word)
        if is_match(word):
            if walk.within < length - 1:
                walk.base += 1
                walk.within += 1
                walk.position += 1
                return True
        elif (word & 15) == DELETION or (word & 15) == SKIP:
            walk.position += length
        elif (word & 15) == SOFT_CLIP or (word & 15) == INSERTION:
            walk.base += length
        walk.cigar += 1
        walk.within = -1
    walk.base = walk.position = -1
    return False


cdef inline bint is_after_deletion(Walk *walk, Read *read) noexcept nogil:
    return walk.cigar > read.cigar and ((walk.cigar - 1)[0] & 15) == DELETION


cdef inline void tweak(Read *a, Read *b) noexcept nogil:
    """Take the bases of two mates that overlap as one: a quality of 0 in one of them (htslib's tweak_overlap_quality).

    ``a`` came before ``b``. Where the bases are the same the other gets the sum, at most 200; else the better of both
    keeps 0.8 of its own.
    """
    cdef Walk left, right
    cdef int64_t position = b.start
    cdef int total, of_a = hash_of(a.name) & 1, of_b
    of_b = 1 - of_a
    if not set_walk(&left, a, position - a.start) or not set_walk(&right, b, 0):
        return
    while True:
        while left.position >= 0 and left.position < position - a.start:
            if not step(&left):
                return
        while right.position >= 0 and right.position < position - b.start:
            if not step(&right):
                return
        position = max(position, left.position + a.start, right.position + b.start) + 1
        if left.position + a.start != right.position + b.start:
            if left.position + a.start < right.position + b.start and is_after_deletion(&right, b):
                while left.position + a.start < right.position + b.start:
                    a.quality[left.base] = <uint8_t>(a.quality[left.base] * 0.8) if of_a else 0
                    if not step(&left):
                        return
            elif is_after_deletion(&left, a):
                while True:
                    b.quality[right.base] = <uint8_t>(b.quality[right.base] * 0.8) if of_b else 0
                    if not step(&right):
                        return
                    if right.position + b.start >= left.position + a.start:
                        break
            else:
                continue
        if base_at(a.sequence, left.base) == base_at(b.sequence, right.base):
            total = min(a.quality[left.base] + b.quality[right.base], 200)
            a.quality[left.base] = <uint8_t>(of_a * total)
            b.quality[right.base] = <uint8_t>(of_b * total)
        elif a.quality[left.base] > b.quality[right.base]:
            a.quality[left.base] = <uint8_t>(0.8 * a.quality[left.base])
            b.quality[right.base] = 0
        elif a.quality[left.base] < b.quality[right.base]:
            b.quality[right.base] = <uint8_t>(0.8 * b.quality[right.base])
            a.quality[left.base] = 0
        else:
            a.quality[left.base] = <uint8_t>(of_a * 0.8 * a.quality[left.base])
            b.quality[right.base] = <uint8_t>(of_b * 0.8 * b.quality[right.base])
