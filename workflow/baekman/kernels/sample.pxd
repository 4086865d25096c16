"""The sample of a record."""

from libc.stdint cimport int64_t

from baekman.kernels.fields cimport FT, Fields, find
from baekman.kernels.layout cimport COUNT_FT_FAILED
from baekman.kernels.line cimport fails
from baekman.kernels.record cimport Record

cdef int read_genotype(Record *record, Fields *fields, bint *complete) noexcept nogil

cdef void read_likelihoods(Record *record, Fields *fields, bint complete) noexcept nogil

cdef void read_depths(Record *record, Fields *fields) noexcept nogil

cdef void read_quality(Record *record, Fields *fields, int64_t info_dp, bint complete, bint failed) noexcept nogil

cdef bint states_reference(const Fields *fields) noexcept nogil

cdef inline bint has_failed_genotype(Record *record, const Fields *fields) noexcept nogil:
    """Return whether FT is a filter that the genotype did not pass, and count it."""
    cdef int64_t start, stop
    if not find(fields, FT, &start, &stop) or not fails(record.buf, start, stop):
        return False
    record.counts[COUNT_FT_FAILED] += 1
    return True


cdef inline bint is_called(
    const Record *record, int64_t min_gq, int64_t min_dp, int64_t min_het_percent
) noexcept nogil:
    """Return whether a record with a complete GT meets the thresholds."""
    cdef int64_t total = 0, index, lesser
    if record.gq < min_gq or (min_dp != 0 and record.dp < min_dp):
        return False
    if not min_het_percent or not record.counted or record.ploidy != 2 or record.genotype[0] == record.genotype[1]:
        return True
    for index in range(record.counted):
        total += record.depths[index]
    lesser = min(record.depths[record.genotype[0]], record.depths[record.genotype[1]])
    return lesser * 100 >= min_het_percent * total


cdef bint has_evidence_without_depth(const Record *record) noexcept nogil


cdef inline bint has_evidence(const Record *record) noexcept nogil:
    """Return whether the record has a read or a likelihood, so that it covers its positions."""
    return record.dp > 0 or has_evidence_without_depth(record)
