from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.bcf.shape cimport Carrier, Shape

cdef int64_t write_carrier(uint8_t *out, Shape *shape, int64_t row) noexcept nogil

cdef void judge(int64_t row, const Shape *shape, Carrier *carrier) noexcept nogil

cdef int64_t local_alleles(const Shape *shape, const Carrier *carrier, int64_t *combined) noexcept nogil
