"""The dense matrix of genotypes, filled from reference segments and call rows.

``baekman.cohort.dense_genotypes`` explains it.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

from baekman.kernels.layout cimport (
    CARRIER, CELL_DP, CELL_ONE_COPY, MAX_CELL_DP, NO_COVERAGE, OTHER_ALLELE, POSITION_FLAGS, REFERENCE, UNCALLED,
    DenseRow,
)


cdef inline bint equal(
    const int32_t[::1] offsets, const uint8_t *data, int64_t at, const int32_t[::1] other_offsets,
    const uint8_t *other_data, int64_t other,
) noexcept nogil:
    cdef int64_t size = offsets[at + 1] - offsets[at]
    if other_offsets[other + 1] - other_offsets[other] != size:
        return False
    return memcmp(data + offsets[at], other_data + other_offsets[other], size) == 0


def match_alleles(
    const int32_t[::1] pos, const int32_t[::1] ref_offsets, const uint8_t[::1] ref, const int32_t[::1] alt_offsets,
    const uint8_t[::1] alt, const int32_t[::1] positions, const int64_t[::1] first_allele,
    const int32_t[::1] site_ref_offsets, const uint8_t[::1] site_ref, const int32_t[::1] site_alt_offsets,
    const uint8_t[::1] site_alt, int32_t[::1] alleles,
):
    """Write each call row's allele to ``alleles``; -1 where the row's position is not in ``positions``."""
    cdef int64_t row, at = 0, last = -1, first, candidate
    cdef int64_t wanted = len(positions)
    with nogil:
        for row in range(len(pos)):
            alleles[row] = -1
            while at < wanted and positions[at] < pos[row]:
                at += 1
            if at == wanted or positions[at] != pos[row]:
                continue
            # rows are sorted by allele, so the previous row's allele is the likeliest
            first = last if first_allele[at] <= last < first_allele[at + 1] else first_allele[at]
            for candidate in range(first, first_allele[at + 1]):
                if equal(ref_offsets, &ref[0], row, site_ref_offsets, &site_ref[0], candidate) and equal(
                    alt_offsets, &alt[0], row, site_alt_offsets, &site_alt[0], candidate
                ):
                    alleles[row] = <int32_t>candidate
                    last = candidate
                    break


def fill_cells(
    const int32_t[::1] positions, const int32_t[::1] columns, const uint32_t[::1] sample, const int32_t[::1] start,
    const int32_t[::1] length, const int16_t[::1] gq, const int32_t[::1] dp, const uint8_t[::1] ploidy,
    const uint8_t[::1] other, const uint8_t[::1] state, const uint8_t[::1] male, const uint8_t[::1] one_copy,
    uint32_t[:, ::1] cells,
):
    """Write the cells of one batch's reference segments (columns of REFERENCE, sorted by sample, start).

    ``male``: per column of ``cells``. ``one_copy``: whether a male has one copy at each of ``positions``.
    """
    cdef int64_t at = 0, before = -1, segment, end, column
    cdef bint halved
    cdef int64_t wanted = len(positions)
    cdef uint32_t cell
    with nogil:
        for segment in range(len(sample)):
            if sample[segment] != before:
                before = sample[segment]
                at = 0
            while at < wanted and positions[at] < start[segment]:
                at += 1
            end = start[segment] + length[segment]
            if at == wanted or positions[at] >= end:
                continue
            cell = state[segment]
            if ploidy[segment] == 1:
                cell |= CELL_HAPLOID
            cell |= <uint32_t>min(other[segment], <uint8_t>3) << CELL_OTHER
            cell |= <uint32_t>min(max(gq[segment], <int16_t>0), <int16_t>99) << CELL_GQ
            cell |= <uint32_t>(min(dp[segment], <int32_t>MAX_CELL_DP) + 1) << CELL_DP
            column = columns[sample[segment]]
            halved = ploidy[segment] == 2 and male[column] != 0
            while at < wanted and positions[at] < end:
                cells[at, column] = cell | CELL_ONE_COPY if halved and one_copy[at] else cell
                at += 1


def fill_genotypes(
    int mode, const int64_t[::1] first_allele, const uint32_t[:, ::1] cells, const int32_t[:, ::1] rows,
    const int64_t[::1] first_row, const double[::1] frequency, const double[::1] likelihood, const double[::1] limits,
    uint8_t[:, ::1] state, int8_t[:, ::1] copies, uint8_t[:, ::1] ploidy,
):
    """Write the state, copies and ploidy of every participant at every allele."""
    cdef int64_t position, allele
    if cells.shape[0] == 0 or cells.shape[1] == 0:
        return
    with nogil:
        for position in range(cells.shape[0]):
            for allele in range(first_allele[position], first_allele[position + 1]):
                from_cells(
                    mode, &cells[position, 0], cells.shape[1], frequency[allele], &likelihood[0], &limits[0],
                    &state[allele, 0], &copies[allele, 0], &ploidy[allele, 0],
                )
                from_rows(
                    mode, <const DenseRow *>&rows[0, 0], first_row[position], first_row[position + 1], allele,
                    &state[allele, 0], &copies[allele, 0], &ploidy[allele, 0],
                )


cdef void from_cells(
    int mode, const uint32_t *cells, int64_t people, double frequency, const double *likelihood, const double *limits,
    uint8_t *state, int8_t *copies, uint8_t *ploidy,
) noexcept nogil:
    cdef int64_t column
    cdef uint32_t cell, haploid = haploid_bits(mode)
    cdef Joint shown
    for column in range(people):
        cell = cells[column]
        shown = cell_genotype(cell, mode, frequency, likelihood, limits)
        copies[column] = <int8_t>shown.copies
        if cell:
            ploidy[column] = 1 if cell & haploid else 2
        state[column] = NO_COVERAGE if cell == 0 else UNCALLED
        if shown.copies > 0:
            state[column] = CARRIER
        elif shown.copies == 0:
            state[column] = OTHER_ALLELE if (cell >> CELL_OTHER) & 3 else REFERENCE


cdef void from_rows(
    int mode, const DenseRow *rows, int64_t row, int64_t end, int64_t allele, uint8_t *state, int8_t *copies,
    uint8_t *ploidy,
) noexcept nogil:
    """Write the genotypes of one allele from the rows of its position, ``rows[row:end]``, over those of the cells."""
    cdef int64_t column, carried, other, last
    cdef bint shown
    while row < end:
        column = rows[row].column
        carried = 0
        other = 0
        shown = row_shown(rows[row].flags >> POSITION_FLAGS, mode, -1)
        last = row
        while last < end and rows[last].column == column:
            if rows[last].allele == allele:
                carried = rows[last].joint_copies if mode == JOINT else rows[last].copies
                shown = own_row_shown(&rows[last], mode)
            elif row_shown(rows[last].flags, mode, -1):
                other += rows[last].copies
            if row_shown(rows[last].flags, mode, -1):
                other = max(other, <int64_t>rows[last].other)
            last += 1
        ploidy[column] = <uint8_t>row_ploidy(&rows[row], mode)
        if not shown:
            copies[column] = -1
            state[column] = UNCALLED
        else:
            copies[column] = <int8_t>carried
            if carried:
                state[column] = CARRIER
            else:
                state[column] = OTHER_ALLELE if other else REFERENCE
        row = last
