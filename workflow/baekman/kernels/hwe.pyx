"""Exact tests of Hardy-Weinberg equilibrium; see ``baekman.hwe``."""

from libc.stdint cimport int64_t


cdef struct Weights:
    double all
    double unlikely  # those not above the observed one
    double excess  # those with as many heterozygotes or more


cdef double walk(int64_t rare, int64_t people, int64_t hets, double observed, Weights *sums) noexcept nogil:
    """Weights of all possible numbers of heterozygotes relative to the most likely; returns that of ``hets``."""
    cdef int64_t likeliest = <int64_t>(rare * (2.0 * people - rare) / (2.0 * people))
    cdef int64_t upward, het, hom_rare, hom_common
    cdef double seen = 0.0, weight
    likeliest = min(likeliest + (likeliest ^ rare) % 2, rare)
    for upward in range(2):
        het = likeliest
        hom_rare = (rare - het) // 2
        hom_common = people - het - hom_rare
        weight = 1.0
        while True:
            if het == hets:
                seen = weight
            if not (upward and het == likeliest):
                sums.all += weight
                if weight <= observed * (1.0 + 1e-9):
                    sums.unlikely += weight
                if het >= hets:
                    sums.excess += weight
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
            if weight == 0.0:
                break
    return seen


def exact_tests(
    const int64_t[::1] hom_ref, const int64_t[::1] het, const int64_t[::1] hom_alt, bint mid_p, double[::1] p,
    double[::1] excess,
):
    """Write the P values of each site to ``p`` and ``excess``."""
    cdef int64_t site, rare, people
    cdef double observed, half
    cdef Weights sums
    with nogil:
        for site in range(len(het)):
            rare = 2 * min(hom_ref[site], hom_alt[site]) + het[site]
            people = het[site] + hom_ref[site] + hom_alt[site]
            p[site] = 1.0
            excess[site] = 1.0
            if people == 0 or rare == 0:
                continue
            sums.all = sums.unlikely = sums.excess = 0.0
            observed = walk(rare, people, het[site], 0.0, &sums)
            sums.all = sums.unlikely = sums.excess = 0.0
            walk(rare, people, het[site], observed, &sums)
            half = 0.5 * observed if mid_p else 0.0
            p[site] = min((sums.unlikely - half) / sums.all, 1.0)
            excess[site] = min((sums.excess - half) / sums.all, 1.0)
