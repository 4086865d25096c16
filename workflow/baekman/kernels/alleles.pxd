from libc.stdint cimport int32_t, int64_t, uint8_t

cdef int64_t atomize(
    const uint8_t *ref, int64_t ref_length, const uint8_t *alt, int64_t alt_length, int64_t *begins,
    int64_t *ref_lengths, int64_t *alt_lengths,
) noexcept nogil

cdef void left_align(
    const uint8_t *contig, int64_t *pos, uint8_t *ref, int64_t *ref_length, uint8_t *alt, int64_t *alt_length
) noexcept nogil

cdef void least_by_copies(
    const int64_t *pl, int64_t alleles, int64_t ploidy, const uint8_t *members, int64_t *out
) noexcept nogil
