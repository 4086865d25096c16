"""The sparse part of a BCF record: the fields of the participants with call rows at its position."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.bcf cimport Shape, has
from baekman.kernels.bcf_values cimport NOTHING, VECTOR_END, put
from baekman.kernels.dense cimport own_row_shown, row_ploidy, row_shown
from baekman.kernels.layout cimport JOINT, POSITION_FLAGS, DenseRow


# The genotype of one participant at a position, from the participant's rows.
cdef struct Carrier:
    int64_t column
    int64_t group  # the first row
    int64_t end
    int64_t own  # the first row of an allele of the record
    int64_t decides  # the row that decides for the participant
    int64_t owned  # the number of rows of alleles of the record
    bint shown
    int64_t quality
    int64_t ploidy
    bint phased
    int64_t haplotype[2]


cdef int64_t write_carrier(uint8_t *out, Shape *shape, int64_t row) noexcept nogil:
    """Write the fields of the participant with the first row ``row``; return the first row of the next one."""
    cdef Carrier carrier
    judge(row, shape, &carrier)
    write_genotype(out, shape, &carrier)
    write_depths(out, shape, &carrier)
    if shape.pl_at and carrier.own >= 0:
        write_likelihoods(out, shape, &carrier)
    if shape.ps_at and carrier.phased and carrier.shown and shape.rows[carrier.decides].phase_set >= 0:
        put(out, shape.ps_at + 4 * carrier.column, shape.rows[carrier.decides].phase_set, 4)
    return carrier.end


cdef void judge(int64_t row, const Shape *shape, Carrier *carrier) noexcept nogil:
    """Compute the genotype of the record from the rows of the participant with the first row ``row``."""
    cdef const DenseRow *rows = shape.rows
    cdef int64_t best = row, unknown = 0, claimed = 0, explained = 0, other = 0, copies, phase, bits, gq, stars
    carrier.column = rows[row].column
    carrier.group = row
    carrier.own = -1
    carrier.owned = 0
    carrier.shown = False
    carrier.phased = True
    carrier.quality = NOTHING
    carrier.haplotype[0] = carrier.haplotype[1] = 0
    while row < shape.last_row and rows[row].column == carrier.column:
        if row_shown(rows[row].flags, shape.mode, -1):
            other = max(other, <int64_t>(rows[row].other + rows[row].copies))
            explained += rows[row].copies
        if rows[row].gq > rows[best].gq:
            best = row
        if has(shape, rows[row].allele):
            if carrier.own < 0:
                carrier.own = row
            carrier.owned += 1
            copies = copies_of(shape, row)
            phase = rows[row].phase
            if not own_row_shown(&rows[row], shape.mode):
                unknown += copies if copies >= 0 else 1
                copies = 0
            else:
                carrier.shown = True
            if copies:
                claimed += 1
                bits = (phase & 1) + (phase >> 1)
                if (
                    bits != copies
                    or (phase & 1 and carrier.haplotype[0])
                    or (phase & 2 and carrier.haplotype[1])
                ):
                    carrier.phased = False
                if phase & 1:
                    carrier.haplotype[0] = shape.own[rows[row].allele]
                if phase & 2:
                    carrier.haplotype[1] = shape.own[rows[row].allele]
            gq = rows[row].joint_gq if shape.mode == JOINT else rows[row].gq
            if gq >= 0 and (carrier.quality < 0 or gq < carrier.quality):
                carrier.quality = gq
        row += 1
    carrier.end = row
    carrier.decides = carrier.own if carrier.own >= 0 else best
    carrier.ploidy = row_ploidy(&rows[carrier.decides], shape.mode)
    if carrier.own < 0:
        carrier.shown = row_shown(rows[best].flags >> POSITION_FLAGS, shape.mode, -1)
        if rows[best].gq >= 0:
            carrier.quality = rows[best].gq
    stars = max(other - explained, <int64_t>0) if shape.star else 0
    if claimed == 0 or carrier.ploidy == 1 or stars or unknown:
        carrier.phased = False
    if not carrier.phased:
        order(shape, carrier, unknown, stars)


cdef inline int64_t copies_of(const Shape *shape, int64_t row) noexcept nogil:
    return shape.rows[row].joint_copies if shape.mode == JOINT else shape.rows[row].copies


cdef void order(const Shape *shape, Carrier *carrier, int64_t unknown, int64_t stars) noexcept nogil:
    """Write an unphased genotype, in the order of the allele numbers; -1 for an unknown copy."""
    cdef const DenseRow *rows = shape.rows
    cdef int64_t taken = 0, member, _copy, kept
    carrier.haplotype[0] = carrier.haplotype[1] = 0
    for member in range(carrier.group, carrier.end):
        if not has(shape, rows[member].allele):
            continue
        if not own_row_shown(&rows[member], shape.mode):
            continue
        for _copy in range(copies_of(shape, member)):
            if taken < carrier.ploidy:
                carrier.haplotype[taken] = shape.own[rows[member].allele]
                taken += 1
    for _copy in range(unknown):
        if taken < carrier.ploidy:
            carrier.haplotype[taken] = -1
            taken += 1
    for _copy in range(stars):
        if taken < carrier.ploidy:
            carrier.haplotype[taken] = shape.total
            taken += 1
    if carrier.ploidy == 2 and carrier.haplotype[0] > carrier.haplotype[1]:
        kept = carrier.haplotype[0]
        carrier.haplotype[0] = carrier.haplotype[1]
        carrier.haplotype[1] = kept


cdef void write_genotype(uint8_t *out, Shape *shape, const Carrier *carrier) noexcept nogil:
    """Write GT and GQ."""
    cdef int64_t gt_0 = 0, gt_1 = VECTOR_END if carrier.ploidy == 1 else 0, index
    cdef int64_t place = shape.gt_at + 2 * shape.gt_size * carrier.column
    if carrier.shown:
        for index in range(carrier.ploidy):
            if carrier.haplotype[index] >= 0:
                shape.an += 1
                shape.ac[carrier.haplotype[index]] += 1
        gt_0 = (carrier.haplotype[0] + 1) << 1
        if carrier.ploidy == 2:
            gt_1 = ((carrier.haplotype[1] + 1) << 1) | (1 if carrier.phased else 0)
    put(out, place, gt_0, shape.gt_size)
    put(out, place + shape.gt_size, gt_1, shape.gt_size)
    put(out, shape.gq_at + carrier.column, carrier.quality, 1)


cdef void write_depths(uint8_t *out, const Shape *shape, const Carrier *carrier) noexcept nogil:
    """Write DP and AD."""
    cdef const DenseRow *decides = &shape.rows[carrier.decides]
    cdef int64_t place, index, member, allele
    if decides.dp >= 0:
        put(out, shape.dp_at + shape.dp_size * carrier.column, decides.dp, shape.dp_size)
    if not shape.ad_at or decides.ad_ref < 0:
        return
    place = shape.ad_at + (shape.total + 1) * shape.ad_size * carrier.column
    put(out, place, decides.ad_ref, shape.ad_size)
    for index in range(1, shape.total + 1):
        put(out, place + index * shape.ad_size, NOTHING, shape.ad_size)
    for member in range(carrier.group, carrier.end):
        allele = shape.rows[member].allele
        if has(shape, allele) and shape.rows[member].ad_alt >= 0:
            put(out, place + shape.own[allele] * shape.ad_size, shape.rows[member].ad_alt, shape.ad_size)


cdef void write_likelihoods(uint8_t *out, const Shape *shape, const Carrier *carrier) noexcept nogil:
    """Write PL, or LAA and LPL where the record has several ALTs."""
    cdef const DenseRow *rows = shape.rows
    cdef int64_t place, index, member, first, second
    cdef bint complete = True
    if shape.total == 1:
        place = shape.pl_at + 3 * shape.pl_size * carrier.column
        if rows[carrier.own].pl[0] >= 0:
            for index in range(carrier.ploidy + 1):
                put(out, place + index * shape.pl_size, likelihood_of(shape, carrier.own, index), shape.pl_size)
        return
    place = shape.laa_at + shape.most_alleles * shape.laa_size * carrier.column
    for member in range(carrier.group, carrier.end):
        if has(shape, rows[member].allele):
            place = put(out, place, shape.own[rows[member].allele], shape.laa_size)
            complete = complete and rows[member].pl[0] >= 0
    if not complete:
        return
    place = shape.pl_at + shape.pl_width * shape.pl_size * carrier.column
    if carrier.ploidy == 2:
        for second in range(carrier.owned + 1):
            for first in range(second + 1):
                place = put(out, place, least(shape, carrier, first, second), shape.pl_size)
    else:
        for first in range(carrier.owned + 1):
            place = put(out, place, least(shape, carrier, first, 0), shape.pl_size)


cdef int64_t least(const Shape *shape, const Carrier *carrier, int64_t first, int64_t second) noexcept nogil:
    """Return the least phred likelihood of a genotype that agrees with the downcoded ones of its alleles.

    ``first`` and ``second`` are numbers of the participant's own alleles, from 1; 0 is the reference. ``second`` is 0
    for a haploid genotype.
    """
    cdef int64_t value = 0, number = 0, member, copies
    for member in range(carrier.group, carrier.end):
        if has(shape, shape.rows[member].allele):
            number += 1
            copies = (1 if first == number else 0) + (1 if second == number else 0)
            value = max(value, likelihood_of(shape, member, copies))
    return value


cdef inline int64_t likelihood_of(const Shape *shape, int64_t row, int64_t copies) noexcept nogil:
    """Return PL of a number of copies in the genotype that is shown."""
    cdef const DenseRow *own = &shape.rows[row]
    return own.pl[2 * copies if row_ploidy(own, shape.mode) < own.ploidy else copies]
