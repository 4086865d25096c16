"""The ALTs of a record: alleles alone, and a mismatched base and an indel that lie on one haplotype."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memmove

from baekman.kernels.bcf.carriers cimport judge
from baekman.kernels.bcf.haplotypes cimport assign, cell_items, changed_elsewhere
from baekman.kernels.bcf.shape cimport Carrier, Haplotypes, Shape, has
from baekman.kernels.dense cimport haploid_bits
from baekman.kernels.layout cimport CALLED, CELL_KINDS, CELL_OTHER, CELL_STATE, JOINT, STATE_CALLED


cdef void take_one(Shape *shape, int64_t allele) noexcept nogil:
    """Make a record of one allele."""
    shape.start = allele
    shape.stop = allele + 1
    shape.own[allele] = shape.listed = shape.total = 1
    shape.combined = 0
    shape.star = False


cdef void take_position(Shape *shape, const uint8_t *wanted) noexcept nogil:
    """Make a record of the ``wanted`` alleles of a position, ``shape.start`` to ``shape.stop``.

    An allele that only lies on haplotypes with another one is in the record only as a combination. An allele that some
    participant's haplotypes have no room for is not in it.
    """
    cdef int64_t allele, count = 0, crowded = -1
    shape.star = False
    for allele in range(shape.start, shape.stop):
        shape.own[allele] = 0 if wanted[allele] else -1
        count += wanted[allele]
    shape.combined = 0
    if count > 1:
        crowded = combine(shape)
        while crowded >= 0:
            shape.own[crowded] = -1
            crowded = combine(shape)
    shape.listed = 0
    for allele in range(shape.start, shape.stop):
        if shape.own[allele] == 0 and (shape.combined == 0 or shape.alone[allele]):
            shape.listed += 1
            shape.own[allele] = shape.listed
    shape.star = has_star(shape)
    shape.total = shape.listed + shape.combined + shape.star


cdef int64_t combine(Shape *shape) noexcept nogil:
    """Find the combinations of all participants; return an allele that finds no room, or -1."""
    cdef int64_t allele, row, column, kind, items, quality
    cdef Carrier carrier
    cdef Haplotypes haplotypes
    shape.combined = 0
    for allele in range(shape.start, shape.stop):
        shape.alone[allele] = 0
    row = shape.first_row
    while row < shape.last_row:
        judge(row, shape, &carrier)
        if carrier.own >= 0:
            if carrier.shown and carrier.haplotypes.homeless >= 0:
                return carrier.haplotypes.homeless
            for row in range(carrier.group, carrier.end):
                allele = shape.rows[row].allele
                if has(shape, allele) and not is_placed(&carrier.haplotypes, allele):
                    shape.alone[allele] = 1
            note(shape, &carrier.haplotypes)
        row = carrier.end
    if shape.mode != JOINT:
        return -1
    shape.turn += 1
    for column in range(shape.people):
        kind = shape.cells[column] & (CELL_KINDS - 1)
        if shape.kind_turn[kind] == shape.turn:
            continue
        shape.kind_turn[kind] = shape.turn
        items = cell_items(shape, <uint32_t>kind, &quality)
        if items > 0:
            assign(shape, items, 1 if kind & haploid_bits(shape.mode) else 2, &haplotypes)
            if haplotypes.homeless >= 0:
                return haplotypes.homeless
            note(shape, &haplotypes)
    return -1


cdef inline bint is_placed(const Haplotypes *haplotypes, int64_t allele) noexcept nogil:
    cdef int64_t index
    for index in range(haplotypes.ploidy):
        if haplotypes.base[index] == allele or haplotypes.indel[index] == allele:
            return True
    return False


cdef void note(Shape *shape, const Haplotypes *haplotypes) noexcept nogil:
    """Note the combinations of a participant, and the alleles that lie on a haplotype alone."""
    cdef int64_t haplotype, base, indel
    for haplotype in range(haplotypes.ploidy):
        base = haplotypes.base[haplotype]
        indel = haplotypes.indel[haplotype]
        if base >= 0 and indel < 0:
            shape.alone[base] = 1
        if indel >= 0 and base < 0:
            shape.alone[indel] = 1
        if base < 0 or indel < 0:
            continue
        add(shape, base, indel)


cdef void add(Shape *shape, int64_t base, int64_t indel) noexcept nogil:
    """Add a combination, in the order of the alleles, unless it is there."""
    cdef int64_t at = shape.combined
    while at > 0 and (
        shape.combined_base[at - 1] > base
        or (shape.combined_base[at - 1] == base and shape.combined_indel[at - 1] >= indel)
    ):
        if shape.combined_base[at - 1] == base and shape.combined_indel[at - 1] == indel:
            return
        at -= 1
    memmove(shape.combined_base + at + 1, shape.combined_base + at, (shape.combined - at) * sizeof(int64_t))
    memmove(shape.combined_indel + at + 1, shape.combined_indel + at, (shape.combined - at) * sizeof(int64_t))
    shape.combined_base[at] = base
    shape.combined_indel[at] = indel
    shape.combined += 1


cdef bint has_star(const Shape *shape) noexcept nogil:
    """Return whether a haplotype carries neither an allele of the position nor the reference."""
    cdef int64_t row = shape.first_row, end, column
    cdef uint32_t cell
    while row < shape.last_row:
        end = row + 1
        while end < shape.last_row and shape.rows[end].column == shape.rows[row].column:
            end += 1
        if changed_elsewhere(shape, row, end):
            return True
        row = end
    for column in range(shape.people):
        cell = shape.cells[column]
        if (cell >> CELL_OTHER) & 3 and (shape.mode != CALLED or cell & CELL_STATE == STATE_CALLED):
            return True
    return False
