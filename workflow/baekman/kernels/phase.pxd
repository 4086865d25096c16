"""The phase of a record: the alleles of each haplotype, and the number of its phase set."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.fields cimport PGT, PID, PS, Fields, find
from baekman.kernels.layout cimport COUNT_PS_TEXT
from baekman.kernels.record cimport Record
from baekman.kernels.text cimport PIPE, digest, is_missing, position

cdef enum:
    MAX_PHASE_SETS = 128

# The phase sets of a contig that have text for a name, those met last; each is numbered by its first position.
cdef struct PhaseSets:
    int64_t count
    int64_t next_place
    int64_t last  # the last number
    int64_t digests[MAX_PHASE_SETS]
    int64_t numbers[MAX_PHASE_SETS]


cdef inline int64_t number_of_set(
    PhaseSets *sets, const uint8_t *buf, int64_t start, int64_t stop, int64_t pos
) noexcept nogil:
    """Return the number of the phase set with this text: the position of its first record, or the next free one."""
    cdef int64_t name = digest(buf, start, stop), index
    for index in range(sets.count):
        if sets.digests[index] == name:
            return sets.numbers[index]
    index = sets.next_place
    sets.next_place = (index + 1) % MAX_PHASE_SETS
    sets.count = min(sets.count + 1, <int64_t>MAX_PHASE_SETS)
    sets.last = max(pos, sets.last + 1)
    sets.digests[index] = name
    sets.numbers[index] = sets.last
    return sets.last


cdef inline void read_phase(Record *record, const Fields *fields, PhaseSets *sets) noexcept nogil:
    """Read the alleles of each haplotype, from a phased GT or from GATK's PGT with PID."""
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, last
    record.phase_set = -1
    record.haplotype[0] = record.genotype[0]
    record.haplotype[1] = record.genotype[1] if record.ploidy == 2 else -1
    if find(fields, PS, &start, &stop):
        record.phase_set = position(buf, start, stop)
        if record.phase_set == -2:
            record.counts[COUNT_PS_TEXT] += 1
            record.phase_set = number_of_set(sets, buf, start, stop, record.pos)
    if record.phased or record.ploidy != 2 or not find(fields, PGT, &start, &stop):
        return
    if stop - start != 3 or buf[start + 1] != PIPE or buf[start] == buf[start + 2]:
        return
    # PGT orders the genotype: "0|1" puts the ALT on the second haplotype
    if record.genotype[0] != record.genotype[1] and buf[start] != 48:
        record.haplotype[0] = record.genotype[1]
        record.haplotype[1] = record.genotype[0]
    record.phased = True
    if record.phase_set < 0 and find(fields, PID, &start, &stop):
        last = start
        while last < stop and 48 <= buf[last] <= 57:
            last += 1
        record.phase_set = position(buf, start, last)
        if last == start and not is_missing(buf, start, stop):
            record.counts[COUNT_PS_TEXT] += 1
            record.phase_set = number_of_set(sets, buf, start, stop, record.pos)
