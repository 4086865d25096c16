"""The sample of a record."""

from libc.stdint cimport int64_t

from baekman.kernels.fields cimport Fields
from baekman.kernels.record cimport Record

cdef int read_genotype(Record *record, Fields *fields, bint *complete) noexcept nogil

cdef void read_likelihoods(Record *record, Fields *fields, bint complete) noexcept nogil

cdef void read_depths(Record *record, Fields *fields) noexcept nogil

cdef void read_quality(Record *record, Fields *fields, int64_t info_dp, bint complete, bint failed) noexcept nogil

cdef bint states_reference(const Fields *fields) noexcept nogil

cdef bint has_evidence(const Record *record) noexcept nogil

cdef enum:
    MAX_PHASE_SETS = 128

# The phase sets of a contig that have text for a name, those met last; each is numbered by its first position.
cdef struct PhaseSets:
    int64_t count
    int64_t next_place
    int64_t last  # the last number
    int64_t texts  # how many records had text in PS
    int64_t digests[MAX_PHASE_SETS]
    int64_t numbers[MAX_PHASE_SETS]

cdef void read_phase(Record *record, const Fields *fields, PhaseSets *sets) noexcept nogil
