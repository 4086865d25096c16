"""A record of a gVCF."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.line cimport Line

cdef enum:
    MAX_ALLELES = 4096

# Kinds of ALT.
cdef enum:
    REAL = 0
    NON_REF = 1
    OTHER = 2
    STAR = 3
    DELETION = 4  # <DEL>: the base at POS is still there
    BREAKEND = 5

# One record; alleles are numbered as in GT.
cdef struct Record:
    const uint8_t *buf  # the bytes that the offsets below point into
    int64_t number  # in the file, from 0
    int64_t *counts  # the numbers of remarks, by COUNT_*
    int64_t pos
    int64_t ref_start
    int64_t ref_length
    int64_t alleles
    int64_t *allele_start
    int64_t *allele_end
    uint8_t *allele_kind
    int64_t real  # the number of REAL ALTs
    int64_t letters  # the number of their letters
    bint block  # whether the record names no ALT
    bint starred  # whether it names no ALT but *
    bint deletion  # whether it has a <DEL>
    int64_t genotype[2]
    int64_t ploidy
    bint polyploid  # GT has more than two alleles: no genotype and no likelihoods
    bint phased
    int64_t haplotype[2]  # the genotype in the order of its phase
    int64_t *depths
    int64_t counted  # the number of depths
    int64_t *pl
    int64_t values  # the number of likelihoods
    bint of_gl  # whether they come from GL
    bint unread  # whether there are likelihoods or posteriors that cannot be read
    int64_t gq
    bint doubtful  # a genotype that the record's own filters speak against
    int64_t dp
    int64_t phase_set
    int64_t filter
    int64_t flags
    int64_t quality


cdef int read_alleles(const Line *line, Record *record, const uint8_t *contig, int64_t length) noexcept nogil
