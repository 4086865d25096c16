"""The sample of a record: genotype, likelihoods, depths, quality and phase."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.fields cimport (
    AD, AO, DP, DPI, GL, GP, GQ, GQX, GT, MIN_DP, PL, PP, RGQ, RO, SQ, Fields, find,
)
from baekman.kernels.layout cimport (
    COUNT_AD_COUNT, COUNT_AD_PARTLY_MISSING, COUNT_DECIMALS_CUT, COUNT_DP_FROM_AD, COUNT_DP_FROM_INFO,
    COUNT_DP_MISSING, COUNT_GL_AS_PL, COUNT_GQ_ABOVE_99, COUNT_GQ_BELOW_0, COUNT_GQ_FROM_AD, COUNT_GQ_FROM_DEPTH,
    COUNT_GQ_FROM_FILTER, COUNT_GQ_FROM_GL, COUNT_GQ_FROM_GQX, COUNT_GQ_FROM_PL, COUNT_GQ_FROM_RGQ, COUNT_GQ_FROM_SQ,
    COUNT_GQ_MISSING, COUNT_GQ_OVERRULED, COUNT_GT_ALLELE, COUNT_HALF_CALL, COUNT_HOMOPLASMIC, COUNT_NO_GT,
    COUNT_NON_REF_CALLED, COUNT_NOT_A_NUMBER, COUNT_PL_COUNT, COUNT_PL_PARTLY_MISSING, COUNT_PLOIDY,
    COUNT_POSTERIOR_UNREAD,
)
from baekman.kernels.reader cimport BAD_GENOTYPE, DONE
from baekman.kernels.record cimport MAX_ALLELES, NON_REF, Record
from baekman.kernels.text cimport (
    COMMA, MINUS, PIPE, SLASH, ZERO, integer, is_infinity, is_missing, list_integer, position, quality,
)

cdef enum:
    LOG_OFFSET = 1_000_000_000
    LOG_OF_0 = 10_000  # the phred value of 0 in floating point, which has no logarithm


cdef int read_genotype(Record *record, Fields *fields, bint *complete) noexcept nogil:
    """Read GT; ``complete``: whether no allele is missing."""
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, last, allele, given = 0
    record.ploidy = 0
    record.polyploid = False
    record.phased = False
    complete[0] = True
    if not find(fields, GT, &start, &stop):
        complete[0] = False
        record.counts[COUNT_NO_GT] += not (record.block and states_reference(fields))
        return DONE
    if stop - start == 3 and buf[start] == ZERO and buf[start + 2] == ZERO and (
        buf[start + 1] == SLASH or buf[start + 1] == PIPE
    ):  # most records are of the reference
        record.ploidy = 2
        record.phased = buf[start + 1] == PIPE
        record.genotype[0] = record.genotype[1] = 0
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
            record.counts[COUNT_PLOIDY] += 1
            record.polyploid = True
            record.phased = complete[0] = False
            record.genotype[0] = record.genotype[1] = -1
            return DONE
        allele = position(buf, start, last)
        if allele >= record.alleles and record.alleles == 1:
            # some callers repeat a GT at the bases of a deletion
            if complete[0]:
                record.counts[COUNT_GT_ALLELE] += 1
            allele = -1
        if allele == -2 or allele >= record.alleles:
            return BAD_GENOTYPE
        if allele < 0:
            complete[0] = False
        else:
            given += 1
            if record.allele_kind[allele] == NON_REF and allele:
                record.counts[COUNT_NON_REF_CALLED] += 1
        record.genotype[record.ploidy] = allele
        record.ploidy += 1
        start = last + 1
    if given and not complete[0]:
        record.counts[COUNT_HALF_CALL] += 1
    return DONE


cdef inline int64_t phred_of_log(const uint8_t *buf, int64_t start, int64_t end) noexcept nogil:
    """Return a log10 likelihood as a phred value above an offset; -1 when ``.`` or empty, -2 when it is no number.

    A value of GL is at most 0; ``LOG_OFFSET`` keeps one above it from becoming a code for a missing value. ``-inf`` is
    the logarithm of 0.
    """
    cdef bint negative = start < end and buf[start] == MINUS
    cdef int64_t value = quality(buf, start + negative, end)
    if value == -2 and negative and is_infinity(buf, start + 1, end):
        return LOG_OFFSET + LOG_OF_0
    if value < 0:
        return -2 if negative else value
    value = (value + 5) // 10
    return LOG_OFFSET + (value if negative else -min(value, <int64_t>LOG_OFFSET))


cdef void read_likelihoods(Record *record, Fields *fields, bint complete) noexcept nogil:
    """Read PL, or GL as PL; where GT does not give the ploidy, the number of values does."""
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, last, value, expected, least = <int64_t>1 << 40
    cdef int64_t alleles = record.alleles
    cdef bint unknown = False, wrong = False, of_gl = False
    cdef int64_t cut = 0, values = 0
    cdef int64_t *pl = record.pl
    record.values = 0
    record.of_gl = False
    record.unread = False
    if not find(fields, PL, &start, &stop) or is_missing(buf, start, stop):
        if not find(fields, GL, &start, &stop) or is_missing(buf, start, stop):
            if find(fields, GP, &start, &stop) or find(fields, PP, &start, &stop):
                record.unread = not is_missing(buf, start, stop)
                record.counts[COUNT_POSTERIOR_UNREAD] += record.unread
            return
        of_gl = True
    if record.polyploid:
        return
    while start <= stop:
        if of_gl:
            last = start
            while last < stop and buf[last] != COMMA:
                last += 1
            value = phred_of_log(buf, start, last)
        else:
            value = list_integer(buf, start, stop, &last, &cut)
        if value < 0:
            unknown = unknown or value == -1
            wrong = wrong or value < -1
        pl[values] = value
        values += 1
        start = last + 1
    record.of_gl = of_gl
    record.values = values
    record.counts[COUNT_DECIMALS_CUT] += cut
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
        record.counts[COUNT_PL_COUNT] += 1
        record.values = 0
    elif unknown:
        record.counts[COUNT_PL_PARTLY_MISSING] += 1
        record.values = 0
    else:
        record.counts[COUNT_GL_AS_PL] += of_gl
    record.unread = record.values == 0


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
        record.counts[COUNT_AD_COUNT] += 1
        record.counted = 0
    elif unknown:
        record.counts[COUNT_AD_PARTLY_MISSING] += 1
        record.counted = 0


cdef void add_depths(Record *record, int64_t start, int64_t stop, bint *unknown, bint *wrong) noexcept nogil:
    """Add the numbers of a list to the record's depths."""
    cdef int64_t last, value
    while start <= stop and record.counted < MAX_ALLELES:
        value = list_integer(record.buf, start, stop, &last, &record.counts[COUNT_DECIMALS_CUT])
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
    FILTER that the record did not pass: with it, and without GQ, a reference genotype is doubtful. A block's reads and
    depth are its quality only where the record gives nothing else, not even what cannot be read.
    """
    cdef int64_t start, stop, dp = -1, gq = -1, index, against
    cdef bint refused = record.unread, reference
    cdef int64_t *counts = record.counts
    cdef int64_t *cut = &counts[COUNT_DECIMALS_CUT]
    if record.block and find(fields, MIN_DP, &start, &stop):
        dp = integer(record.buf, start, stop, cut)
    if dp < 0 and find(fields, DP, &start, &stop):
        dp = integer(record.buf, start, stop, cut)
    if dp < 0 and find(fields, DPI, &start, &stop):
        dp = integer(record.buf, start, stop, cut)
    if dp == -2:
        counts[COUNT_NOT_A_NUMBER] += 1
        dp = -1
    if dp < 0 and info_dp >= 0:
        dp = info_dp
        counts[COUNT_DP_FROM_INFO] += 1
    if dp < 0 and record.counted:
        counts[COUNT_DP_FROM_AD] += 1
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
        counts[COUNT_GQ_FROM_GQX] += gq >= 0
        if gq < 0:
            gq = given_quality(record, fields, SQ, &refused)
            if gq >= 0:
                counts[COUNT_GQ_FROM_SQ] += 1
                settle_homoplasmy(record)
        if gq < 0:
            gq = given_quality(record, fields, RGQ, &refused)
            counts[COUNT_GQ_FROM_RGQ] += gq >= 0
    if record.values > 1:
        if gq < 0:
            gq = likelihood_quality(record, complete)
            counts[COUNT_GQ_FROM_GL if record.of_gl else COUNT_GQ_FROM_PL] += 1
        elif gq > 0 and record.block and reference:
            for index in range(1, record.values):
                if record.pl[index] <= record.pl[0]:
                    gq = 0
                    counts[COUNT_GQ_OVERRULED] += 1
                    break
    if record.block and reference and record.counted > 1:
        against = 0
        for index in range(1, record.counted):
            against += record.depths[index]
        if against > record.depths[0]:
            counts[COUNT_GQ_OVERRULED if gq > 0 else COUNT_GQ_FROM_AD] += gq != 0
            gq = 0
        elif gq < 0 and not refused and not record.doubtful:
            # of a heterozygote each read halves the likelihood; of the reference a read against it is 1 error in 100
            gq = max((record.depths[0] + against) * 30103 - against * 200_000, <int64_t>0) // 10_000
            if dp >= 0:
                gq = min(gq, dp * 30103 // 10_000)
            counts[COUNT_GQ_FROM_AD] += 1
    if gq < 0 and record.block and (refused or record.doubtful):
        gq = 0
        counts[COUNT_GQ_FROM_FILTER] += record.doubtful
    if gq < 0 and record.block and dp >= 0:
        gq = dp * 30103 // 10_000
        counts[COUNT_GQ_FROM_DEPTH] += complete and dp > 0
    if gq > 99:
        gq = 99
    counts[COUNT_DP_MISSING] += dp < 0 and complete
    counts[COUNT_GQ_MISSING] += gq < 0 and complete
    record.gq = gq


cdef int64_t given_quality(const Record *record, Fields *fields, int64_t key, bint *refused) noexcept nogil:
    """Return a field that is a quality, -1 where it is missing; one below 0 (freebayes) is 0 in a block.

    One that is no quality is missing and counted, and noted in ``refused``.
    """
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, value, at
    if not find(fields, key, &start, &stop):
        return -1
    value = 0
    for at in range(start, stop):
        if buf[at] < 48 or buf[at] > 57:
            break
        value = value * 10 + buf[at] - 48
    else:
        if 0 < stop - start < 3:
            return value
    value = quality(buf, start, stop)
    if value == -2 and record.block and buf[start] == MINUS and quality(buf, start + 1, stop) >= 0:
        record.counts[COUNT_GQ_BELOW_0] += quality(buf, start + 1, stop) > 0
        return 0
    if value == -2:
        record.counts[COUNT_NOT_A_NUMBER] += 1
        refused[0] = True
        return -1
    if value <= 0:
        return value
    record.counts[COUNT_DECIMALS_CUT] += value % 100 != 0
    record.counts[COUNT_GQ_ABOVE_99] += value >= 10_000
    return value // 100


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
    allele = max(record.genotype[0], record.genotype[1])
    if record.ploidy != 2 or min(record.genotype[0], record.genotype[1]) != 0 or allele < 1:
        return
    if record.counted != record.alleles:
        return
    for index in range(record.counted):
        total += record.depths[index]
    if total > 0 and record.depths[allele] * 100 >= 95 * total:
        record.genotype[0] = record.genotype[1] = allele
        record.counts[COUNT_HOMOPLASMIC] += 1


cdef bint has_evidence_without_depth(const Record *record) noexcept nogil:
    """Return whether a record without depth, or of depth 0, has a read or a likelihood."""
    cdef int64_t index
    cdef bint flat = record.values > 1
    for index in range(1, record.values):
        if record.pl[index] != record.pl[0]:
            flat = False
            break
    if record.dp < 0:
        return not flat
    if not record.block:
        for index in range(record.counted):
            if record.depths[index] > 0:
                return True
    if record.genotype[0] < 1 and (record.ploidy == 1 or record.genotype[1] < 1):
        return False
    return not flat if record.values else record.gq > 0
