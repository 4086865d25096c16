from libc.stdint cimport int32_t, int64_t, uint8_t

from baekman.kernels.layout cimport CallRow

# Kinds of ALT.
cdef enum:
    REAL = 0
    NON_REF = 1
    OTHER = 2

# One record as it was read; alleles are numbered as in GT.
cdef struct Record:
    const uint8_t *buf  # the bytes that the offsets below point into
    int64_t pos
    int64_t ref_start
    int64_t ref_length
    int64_t alleles
    int64_t *allele_start
    int64_t *allele_end
    uint8_t *allele_kind
    int64_t genotype[2]
    int64_t ploidy
    bint phased
    int64_t haplotype[2]  # the genotype in the order of its phase
    int64_t *depths
    int64_t counted  # how many depths there are
    int64_t *pl
    int64_t values  # how many likelihoods there are
    int64_t gq
    int64_t dp
    int64_t phase_set
    int64_t filter
    int64_t flags
    int64_t quality

# Rows that grow, with their strings.
cdef struct RowTable:
    CallRow *rows
    int64_t count
    uint8_t *ref_pool
    uint8_t *alt_pool

# Room to work in.
cdef struct Workspace:
    uint8_t *ref
    uint8_t *alt
    int64_t *begin
    int64_t *ref_length
    int64_t *alt_length
    int64_t *member_row  # pairs (row, ALT): the ALTs of the record that hold an atom
    int64_t *member_allele
    uint8_t *members  # one per allele

cdef void count_changed(const Record *record, int64_t *out) noexcept nogil

cdef void add_rows(const Record *record, const uint8_t *contig, RowTable *table, Workspace *work) noexcept nogil
