from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.bcf cimport Shape

cdef int64_t write_carrier(uint8_t *out, Shape *shape, int64_t row) noexcept nogil
