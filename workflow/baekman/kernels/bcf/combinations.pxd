from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.bcf.shape cimport Shape

cdef void take_one(Shape *shape, int64_t allele) noexcept nogil

cdef void take_position(Shape *shape, const uint8_t *wanted) noexcept nogil
