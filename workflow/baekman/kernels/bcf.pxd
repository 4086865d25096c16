"""A BCF record in progress."""

from libc.stdint cimport int64_t

from baekman.kernels.layout cimport DenseRow

cpdef enum:
    MOST_GT_8 = 62  # the most ALTs with numbers that fit GT in 8 bits


# A record in progress: its alleles, and the places of its fields.
cdef struct Shape:
    const DenseRow *rows  # of the chunk
    int mode
    int64_t *own  # for each allele of the chunk, its number in the record, -1 if it is not in the record
    int64_t *ac  # copies of each of the record's alleles
    int64_t start  # the alleles that may be in it
    int64_t stop
    int64_t first_row  # the call rows of its position
    int64_t last_row
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
    """Return whether the record holds this allele."""
    return shape.start <= allele < shape.stop and shape.own[allele] > 0
