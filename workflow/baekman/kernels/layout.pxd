"""The layout that compiled code shares with the modules around it: rows of arrays, numbers of states and flags."""

from libc.stdint cimport int32_t

cpdef enum:
    MISSING = -1  # of dp, ad_ref, ad_alt, pl_*, gq in integer columns

# The state of a participant at a position without a call row.
cpdef enum:
    STATE_MISSING = 1  # covered, but the caller gave no genotype
    STATE_WEAK = 2  # genotype given, evidence below the store's thresholds
    STATE_CALLED = 3

# Bits of ``flags`` in call rows. The bits of the position are of the participant's best record with a row there: they
# decide for an allele that no row names.
cpdef enum:
    FLAG_GENOTYPED = 1  # no allele of the record's GT is missing
    FLAG_CALLED = 2  # the record is called
    POSITION_FLAGS = 2  # the shift from the record's bits to the position's
    FLAG_POSITION_GENOTYPED = 4
    FLAG_POSITION_CALLED = 8

# The tie of a row to another row of its record at the same position, in the bits of ``flags`` from here on: two bits
# for the alleles of the unphased GT that contain the row's allele, then the last two bits of the record's number. 0
# where the copies or the phase say as much, or no allele of GT contains both.
cpdef enum:
    TIE_FIRST = 16
    TIE_SECOND = 32
    TIE_RECORD = 6  # the shift of the record's number

# A call row of the reader: ``baekman.gvcf.piece.ROW_COLUMNS``.
cdef struct CallRow:
    int32_t pos
    int32_t copies
    int32_t ploidy
    int32_t other
    int32_t gq
    int32_t dp
    int32_t ad_ref
    int32_t ad_alt
    int32_t pl[3]
    int32_t phase
    int32_t phase_set
    int32_t filter
    int32_t flags
    int32_t quality
    int32_t ref_end  # the ends of the row's strings in the pools; they begin at the ends of the previous row's
    int32_t alt_end

# The evidence of a record or block at the positions that it covers: ``baekman.gvcf.piece.INTERVAL_COLUMNS``.
cdef struct Interval:
    int32_t start
    int32_t end
    int32_t gq
    int32_t dp
    int32_t ploidy
    int32_t other
    int32_t state
    int32_t spans  # POS of a record, 0 of a block
    int32_t record  # its number in the file

# A stretch of one participant's genome that one interval decides: ``baekman.gvcf.piece.SEGMENT_COLUMNS``.
cdef struct Segment:
    int32_t start
    int32_t end
    int32_t gq
    int32_t dp
    int32_t ploidy
    int32_t other
    int32_t state

# A call row among those of the whole cohort: ``baekman.cohort.dense_genotypes.ROW_FIELDS``.
cdef struct DenseRow:
    int32_t column  # of the participant
    int32_t allele
    int32_t copies
    int32_t ploidy
    int32_t other
    int32_t gq
    int32_t dp
    int32_t ad_ref
    int32_t ad_alt
    int32_t pl[3]
    int32_t phase
    int32_t phase_set
    int32_t flags
    int32_t joint_copies  # -1 where there is no joint genotype
    int32_t joint_gq
    int32_t joint_ploidy

# The numbers of the kinds of remarks that the reader counts: ``baekman.gvcf.remarks.REMARKS``.
cpdef enum:
    COUNT_PL_COUNT = 0
    COUNT_AD_COUNT = 1
    COUNT_GT_ALLELE = 2
    COUNT_NOT_A_NUMBER = 3
    COUNT_PLOIDY = 4
    COUNT_PL_PARTLY_MISSING = 5
    COUNT_AD_PARTLY_MISSING = 6
    COUNT_HALF_CALL = 7
    COUNT_DECIMALS_CUT = 8
    COUNT_GQ_ABOVE_99 = 9
    COUNT_GQ_BELOW_0 = 10
    COUNT_GQ_FROM_GQX = 11
    COUNT_GQ_FROM_SQ = 12
    COUNT_GQ_FROM_RGQ = 13
    COUNT_GQ_FROM_PL = 14
    COUNT_GQ_FROM_GL = 15
    COUNT_GQ_FROM_AD = 16
    COUNT_GQ_FROM_FILTER = 17
    COUNT_GQ_FROM_DEPTH = 18
    COUNT_GQ_MISSING = 19
    COUNT_GQ_OVERRULED = 20
    COUNT_DP_FROM_INFO = 21
    COUNT_DP_FROM_AD = 22
    COUNT_GL_AS_PL = 23
    COUNT_POSTERIOR_UNREAD = 24
    COUNT_GT_FROM_GQ = 25
    COUNT_HOMOPLASMIC = 26
    COUNT_NO_EVIDENCE = 27
    COUNT_PL_EQUAL = 28
    COUNT_FT_FAILED = 29
    COUNT_BLOCK_FILTER = 30
    COUNT_STAR_BLOCK = 31
    COUNT_SYMBOLIC_DELETION = 32
    COUNT_DELETION_WITHOUT_END = 33
    COUNT_SYMBOLIC_ALLELE = 34
    COUNT_BREAKEND = 35
    COUNT_NON_REF_CALLED = 36
    COUNT_OTHER_LETTER = 37
    COUNT_UNSUPPORTED_ALLELE = 38
    COUNT_PS_TEXT = 39
    COUNT_BLOCK_REF_CUT = 40
    COUNT_OVERLAPPING_RECORD = 41
    COUNT_DP_MISSING = 42
    COUNT_NO_GT = 43
    COUNT_ALT_EQUALS_REF = 44
    COUNTED = 45

# The genotypes that a mode shows: those that meet the store's thresholds, all of the callers', the joint ones.
cpdef enum:
    CALLED = 0
    RAW = 1
    JOINT = 2

# The five states of a participant at an allele.
cpdef enum:
    NO_COVERAGE = 0
    UNCALLED = 1
    REFERENCE = 2
    OTHER_ALLELE = 3
    CARRIER = 4

# A cell is the reference segment of a participant at a position, in one number; 0 is no coverage.
cpdef enum:
    CELL_STATE = 3  # bits 0 and 1: STATE_*
    CELL_HAPLOID = 4
    CELL_OTHER = 3  # bits 3 and 4
    CELL_GQ = 5  # bits 5 to 11
    CELL_ONE_COPY = 4096  # bit 12: diploid, of a participant with one copy here
    CELL_DP = 13  # from bit 13: depth + 1, 0 when it is missing
    CELL_KINDS = 8192  # cells without their depth
    MAX_CELL_DP = 524286
