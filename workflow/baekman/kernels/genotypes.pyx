"""Joint genotypes of many call rows; the formulas are those of ``baekman.genotyping.joint``."""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t


def dosages(
    const int32_t[:, ::1] pl, const uint8_t[::1] ploidy, const uint8_t[::1] joint_ploidy, const uint8_t[::1] copies,
    const double[::1] likelihood, int64_t[::1] out,
):
    """Write the expected copies of each row in 1/1000 to ``out``."""
    cdef int64_t row, k, each
    cdef int32_t least
    cdef double total, expected, weight
    with nogil:
        for row in range(len(pl)):
            each = 2 if ploidy[row] > joint_ploidy[row] else 1
            if pl[row, 0] < 0:
                out[row] = 1000 * copies[row] // each
                continue
            least = pl[row, 0]
            for k in range(1, joint_ploidy[row] + 1):
                least = min(least, pl[row, k * each])
            total = 0.0
            expected = 0.0
            for k in range(joint_ploidy[row] + 1):
                weight = likelihood[min(pl[row, k * each] - least, <int32_t>MAX_PL)]
                if joint_ploidy[row] == 2 and k == 1:
                    weight *= 2.0
                total += weight
                expected += k * weight
            out[row] = <int64_t>(1000.0 * expected / total + 0.5)


def joint_rows(
    const int32_t[:, ::1] pl, const uint8_t[::1] ploidy, const uint8_t[::1] joint_ploidy,
    const uint8_t[::1] copies, const int16_t[::1] gq, const double[::1] frequency, const double[::1] likelihood,
    const double[::1] limits, int8_t[::1] out_copies, int16_t[::1] out_gq,
):
    """Write the joint copies and joint GQ of each row to ``out_copies`` and ``out_gq``, -1 where there are none."""
    cdef int64_t row, k, each
    cdef int32_t least
    cdef double l_0, l_1, l_2
    cdef Joint joint
    with nogil:
        for row in range(len(pl)):
            # copies in the row's genotype for each copy in the joint one
            each = 2 if ploidy[row] > joint_ploidy[row] else 1
            if pl[row, 0] < 0:
                if copies[row] % each:
                    out_copies[row] = -1
                    out_gq[row] = -1
                else:
                    out_copies[row] = <int8_t>(copies[row] // each)
                    out_gq[row] = max(gq[row], <int16_t>0)
                continue
            least = pl[row, 0]
            for k in range(1, joint_ploidy[row] + 1):
                least = min(least, pl[row, k * each])
            l_0 = likelihood[min(pl[row, 0] - least, <int32_t>MAX_PL)]
            l_1 = likelihood[min(pl[row, each] - least, <int32_t>MAX_PL)]
            l_2 = likelihood[min(pl[row, 2] - least, <int32_t>MAX_PL)] if joint_ploidy[row] == 2 else 0.0
            joint = posterior(l_0, l_1, l_2, joint_ploidy[row], frequency[row], &limits[0])
            out_copies[row] = <int8_t>joint.copies
            out_gq[row] = <int16_t>joint.gq


def reference_genotype(
    int64_t gq, int64_t ploidy, double frequency, const double[::1] likelihood, const double[::1] limits
):
    """Return the joint copies and GQ where a reference segment is the only evidence."""
    cdef Joint joint = joint_reference(gq, ploidy, frequency, &likelihood[0], &limits[0])
    return joint.copies, joint.gq
