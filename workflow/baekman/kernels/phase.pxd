"""The phase of a record: the alleles of each haplotype, and the number of its phase set."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.fields cimport PGT, PID, PS, Fields, find
from baekman.kernels.layout cimport COUNT_PS_TEXT
from baekman.kernels.record cimport Record
from baekman.kernels.text cimport PIPE, digest, is_missing, position

cdef enum:
    MAX_PHASE_SETS = 128
    NUMBERED = 1 << 30  # numbers from here on are no position of a genome, and no number that a caller gives

# The phase sets of a contig that have text for a name, those met last, with their numbers.
cdef struct PhaseSets:
    int64_t count
    int64_t next_place
    int64_t last  # the last number above NUMBERED
    int64_t digests[MAX_PHASE_SETS]
    int64_t numbers[MAX_PHASE_SETS]


cdef inline int64_t number_of_set(
    PhaseSets *sets, const uint8_t *buf, int64_t start, int64_t stop, int64_t pos, int64_t own
) noexcept nogil:
    """Return the number of the phase set with this text.

    It is ``own``, the number that the text begins with, unless that is -1 or another set's. Else it is ``NUMBERED``
    plus the position ``pos`` of the set's first record, or the next free number.
    """
    cdef int64_t name = digest(buf, start, stop), index
    for index in range(sets.count):
        if sets.digests[index] == name:
            return sets.numbers[index]
        if sets.numbers[index] == own:
            own = -1
    if own < 0:
        own = sets.last = max(NUMBERED + pos, sets.last + 1)
    index = sets.next_place
    sets.next_place = (index + 1) % MAX_PHASE_SETS
    sets.count = min(sets.count + 1, <int64_t>MAX_PHASE_SETS)
    sets.digests[index] = name
    sets.numbers[index] = own
    return own


cdef inline void read_phase(Record *record, const Fields *fields, PhaseSets *sets) noexcept nogil:
    """Read the alleles of each haplotype, from a phased GT or from GATK's PGT with PID."""
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, last
    record.phase_set = -1
    record.haplotype[0] = record.genotype[0]
    record.haplotype[1] = record.genotype[1] if record.ploidy == 2 else -1
    if find(fields, PS, &start, &stop):
        record.phase_set = position(buf, start, stop)
        if record.phase_set == -2 or record.phase_set >= NUMBERED:
            record.counts[COUNT_PS_TEXT] += 1
            record.phase_set = number_of_set(sets, buf, start, stop, record.pos, -1)
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
        if record.phase_set >= NUMBERED:
            record.phase_set = -1
        if not is_missing(buf, start, stop):
            record.counts[COUNT_PS_TEXT] += record.phase_set < 0
            record.phase_set = number_of_set(sets, buf, start, stop, record.pos, record.phase_set)
