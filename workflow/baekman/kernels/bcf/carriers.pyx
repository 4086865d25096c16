"""The sparse part of a BCF record: the fields of the participants with call rows at its position."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.bcf.haplotypes cimport assign, changed_elsewhere, number_of
from baekman.kernels.bcf.shape cimport Carrier, Item, Shape, has
from baekman.kernels.bcf.values cimport NOTHING, VECTOR_END, put
from baekman.kernels.dense cimport own_row_shown, row_ploidy, row_shown
from baekman.kernels.layout cimport JOINT, POSITION_FLAGS, TIE_FIRST, DenseRow


cdef int64_t write_carrier(uint8_t *out, Shape *shape, int64_t row) noexcept nogil:
    """Write the fields of the participant with the first row ``row``; return the first row of the next one."""
    cdef Carrier carrier
    judge(row, shape, &carrier)
    write_genotype(out, shape, &carrier)
    write_depths(out, shape, &carrier)
    if shape.pl_at and carrier.own >= 0:
        write_likelihoods(out, shape, &carrier)
    if shape.ps_at and carrier.haplotypes.phased and carrier.shown and carrier.haplotypes.phase_set >= 0:
        put(out, shape.ps_at + 4 * carrier.column, carrier.haplotypes.phase_set, 4)
    return carrier.end


cdef void judge(int64_t row, const Shape *shape, Carrier *carrier) noexcept nogil:
    """Compute the haplotypes, in the record, of the participant with the first row ``row``.

    Where no row shows a genotype, the haplotypes are those of the genotypes that are not shown.
    """
    cdef const DenseRow *rows = shape.rows
    cdef int64_t best = row, copies, gq, items, index, empty = 0
    carrier.column = rows[row].column
    carrier.group = row
    carrier.own = -1
    carrier.shown = False
    carrier.quality = NOTHING
    carrier.unknown = 0
    while row < shape.last_row and rows[row].column == carrier.column:
        if rows[row].gq > rows[best].gq:
            best = row
        if has(shape, rows[row].allele):
            if carrier.own < 0:
                carrier.own = row
            if own_row_shown(&rows[row], shape.mode):
                carrier.shown = True
            else:
                copies = copies_of(shape, row)
                carrier.unknown += copies if copies >= 0 else 1
            gq = rows[row].joint_gq if shape.mode == JOINT else rows[row].gq
            if gq >= 0 and (carrier.quality < 0 or gq < carrier.quality):
                carrier.quality = gq
        row += 1
    carrier.end = row
    carrier.decides = carrier.own if carrier.own >= 0 else best
    items = gather(shape, carrier)
    assign(shape, items, row_ploidy(&rows[carrier.decides], shape.mode), &carrier.haplotypes)
    if carrier.own < 0:
        carrier.shown = row_shown(rows[best].flags >> POSITION_FLAGS, shape.mode, -1)
        if rows[best].gq >= 0:
            carrier.quality = rows[best].gq
    carrier.stars = changed_elsewhere(shape, carrier.group, carrier.end) if shape.star else 0
    for index in range(carrier.haplotypes.ploidy):
        empty += carrier.haplotypes.base[index] < 0 and carrier.haplotypes.indel[index] < 0
    # a haplotype that is changed elsewhere is in its phase only where no other can be the one
    if carrier.haplotypes.ploidy == 1 or carrier.unknown or (carrier.stars and carrier.stars != empty):
        carrier.haplotypes.phased = False


cdef int64_t gather(const Shape *shape, const Carrier *carrier) noexcept nogil:
    """Gather the alleles that the participant carries in the record; return their number."""
    cdef int64_t row, items = 0, copies
    cdef Item *item
    for row in range(carrier.group, carrier.end):
        copies = copies_of(shape, row)
        if copies <= 0 or not has(shape, shape.rows[row].allele):
            continue
        if carrier.shown and not own_row_shown(&shape.rows[row], shape.mode):
            continue
        item = &shape.items[items]
        item.allele = shape.rows[row].allele
        item.copies = copies
        item.phase = shape.rows[row].phase
        item.phase_set = shape.rows[row].phase_set
        item.tie = shape.rows[row].flags // TIE_FIRST
        if (item.tie & 1) + (item.tie >> 1 & 1) != copies:
            item.tie = 0  # the joint genotype has other copies than the record's GT
        items += 1
    return items


cdef inline int64_t copies_of(const Shape *shape, int64_t row) noexcept nogil:
    return shape.rows[row].joint_copies if shape.mode == JOINT else shape.rows[row].copies


cdef void write_genotype(uint8_t *out, Shape *shape, const Carrier *carrier) noexcept nogil:
    """Write GT, unphased in the order of the allele numbers and with a dot for an unknown copy, and GQ."""
    cdef int64_t gt[2]
    cdef int64_t index, unknown = carrier.unknown, stars = carrier.stars, kept
    cdef int64_t place = shape.gt_at + 2 * shape.gt_size * carrier.column
    cdef int64_t ploidy = carrier.haplotypes.ploidy
    put(out, shape.gq_at + carrier.column, carrier.quality, 1)
    if not carrier.shown:
        put(out, place, 0, shape.gt_size)
        put(out, place + shape.gt_size, VECTOR_END if ploidy == 1 else 0, shape.gt_size)
        return
    gt[0] = 0
    gt[1] = VECTOR_END
    for index in range(ploidy):
        gt[index] = number_of(shape, carrier.haplotypes.base[index], carrier.haplotypes.indel[index])
        if gt[index] == 0 and unknown:
            gt[index] = -1
            unknown -= 1
        elif gt[index] == 0 and stars:
            gt[index] = shape.total
            stars -= 1
        if gt[index] >= 0:
            shape.an += 1
            shape.ac[gt[index]] += 1
    if ploidy == 2 and not carrier.haplotypes.phased and gt[0] > gt[1]:
        kept = gt[0]
        gt[0] = gt[1]
        gt[1] = kept
    for index in range(ploidy):
        gt[index] = (gt[index] + 1) << 1
    if carrier.haplotypes.phased:
        gt[1] |= 1
    put(out, place, gt[0], shape.gt_size)
    put(out, place + shape.gt_size, gt[1], shape.gt_size)


cdef int64_t combinations(const Shape *shape, const Carrier *carrier, int64_t *out) noexcept nogil:
    """Write the numbers of the combined alleles of the participant in ascending order; return how many there are."""
    cdef int64_t index, count = 0, number
    for index in range(carrier.haplotypes.ploidy):
        if carrier.haplotypes.base[index] >= 0 and carrier.haplotypes.indel[index] >= 0:
            number = number_of(shape, carrier.haplotypes.base[index], carrier.haplotypes.indel[index])
            if count == 0 or number != out[0]:
                out[count] = number
                count += 1
    if count == 2 and out[0] > out[1]:
        number = out[0]
        out[0] = out[1]
        out[1] = number
    return count


cdef inline bint combines(const Shape *shape, int64_t number, int64_t allele) noexcept nogil:
    """Return whether a combined allele of the record contains an allele."""
    cdef int64_t index = number - shape.listed - 1
    return shape.combined_base[index] == allele or shape.combined_indel[index] == allele


cdef int64_t depth_of(const Shape *shape, const Carrier *carrier, int64_t number) noexcept nogil:
    """Return the most reads that a combined allele can have, -1 where they are missing."""
    cdef int64_t row, depth = -1
    for row in range(carrier.group, carrier.end):
        if combines(shape, number, shape.rows[row].allele) and (depth < 0 or shape.rows[row].ad_alt < depth):
            depth = shape.rows[row].ad_alt
    return depth


cdef void write_depths(uint8_t *out, const Shape *shape, const Carrier *carrier) noexcept nogil:
    """Write DP and AD. The reads of a combined allele are not those of its two alleles alone."""
    cdef const DenseRow *decides = &shape.rows[carrier.decides]
    cdef int64_t place, index, row, allele, depth, count, number
    cdef int64_t combined[2]
    if decides.dp >= 0:
        put(out, shape.dp_at + shape.dp_size * carrier.column, decides.dp, shape.dp_size)
    if not shape.ad_at or decides.ad_ref < 0:
        return
    place = shape.ad_at + (shape.total + 1) * shape.ad_size * carrier.column
    put(out, place, decides.ad_ref, shape.ad_size)
    for index in range(1, shape.total + 1):
        put(out, place + index * shape.ad_size, NOTHING, shape.ad_size)
    count = combinations(shape, carrier, combined) if shape.combined else 0
    for row in range(carrier.group, carrier.end):
        allele = shape.rows[row].allele
        if has(shape, allele) and shape.own[allele] and shape.rows[row].ad_alt >= 0:
            depth = shape.rows[row].ad_alt
            for index in range(count):
                if combines(shape, combined[index], allele):
                    depth -= max(depth_of(shape, carrier, combined[index]), <int64_t>0)
            number = shape.own[allele]
            put(out, place + number * shape.ad_size, max(depth, <int64_t>0), shape.ad_size)
    for index in range(count):
        depth = depth_of(shape, carrier, combined[index])
        if depth >= 0:
            put(out, place + combined[index] * shape.ad_size, depth, shape.ad_size)


cdef int64_t local_alleles(const Shape *shape, const Carrier *carrier, int64_t *combined) noexcept nogil:
    """Return the number of ALTs of the record that the participant has rows of; write the combined ones."""
    cdef int64_t row, count = 0
    for row in range(carrier.group, carrier.end):
        count += has(shape, shape.rows[row].allele) and shape.own[shape.rows[row].allele] > 0
    return count + (combinations(shape, carrier, combined) if shape.combined else 0)


cdef void write_likelihoods(uint8_t *out, const Shape *shape, const Carrier *carrier) noexcept nogil:
    """Write PL, or LAA and LPL where the record has several ALTs."""
    cdef const DenseRow *rows = shape.rows
    cdef int64_t place, index, row, first, second, last
    cdef int64_t combined[2]
    cdef int64_t count = local_alleles(shape, carrier, combined), single = count
    cdef bint complete = True
    if shape.combined:
        single -= combinations(shape, carrier, combined)
    if shape.total > 1:
        place = shape.laa_at + shape.most_alleles * shape.laa_size * carrier.column
        for row in range(carrier.group, carrier.end):
            if has(shape, rows[row].allele) and shape.own[rows[row].allele]:
                place = put(out, place, shape.own[rows[row].allele], shape.laa_size)
        for index in range(count - single):
            place = put(out, place, combined[index], shape.laa_size)
    for row in range(carrier.group, carrier.end):
        if has(shape, rows[row].allele):
            complete = complete and rows[row].pl[0] >= 0
    if not complete:
        return
    place = shape.pl_at + shape.pl_width * shape.pl_size * carrier.column
    last = count if carrier.haplotypes.ploidy == 2 else 0
    if carrier.haplotypes.ploidy == 1:
        for first in range(count + 1):
            place = put(out, place, least(shape, carrier, first, 0, single, combined), shape.pl_size)
        return
    for second in range(last + 1):
        for first in range(second + 1):
            place = put(out, place, least(shape, carrier, first, second, single, combined), shape.pl_size)


cdef int64_t least(
    const Shape *shape, const Carrier *carrier, int64_t first, int64_t second, int64_t single, const int64_t *combined
) noexcept nogil:
    """Return the least phred likelihood of a genotype that agrees with the downcoded ones of its alleles.

    ``first`` and ``second`` are numbers of the participant's own alleles, from 1: ``single`` alleles alone, then the
    ``combined`` ones. 0 is the reference. ``second`` is 0 for a haploid genotype.
    """
    cdef int64_t value = 0, number = 0, row, copies, allele
    for row in range(carrier.group, carrier.end):
        allele = shape.rows[row].allele
        if not has(shape, allele):
            continue
        number += shape.own[allele] > 0
        copies = 0
        if shape.own[allele] > 0:
            copies = (first == number) + (second == number)
        if first > single:
            copies += combines(shape, combined[first - single - 1], allele)
        if second > single:
            copies += combines(shape, combined[second - single - 1], allele)
        value = max(value, likelihood_of(shape, row, copies))
    return value


cdef inline int64_t likelihood_of(const Shape *shape, int64_t row, int64_t copies) noexcept nogil:
    """Return PL of a number of copies in the genotype that is shown."""
    cdef const DenseRow *own = &shape.rows[row]
    return own.pl[2 * copies if row_ploidy(own, shape.mode) < own.ploidy else copies]
