"""The sample of a record: genotype, likelihoods, depths, quality and phase."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.fields cimport (
    AD, AO, DP, GL, GQ, GQX, GT, MIN_DP, PGT, PID, PL, PS, RGQ, RO, SQ, Fields, find,
)
from baekman.kernels.reader cimport BAD_GENOTYPE, BAD_PLOIDY, DONE
from baekman.kernels.record cimport MAX_ALLELES, Record
from baekman.kernels.text cimport COMMA, DOT, MINUS, PIPE, SLASH, digest, integer, position, quality

cdef enum:
    LOG_OFFSET = 1_000_000_000


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


cdef inline int64_t phred_of_log(const uint8_t *buf, int64_t start, int64_t end) noexcept nogil:
    """Return a log10 likelihood as a phred value above an offset; -1 when ``.`` or empty, -2 when it is no number.

    A value of GL is at most 0; ``LOG_OFFSET`` keeps one above it from becoming a code for a missing value.
    """
    cdef bint negative = start < end and buf[start] == MINUS
    cdef int64_t value = quality(buf, start + negative, end)
    if value < 0:
        return -2 if negative else value
    value = (value + 5) // 10
    return LOG_OFFSET + (value if negative else -min(value, <int64_t>LOG_OFFSET))


cdef void read_likelihoods(Record *record, Fields *fields, bint complete) noexcept nogil:
    """Read PL, or GL as PL; where GT does not give the ploidy, the number of values does."""
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, last, value, expected, least = <int64_t>1 << 40
    cdef int64_t alleles = record.alleles
    cdef bint unknown = False, wrong = False
    cdef bint of_gl = False
    record.values = 0
    if not find(fields, PL, &start, &stop) or is_missing(buf, start, stop):
        if not find(fields, GL, &start, &stop) or is_missing(buf, start, stop):
            return
        of_gl = True
    while start <= stop:
        last = start
        while last < stop and buf[last] != COMMA:
            last += 1
        value = phred_of_log(buf, start, last) if of_gl else integer(buf, start, last)
        if value == -1:
            unknown = True
        elif value < 0:
            wrong = True
        record.pl[record.values] = value
        record.values += 1
        start = last + 1
    if of_gl and not unknown and not wrong:
        for expected in range(record.values):
            least = min(least, record.pl[expected])
        for expected in range(record.values):
            record.pl[expected] -= least
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


cdef bint states_reference(const Fields *fields) noexcept nogil:
    """Return whether a block without GT in FORMAT says how sure its reference is, as freebayes writes it."""
    cdef int64_t start, stop
    return not find(fields, GT, &start, &stop) and find(fields, GQ, &start, &stop) and find(fields, RO, &start, &stop)


cdef void read_depths(Record *record, Fields *fields) noexcept nogil:
    """Read AD, or RO and AO. A record without any ALT may have depths of alleles that it does not name."""
    cdef int64_t start, stop
    cdef bint unknown = False, wrong = False
    record.counted = 0
    if find(fields, AD, &start, &stop) and not is_missing(record.buf, start, stop):
        add_depths(record, start, stop, &unknown, &wrong)
    elif find(fields, AO, &start, &stop) and not is_missing(record.buf, start, stop):
        if not find(fields, RO, &start, &stop):
            return
        add_depths(record, start, stop, &unknown, &wrong)
        find(fields, AO, &start, &stop)
        add_depths(record, start, stop, &unknown, &wrong)
    else:
        return
    if wrong or (record.counted != record.alleles and record.alleles > 1):
        fields.contradicting += 1
        record.counted = 0
    elif unknown:
        record.counted = 0


cdef void add_depths(Record *record, int64_t start, int64_t stop, bint *unknown, bint *wrong) noexcept nogil:
    """Add the numbers of a list to the record's depths."""
    cdef int64_t last, value
    while start <= stop and record.counted < MAX_ALLELES:
        last = start
        while last < stop and record.buf[last] != COMMA:
            last += 1
        value = integer(record.buf, start, last)
        if value == -1:
            unknown[0] = True
        elif value < 0:
            wrong[0] = True
        record.depths[record.counted] = value
        record.counted += 1
        start = last + 1


cdef void read_quality(Record *record, Fields *fields, int64_t info_dp, bint complete, bint failed) noexcept nogil:
    """Read DP and GQ, or the values that stand for them where they are missing.

    A missing GQ is GQX, SQ or RGQ, then what the likelihoods say, then of a block what its reads say. ``failed`` is a
    FILTER that the record did not pass: with it, and without GQ, a reference genotype is doubtful. A block's depth is
    its quality only where the record gives nothing else.
    """
    cdef int64_t start, stop, dp = -1, gq = -1, index, against, least = 0
    cdef bint refused = False, reference
    if record.block and find(fields, MIN_DP, &start, &stop):
        dp = integer(record.buf, start, stop)
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
    record.dp = dp
    reference = complete and record.genotype[0] == 0 and (record.ploidy == 1 or record.genotype[1] == 0)
    record.doubtful = False
    gq = given_quality(record, fields, GQ, &refused)
    if gq < 0 and reference and failed:
        record.doubtful = True
    if gq < 0:
        gq = given_quality(record, fields, GQX, &refused)
    if gq < 0:
        gq = given_quality(record, fields, SQ, &refused)
        if gq >= 0:
            settle_homoplasmy(record)
    if gq < 0:
        gq = given_quality(record, fields, RGQ, &refused)
    if record.values > 1 and (gq < 0 or (record.block and reference)):
        least = likelihood_quality(record, complete)
        if gq < 0:
            gq = least
        elif least == 0:
            gq = 0
    if record.block and reference and record.counted > 1:
        against = 0
        for index in range(1, record.counted):
            against += record.depths[index]
        if against > record.depths[0]:
            gq = 0
        elif gq < 0 and not refused and not record.doubtful:
            # of a heterozygote each read halves the likelihood; of the reference a read against it is 1 error in 100
            gq = max((record.depths[0] + against) * 30103 - against * 200_000, <int64_t>0) // 10_000
            if dp >= 0:
                gq = min(gq, dp * 30103 // 10_000)
    if gq < 0 and record.block and (refused or record.doubtful):
        gq = 0
    if gq < 0 and record.block and dp >= 0:
        gq = dp * 30103 // 10_000
    record.gq = min(gq, <int64_t>99)


cdef int64_t given_quality(const Record *record, Fields *fields, int64_t key, bint *refused) noexcept nogil:
    """Return a field that is a quality, -1 where it is missing; one below 0 (freebayes) is 0 in a block.

    One that is no quality is missing and counted, and noted in ``refused``.
    """
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, value
    if not find(fields, key, &start, &stop):
        return -1
    value = quality(buf, start, stop)
    if value == -2 and record.block and buf[start] == MINUS and quality(buf, start + 1, stop) >= 0:
        return 0
    if value == -2:
        fields.contradicting += 1
        refused[0] = True
        return -1
    return value // 100 if value > 0 else value


cdef int64_t likelihood_quality(const Record *record, bint complete) noexcept nogil:
    """Return how much likelier the genotype is than any other; without a genotype, the likeliest one."""
    cdef int64_t index, own = -1, least = -1, second = -1, value
    if complete:
        own = record.genotype[0]
        if record.ploidy == 2:
            value = record.genotype[1]
            own = max(own, value) * (max(own, value) + 1) // 2 + min(own, value)
    for index in range(record.values):
        value = record.pl[index]
        if index == own:
            continue
        if least < 0 or value < least:
            second = least
            least = value
        elif second < 0 or value < second:
            second = value
    if own >= 0:
        return max(least - record.pl[own], <int64_t>0)
    return second - least


cdef void settle_homoplasmy(Record *record) noexcept nogil:
    """Make a heterozygote of a caller of allele fractions one of two copies where nearly every read has the ALT.

    Such a caller writes 0/1 wherever there is an ALT. 95 % of the reads is gnomAD's border of homoplasmy.
    """
    cdef int64_t index, total = 0, allele
    if record.ploidy != 2 or record.genotype[0] != 0 or record.genotype[1] < 1 or record.counted != record.alleles:
        return
    allele = record.genotype[1]
    for index in range(record.counted):
        total += record.depths[index]
    if total > 0 and record.depths[allele] * 100 >= 95 * total:
        record.genotype[0] = allele


cdef bint has_evidence(const Record *record) noexcept nogil:
    """Return whether the record has a read or a likelihood, so that it covers its positions."""
    cdef int64_t index
    cdef bint flat = record.values > 1
    for index in range(1, record.values):
        if record.pl[index] != record.pl[0]:
            flat = False
    if record.dp > 0:
        return True
    if record.dp < 0:
        return not flat
    if not record.block:
        for index in range(record.counted):
            if record.depths[index] > 0:
                return True
    if record.genotype[0] < 1 and (record.ploidy == 1 or record.genotype[1] < 1):
        return False
    return not flat if record.values else record.gq > 0


cdef int64_t number_of_set(
    PhaseSets *sets, const uint8_t *buf, int64_t start, int64_t stop, int64_t pos
) noexcept nogil:
    """Return the number of the phase set with this text: the position of its first record, or the next free one."""
    cdef int64_t name = digest(buf, start, stop), index
    sets.texts += 1
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


cdef void read_phase(Record *record, const Fields *fields, PhaseSets *sets) noexcept nogil:
    """Read the alleles of each haplotype, from a phased GT or from GATK's PGT with PID."""
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, last
    record.phase_set = -1
    record.haplotype[0] = record.genotype[0]
    record.haplotype[1] = record.genotype[1] if record.ploidy == 2 else -1
    if find(fields, PS, &start, &stop):
        record.phase_set = integer(buf, start, stop)
        if record.phase_set == -2:
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
        record.phase_set = integer(buf, start, last)
