"""The places of separators in text, found 64 bytes at a time."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from baekman.kernels.text cimport NEWLINE, TAB

cdef extern from *:
    """
    #include <stdint.h>
    #ifdef __SSE2__
    #include <emmintrin.h>
    #endif

    /* Return a bit for each of 64 bytes, the lowest for the first: whether it is one of two characters. */
    static inline uint64_t baekman_bits_of(const uint8_t *bytes, uint8_t one, uint8_t other) {
        uint64_t bits = 0;
    #ifdef __SSE2__
        const __m128i ones = _mm_set1_epi8((char)one), others = _mm_set1_epi8((char)other);
        for (int part = 0; part < 64; part += 16) {
            const __m128i word = _mm_loadu_si128((const __m128i *)(bytes + part));
            const __m128i equal = _mm_or_si128(_mm_cmpeq_epi8(word, ones), _mm_cmpeq_epi8(word, others));
            bits |= (uint64_t)_mm_movemask_epi8(equal) << part;
        }
    #else
        for (int at = 0; at < 64; at++)
            bits |= (uint64_t)(bytes[at] == one || bytes[at] == other) << at;
    #endif
        return bits;
    }

    static inline int64_t baekman_lowest(uint64_t bits) {
        return __builtin_ctzll(bits);
    }
    """
    uint64_t bits_of "baekman_bits_of" (const uint8_t *bytes, uint8_t one, uint8_t other) noexcept nogil
    int64_t lowest "baekman_lowest" (uint64_t bits) noexcept nogil

cdef enum:
    WIDTH = 64

# The tabs and newlines of some bytes that were not passed yet: a bit for each byte of 64 from ``at`` on.
cdef struct Ends:
    int64_t at
    uint64_t bits


cdef inline uint64_t bits_up_to(
    const uint8_t *buf, int64_t at, int64_t limit, uint8_t one, uint8_t other
) noexcept nogil:
    """Return the bits of the bytes at ``at``, at most ``WIDTH``; the buffer ends at ``limit``."""
    cdef uint64_t bits = 0
    cdef int64_t index
    if limit - at >= WIDTH:
        return bits_of(buf + at, one, other)
    for index in range(limit - at):
        bits |= <uint64_t>(buf[at + index] == one or buf[at + index] == other) << index
    return bits


cdef inline int64_t next_end(Ends *ends, const uint8_t *buf, int64_t limit) noexcept nogil:
    """Return the place of the next tab or newline, ``limit`` when there is none."""
    cdef int64_t place
    while ends.bits == 0:
        ends.at += WIDTH
        if ends.at >= limit:
            return limit
        ends.bits = bits_up_to(buf, ends.at, limit, TAB, NEWLINE)
    place = ends.at + lowest(ends.bits)
    ends.bits &= ends.bits - 1
    return place
