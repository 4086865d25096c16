"""The sample of a record: genotype, likelihoods, depths, quality and phase."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.fields cimport AD, DP, GQ, GT, MIN_DP, PGT, PID, PL, PS, Fields, find
from baekman.kernels.reader cimport BAD_GENOTYPE, BAD_PLOIDY, DONE
from baekman.kernels.record cimport MAX_ALLELES, Record
from baekman.kernels.text cimport COMMA, DOT, PIPE, SLASH, integer, position, quality


cdef inline bint is_missing(const uint8_t *buf, int64_t start, int64_t stop) noexcept nogil:
    return stop - start <= 1 and (stop == start or buf[start] == DOT)


cdef int read_genotype(Record *record, Fields *fields, bint *complete) noexcept nogil:
    """Read GT; ``complete``: whether no allele is missing."""
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, last, allele
    record.ploidy = 0
    record.phased = False
    complete[0] = True
    if not find(fields, GT, &start, &stop):
        complete[0] = False
        return DONE
    if start < stop and (buf[start] == SLASH or buf[start] == PIPE):  # VCF 4.5 leading phase mark
        start += 1
    while start <= stop:
        last = start
        while last < stop and buf[last] != SLASH and buf[last] != PIPE:
            last += 1
        if last < stop and buf[last] == PIPE:
            record.phased = True
        if record.ploidy == 2:
            return BAD_PLOIDY
        allele = position(buf, start, last)
        if allele >= record.alleles and record.alleles == 1:
            # some callers repeat a GT at the bases of a deletion
            if complete[0]:
                fields.contradicting += 1
            allele = -1
        if allele == -2 or allele >= record.alleles:
            return BAD_GENOTYPE
        if allele < 0:
            complete[0] = False
        record.genotype[record.ploidy] = allele
        record.ploidy += 1
        start = last + 1
    return DONE


cdef void read_likelihoods(Record *record, Fields *fields, bint complete) noexcept nogil:
    """Read PL; where GT does not give the ploidy, the number of values does."""
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, last, value, expected
    cdef int64_t alleles = record.alleles
    cdef bint unknown = False, wrong = False
    record.values = 0
    if not find(fields, PL, &start, &stop) or is_missing(buf, start, stop):
        return
    while start <= stop:
        last = start
        while last < stop and buf[last] != COMMA:
            last += 1
        value = integer(buf, start, last)
        if value == -1:
            unknown = True
        elif value < 0:
            wrong = True
        record.pl[record.values] = value
        record.values += 1
        start = last + 1
    if record.ploidy == 0:
        record.ploidy = 1 if record.values == alleles else 2
        record.genotype[0] = -1
        record.genotype[1] = -1
    elif record.ploidy == 1 and not complete and record.values == alleles * (alleles + 1) // 2:
        record.ploidy = 2  # a lone "." of a diploid record
        record.genotype[1] = -1
    expected = alleles if record.ploidy == 1 else alleles * (alleles + 1) // 2
    if record.values != expected or wrong:
        fields.contradicting += 1
        record.values = 0
    elif unknown:
        record.values = 0


cdef void read_depths(Record *record, Fields *fields) noexcept nogil:
    """Read AD."""
    cdef int64_t start, stop, last, value
    cdef bint unknown = False, wrong = False
    record.counted = 0
    if record.alleles < 2 or not find(fields, AD, &start, &stop) or is_missing(record.buf, start, stop):
        return
    while start <= stop and record.counted < MAX_ALLELES:
        last = start
        while last < stop and record.buf[last] != COMMA:
            last += 1
        value = integer(record.buf, start, last)
        if value == -1:
            unknown = True
        elif value < 0:
            wrong = True
        record.depths[record.counted] = value
        record.counted += 1
        start = last + 1
    if record.counted != record.alleles or wrong:
        fields.contradicting += 1
        record.counted = 0
    elif unknown:
        record.counted = 0


cdef void read_quality(Record *record, Fields *fields, int64_t info_dp) noexcept nogil:
    """Read DP and GQ, or derive them from other fields where they are missing."""
    cdef int64_t start, stop, dp = -1, gq = -1, index, least, second = -1
    cdef bint has_min_dp
    if record.block and find(fields, MIN_DP, &start, &stop):
        dp = integer(record.buf, start, stop)
    has_min_dp = dp >= 0
    if dp < 0 and find(fields, DP, &start, &stop):
        dp = integer(record.buf, start, stop)
    if dp == -2:
        fields.contradicting += 1
        dp = -1
    if dp < 0:
        dp = max(info_dp, <int64_t>-1)
    if dp < 0 and record.counted:
        dp = 0
        for index in range(record.counted):
            dp += record.depths[index]
    if find(fields, GQ, &start, &stop):
        gq = quality(record.buf, start, stop)
        if gq == -2:
            fields.contradicting += 1
            gq = -1
        elif gq > 0:
            gq //= 100
    if gq < 0 and record.block and has_min_dp:
        gq = dp * 30103 // 10000
    if gq < 0 and record.values > 1:
        least = record.pl[0]
        for index in range(1, record.values):
            if record.pl[index] < least:
                second = least
                least = record.pl[index]
            elif second < 0 or record.pl[index] < second:
                second = record.pl[index]
        gq = second - least
    if gq < 0 and record.block and dp >= 0:
        gq = dp * 30103 // 10000
    record.dp = dp
    record.gq = min(gq, <int64_t>99)


cdef void read_phase(Record *record, const Fields *fields) noexcept nogil:
    """Read the alleles of each haplotype, from a phased GT or from GATK's PGT with PID."""
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, last
    record.phase_set = -1
    record.haplotype[0] = record.genotype[0]
    record.haplotype[1] = record.genotype[1] if record.ploidy == 2 else -1
    if find(fields, PS, &start, &stop):
        record.phase_set = max(integer(buf, start, stop), <int64_t>-1)
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
        record.phase_set = integer(buf, start, last)
