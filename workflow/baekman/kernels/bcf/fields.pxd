from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.bcf.shape cimport Shape

cdef int64_t lay_out(uint8_t *out, int64_t at, Shape *shape) noexcept nogil
