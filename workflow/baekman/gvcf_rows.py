"""From one record to call rows, compiled: atoms of its ALTs, normalised, with copies, depths and likelihoods."""

from __future__ import annotations

from typing import Any

from baekman.alleles import atomize, downcode, left_align
from baekman.gvcf_text import same, upper
from baekman.kernels import compiled
from baekman.schema import MISSING

Array = Any  # a NumPy array inside compiled code

# Kinds of ALT.
REAL, NON_REF, OTHER = 0, 1, 2

ROW_INTS = ("pos", "copies", "ploidy", "other", "gq", "dp", "ad_ref", "ad_alt", "pl_0", "pl_1", "pl_2")
ROW_COLUMNS = (*ROW_INTS, "phase", "phase_set", "filter", "flags", "quality", "ref_end", "alt_end")
(
    R_POS, R_COPIES, R_PLOIDY, R_OTHER, R_GQ, R_DP, R_AD_REF, R_AD_ALT, R_PL_0, R_PL_1, R_PL_2,
    R_PHASE, R_PHASE_SET, R_FILTER, R_FLAGS, R_QUALITY, R_REF_END, R_ALT_END,
) = range(18)  # fmt: skip


@compiled
def changed_bases(buf: Array, ref_start: int, ref_length: int, alt_start: int, alt_length: int) -> tuple[int, int]:
    """Lengths of REF and ALT without the bases that they share at their ends."""
    while (
        ref_length > 1
        and alt_length > 1
        and upper(buf[ref_start + ref_length - 1]) == upper(buf[alt_start + alt_length - 1])
    ):
        ref_length -= 1
        alt_length -= 1
    return ref_length, alt_length


@compiled
def count_changed(
    buf: Array, ref_start: int, ref_length: int, genotype: Array, ploidy: int,
    allele_start: Array, allele_end: Array, allele_kind: Array, out: Array,
) -> None:  # fmt: skip
    """For each base of the record, how many copies are not the reference base there."""
    for index in range(ref_length):
        out[index] = 0
    for index in range(ploidy):
        allele = genotype[index]
        if allele < 1:
            continue
        if allele_kind[allele] != REAL:
            for base in range(ref_length):
                out[base] += 1
            continue
        start = allele_start[allele]
        changed, size = changed_bases(buf, ref_start, ref_length, start, allele_end[allele] - start)
        for base in range(changed):
            if base >= size or upper(buf[ref_start + base]) != upper(buf[start + base]):
                out[base] += 1


@compiled
def collect_atoms(
    buf: Array, ref_start: int, ref_length: int, alleles: int, allele_start: Array, allele_end: Array,
    allele_kind: Array, genome: Array, base_zero: int, pos: int, quality: int, rows: Array, row_count: int,
    ref_pool: Array, alt_pool: Array, ref_bytes: Array, alt_bytes: Array, atom_begin: Array, atom_ref: Array,
    atom_alt: Array, member_row: Array, member_allele: Array,
) -> tuple[int, int]:  # fmt: skip
    """Begin a row for each atom of the record's ALTs, normalised; returns (rows, pairs).

    The pairs (row, ALT) say which ALTs of the record hold an atom. Until ``complete_rows`` a row holds in its
    places for PL the bases of the record that the atom changes.
    """
    first_row = row_count
    pairs = 0
    for allele in range(1, alleles):
        if allele_kind[allele] != REAL:
            continue
        alt_length = allele_end[allele] - allele_start[allele]
        for index in range(ref_length):
            ref_bytes[index] = upper(buf[ref_start + index])
        for index in range(alt_length):
            alt_bytes[index] = upper(buf[allele_start[allele] + index])
        changed, changed_alt = changed_bases(buf, ref_start, ref_length, allele_start[allele], alt_length)
        aligned_pos, aligned_ref, aligned_alt = left_align(
            genome, base_zero, pos, ref_bytes, ref_length, alt_bytes, alt_length
        )
        atoms = atomize(ref_bytes, aligned_ref, alt_bytes, aligned_alt, atom_begin, atom_ref, atom_alt)
        for atom in range(atoms):
            begins = atom_begin[atom]
            atom_ref_length = atom_ref[atom]
            atom_alt_length = atom_alt[atom]
            atom_pos = aligned_pos + begins
            if atom_ref_length != atom_alt_length:
                alt_bytes[begins] = ref_bytes[begins]
            # the bases of the record that the atom changes; of an indel, before it slid to the left
            if atoms == 1 and atom_ref_length != atom_alt_length:
                window = min(changed, changed_alt) - 1
                window_end = max(changed, window + 1)
            else:
                window = atom_pos - pos
                window_end = window + atom_ref_length
            # the same atom of another ALT of this record: one row for both
            twin = -1
            for row in range(first_row, row_count):
                if rows[row, R_POS] != atom_pos:
                    continue
                first = rows[row - 1, R_REF_END] if row else 0
                if not same(ref_bytes, begins, begins + atom_ref_length, ref_pool, first, rows[row, R_REF_END]):
                    continue
                first = rows[row - 1, R_ALT_END] if row else 0
                if same(alt_bytes, begins, begins + atom_alt_length, alt_pool, first, rows[row, R_ALT_END]):
                    twin = row
                    break
            if twin < 0:
                twin = row_count
                used_ref = rows[row_count - 1, R_REF_END] if row_count else 0
                used_alt = rows[row_count - 1, R_ALT_END] if row_count else 0
                for index in range(atom_ref_length):
                    ref_pool[used_ref + index] = ref_bytes[begins + index]
                for index in range(atom_alt_length):
                    alt_pool[used_alt + index] = alt_bytes[begins + index]
                for index in range(rows.shape[1]):
                    rows[twin, index] = 0
                rows[twin, R_REF_END] = used_ref + atom_ref_length
                rows[twin, R_ALT_END] = used_alt + atom_alt_length
                rows[twin, R_POS] = atom_pos
                # until the row is finished
                rows[twin, R_PL_1] = window
                rows[twin, R_PL_2] = window_end
                rows[twin, R_QUALITY] = quality
                row_count += 1
            member_row[pairs] = twin
            member_allele[pairs] = allele
            pairs += 1
    return row_count, pairs


@compiled
def complete_rows(
    buf: Array, ref_start: int, ref_length: int, alleles: int, allele_start: Array, allele_end: Array,
    allele_kind: Array, genotype: Array, ploidy: int, phased: bool, phased_first: int, phased_second: int,
    depths: Array, counted: int, pl: Array, values: int, gq: int, dp: int, phase_set: int, filter_code: int,
    flags: int, rows: Array, first_row: int, row_count: int, member_row: Array, member_allele: Array, pairs: int,
    members: Array, likelihoods: Array,
) -> None:  # fmt: skip
    """Give the rows that ``collect_atoms`` began their copies, depths, likelihoods, phase and flags.

    A row without a copy and without evidence gets position -1: what the record says of the base is in its
    interval.
    """
    for row in range(first_row, row_count):
        for index in range(alleles):
            members[index] = False
        for index in range(pairs):
            if member_row[index] == row:
                members[member_allele[index]] = True
        window = rows[row, R_PL_1]
        window_end = rows[row, R_PL_2]
        copies = 0
        other = 0
        phase = 0
        for index in range(ploidy):
            allele = genotype[index]
            if allele < 1:
                continue
            if members[allele]:
                copies += 1
            elif allele_kind[allele] != REAL:
                other += 1
            else:
                # does the other ALT change a base of this atom?
                start = allele_start[allele]
                trimmed_ref, size = changed_bases(buf, ref_start, ref_length, start, allele_end[allele] - start)
                for base in range(window, min(window_end, trimmed_ref)):
                    if (
                        base >= size
                        or upper(buf[ref_start + base]) != upper(buf[start + base])
                        or (base == min(size, trimmed_ref) - 1 and size != trimmed_ref)
                    ):
                        other += 1
                        break
        if phased and ploidy == 2:
            if phased_first > 0 and members[phased_first]:
                phase |= 1
            if phased_second > 0 and members[phased_second]:
                phase |= 2
        ad_alt = -1
        if counted:
            ad_alt = 0
            for index in range(1, alleles):
                if members[index]:
                    ad_alt += depths[index]
        if values:
            downcode(pl, 0, alleles, ploidy, members, likelihoods)
        else:
            likelihoods[0] = likelihoods[1] = likelihoods[2] = MISSING
        if copies == 0 and ad_alt == 0 and not (values and likelihoods[1] < likelihoods[0] + 20):
            rows[row, R_POS] = -1
            continue
        rows[row, R_COPIES] = copies
        rows[row, R_PLOIDY] = ploidy
        rows[row, R_OTHER] = other
        rows[row, R_GQ] = gq
        rows[row, R_DP] = dp
        rows[row, R_AD_REF] = depths[0] if counted else -1
        rows[row, R_AD_ALT] = ad_alt
        rows[row, R_PL_0] = likelihoods[0]
        rows[row, R_PL_1] = likelihoods[1]
        rows[row, R_PL_2] = likelihoods[2]
        rows[row, R_PHASE] = phase
        rows[row, R_PHASE_SET] = phase_set
        rows[row, R_FILTER] = filter_code
        rows[row, R_FLAGS] = flags


@compiled
def close_up(rows: Array, first_row: int, row_count: int, ref_pool: Array, alt_pool: Array) -> int:
    """Take out the rows at position -1 from ``first_row`` on, with their strings; returns the rows that remain."""
    kept = first_row
    used_ref = rows[first_row - 1, R_REF_END] if first_row else 0
    used_alt = rows[first_row - 1, R_ALT_END] if first_row else 0
    ref_from = used_ref
    alt_from = used_alt
    for row in range(first_row, row_count):
        ref_to = rows[row, R_REF_END]
        alt_to = rows[row, R_ALT_END]
        if rows[row, R_POS] >= 0:
            if kept != row:
                for index in range(ref_from, ref_to):
                    ref_pool[used_ref + index - ref_from] = ref_pool[index]
                for index in range(alt_from, alt_to):
                    alt_pool[used_alt + index - alt_from] = alt_pool[index]
                for index in range(rows.shape[1]):
                    rows[kept, index] = rows[row, index]
            used_ref += ref_to - ref_from
            used_alt += alt_to - alt_from
            rows[kept, R_REF_END] = used_ref
            rows[kept, R_ALT_END] = used_alt
            kept += 1
        ref_from = ref_to
        alt_from = alt_to
    return kept
