"""The haplotypes of a participant at a position with several alleles."""

from libc.stdint cimport int64_t, uint32_t

from baekman.kernels.bcf.shape cimport Haplotypes, Item, Shape
from baekman.kernels.dense cimport cell_genotype, row_shown
from baekman.kernels.genotypes cimport Joint
from baekman.kernels.layout cimport TIE_FIRST, DenseRow


cdef inline int64_t bits(int64_t mask) noexcept nogil:
    return (mask & 1) + ((mask >> 1) & 1)


cdef void assign(const Shape *shape, int64_t items, int64_t ploidy, Haplotypes *out) noexcept nogil:
    """Put the alleles of ``shape.items`` on the haplotypes of a participant.

    A haplotype has room for a mismatched base and an indel. Homozygous alleles are on all haplotypes. Phased alleles of
    one phase set are where their phase says. Alleles of one record are together or apart as its GT says. Nothing ties
    the others to a haplotype: they go to one without an allele where there is one.
    """
    cdef int64_t index, rest
    rest = place_certain(shape, items, ploidy, True, out)
    if rest < 0:
        rest = place_certain(shape, items, ploidy, False, out)
    if rest == 0:
        return
    out.phased = False
    for index in range(items):
        if not shape.items[index].placed and shape.items[index].tie:
            place_record(shape, items, index, out)
    for index in range(items):
        if not shape.items[index].placed:
            place_free(shape, &shape.items[index], out)


cdef int64_t place_certain(
    const Shape *shape, int64_t items, int64_t ploidy, bint by_phase, Haplotypes *out
) noexcept nogil:
    """Place homozygous alleles, and those of the first phase set; return the number of others.

    Returns -1 where the phases contradict each other.
    """
    cdef int64_t index, rest = 0, whole_set = -1, mask
    cdef bint whole = False
    cdef Item *item
    out.ploidy = ploidy
    out.base[0] = out.base[1] = out.indel[0] = out.indel[1] = out.homeless = out.phase_set = -1
    out.phased = False
    for index in range(items):
        item = &shape.items[index]
        item.placed = False
        mask = 0
        if item.copies >= ploidy:
            mask = (1 << ploidy) - 1
            if by_phase and bits(item.phase) == item.copies and not whole:
                whole = True
                whole_set = item.phase_set
        elif by_phase and item.phase and bits(item.phase) == item.copies and (
            not out.phased or item.phase_set == out.phase_set
        ):
            mask = item.phase
            out.phased = True
            out.phase_set = item.phase_set
        if mask and put(shape, item.allele, mask, out):
            item.placed = True
        elif mask and item.copies < ploidy:
            return -1
        else:
            rest += 1
    if whole and not out.phased:
        out.phased = True
        out.phase_set = whole_set
    return rest


cdef void place_record(const Shape *shape, int64_t items, int64_t first, Haplotypes *out) noexcept nogil:
    """Place the alleles of the record of an item by its GT, on either haplotype first, if there is room."""
    cdef int64_t index, mask, turned
    cdef int64_t record = shape.items[first].tie >> 2
    cdef Haplotypes trial
    cdef bint room
    for turned in range(2):
        trial = out[0]
        room = True
        for index in range(first, items):
            if not shape.items[index].placed and shape.items[index].tie and (
                shape.items[index].tie >> 2 == record
            ):
                mask = shape.items[index].tie & 3
                if turned:
                    mask = (mask >> 1) | ((mask & 1) << 1)
                room = room and put(shape, shape.items[index].allele, mask, &trial)
        if room:
            break
    if not room:
        return
    out[0] = trial
    for index in range(first, items):
        if shape.items[index].tie and shape.items[index].tie >> 2 == record:
            shape.items[index].placed = True


cdef void place_free(const Shape *shape, const Item *item, Haplotypes *out) noexcept nogil:
    """Place an allele that nothing ties to a haplotype, on those without an allele first."""
    cdef int64_t _copy, haplotype
    cdef bint done
    for _copy in range(item.copies):
        done = False
        for haplotype in range(out.ploidy):
            if not done and out.base[haplotype] < 0 and out.indel[haplotype] < 0:
                done = put(shape, item.allele, 1 << haplotype, out)
        for haplotype in range(out.ploidy):
            if not done:
                done = put(shape, item.allele, 1 << haplotype, out)
        if not done:
            out.homeless = item.allele


cdef bint put(const Shape *shape, int64_t allele, int64_t mask, Haplotypes *out) noexcept nogil:
    """Put an allele on the haplotypes of ``mask``; return False, and change nothing, where one has no room."""
    cdef int64_t *slots = &out.base[0] if shape.mismatch[allele] else &out.indel[0]
    cdef int64_t haplotype
    for haplotype in range(2):
        if mask >> haplotype & 1 and (haplotype >= out.ploidy or slots[haplotype] >= 0):
            return False
    for haplotype in range(2):
        if mask >> haplotype & 1:
            slots[haplotype] = allele
    return True


cdef int64_t number_of(const Shape *shape, int64_t base, int64_t indel) noexcept nogil:
    """Return the number in GT of a haplotype's alleles, 0 for none."""
    cdef int64_t index
    if base >= 0 and indel >= 0:
        for index in range(shape.combined):
            if shape.combined_base[index] == base and shape.combined_indel[index] == indel:
                return shape.listed + 1 + index
    if base >= 0:
        return shape.own[base]
    return shape.own[indel] if indel >= 0 else 0


cdef int64_t cell_items(const Shape *shape, uint32_t kind, int64_t *quality) noexcept nogil:
    """Gather the alleles of the record in the genotype of a kind of cell; return their number, -1 for no genotype.

    Writes the least GQ, -1 for none.
    """
    cdef int64_t allele, items = 0
    cdef bint shown = True
    cdef Joint joint
    quality[0] = -1
    for allele in range(shape.start, shape.stop):
        if shape.own[allele] < 0:
            continue
        joint = cell_genotype(kind, shape.mode, shape.frequency[allele], shape.likelihood, shape.limits)
        shown = shown and joint.copies >= 0
        quality[0] = joint.gq if quality[0] < 0 else min(quality[0], joint.gq)
        if joint.copies > 0:
            shape.items[items].allele = allele
            shape.items[items].copies = joint.copies
            shape.items[items].phase = shape.items[items].tie = 0
            items += 1
    return items if shown else -1


cdef int64_t changed_elsewhere(const Shape *shape, int64_t row, int64_t end) noexcept nogil:
    """Return the number of haplotypes that carry neither an allele of the position nor the reference.

    ``row`` to ``end``: the call rows of a participant. A row counts copies of other alleles of its record; rows of the
    position explain some of them.
    """
    cdef const DenseRow *rows = shape.rows
    cdef int64_t changed = 0, loose = 0, mask, known = 0, own
    for own in range(row, end):
        if not row_shown(rows[own].flags, shape.mode, -1):
            continue
        changed = max(changed, <int64_t>(rows[own].other + rows[own].copies))
        mask = rows[own].phase if bits(rows[own].phase) == rows[own].copies else 0
        if not mask:
            mask = (rows[own].flags // TIE_FIRST) & 3
        known |= mask
        if not mask:
            loose += rows[own].copies
    return max(changed - bits(known) - loose, <int64_t>0)
