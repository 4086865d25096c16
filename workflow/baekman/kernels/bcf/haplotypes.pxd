from libc.stdint cimport int64_t, uint32_t

from baekman.kernels.bcf.shape cimport Haplotypes, Shape

cdef void assign(const Shape *shape, int64_t items, int64_t ploidy, Haplotypes *out) noexcept nogil

cdef int64_t number_of(const Shape *shape, int64_t base, int64_t indel) noexcept nogil

cdef int64_t cell_items(const Shape *shape, uint32_t kind, int64_t *quality) noexcept nogil

cdef int64_t changed_elsewhere(const Shape *shape, int64_t row, int64_t end) noexcept nogil
