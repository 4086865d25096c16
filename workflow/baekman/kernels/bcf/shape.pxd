"""A BCF record in progress, and the haplotypes of a participant in it."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from baekman.kernels.layout cimport DenseRow

# The fields, by their place in ``ids``.
cdef enum:
    AC = 0
    AN = 1
    AF = 2
    GT = 3
    GQ = 4
    DP = 5
    AD = 6
    PL = 7
    LAA = 8
    LPL = 9
    PS = 10
    FIELDS = 11


# Copies of an allele that a participant carries.
cdef struct Item:
    int64_t allele
    int64_t copies
    int64_t phase
    int64_t phase_set
    int64_t tie  # the flags from TIE_FIRST on, 0 without a tie
    bint placed


# The alleles on each haplotype of a participant, by number in the chunk; -1 for none.
cdef struct Haplotypes:
    int64_t ploidy
    int64_t base[2]  # the mismatched base
    int64_t indel[2]
    bint phased
    int64_t phase_set
    int64_t homeless  # an allele that no haplotype has room for


# A participant in the record, from the participant's rows.
cdef struct Carrier:
    int64_t column
    int64_t group  # the first row
    int64_t end
    int64_t own  # the first row of an allele of the record
    int64_t decides  # the row that decides for the participant
    bint shown
    int64_t quality
    Haplotypes haplotypes
    int64_t unknown  # copies that are not shown
    int64_t stars  # haplotypes that are changed elsewhere


# A record in progress: its alleles, and the places of its fields.
cdef struct Shape:
    const DenseRow *rows  # of the chunk
    int mode
    const int64_t *ids  # numbers of the fields in the header
    int32_t *depth  # of each participant
    # for each allele of the chunk, its number in the record; 0 when it is there only in combinations, -1 when it is not
    int64_t *own
    uint8_t *alone  # for each allele of the chunk, whether a haplotype of the position has it alone
    const uint8_t *mismatch  # for each allele of the chunk, whether it is a mismatched base
    int64_t *ac  # copies of each of the record's alleles
    Item *items  # of a participant
    int64_t start  # the alleles that may be in it
    int64_t stop
    int64_t first_row  # the call rows of its position
    int64_t last_row
    const uint32_t *cells  # of its position
    int64_t people
    const double *frequency
    const double *likelihood
    const double *limits
    int64_t *kind_turn  # for each kind of cell, the last turn that looked at it
    int64_t turn
    int64_t listed  # ALTs of one allele
    int64_t combined  # ALTs of a mismatched base and an indel on one haplotype, numbered after these
    int64_t *combined_base
    int64_t *combined_indel
    int64_t total  # ALTs, * included
    bint star
    int64_t most_local  # the most alleles that one participant has rows of, at the position
    int64_t most_alleles  # the same, in this record
    int64_t an
    int64_t formats
    int64_t deepest
    int64_t gt_at
    int64_t gt_size
    int64_t gq_at
    int64_t dp_at
    int64_t dp_size
    int64_t ad_at
    int64_t ad_size
    int64_t pl_at
    int64_t pl_size
    int64_t pl_width
    int64_t laa_at
    int64_t laa_size
    int64_t ps_at
    int64_t ac_at
    int64_t an_at
    int64_t af_at


cdef inline bint has(const Shape *shape, int64_t allele) noexcept nogil:
    """Return whether the record holds this allele, alone or in a combination."""
    return shape.start <= allele < shape.stop and shape.own[allele] >= 0
