"""Keyed digests of episodes: SHA-256 (FIPS 180-4) of many short texts that begin with the same bytes.

The state after the whole blocks of the beginning is computed once, so a text costs one block or two. ``hashlib`` needs
a Python object for each text, and SQL about 1 µs. Processors with instructions for SHA-256 use them.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <cpuid.h>
    #include <immintrin.h>
    #include <stdint.h>
    static int has_sha256(void) {
        unsigned a, b, c, d;
        return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
    }
    /* The state is kept as the words ABEF and CDGH, as the instructions take it. */
    __attribute__((target("sha,sse4.1")))
    static void compress_sha256(uint32_t *state, const uint8_t *block, const uint32_t *constants) {
        const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
        __m128i words[4], abef, cdgh, abef_before, cdgh_before, sum;
        sum = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
        cdgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
        abef = abef_before = _mm_alignr_epi8(sum, cdgh, 8);
        cdgh = cdgh_before = _mm_blend_epi16(cdgh, sum, 0xF0);
        for (int i = 0; i < 4; i++)
            words[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * i)), big_endian);
        for (int i = 0; i < 16; i++) {
            sum = _mm_add_epi32(words[i & 3], _mm_loadu_si128((const __m128i *)(constants + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
            sum = _mm_add_epi32(_mm_sha256msg1_epu32(words[i & 3], words[(i + 1) & 3]),
                                _mm_alignr_epi8(words[(i + 3) & 3], words[(i + 2) & 3], 4));
            words[i & 3] = _mm_sha256msg2_epu32(sum, words[(i + 3) & 3]);
        }
        sum = _mm_shuffle_epi32(_mm_add_epi32(abef, abef_before), 0x1B);
        cdgh = _mm_shuffle_epi32(_mm_add_epi32(cdgh, cdgh_before), 0xB1);
        _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(sum, cdgh, 0xF0));
        _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(cdgh, sum, 8));
    }
    #else
    #include <stdint.h>
    static int has_sha256(void) { return 0; }
    static void compress_sha256(uint32_t *state, const uint8_t *block, const uint32_t *constants) {}
    #endif
    """
    int has_sha256() noexcept nogil
    void compress_sha256(uint32_t *state, const uint8_t *block, const uint32_t *constants) noexcept nogil

cdef enum:
    BLOCK = 64
    SHORTEST = 9
    LONGEST = 64

NOTHING = -1  # there is no episode, or no participant
OTHER = -2  # a text that needs a closer look

cdef uint32_t[64] ROUND = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]
cdef uint32_t[8] INITIAL = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]


cdef inline uint32_t turned(uint32_t word, int bits) noexcept nogil:
    return (word >> bits) | (word << (32 - bits))


cdef void compress(uint32_t *state, const uint8_t *block) noexcept nogil:
    """Add one block to ``state``."""
    cdef uint32_t[64] words
    cdef uint32_t a = state[0], b = state[1], c = state[2], d = state[3]
    cdef uint32_t e = state[4], f = state[5], g = state[6], h = state[7]
    cdef uint32_t first, second
    cdef int at
    for at in range(16):
        words[at] = (
            (<uint32_t>block[4 * at] << 24) | (<uint32_t>block[4 * at + 1] << 16)
            | (<uint32_t>block[4 * at + 2] << 8) | <uint32_t>block[4 * at + 3]
        )
    for at in range(16, 64):
        first, second = words[at - 15], words[at - 2]
        words[at] = (
            words[at - 16] + (turned(first, 7) ^ turned(first, 18) ^ (first >> 3))
            + words[at - 7] + (turned(second, 17) ^ turned(second, 19) ^ (second >> 10))
        )
    for at in range(64):
        first = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[at] + words[at]
        second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
        h, g, f, e = g, f, e, d + first
        d, c, b, a = c, b, a, first + second
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d
    state[4] += e
    state[5] += f
    state[6] += g
    state[7] += h


cdef inline void add(uint32_t *state, const uint8_t *block, bint by_instruction) noexcept nogil:
    if by_instruction:
        compress_sha256(state, block, ROUND)
    else:
        compress(state, block)


cdef int64_t finish(
    uint32_t *state, const uint8_t *rest, int64_t length, int64_t total, bint by_instruction
) noexcept nogil:
    """Return the first 48 bits of the digest after the last ``length`` bytes, of ``total``; at most 247 bytes."""
    cdef uint8_t[256] padded
    cdef int64_t blocks = (length + 9 + BLOCK - 1) // BLOCK, place
    memset(padded, 0, sizeof(padded))
    memcpy(padded, rest, length)
    padded[length] = 0x80
    for place in range(8):
        padded[blocks * BLOCK - 1 - place] = <uint8_t>((8 * total) >> (8 * place))
    for place in range(blocks):
        add(state, padded + place * BLOCK, by_instruction)
    return (<int64_t>state[0] << 16) | <int64_t>(state[1] >> 16)


cdef bint is_plain(const uint8_t *text, int64_t length) noexcept nogil:
    """Return whether a text is a letter with 8 to 63 letters and digits after it, all ASCII."""
    cdef int64_t at
    cdef uint8_t byte
    if not SHORTEST <= length <= LONGEST:
        return False
    for at in range(length):
        byte = text[at]
        if not (c"a" <= (byte | 32) <= c"z" or (at and c"0" <= byte <= c"9")):
            return False
    return True


def digest_episodes(
    bytes secret, const int32_t[::1] person_offsets, const uint8_t[::1] people, const int32_t[::1] offsets,
    const uint8_t[::1] texts, const int64_t[:, ::1] pairs, int64_t[::1] out,
    *, bint portable=False,
):
    """Write the first 48 bits of SHA-256(``secret`` + participant + " " + episode) of each pair to ``out``.

    ``pairs``: a row of the participants and a row of the episodes, by number; -1 for none. A participant has at most
    64 bytes. ``out`` is ``NOTHING`` for a pair without one of them, and ``OTHER`` for an episode that is no letter with
    8 to 63 letters and digits after it. ``portable`` is for tests: without the processor's instructions.
    """
    cdef bint by_instruction = not portable and has_sha256()
    cdef const uint8_t *begin = secret
    cdef int64_t kept = len(secret) % BLOCK, whole = len(secret) - kept
    cdef int64_t index, person, episode, length, size
    cdef uint32_t[8] started
    cdef uint32_t[8] state
    cdef uint8_t[256] rest
    if len(pairs[0]) == 0:
        return
    with nogil:
        memcpy(started, INITIAL, sizeof(started))
        for index in range(whole // BLOCK):
            add(started, begin + index * BLOCK, by_instruction)
        memcpy(rest, begin + whole, kept)
        for index in range(len(out)):
            person, episode = pairs[0, index], pairs[1, index]
            if person < 0 or episode < 0:
                out[index] = -1
                continue
            size = offsets[episode + 1] - offsets[episode]
            if not is_plain(&texts[offsets[episode]] if size else NULL, size):
                out[index] = -2
                continue
            length = kept
            memcpy(rest + length, &people[person_offsets[person]], person_offsets[person + 1] - person_offsets[person])
            length += person_offsets[person + 1] - person_offsets[person]
            rest[length] = c" "
            memcpy(rest + length + 1, &texts[offsets[episode]], size)
            memcpy(state, started, sizeof(state))
            out[index] = finish(state, rest, length + 1 + size, whole + length + 1 + size, by_instruction)
