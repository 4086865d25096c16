"""The posterior of the joint genotypes; see ``baekman.genotyping.joint``."""

from libc.stdint cimport int64_t

# The ranges of the tables of likelihoods and of GQ limits that Python makes: 0 to MAX_PL, GQ 1 to GQ_STEPS.
cpdef enum:
    MAX_PL = 2000
    GQ_STEPS = 99


cdef struct Joint:
    int64_t copies
    int64_t gq


cdef inline Joint posterior(
    double l_0, double l_1, double l_2, int64_t ploidy, double frequency, const double *limits
) noexcept nogil:
    """Return the most probable number of copies and its phred-scaled quality (0 to 99) from likelihoods and frequency.

    ``limits[GQ - 1]``: the largest error probability of a GQ.
    """
    cdef double p_0, p_1, p_2, total, best, rest, error
    cdef int64_t low, high, middle
    cdef Joint joint
    joint.copies = 0
    joint.gq = 0
    if ploidy == 1:
        p_0 = l_0 * (1.0 - frequency)
        p_1 = l_1 * frequency
        p_2 = 0.0
    else:
        p_0 = l_0 * ((1.0 - frequency) * (1.0 - frequency))
        p_1 = l_1 * (2.0 * frequency * (1.0 - frequency))
        p_2 = l_2 * (frequency * frequency)
    total = p_0 + p_1 + p_2
    if not total > 0.0:
        return joint
    best = p_0
    rest = p_1 + p_2
    if p_1 > best:
        joint.copies = 1
        best = p_1
        rest = p_0 + p_2
    if p_2 > best:
        joint.copies = 2
        rest = p_0 + p_1
    error = rest / total
    # the largest GQ with a limit that the error does not exceed
    low = 0
    high = GQ_STEPS
    while low < high:
        middle = (low + high) // 2
        if error <= limits[middle]:
            low = middle + 1
        else:
            high = middle
    joint.gq = low
    return joint


cdef inline Joint joint_reference(
    int64_t gq, int64_t ploidy, double frequency, const double *likelihood, const double *limits
) noexcept nogil:
    """Return the joint copies and GQ where a reference segment of quality ``gq`` is the only evidence.

    Its GQ is the phred likelihood of one copy. The phred likelihood of two copies is twice that, as for independent
    reads.
    """
    cdef double single = likelihood[gq]
    return posterior(1.0, single, single * single, ploidy, frequency, limits)
