from libc.stdint cimport int64_t, uint16_t

cdef enum:
    BASES = 4
    NO_BASE = 4  # after A, C, G, T: another letter
    ROOM = 255  # of reads; errmod takes no more
    GQ_CAP = 99
    GOOD = 30  # a quality


cdef class ErrorModel:
    cdef double *_spread
    cdef double *_spread_sum
    cdef double *_choose
    cdef double *_beta
    cdef bint _is_haploid
    cdef int _limit

    cdef int gq_without_alt(self, int depth) noexcept nogil
    cdef bint is_sure(self, int depth, int forward, int reverse) noexcept nogil
    cdef int gq(self, const uint16_t *words, int64_t distance, int depth, int reference) noexcept nogil
    cdef void _fill(self, float *likelihoods, const double *errors, const int *counts) noexcept nogil
    cdef const double *_costs(self, int quality, int depth) noexcept nogil
    cdef double _combinations(self, int n, int k) noexcept nogil
