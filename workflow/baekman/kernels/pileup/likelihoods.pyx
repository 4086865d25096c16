"""The likelihoods of the genotypes of a base: htslib's revised MAQ error model (``errmod.c``), as bcftools uses it."""

cimport cython
from libc.math cimport HUGE_VAL, exp, lgamma, log, log1p, pow
from libc.stdint cimport int64_t, uint16_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

cdef enum:
    ALLELES = 5  # of errmod: the bases, and another
    MAX_PL = 255

cdef double DEPENDENCY = 1.0 - (1.0 - 0.83)  # bcftools' default theta
cdef double ETA = 0.03
cdef double LN_2 = 0.69314718055994530942
cdef double LN_10 = 2.30258509299404568402
cdef double ROUNDING = 0.499  # mpileup's


@cython.final
cdef class ErrorModel:
    """The model for genotypes of one or two alleles (``ploidy``); reads exclude an ALT by ``limit`` phred."""

    def __cinit__(self, *, int ploidy, int limit):
        cdef int n
        self._is_haploid, self._limit = ploidy == 1, limit
        self._spread = <double *>malloc(256 * sizeof(double))  # errmod's fk
        self._spread_sum = <double *>malloc(257 * sizeof(double))  # of its first elements
        self._choose = <double *>malloc(257 * sizeof(double))  # logarithms of factorials
        # by quality, depth and number of errors; a row is made when it is needed
        self._beta = <double *>calloc(64 << 16, sizeof(double))
        if self._spread == NULL or self._spread_sum == NULL or self._choose == NULL or self._beta == NULL:
            raise MemoryError
        self._spread[0] = 1.0
        for n in range(1, 256):
            self._spread[n] = pow(DEPENDENCY, n) * (1.0 - ETA) + ETA
        self._spread_sum[0] = 0.0
        for n in range(256):
            self._spread_sum[n + 1] = self._spread_sum[n] + self._spread[n]
        for n in range(257):
            self._choose[n] = lgamma(n + 1)

    def __dealloc__(self):
        free(self._spread)
        free(self._spread_sum)
        free(self._choose)
        free(self._beta)

    cdef int gq_without_alt(self, int depth) noexcept nogil:
        """Return the GQ that reads without an ALT have at most: a heterozygote hides it with 2 ** -depth."""
        cdef float heterozygous = <float>(-4.343 * (0.0 - LN_2 * depth))
        return GQ_CAP if self._is_haploid else min(GQ_CAP, <int>(heterozygous + ROUNDING))

    cdef bint is_sure(self, int depth, int forward, int reverse) noexcept nogil:
        """Return whether that is their GQ for sure; ``forward`` and ``reverse``: the reads of a quality of at least 30.

        Errors in these reads cost at least as much as the first of them. Those of a strand that come later cost less.
        """
        cdef double least = self._costs(GOOD, depth)[0]
        return least * (self._spread_sum[forward] + self._spread_sum[reverse]) >= self.gq_without_alt(depth) + 1

    cdef int gq(self, const uint16_t *words, int64_t distance, int depth, int reference) noexcept nogil:
        """Return the GQ of a base whose reads exclude each ALT, else -1: errmod_cal, then bcf_call_combine.

        ``words`` has one for each read that counts, each ``distance`` after the one before: quality (4 to 60, times
        32), strand (16 for reverse) and base.
        """
        cdef uint16_t sorted_words[ROOM]
        cdef double errors[ALLELES]
        cdef int counts[ALLELES]
        cdef int on_strand[32]
        cdef float likelihoods[ALLELES * ALLELES]
        cdef float best
        cdef int alleles[ALLELES]
        cdef int index, place, base, of_reference, pl, i, k, seen = 1, present, nearest = MAX_PL, excluded = MAX_PL
        cdef uint16_t word
        for index in range(depth):
            word = words[index * distance]
            place = index
            while place > 0 and sorted_words[place - 1] > word:
                sorted_words[place] = sorted_words[place - 1]
                place -= 1
            sorted_words[place] = word
        memset(errors, 0, sizeof(errors))
        memset(counts, 0, sizeof(counts))
        memset(on_strand, 0, sizeof(on_strand))
        for index in range(depth - 1, -1, -1):
            word = sorted_words[index]
            base = word & 15
            errors[base] += self._spread[on_strand[word & 31]] * self._costs(word >> 5, depth)[counts[base]]
            counts[base] += 1
            on_strand[word & 31] += 1
        self._fill(likelihoods, errors, counts)
        # the alleles: the reference, those of reads, and one that no read has
        alleles[0] = reference
        for base in range(BASES):
            if base != reference and counts[base]:
                alleles[seen] = base
                seen += 1
        present = seen
        for base in range(BASES):
            if base != reference and not counts[base]:
                alleles[seen] = base
                seen += 1
                break
        best = likelihoods[reference * ALLELES + reference]
        for i in range(seen):
            for k in range(i + 1):
                best = min(best, likelihoods[alleles[i] * ALLELES + alleles[k]])
        of_reference = phred(likelihoods[reference * ALLELES + reference], best)
        for i in range(1, seen):
            for k in range(i + 1):
                if self._is_haploid and i != k:
                    continue
                pl = phred(likelihoods[alleles[i] * ALLELES + alleles[k]], best)
                nearest = min(nearest, pl)
                if i < present:
                    excluded = min(excluded, pl)
        if present > 1 and excluded - of_reference < self._limit:
            return -1
        return max(0, min(nearest - of_reference, GQ_CAP))

    cdef void _fill(self, float *likelihoods, const double *errors, const int *counts) noexcept nogil:
        """Fill the costs (phred) of the genotypes, ``ALLELES`` by ``ALLELES``, as errmod_cal does."""
        cdef int i, j, k, both, others
        cdef float cost
        memset(likelihoods, 0, ALLELES * ALLELES * sizeof(float))
        for j in range(ALLELES):
            cost, others = 0.0, 0
            for k in range(ALLELES):
                if k != j:
                    cost += errors[k]
                    others += counts[k]
            if others:
                likelihoods[j * ALLELES + j] = cost
            for k in range(j + 1, ALLELES):
                both = counts[j] + counts[k]
                cost, others = 0.0, 0
                for i in range(ALLELES):
                    if i != j and i != k:
                        cost += errors[i]
                        others += counts[i]
                if others:
                    cost = -4.343 * (self._combinations(both, counts[k]) - LN_2 * both) + cost
                else:
                    cost = -4.343 * (self._combinations(both, counts[k]) - LN_2 * both)
                likelihoods[j * ALLELES + k] = likelihoods[k * ALLELES + j] = cost
            for k in range(ALLELES):
                likelihoods[j * ALLELES + k] = max(likelihoods[j * ALLELES + k], <float>0.0)

    cdef const double *_costs(self, int quality, int depth) noexcept nogil:
        """Return errmod's costs (phred) of the first, second, … error among ``depth`` bases of one quality."""
        cdef double *row = &self._beta[quality << 16 | depth << 8]
        cdef double error, wrong, right, total, smaller
        cdef int k
        if row[depth] != 0.0:
            return row
        error = pow(10.0, -quality / 10.0)
        wrong, right = log(error), log(1.0 - error)
        smaller = 0.0 + depth * wrong
        row[depth] = HUGE_VAL
        for k in range(depth - 1, -1, -1):
            total = smaller + log1p(
                exp(self._combinations(depth, k) + k * wrong + (depth - k) * right - smaller)
            )
            row[k] = -10.0 / LN_10 * (smaller - total)
            smaller = total
        return row

    cdef double _combinations(self, int n, int k) noexcept nogil:
        """Return the logarithm of n over k; errmod has 0 for k = 0."""
        return self._choose[n] - self._choose[k] - self._choose[n - k] if k else 0.0


cdef inline int phred(float likelihood, float best) noexcept nogil:
    return min(<int>(likelihood - best + ROUNDING), MAX_PL)
