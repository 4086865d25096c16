"""Normalisation of alleles: atoms of an ALT, trimming and left-alignment.

An allele is split off its record, trimmed and left-aligned against the reference (Tan, Abecasis & Kang 2015, "Unified
representation of genetic variants"), then decomposed into atoms, as by ``bcftools norm -f REF -m -any --atomize`` and
in its order. An atom is not aligned again: the other atoms of its allele keep it in place.
Positions are 1-based. Sequences are upper-case bytes.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcmp

from baekman.kernels.text cimport digest

# The strings of an allele, and its number among different ones.
cdef struct Allele:
    const uint8_t *ref
    const uint8_t *alt
    int64_t ref_length
    int64_t alt_length
    int64_t number


cdef int64_t atomize(
    const uint8_t *ref, int64_t ref_length, const uint8_t *alt, int64_t alt_length, int64_t *begins,
    int64_t *ref_lengths, int64_t *alt_lengths,
) noexcept nogil:
    """Cut one ALT into atoms: mismatched bases, and at most one insertion or deletion, which comes last.

    Writes 0-based offsets and lengths of the atoms, and returns their number. A mismatch is
    ``ref[begin]`` -> ``alt[begin]``. An insertion or deletion follows the reference's base at ``begin``, whatever ALT
    has there (a mismatch there is an atom of its own): its alternate sequence is
    ``ref[begin] + alt[begin + 1 : begin + alt_length]``.
    """
    cdef int64_t shorter, column, count = 0
    while ref_length > 1 and alt_length > 1 and ref[ref_length - 1] == alt[alt_length - 1]:
        ref_length -= 1
        alt_length -= 1
    shorter = min(ref_length, alt_length)
    for column in range(shorter):
        if ref[column] != alt[column]:
            begins[count] = column
            ref_lengths[count] = 1
            alt_lengths[count] = 1
            count += 1
    if ref_length != alt_length:
        begins[count] = shorter - 1
        ref_lengths[count] = ref_length - shorter + 1
        alt_lengths[count] = alt_length - shorter + 1
        count += 1
    return count


cdef void left_align(
    const uint8_t *contig, int64_t *pos, uint8_t *ref, int64_t *ref_length, uint8_t *alt, int64_t *alt_length
) noexcept nogil:
    """Trim and left-align one allele in place; ``ref`` and ``alt`` need one spare byte each.

    ``contig`` is the sequence of the allele's contig. Changes the position and the lengths.
    """
    cdef int64_t trimmed = 0, index, size, shift = 0, turn
    cdef int64_t refs = ref_length[0], alts = alt_length[0], at = pos[0]
    cdef uint8_t base, anchor
    cdef uint8_t *longer
    if refs == 1 and alts == 1:
        return
    while refs > 0 and alts > 0 and ref[refs - 1] == alt[alts - 1]:
        if (refs == 1 or alts == 1) and at == 1:
            break
        refs -= 1
        alts -= 1
    if refs > 0 and alts > 0:
        while trimmed < min(refs, alts) - 1 and ref[trimmed] == alt[trimmed]:
            trimmed += 1
        if trimmed:
            for index in range(trimmed, refs):
                ref[index - trimmed] = ref[index]
            for index in range(trimmed, alts):
                alt[index - trimmed] = alt[index]
            at += trimmed
            refs -= trimmed
            alts -= trimmed
    else:
        base = contig[at - 2]
        for index in range(refs, 0, -1):
            ref[index] = ref[index - 1]
        for index in range(alts, 0, -1):
            alt[index] = alt[index - 1]
        ref[0] = base
        alt[0] = base
        at -= 1
        refs += 1
        alts += 1
    pos[0] = at
    ref_length[0] = refs
    alt_length[0] = alts
    if ref[0] != alt[0] or (refs > 1 and alts > 1) or refs == alts:
        return
    # A pure insertion or deletion after an anchor slides left while its last base equals the anchor.
    longer = ref if refs > 1 else alt
    size = max(refs, alts) - 1
    anchor = longer[0]
    while at > 1:
        # after `shift` steps the last base of the indel is the base `shift` before its end, counted round the
        # indel: the bases that enter on the left are the bases that leave on the right
        if longer[1 + (size - 1 - shift % size)] != anchor:
            break
        shift += 1
        at -= 1
        anchor = contig[at - 1]
    if shift:
        turn = shift % size
        if turn:
            _rotate(longer + 1, size, turn)
        ref[0] = anchor
        alt[0] = anchor
        pos[0] = at


cdef void _reverse(uint8_t *sequence, int64_t first, int64_t last) noexcept nogil:
    cdef uint8_t kept
    while first < last:
        kept = sequence[first]
        sequence[first] = sequence[last]
        sequence[last] = kept
        first += 1
        last -= 1


cdef void _rotate(uint8_t *sequence, int64_t size, int64_t turn) noexcept nogil:
    """Rotate ``sequence[:size]`` to the right by ``turn``."""
    _reverse(sequence, 0, size - 1)
    _reverse(sequence, 0, turn - 1)
    _reverse(sequence, turn, size - 1)


cdef void least_by_copies(
    const int64_t *pl, int64_t alleles, int64_t ploidy, const uint8_t *members, int64_t *out
) noexcept nogil:
    """Write the likelihoods of 0…ploidy copies of a set of ALTs: the least PL over the genotypes with each number.

    ``pl`` is in VCF order (VCF 4.3 section 1.6.2). ``members[a]`` is 1 for the ALTs of the set, else 0.
    Writes to ``out[:ploidy + 1]``; ``out[2]`` is -1 when haploid.
    """
    cdef int64_t first, second, copies, index = 0
    out[0] = out[1] = out[2] = -1
    if ploidy == 1:
        for first in range(alleles):
            copies = members[first]
            if out[copies] < 0 or pl[first] < out[copies]:
                out[copies] = pl[first]
        return
    for second in range(alleles):
        for first in range(second + 1):
            copies = members[first] + members[second]
            if out[copies] < 0 or pl[index] < out[copies]:
                out[copies] = pl[index]
            index += 1


def downcode(const int64_t[::1] pl, int64_t alleles, int64_t ploidy, const uint8_t[::1] members):
    """Return PL of 0, 1 and 2 copies of a set of ALTs (-1 for 2 when haploid) from a record's PL in VCF order.

    ``members[a]`` is 1 for the ALTs of the set, 0 for the others and the reference.
    """
    cdef int64_t out[3]
    least_by_copies(&pl[0], alleles, ploidy, &members[0], out)
    return out[0], out[1], out[2]


def rank(
    const int32_t[::1] ref_offsets, const uint8_t[::1] ref, const int32_t[::1] alt_offsets, const uint8_t[::1] alt,
    int64_t[::1] out,
):
    """Write the rank of each allele to ``out``: 0 for the first by the bytes of REF, then of ALT; equal ones share it.

    The strings of row n are ``ref[ref_offsets[n] : ref_offsets[n + 1]]`` and likewise of ``alt``. Raises MemoryError.
    """
    cdef bint done
    if len(out) == 0:
        return
    with nogil:
        done = _rank(&ref_offsets[0], &ref[0], &alt_offsets[0], &alt[0], len(out), &out[0])
    if not done:
        raise MemoryError


cdef bint _rank(
    const int32_t *ref_offsets, const uint8_t *ref, const int32_t *alt_offsets, const uint8_t *alt, int64_t rows,
    int64_t *out,
) noexcept nogil:
    cdef int64_t row, place, room = 64, count = 0
    cdef Allele allele
    while room < 2 * rows:
        room *= 2
    # the number, from 1 on, of the allele with each digest
    cdef int64_t *numbers = <int64_t *>calloc(room, sizeof(int64_t))
    cdef int64_t *ranks = <int64_t *>malloc(rows * sizeof(int64_t))
    cdef Allele *alleles = <Allele *>malloc(rows * sizeof(Allele))
    if numbers != NULL and ranks != NULL and alleles != NULL:
        for row in range(rows):
            allele.ref = ref + ref_offsets[row]
            allele.alt = alt + alt_offsets[row]
            allele.ref_length = ref_offsets[row + 1] - ref_offsets[row]
            allele.alt_length = alt_offsets[row + 1] - alt_offsets[row]
            place = digest(allele.ref, 0, allele.ref_length) ^ (digest(allele.alt, 0, allele.alt_length) >> 7)
            place &= room - 1
            while numbers[place] and _by_bytes(&alleles[numbers[place] - 1], &allele) != 0:
                place = (place + 1) & (room - 1)
            if not numbers[place]:
                allele.number = count
                alleles[count] = allele
                count += 1
                numbers[place] = count
            out[row] = numbers[place] - 1
        qsort(alleles, count, sizeof(Allele), _by_bytes)
        for place in range(count):
            ranks[alleles[place].number] = place
        for row in range(rows):
            out[row] = ranks[out[row]]
    free(numbers)
    free(ranks)
    free(alleles)
    return numbers != NULL and ranks != NULL and alleles != NULL


cdef int _by_bytes(const void *left, const void *right) noexcept nogil:
    cdef const Allele *first = <const Allele *>left
    cdef const Allele *second = <const Allele *>right
    cdef int order = _compare(first.ref, first.ref_length, second.ref, second.ref_length)
    return order if order else _compare(first.alt, first.alt_length, second.alt, second.alt_length)


cdef inline int _compare(
    const uint8_t *left, int64_t left_length, const uint8_t *right, int64_t right_length
) noexcept nogil:
    cdef int order = memcmp(left, right, min(left_length, right_length))
    return order if order else (left_length > right_length) - (left_length < right_length)
