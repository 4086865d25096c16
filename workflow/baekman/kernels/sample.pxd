"""The sample of a record."""

from libc.stdint cimport int64_t

from baekman.kernels.fields cimport Fields
from baekman.kernels.record cimport Record

cdef int read_genotype(Record *record, Fields *fields, bint *complete) noexcept nogil

cdef void read_likelihoods(Record *record, Fields *fields, bint complete) noexcept nogil

cdef void read_depths(Record *record, Fields *fields) noexcept nogil

cdef void read_quality(Record *record, Fields *fields, int64_t info_dp) noexcept nogil

cdef void read_phase(Record *record, const Fields *fields) noexcept nogil
