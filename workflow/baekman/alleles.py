"""Normalisation of alleles, compiled: atoms of an ALT, trimming and left-alignment.

An allele is split off its record, trimmed and left-aligned against the reference (Tan, Abecasis & Kang 2015, "Unified
representation of genetic variants"), then decomposed into atoms: what ``bcftools norm -f REF -m -any --atomize`` does,
in its order. An atom is not aligned again: beside the others of its allele it could not slide alone.
Positions are 1-based. Sequences are upper-case bytes.
"""

from __future__ import annotations

from typing import Any

from baekman.kernels import compiled

Array = Any  # a NumPy array inside compiled code


@compiled
def atomize(
    ref: Array,
    ref_length: int,
    alt: Array,
    alt_length: int,
    begins: Array,
    ref_lengths: Array,
    alt_lengths: Array,
) -> int:
    """Cut one ALT into atoms: mismatched bases, and at most one insertion or deletion, which comes last.

    Writes 0-based offsets and lengths of the atoms and returns how many there are. A mismatch is
    ``ref[begin]`` -> ``alt[begin]``; an insertion or deletion stands behind the reference's base at ``begin``, whatever
    ALT has there (a mismatch there is an atom of its own): its alternate sequence is
    ``ref[begin] + alt[begin + 1 : begin + alt_length]``.
    """
    while ref_length > 1 and alt_length > 1 and ref[ref_length - 1] == alt[alt_length - 1]:
        ref_length -= 1
        alt_length -= 1
    shorter = min(ref_length, alt_length)
    count = 0
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


@compiled
def left_align(
    genome: Array, contig_start: int, pos: int, ref: Array, ref_length: int, alt: Array, alt_length: int
) -> tuple[int, int, int]:
    """Trim and left-align one allele in place; ``ref`` and ``alt`` need one spare byte each.

    ``genome`` holds all contigs one after the other, this one from ``contig_start`` (0-based). Returns the new
    (pos, ref_length, alt_length).
    """
    if ref_length == 1 and alt_length == 1:
        return pos, 1, 1
    while ref_length > 0 and alt_length > 0 and ref[ref_length - 1] == alt[alt_length - 1]:
        if (ref_length == 1 or alt_length == 1) and pos == 1:
            break
        ref_length -= 1
        alt_length -= 1
    trimmed = 0
    if ref_length > 0 and alt_length > 0:
        while trimmed < min(ref_length, alt_length) - 1 and ref[trimmed] == alt[trimmed]:
            trimmed += 1
        if trimmed:
            for index in range(trimmed, ref_length):
                ref[index - trimmed] = ref[index]
            for index in range(trimmed, alt_length):
                alt[index - trimmed] = alt[index]
            pos += trimmed
            ref_length -= trimmed
            alt_length -= trimmed
    else:
        base = genome[contig_start + pos - 2]
        for index in range(ref_length, 0, -1):
            ref[index] = ref[index - 1]
        for index in range(alt_length, 0, -1):
            alt[index] = alt[index - 1]
        ref[0] = base
        alt[0] = base
        pos -= 1
        ref_length += 1
        alt_length += 1
    if ref[0] != alt[0] or (ref_length > 1 and alt_length > 1) or ref_length == alt_length:
        return pos, ref_length, alt_length
    # A pure insertion or deletion behind an anchor: it slides left while its last base is the anchor's.
    longer = ref if ref_length > 1 else alt
    size = max(ref_length, alt_length) - 1
    shift = 0
    anchor = longer[0]
    while pos > 1:
        # after `shift` steps the last base of the indel is the one that stands `shift` before its end,
        # counted round the indel: bases that came in on the left are those that left on the right
        if longer[1 + (size - 1 - shift % size)] != anchor:
            break
        shift += 1
        pos -= 1
        anchor = genome[contig_start + pos - 1]
    if shift:
        turn = shift % size
        if turn:
            _rotate(longer, 1, size, turn)
        ref[0] = anchor
        alt[0] = anchor
    return pos, ref_length, alt_length


@compiled
def _reverse(sequence: Array, first: int, last: int) -> None:
    while first < last:
        kept = sequence[first]
        sequence[first] = sequence[last]
        sequence[last] = kept
        first += 1
        last -= 1


@compiled
def _rotate(sequence: Array, start: int, size: int, turn: int) -> None:
    """Rotate ``sequence[start:start+size]`` to the right by ``turn``."""
    _reverse(sequence, start, start + size - 1)
    _reverse(sequence, start, start + turn - 1)
    _reverse(sequence, start + turn, start + size - 1)


@compiled
def downcode(pl: Array, offset: int, alleles: int, ploidy: int, members: Array, out: Array) -> None:
    """Likelihoods of 0…ploidy copies of a set of ALTs: the least PL over the genotypes with so many copies.

    ``pl[offset:]`` is in VCF order (VCF 4.3 section 1.6.2), ``members[a]`` is True for the ALTs that count.
    Writes to ``out[:ploidy + 1]``; ``out[2]`` is -1 when haploid.
    """
    out[0] = out[1] = out[2] = -1
    if ploidy == 1:
        for first in range(alleles):
            copies = 1 if members[first] else 0
            value = pl[offset + first]
            if out[copies] < 0 or value < out[copies]:
                out[copies] = value
        return
    index = offset
    for second in range(alleles):
        for first in range(second + 1):
            copies = (1 if members[first] else 0) + (1 if members[second] else 0)
            value = pl[index]
            if out[copies] < 0 or value < out[copies]:
                out[copies] = value
            index += 1
