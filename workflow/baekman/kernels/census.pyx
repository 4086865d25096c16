"""Sums per allele and along the genome; ``baekman.cohort.census`` makes tables of them."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t

from baekman.kernels.layout cimport (
    FLAG_CALLED, FLAG_GENOTYPED, FLAG_POSITION_CALLED, FLAG_POSITION_GENOTYPED, STATE_CALLED, STATE_MISSING,
)

# The columns of ``baekman.cohort.census.COUNTS``.
cdef enum:
    HET = 0
    HOM = 1
    HEMI = 2
    HET_RAW = 3
    HOM_RAW = 4
    HEMI_RAW = 5
    HET_ONE = 6
    HOM_ONE = 7
    NAMED = 8
    UNCALLED_1 = 9
    UNCALLED_2 = 10
    UNCALLED_ONE = 11
    MISSING_1 = 12
    MISSING_2 = 13
    QUAL_SUM = 14
    QUAL_MAX = 15
    DP_SUM = 16
    DP_N = 17
    AD_REF_HET = 18
    AD_ALT_HET = 19
    DOSAGE = 20
    GQ_00 = 21
    GQ_BINS = 10

# The columns of ``baekman.cohort.census.STEPS``; the first of called and of raw is haploid, the second diploid.
cdef enum:
    STEP_CALLED = 0
    STEP_CALLED_ONE = 2
    STEP_RAW = 3
    STEP_COVERED = 5
    STEP_WEIGHT = 6


def count_alleles(
    const int64_t[::1] starts, const uint8_t[::1] copies, const uint8_t[::1] ploidy, const int16_t[::1] gq,
    const int32_t[::1] dp, const int32_t[::1] ad_ref, const int32_t[::1] ad_alt, const int32_t[:, ::1] pl,
    const uint8_t[::1] flags, const int32_t[::1] qual, const uint8_t[::1] one_copy, const int64_t[::1] dosage,
    int64_t[:, ::1] out,
):
    """Add up the call rows of each allele; ``out`` is (alleles, COUNTS).

    ``starts[n]``: the first row of allele n. ``one_copy``: whether the participant has one copy there, whatever the
    row's ploidy.
    """
    cdef int64_t group, row, end, index
    cdef int64_t alleles = len(starts), rows = len(copies)
    cdef bint called, genotyped, haploid, halved
    cdef int32_t least, quality
    cdef int64_t *sums
    with nogil:
        for group in range(alleles):
            end = starts[group + 1] if group + 1 < alleles else rows
            sums = &out[group, 0]
            for row in range(starts[group], end):
                called = flags[row] & FLAG_CALLED != 0
                genotyped = flags[row] & FLAG_GENOTYPED != 0
                haploid = ploidy[row] == 1
                halved = not haploid and one_copy[row] != 0
                if not called and flags[row] & FLAG_POSITION_CALLED:
                    sums[UNCALLED_1 if haploid else UNCALLED_2] += 1
                    sums[UNCALLED_ONE] += halved
                if not genotyped and flags[row] & FLAG_POSITION_GENOTYPED:
                    sums[MISSING_1 if haploid else MISSING_2] += 1
                if copies[row] == 0:
                    sums[NAMED] += 1
                elif haploid:
                    sums[HEMI] += called
                    sums[HEMI_RAW] += genotyped
                elif copies[row] == 1:
                    sums[HET] += called
                    sums[HET_ONE] += called and halved
                    sums[HET_RAW] += genotyped
                    if called and ad_ref[row] >= 0 and ad_alt[row] >= 0:
                        sums[AD_REF_HET] += ad_ref[row]
                        sums[AD_ALT_HET] += ad_alt[row]
                else:
                    sums[HOM] += called
                    sums[HOM_ONE] += called and halved
                    sums[HOM_RAW] += genotyped
                if pl[row, 0] >= 0:
                    least = pl[row, 0]
                    for index in range(1, ploidy[row] + 1):
                        least = min(least, pl[row, index])
                    quality = pl[row, 0] - least
                elif copies[row]:
                    quality = qual[row] if qual[row] >= 0 else max(<int32_t>gq[row], <int32_t>0)
                else:
                    quality = 0
                sums[QUAL_SUM] += quality
                sums[QUAL_MAX] = max(sums[QUAL_MAX], <int64_t>quality)
                sums[DOSAGE] += dosage[row]
                if copies[row]:
                    if dp[row] >= 0:
                        sums[DP_SUM] += dp[row]
                        sums[DP_N] += 1
                    if gq[row] >= 0:
                        sums[GQ_00 + min(gq[row] // 10, GQ_BINS - 1)] += 1


def add_segments(
    int64_t first, const int32_t[::1] start, const int32_t[::1] length, const int16_t[::1] gq,
    const uint8_t[::1] ploidy, const uint8_t[::1] state, const uint8_t[::1] one_copy, const int64_t[::1] weights,
    int64_t[:, ::1] steps,
):
    """Add +1 and -1 to ``steps`` (positions from ``first`` on, STEPS) where reference segments begin and end.

    ``weights``: the informative weight of each GQ. ``one_copy``: as in ``count_alleles``.
    """
    cdef int64_t index, begin, end, weight
    cdef bint one, halved
    with nogil:
        for index in range(len(start)):
            begin = start[index] - first
            end = begin + length[index]
            one = ploidy[index] == 1
            halved = not one and one_copy[index] != 0
            if state[index] == STATE_CALLED:
                steps[begin, STEP_CALLED + 1 - one] += 1
                steps[end, STEP_CALLED + 1 - one] -= 1
                steps[begin, STEP_CALLED_ONE] += halved
                steps[end, STEP_CALLED_ONE] -= halved
            if state[index] != STATE_MISSING:
                steps[begin, STEP_RAW + 1 - one] += 1
                steps[end, STEP_RAW + 1 - one] -= 1
            steps[begin, STEP_COVERED] += 1
            steps[end, STEP_COVERED] -= 1
            weight = weights[gq[index]] * (1 if one or halved else 2)
            steps[begin, STEP_WEIGHT] += weight
            steps[end, STEP_WEIGHT] -= weight


def add_rows(
    int64_t first, const uint32_t[::1] sample, const int32_t[::1] pos, const uint8_t[::1] ploidy,
    const int32_t[::1] dp, const uint8_t[::1] flags, const uint8_t[::1] one_copy, const int64_t[::1] weights,
    int64_t[:, ::1] seen, int64_t[:, ::1] steps,
):
    """Add the positions of call rows to ``steps``, each participant once.

    The rows of each participant are in the order of positions. ``weights``: the informative weight of each depth; the
    last one also holds for greater and for unknown depths. Of several records at a position the most informative
    counts. ``seen``: two zeros for each sample.
    """
    cdef int64_t index, begin, weight, more, most = len(weights) - 1
    cdef bint one, halved
    with nogil:
        for index in range(len(pos)):
            begin = pos[index] - first
            one = ploidy[index] == 1
            halved = not one and one_copy[index] != 0
            weight = weights[min(<int64_t>dp[index], most) if dp[index] >= 0 else most]
            weight *= 1 if one or halved else 2
            if seen[sample[index], 0] == pos[index]:
                more = max(weight - seen[sample[index], 1], <int64_t>0)
                steps[begin, STEP_WEIGHT] += more
                steps[begin + 1, STEP_WEIGHT] -= more
                seen[sample[index], 1] += more
                continue
            seen[sample[index], 0] = pos[index]
            seen[sample[index], 1] = weight
            if flags[index] & FLAG_POSITION_CALLED:
                steps[begin, STEP_CALLED + 1 - one] += 1
                steps[begin + 1, STEP_CALLED + 1 - one] -= 1
                steps[begin, STEP_CALLED_ONE] += halved
                steps[begin + 1, STEP_CALLED_ONE] -= halved
            if flags[index] & FLAG_POSITION_GENOTYPED:
                steps[begin, STEP_RAW + 1 - one] += 1
                steps[begin + 1, STEP_RAW + 1 - one] -= 1
            steps[begin, STEP_COVERED] += 1
            steps[begin + 1, STEP_COVERED] -= 1
            steps[begin, STEP_WEIGHT] += weight
            steps[begin + 1, STEP_WEIGHT] -= weight


def accumulate(int64_t[:, ::1] steps):
    """Turn differences into values in place; return an upper bound of the number of runs of equal values."""
    cdef int64_t at, column, runs = 0, width = steps.shape[1]
    cdef bint changed
    with nogil:
        for at in range(steps.shape[0]):
            changed = at == 0
            for column in range(width):
                if steps[at, column] != 0:
                    changed = True
                if at:
                    steps[at, column] += steps[at - 1, column]
            runs += changed
    return runs


def find_runs(const int64_t[:, ::1] steps, int64_t first, int32_t[::1] out_start, int64_t[:, ::1] out):
    """Write the start and the values of each run of equal values; return the number of runs."""
    cdef int64_t at, column, count = 0, width = steps.shape[1]
    cdef bint changed
    with nogil:
        for at in range(steps.shape[0]):
            changed = count == 0
            if not changed:
                for column in range(width):
                    if steps[at, column] != out[count - 1, column]:
                        changed = True
            if changed:
                out_start[count] = <int32_t>(first + at)
                for column in range(width):
                    out[count, column] = steps[at, column]
                count += 1
    return count


cdef enum:
    MOST_COUNTS = 8


cdef struct Steps:
    int64_t size
    const int32_t *start
    int64_t counts
    const uint32_t *count[MOST_COUNTS]
    const int64_t *weight


cdef void point_at(list columns, Steps *steps) except *:
    cdef const int32_t[::1] start = columns[0]
    cdef const int64_t[::1] weight = columns[len(columns) - 1]
    cdef const uint32_t[::1] count
    cdef int64_t index
    steps.size = len(start)
    steps.start = &start[0]
    steps.weight = &weight[0]
    steps.counts = len(columns) - 2
    if steps.counts > MOST_COUNTS:
        raise ValueError("too many columns")
    for index in range(steps.counts):
        count = columns[index + 1]
        steps.count[index] = &count[0]


def add_steps(list left, list right, list out):
    """Write the sum of two step functions to ``out``: columns of CALLED (start, counts, weight), none of them empty.

    The columns of ``out`` have room for the steps of both. Returns the number of steps of the sum.
    """
    cdef Steps ours, theirs, total
    cdef int64_t filled
    point_at(left, &ours)
    point_at(right, &theirs)
    point_at(out, &total)
    with nogil:
        filled = _add_steps(&ours, &theirs, &total)
    return filled


cdef int64_t _add_steps(const Steps *left, const Steps *right, const Steps *out) noexcept nogil:
    cdef int64_t filled = 0, first = 0, second = 0, index
    cdef int32_t border
    cdef int64_t weight
    cdef uint32_t[MOST_COUNTS] sums
    cdef bint changed
    while first < left.size or second < right.size:
        if second == right.size or (first < left.size and left.start[first] <= right.start[second]):
            border = left.start[first]
        else:
            border = right.start[second]
        if first < left.size and left.start[first] == border:
            first += 1
        if second < right.size and right.start[second] == border:
            second += 1
        changed = filled == 0
        for index in range(left.counts):
            sums[index] = (left.count[index][first - 1] if first else 0) + (
                right.count[index][second - 1] if second else 0
            )
            changed = changed or sums[index] != out.count[index][filled - 1]
        weight = (left.weight[first - 1] if first else 0) + (right.weight[second - 1] if second else 0)
        if changed or weight != out.weight[filled - 1]:
            (<int32_t *>out.start)[filled] = border
            (<int64_t *>out.weight)[filled] = weight
            for index in range(left.counts):
                (<uint32_t *>out.count[index])[filled] = sums[index]
            filled += 1
    return filled
