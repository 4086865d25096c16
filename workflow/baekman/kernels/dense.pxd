"""The genotype that a cell or a call row shows in a mode."""

from libc.stdint cimport int32_t, int64_t, uint32_t

from baekman.kernels.genotypes cimport Joint, joint_reference
from baekman.kernels.layout cimport (
    CALLED, CELL_GQ, CELL_HAPLOID, CELL_ONE_COPY, CELL_OTHER, CELL_STATE, FLAG_CALLED, FLAG_GENOTYPED, JOINT, RAW,
    STATE_CALLED, STATE_MISSING, STATE_WEAK, DenseRow,
)


cdef inline uint32_t haploid_bits(int mode) noexcept nogil:
    """Return the bits that make a cell's genotype haploid: by the caller's ploidy, or by the participant's own."""
    return CELL_HAPLOID | CELL_ONE_COPY if mode == JOINT else CELL_HAPLOID


cdef inline int64_t row_ploidy(const DenseRow *row, int mode) noexcept nogil:
    return row.joint_ploidy if mode == JOINT else row.ploidy


cdef inline Joint cell_genotype(
    uint32_t cell, int mode, double frequency, const double *likelihood, const double *limits
) noexcept nogil:
    """Return the copies of an allele and the GQ that a cell shows; copies is -1 where no genotype is shown."""
    cdef int state = cell & CELL_STATE
    cdef int64_t gq = (cell >> CELL_GQ) & 127
    cdef int64_t free
    cdef Joint shown
    shown.copies = -1
    shown.gq = -1
    if state == 0:
        return shown
    if mode != JOINT:
        if state == STATE_CALLED or (mode == RAW and state == STATE_WEAK):
            shown.copies = 0
        if state != STATE_MISSING:
            shown.gq = gq
        return shown
    if gq == 0 and state != STATE_CALLED:  # no evidence: the frequency alone makes no genotype
        return shown
    # a haplotype with a deletion or another allele here cannot have this one
    free = (1 if cell & CELL_HAPLOID else 2) - <int64_t>((cell >> CELL_OTHER) & 3)
    if cell & CELL_ONE_COPY:
        free = (free + 1) >> 1  # either of a heterozygote's two haplotypes may be the one copy
    if free <= 0:
        shown.copies = 0
        shown.gq = gq
        return shown
    return joint_reference(gq, free, frequency, likelihood, limits)


cdef inline bint own_row_shown(const DenseRow *row, int mode) noexcept nogil:
    """Return whether a call row shows a genotype of its own allele."""
    return row_shown(row.flags, mode, row.pl[0]) and (mode != JOINT or row.joint_copies >= 0)


cdef inline bint row_shown(int64_t flags, int mode, int64_t pl_0) noexcept nogil:
    """Return whether a call row shows a genotype; ``flags >> POSITION_FLAGS`` is for an allele that no row names."""
    if mode == CALLED:
        return flags & FLAG_CALLED != 0
    return flags & FLAG_GENOTYPED != 0 or (mode == JOINT and pl_0 >= 0)
