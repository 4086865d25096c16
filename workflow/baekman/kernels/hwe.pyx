"""Exact tests of Hardy-Weinberg equilibrium; see ``baekman.genotyping.hwe``."""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc


# The weight of a number of heterozygotes, relative to the most likely number.
cdef struct Weight:
    int64_t het
    double weight


cdef int64_t walk(int64_t rare, int64_t people, Weight *out) noexcept nogil:
    """Write the weights of all possible numbers of heterozygotes; return the number of weights.

    They go down from the most likely number, then up from the next above it, and end where a weight is 0.
    """
    cdef int64_t likeliest = <int64_t>(rare * (2.0 * people - rare) / (2.0 * people))
    cdef int64_t upward, het, hom_rare, hom_common, count = 0
    cdef double weight
    likeliest = min(likeliest + (likeliest ^ rare) % 2, rare)
    for upward in range(2):
        het = likeliest
        hom_rare = (rare - het) // 2
        hom_common = people - het - hom_rare
        weight = 1.0
        while weight != 0.0:
            if not (upward and het == likeliest):
                out[count].het = het
                out[count].weight = weight
                count += 1
            if upward:
                if het + 2 > rare:
                    break
                weight *= 4.0 * hom_rare * hom_common / ((het + 2.0) * (het + 1.0))
                het += 2
                hom_rare -= 1
                hom_common -= 1
            else:
                if het < 2:
                    break
                weight *= het * (het - 1.0) / (4.0 * (hom_rare + 1.0) * (hom_common + 1.0))
                het -= 2
                hom_rare += 1
                hom_common += 1
    return count


cdef void judge(
    const Weight *weights, int64_t count, int64_t hets, bint mid_p, double *p, double *excess
) noexcept nogil:
    """Write the P values of ``hets`` heterozygotes."""
    cdef double observed = 0.0, total = 0.0, unlikely = 0.0, more = 0.0, half
    cdef int64_t index
    for index in range(count):
        if weights[index].het == hets:
            observed = weights[index].weight
    for index in range(count):
        total += weights[index].weight
        if weights[index].weight <= observed * (1.0 + 1e-9):
            unlikely += weights[index].weight
        if weights[index].het >= hets:
            more += weights[index].weight
    half = 0.5 * observed if mid_p else 0.0
    p[0] = min((unlikely - half) / total, 1.0)
    excess[0] = min((more - half) / total, 1.0)


cdef bint test_all(
    const int64_t[::1] hom_ref, const int64_t[::1] het, const int64_t[::1] hom_alt, bint mid_p, double[::1] p,
    double[::1] excess,
) noexcept nogil:
    cdef int64_t site, rare, people, room = 0
    cdef Weight *weights = NULL
    cdef Weight *bigger
    for site in range(len(het)):
        rare = 2 * min(hom_ref[site], hom_alt[site]) + het[site]
        people = het[site] + hom_ref[site] + hom_alt[site]
        p[site] = 1.0
        excess[site] = 1.0
        if people == 0 or rare == 0:
            continue
        if rare // 2 + 1 > room:
            room = rare + 64
            bigger = <Weight *>realloc(weights, room * sizeof(Weight))
            if bigger == NULL:
                free(weights)
                return False
            weights = bigger
        judge(weights, walk(rare, people, weights), het[site], mid_p, &p[site], &excess[site])
    free(weights)
    return True


def exact_tests(
    const int64_t[::1] hom_ref, const int64_t[::1] het, const int64_t[::1] hom_alt, bint mid_p, double[::1] p,
    double[::1] excess,
):
    """Write the P values of each site to ``p`` and ``excess``. Raises MemoryError."""
    cdef bint done
    with nogil:
        done = test_all(hom_ref, het, hom_alt, mid_p, p, excess)
    if not done:
        raise MemoryError
