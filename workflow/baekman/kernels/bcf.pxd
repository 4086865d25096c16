"""A BCF record that is being written."""

from libc.stdint cimport int64_t

from baekman.kernels.layout cimport DenseRow

cpdef enum:
    MOST_GT_8 = 62  # ALTs whose numbers fit GT in 8 bits


# A record that is being written: its alleles, and where its fields are.
cdef struct Shape:
    const DenseRow *rows  # of the chunk
    int mode
    int64_t *own  # by allele of the chunk, its number in the record, -1 where it is not in it
    int64_t *ac  # copies of each of the record's alleles
    int64_t start  # the alleles that may be in it
    int64_t stop
    int64_t first_row  # the call rows of its position
    int64_t last_row
    int64_t total  # ALTs, * included
    bint star
    int64_t most_local  # own alleles of one participant at the position, at most
    int64_t most_alleles  # the same in this record
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
    """Whether the record holds this allele."""
    return shape.start <= allele < shape.stop and shape.own[allele] > 0
