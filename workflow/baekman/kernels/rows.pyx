"""The call rows of one record: atoms of its ALTs, normalised, with copies, depths and likelihoods."""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy, memmove, memset

from baekman.kernels.alleles cimport atomize, least_by_copies, left_align
from baekman.kernels.layout cimport (
    COUNT_ALT_EQUALS_REF, COUNT_PL_EQUAL, COUNT_UNSUPPORTED_ALLELE, MISSING, TIE_FIRST, TIE_RECORD, TIE_SECOND, CallRow,
)
from baekman.kernels.record cimport DELETION, REAL, Record
from baekman.kernels.text cimport is_base, same, upper


cdef inline void changed_bases(
    const Record *record, int64_t allele, int64_t *ref_length, int64_t *alt_length
) noexcept nogil:
    """Write the lengths of REF and an ALT without the bases that they share at their ends."""
    cdef const uint8_t *ref = record.buf + record.ref_start
    cdef const uint8_t *alt = record.buf + record.allele_start[allele]
    cdef int64_t refs = record.ref_length
    cdef int64_t alts = record.allele_end[allele] - record.allele_start[allele]
    while refs > 1 and alts > 1 and upper(ref[refs - 1]) == upper(alt[alts - 1]):
        refs -= 1
        alts -= 1
    ref_length[0] = refs
    alt_length[0] = alts


cdef void count_changed(const Record *record, int64_t *out) noexcept nogil:
    """Write, for each base of the record, the number of copies that differ from the reference there."""
    cdef int64_t index, allele, base, changed, size
    cdef const uint8_t *ref = record.buf + record.ref_start
    cdef const uint8_t *alt
    for index in range(record.ref_length):
        out[index] = 0
    for index in range(record.ploidy):
        allele = record.genotype[index]
        if allele < 1:
            continue
        if record.allele_kind[allele] != REAL:
            for base in range(record.allele_kind[allele] == DELETION, record.ref_length):
                out[base] += 1
            continue
        alt = record.buf + record.allele_start[allele]
        changed_bases(record, allele, &changed, &size)
        for base in range(changed):
            if base >= size or upper(ref[base]) != upper(alt[base]):
                out[base] += 1


cdef void add_rows(const Record *record, const uint8_t *contig, RowTable *table, Workspace *work) noexcept nogil:
    """Add the record's call rows; ``contig`` is the sequence of its contig."""
    cdef int64_t first = table.count
    cdef int64_t pairs = collect_atoms(record, contig, table, work)
    complete_rows(record, table, first, work, pairs)
    close_up(table, first)
    if record.ploidy == 2 and not record.phased:
        keep_ties(record, table, first)


cdef int64_t collect_atoms(
    const Record *record, const uint8_t *contig, RowTable *table, Workspace *work
) noexcept nogil:
    """Begin a row for each atom of the record's ALTs, normalised; return the number of pairs (row, ALT).

    A pair means that the ALT contains the row's atom. Until ``complete_rows`` a row has, in its fields for PL, the
    bases of the record that the atom changes.
    """
    cdef int64_t first_row = table.count, pairs = 0
    cdef int64_t allele, alt_length, index, changed, changed_alt, aligned_pos, aligned_ref, aligned_alt, atoms, atom
    cdef int64_t begins, atom_ref, atom_alt, atom_pos, window, window_end, twin, row, start, used_ref, used_alt
    cdef CallRow *rows = table.rows
    cdef uint8_t base
    for allele in range(1, record.alleles):
        if record.allele_kind[allele] != REAL:
            continue
        alt_length = record.allele_end[allele] - record.allele_start[allele]
        for index in range(record.ref_length):
            base = upper(record.buf[record.ref_start + index])
            # a letter other than ACGT becomes the store's base
            work.ref[index] = base if is_base(base) else contig[record.pos - 1 + index]
        for index in range(alt_length):
            base = upper(record.buf[record.allele_start[allele] + index])
            if not is_base(base) and index < record.ref_length and base == upper(record.buf[record.ref_start + index]):
                base = work.ref[index]
            work.alt[index] = base
        changed_bases(record, allele, &changed, &changed_alt)
        aligned_pos = record.pos
        aligned_ref = record.ref_length
        aligned_alt = alt_length
        left_align(contig, &aligned_pos, work.ref, &aligned_ref, work.alt, &aligned_alt)
        atoms = atomize(work.ref, aligned_ref, work.alt, aligned_alt, work.begin, work.ref_length, work.alt_length)
        record.counts[COUNT_ALT_EQUALS_REF] += atoms == 0
        for atom in range(atoms):
            begins = work.begin[atom]
            atom_ref = work.ref_length[atom]
            atom_alt = work.alt_length[atom]
            atom_pos = aligned_pos + begins
            if atom_ref != atom_alt:
                work.alt[begins] = work.ref[begins]
            # the bases of the record that the atom changes; for an indel, before it slides to the left
            if atoms == 1 and atom_ref != atom_alt:
                window = min(changed, changed_alt) - 1
                window_end = max(changed, window + 1)
            else:
                window = atom_pos - record.pos
                window_end = window + atom_ref
            # the same atom of another ALT of this record: one row for both
            twin = -1
            for row in range(first_row, table.count):
                if rows[row].pos != atom_pos:
                    continue
                start = rows[row - 1].ref_end if row else 0
                if not same(work.ref, begins, begins + atom_ref, table.ref_pool, start, rows[row].ref_end):
                    continue
                start = rows[row - 1].alt_end if row else 0
                if same(work.alt, begins, begins + atom_alt, table.alt_pool, start, rows[row].alt_end):
                    twin = row
                    break
            if twin < 0:
                twin = table.count
                used_ref = rows[twin - 1].ref_end if twin else 0
                used_alt = rows[twin - 1].alt_end if twin else 0
                for index in range(atom_ref):
                    table.ref_pool[used_ref + index] = work.ref[begins + index]
                for index in range(atom_alt):
                    table.alt_pool[used_alt + index] = work.alt[begins + index]
                memset(&rows[twin], 0, sizeof(CallRow))
                rows[twin].ref_end = <int32_t>(used_ref + atom_ref)
                rows[twin].alt_end = <int32_t>(used_alt + atom_alt)
                rows[twin].pos = <int32_t>atom_pos
                # until ``complete_rows``
                rows[twin].pl[1] = <int32_t>window
                rows[twin].pl[2] = <int32_t>window_end
                rows[twin].quality = <int32_t>record.quality
                table.count += 1
            work.member_row[pairs] = twin
            work.member_allele[pairs] = allele
            pairs += 1
    return pairs


cdef void complete_rows(
    const Record *record, RowTable *table, int64_t first_row, Workspace *work, int64_t pairs
) noexcept nogil:
    """Give the rows that ``collect_atoms`` began their copies, depths, likelihoods, phase and flags.

    A row without a copy and without evidence gets position -1: the record's interval has the evidence of the base.
    """
    cdef int64_t row, index, window, window_end, copies, other, phase, allele, trimmed_ref, size, base, ad_alt
    cdef int64_t likelihoods[3]
    cdef const uint8_t *ref = record.buf + record.ref_start
    cdef const uint8_t *alt
    cdef CallRow *out
    for row in range(first_row, table.count):
        out = &table.rows[row]
        for index in range(record.alleles):
            work.members[index] = 0
        for index in range(pairs):
            if work.member_row[index] == row:
                work.members[work.member_allele[index]] = 1
        window = out.pl[1]
        window_end = out.pl[2]
        copies = 0
        other = 0
        phase = 0
        for index in range(record.ploidy):
            allele = record.genotype[index]
            if allele < 1:
                continue
            if work.members[allele]:
                copies += 1
            elif record.allele_kind[allele] != REAL:
                other += record.allele_kind[allele] != DELETION or window_end > 1
            else:
                # does the other ALT change a base of this atom?
                alt = record.buf + record.allele_start[allele]
                changed_bases(record, allele, &trimmed_ref, &size)
                for base in range(window, min(window_end, trimmed_ref)):
                    if (
                        base >= size
                        or upper(ref[base]) != upper(alt[base])
                        or (base == min(size, trimmed_ref) - 1 and size != trimmed_ref)
                    ):
                        other += 1
                        break
        if record.phased and record.ploidy == 2:
            if record.haplotype[0] > 0 and work.members[record.haplotype[0]]:
                phase |= 1
            if record.haplotype[1] > 0 and work.members[record.haplotype[1]]:
                phase |= 2
        ad_alt = -1
        if record.counted:
            ad_alt = 0
            for index in range(1, record.alleles):
                if work.members[index]:
                    ad_alt += record.depths[index]
        if record.values:
            least_by_copies(record.pl, record.alleles, record.ploidy, work.members, likelihoods)
        else:
            likelihoods[0] = likelihoods[1] = likelihoods[2] = MISSING
        if record.values and likelihoods[0] == likelihoods[1] and (
            record.ploidy == 1 or likelihoods[0] == likelihoods[2]
        ):
            # every number of copies is as likely: no evidence, and no joint genotype out of the frequency alone
            record.counts[COUNT_PL_EQUAL] += 1
            likelihoods[0] = likelihoods[1] = likelihoods[2] = MISSING
        if copies == 0 and ad_alt == 0 and not (likelihoods[0] >= 0 and likelihoods[1] < likelihoods[0] + 20):
            record.counts[COUNT_UNSUPPORTED_ALLELE] += 1
            out.pos = -1
            continue
        out.copies = <int32_t>copies
        out.ploidy = <int32_t>record.ploidy
        out.other = <int32_t>other
        out.gq = <int32_t>record.gq
        out.dp = <int32_t>record.dp
        out.ad_ref = <int32_t>(record.depths[0] if record.counted else -1)
        out.ad_alt = <int32_t>ad_alt
        for index in range(3):
            out.pl[index] = <int32_t>likelihoods[index]
        out.phase = <int32_t>phase
        out.phase_set = <int32_t>record.phase_set
        out.filter = <int32_t>record.filter
        out.flags = <int32_t>record.flags
        if copies == 1 and record.ploidy == 2 and not record.phased:
            for index in range(2):
                if record.genotype[index] > 0 and work.members[record.genotype[index]]:
                    out.flags |= <int32_t>(TIE_FIRST << index)


cdef void keep_ties(const Record *record, RowTable *table, int64_t first_row) noexcept nogil:
    """Complete the tie of each row with a copy on the haplotype of another row of the position; remove the others."""
    cdef CallRow *rows = table.rows
    cdef int64_t row, other
    cdef int32_t tie
    for row in range(first_row, table.count):
        tie = 0
        for other in range(first_row, table.count):
            if other != row and rows[other].pos == rows[row].pos:
                tie |= rows[other].flags & rows[row].flags & (TIE_FIRST | TIE_SECOND)
        if tie:
            rows[row].flags |= <int32_t>((record.number & 3) << TIE_RECORD)
        else:
            rows[row].flags &= TIE_FIRST - 1


cdef void close_up(RowTable *table, int64_t first_row) noexcept nogil:
    """Remove the rows at position -1 from ``first_row`` on, with their strings."""
    cdef CallRow *rows = table.rows
    cdef int64_t kept = first_row, row, index, ref_to, alt_to
    cdef int64_t used_ref = rows[first_row - 1].ref_end if first_row else 0
    cdef int64_t used_alt = rows[first_row - 1].alt_end if first_row else 0
    cdef int64_t ref_from = used_ref, alt_from = used_alt
    for row in range(first_row, table.count):
        ref_to = rows[row].ref_end
        alt_to = rows[row].alt_end
        if rows[row].pos >= 0:
            if kept != row:
                for index in range(ref_from, ref_to):
                    table.ref_pool[used_ref + index - ref_from] = table.ref_pool[index]
                for index in range(alt_from, alt_to):
                    table.alt_pool[used_alt + index - alt_from] = table.alt_pool[index]
                rows[kept] = rows[row]
            used_ref += ref_to - ref_from
            used_alt += alt_to - alt_from
            rows[kept].ref_end = <int32_t>used_ref
            rows[kept].alt_end = <int32_t>used_alt
            kept += 1
        ref_from = ref_to
        alt_from = alt_to
    table.count = kept


cdef int64_t part_rows(RowTable *table, int64_t end, CallRow *out, uint8_t *ref, uint8_t *alt) noexcept nogil:
    """Move the rows at positions up to ``end``, with their strings, to ``out``; return their number."""
    cdef CallRow *rows = table.rows
    cdef CallRow row
    cdef int64_t index, moved = 0, kept = 0
    cdef int64_t ref_from = 0, alt_from = 0, refs, alts, moved_ref = 0, moved_alt = 0, kept_ref = 0, kept_alt = 0
    for index in range(table.count):
        row = rows[index]
        refs = row.ref_end - ref_from
        alts = row.alt_end - alt_from
        if row.pos <= end:
            memcpy(ref + moved_ref, table.ref_pool + ref_from, refs)
            memcpy(alt + moved_alt, table.alt_pool + alt_from, alts)
            moved_ref += refs
            moved_alt += alts
            out[moved] = row
            out[moved].ref_end = <int32_t>moved_ref
            out[moved].alt_end = <int32_t>moved_alt
            moved += 1
        else:
            memmove(table.ref_pool + kept_ref, table.ref_pool + ref_from, refs)
            memmove(table.alt_pool + kept_alt, table.alt_pool + alt_from, alts)
            kept_ref += refs
            kept_alt += alts
            rows[kept] = row
            rows[kept].ref_end = <int32_t>kept_ref
            rows[kept].alt_end = <int32_t>kept_alt
            kept += 1
        ref_from += refs
        alt_from += alts
    table.count = kept
    return moved
