"""The places of a BCF record's FORMAT fields after GT and GQ."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.bcf.carriers cimport judge, local_alleles
from baekman.kernels.bcf.shape cimport AD, DP, LAA, LPL, PL, PS, Carrier, Shape, has
from baekman.kernels.bcf.values cimport fill, put, put_key, size_of
from baekman.kernels.layout cimport DenseRow


cdef int64_t lay_out(uint8_t *out, int64_t at, Shape *shape) noexcept nogil:
    """Write the depths of all participants, then the sparse fields as missing values; return their end."""
    cdef const DenseRow *rows = shape.rows
    cdef int64_t people = shape.people, row, column, local = 0, most_ad = -1, most_pl = -1, most_ps = -1, k
    cdef int64_t combined[2]
    cdef Carrier carrier
    shape.most_alleles = 1
    for row in range(shape.first_row, shape.last_row):
        shape.deepest = max(shape.deepest, <int64_t>rows[row].dp)
        most_ad = max(most_ad, <int64_t>rows[row].ad_ref)
        if row == shape.first_row or rows[row].column != rows[row - 1].column:
            local = 0
            if shape.combined:
                judge(row, shape, &carrier)
                shape.most_alleles = max(shape.most_alleles, local_alleles(shape, &carrier, combined))
        if not has(shape, rows[row].allele):
            continue
        local += 1
        if not shape.combined:
            shape.most_alleles = max(shape.most_alleles, local)
        most_ad = max(most_ad, <int64_t>rows[row].ad_alt)
        for k in range(3):
            most_pl = max(most_pl, <int64_t>rows[row].pl[k])
        if rows[row].phase:
            most_ps = max(most_ps, <int64_t>rows[row].phase_set)
    shape.formats = 3
    shape.dp_size = size_of(shape.deepest)
    shape.dp_at = put_key(out, at, shape.ids[DP], 1, shape.dp_size)
    at = shape.dp_at
    for column in range(people):
        at = put(out, at, shape.depth[column], shape.dp_size)
    shape.ad_size = size_of(most_ad)
    shape.ad_at = 0
    if most_ad >= 0:
        shape.formats += 1
        shape.ad_at = put_key(out, at, shape.ids[AD], shape.total + 1, shape.ad_size)
        at = fill(out, shape.ad_at, people, shape.total + 1, shape.ad_size)
    shape.pl_size = size_of(most_pl)
    shape.pl_at = 0
    shape.pl_width = 3
    shape.laa_at = 0
    shape.laa_size = size_of(shape.total)
    if most_pl >= 0:
        shape.formats += 1
        if shape.total > 1:
            shape.formats += 1
            shape.laa_at = put_key(out, at, shape.ids[LAA], shape.most_alleles, shape.laa_size)
            at = fill(out, shape.laa_at, people, shape.most_alleles, shape.laa_size)
            shape.pl_width = (shape.most_alleles + 1) * (shape.most_alleles + 2) // 2
        shape.pl_at = put_key(
            out, at, shape.ids[PL if shape.total == 1 else LPL], shape.pl_width, shape.pl_size
        )
        at = fill(out, shape.pl_at, people, shape.pl_width, shape.pl_size)
    shape.ps_at = 0
    if most_ps >= 0:
        shape.formats += 1
        shape.ps_at = put_key(out, at, shape.ids[PS], 1, 4)
        at = fill(out, shape.ps_at, people, 1, 4)
    return at
