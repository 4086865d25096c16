"""The sample of a record."""

from libc.stdint cimport int64_t

from baekman.kernels.fields cimport Fields
from baekman.kernels.record cimport Record

cdef int read_genotype(Record *record, Fields *fields, bint *complete) noexcept nogil

cdef void read_likelihoods(Record *record, Fields *fields, bint complete) noexcept nogil

cdef void read_depths(Record *record, Fields *fields) noexcept nogil

cdef void read_quality(Record *record, Fields *fields, int64_t info_dp, bint complete, bint failed) noexcept nogil

cdef bint states_reference(const Fields *fields) noexcept nogil

cdef bint has_failed_genotype(Record *record, const Fields *fields) noexcept nogil

cdef bint is_called(
    const Record *record, int64_t min_gq, int64_t min_dp, int64_t min_het_percent
) noexcept nogil

cdef bint has_evidence(const Record *record) noexcept nogil
