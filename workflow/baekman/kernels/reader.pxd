"""The reasons for which the reader of gVCF text stops."""

# After the last line, before the first record of another contig, before a record that completes a piece of the contig,
# at an allele that slides into an earlier piece, and at a line that is refused.
cpdef enum:
    DONE = 0
    NEXT_CONTIG = 1
    NEXT_PIECE = 4
    SLID = 5
    BAD_COLUMNS = 10
    BAD_CONTIG = 11
    BAD_POS = 12
    BAD_ORDER = 13
    PAST_END = 14
    BAD_REF = 15
    BAD_REF_BASE = 16
    BAD_ALT = 17
    BAD_END = 18
    BAD_GENOTYPE = 19
    REVISITED = 21
    TOO_MANY_FIELDS = 22
    TOO_MANY_FILTERS = 23
    DUPLICATED = 24
    MORE_FIELDS = 25
    TOO_MANY_ALLELES = 26
    TWO_NAMES = 27

cdef enum:
    NO_MEMORY = 2
    EMPTY = 3  # a line without columns
    IGNORED = 6  # a line of a contig that is left out
