"""The writer of BCF 2.2 records (VCF specification 4.3, section 6); ``baekman.export.bcf`` feeds it.

The dense fields (GT, GQ, DP) are written for all participants from the reference segments' cells. The sparse fields
(AD, PL, PS) are filled with missing values, then written for the participants with call rows.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

import numpy as np

from baekman.kernels.bcf_carriers cimport write_carrier
from baekman.kernels.bcf_values cimport (
    FLOAT, NOTHING, TEXT, VECTOR_END, fill, put, put_float, put_key, put_type, size_of,
)
from baekman.kernels.dense cimport cell_genotype, haploid_bits, row_shown
from baekman.kernels.genotypes cimport Joint
from baekman.kernels.layout cimport CALLED, CELL_DP, CELL_KINDS, CELL_OTHER, CELL_STATE, STATE_CALLED, DenseRow

cdef enum:
    RECORD_ROOM = 512

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


@cython.final
cdef class RecordEncoder:
    """Encoder of the records of a chunk of alleles.

    The arrays are those of ``baekman.cohort.dense_genotypes.Evidence`` and of its alleles. ``wanted`` and ``filters``
    (bits) are per allele. ``ids`` are the header's numbers of AC, AN, AF, GT, GQ, DP, AD, PL, LAA, LPL and PS.
    """

    cdef bint _by_position
    cdef int _mode
    cdef int64_t _contig, _people, _record_number
    cdef const int64_t[::1] _ids, _first_allele, _first_row, _filters
    cdef const int32_t[::1] _positions, _ref_offsets, _alt_offsets
    cdef const uint8_t[::1] _wanted, _ref, _alt
    cdef const uint32_t[:, ::1] _cells
    cdef const int32_t[:, ::1] _row_numbers
    cdef const DenseRow *_rows
    cdef const double[::1] _frequency, _qual, _likelihood, _limits
    cdef int64_t[::1] _own, _ac  # each allele's number in the record in progress, and its copies
    cdef int32_t[::1] _depth
    cdef int64_t _kind_record[CELL_KINDS]  # the last record for which the genotype of a kind of cell was computed
    cdef int32_t _kind_gt[CELL_KINDS][2]
    cdef int32_t _kind_gq[CELL_KINDS]

    def __cinit__(
        self, *, bint by_position, int mode, int64_t contig, const int64_t[::1] ids, const int32_t[::1] positions,
        const int64_t[::1] first_allele, const uint8_t[::1] wanted, const uint32_t[:, ::1] cells,
        const int32_t[:, ::1] rows, const int64_t[::1] first_row, const double[::1] frequency,
        const double[::1] qual, const int64_t[::1] filters, const int32_t[::1] ref_offsets, const uint8_t[::1] ref,
        const int32_t[::1] alt_offsets, const uint8_t[::1] alt, const double[::1] likelihood,
        const double[::1] limits,
    ):
        self._by_position = by_position
        self._mode = mode
        self._contig = contig
        self._ids = ids
        self._positions = positions
        self._first_allele = first_allele
        self._wanted = wanted
        self._cells = cells
        self._people = cells.shape[1]
        self._row_numbers = rows
        self._rows = <const DenseRow *>&rows[0, 0]
        self._first_row = first_row
        self._frequency = frequency
        self._qual = qual
        self._filters = filters
        self._ref_offsets = ref_offsets
        self._ref = ref
        self._alt_offsets = alt_offsets
        self._alt = alt
        self._likelihood = likelihood
        self._limits = limits
        self._own = np.full(len(frequency), -1, np.int64)
        self._ac = np.zeros(len(frequency) + 2, np.int64)
        self._depth = np.zeros(max(self._people, 1), np.int32)

    def encode(self, int64_t begin, uint8_t[::1] out not None):
        """Write the records of the positions from ``begin`` on while ``out`` has room.

        Returns the next position and the number of bytes written.
        """
        cdef int64_t position, filled = 0, need, start, last
        cdef int64_t positions = len(self._positions)
        cdef Shape shape
        cdef bint full = False
        shape.rows = self._rows
        shape.mode = self._mode
        shape.own = &self._own[0]
        shape.ac = &self._ac[0]
        with nogil:
            for position in range(begin, positions):
                need = self._measure(position, &shape)
                if need == 0:
                    continue
                if filled + need > len(out):
                    full = True
                    break
                start = self._first_allele[position]
                last = self._first_allele[position + 1]
                while start < last:
                    if self._wanted[start]:
                        shape.start = start
                        shape.stop = last if self._by_position else start + 1
                        filled = self._write(&out[0], filled, position, &shape)
                        start = shape.stop
                    else:
                        start += 1
        return (position if full else positions), filled

    cdef int64_t _measure(self, int64_t position, Shape *shape) noexcept nogil:
        """Return the most bytes that the records of a position need; 0 when none is wanted."""
        cdef int64_t first = self._first_allele[position], last = self._first_allele[position + 1]
        cdef int64_t alts = 0, letters = 0, allele, row, local = 0, copies = 0, other = 0, column, need, length
        cdef int64_t likelihoods, bytes_each
        cdef const DenseRow *rows = self._rows
        cdef uint32_t cell
        for allele in range(first, last):
            if self._wanted[allele]:
                alts += 1
                letters += self._ref_offsets[allele + 1] - self._ref_offsets[allele]
                letters += self._alt_offsets[allele + 1] - self._alt_offsets[allele]
        if alts == 0:
            return 0
        shape.first_row = self._first_row[position]
        shape.last_row = self._first_row[position + 1]
        shape.most_local = 0
        shape.star = False
        for row in range(shape.first_row, shape.last_row):
            if row == shape.first_row or rows[row].column != rows[row - 1].column:
                local = 0
                copies = 0
                other = 0
            local += self._wanted[rows[row].allele]
            if row_shown(rows[row].flags, self._mode, -1):
                copies += rows[row].copies
                other = max(other, <int64_t>(rows[row].other + rows[row].copies))
            shape.most_local = max(shape.most_local, local)
            if row + 1 == shape.last_row or rows[row + 1].column != rows[row].column:
                shape.star = shape.star or other > copies
        if self._by_position:
            for column in range(self._people):
                cell = self._cells[position, column]
                if (cell >> CELL_OTHER) & 3 and (self._mode != CALLED or cell & CELL_STATE == STATE_CALLED):
                    shape.star = True
            shape.total = alts + shape.star
        else:
            shape.star = False
            shape.total = 1
            shape.most_local = min(shape.most_local, <int64_t>1)
        likelihoods = 3 if shape.total == 1 else (shape.most_local + 1) * (shape.most_local + 2) // 2
        bytes_each = 4 + 1 + 4 + 4 * (shape.total + 1) + 4 * max(shape.most_local, <int64_t>1)
        bytes_each += 4 * max(likelihoods, <int64_t>3) + 4
        length = self._longest_ref(first, last)
        need = RECORD_ROOM + self._people * bytes_each + 8 * shape.total + letters + (shape.total + 1) * (length + 8)
        return need if self._by_position else alts * (need + letters)

    cdef int64_t _longest(self, int64_t first, int64_t last) noexcept nogil:
        """Return the wanted allele with the longest REF."""
        cdef int64_t allele, length, longest = first, most = -1
        for allele in range(first, last):
            length = self._ref_offsets[allele + 1] - self._ref_offsets[allele]
            if self._wanted[allele] and length > most:
                longest = allele
                most = length
        return longest

    cdef int64_t _longest_ref(self, int64_t first, int64_t last) noexcept nogil:
        cdef int64_t longest = self._longest(first, last)
        return self._ref_offsets[longest + 1] - self._ref_offsets[longest]

    cdef int64_t _write(self, uint8_t *out, int64_t record, int64_t position, Shape *shape) noexcept nogil:
        """Write one record; return its end."""
        cdef int64_t allele, number = 0, at, individual, index
        for allele in range(shape.start, shape.stop):
            self._own[allele] = -1
            if self._wanted[allele]:
                number += 1
                self._own[allele] = number
        self._record_number += 1
        individual = self._write_shared(out, record, position, shape)
        put(out, record, individual - record - 8, 4)
        for index in range(shape.total + 1):
            self._ac[index] = 0
        shape.an = 0
        at = self._write_dense(out, individual, position, shape)
        at = self._lay_out(out, at, shape)
        self._write_sparse(out, shape)
        for index in range(shape.total):
            put(out, shape.ac_at + 4 * index, self._ac[index + 1], 4)
            if shape.an:
                put_float(out, shape.af_at + 4 * index, <double>self._ac[index + 1] / <double>shape.an)
            else:
                put(out, shape.af_at + 4 * index, 0x7F800001, 4)
        put(out, shape.an_at, shape.an, 4)
        put(out, record + 28, self._people | (shape.formats << 24), 4)
        put(out, record + 4, at - individual, 4)
        for allele in range(shape.start, shape.stop):
            self._own[allele] = -1
        return at

    cdef int64_t _write_shared(self, uint8_t *out, int64_t record, int64_t position, Shape *shape) noexcept nogil:
        """Write the part of a record before its genotypes; return its end. AC, AN and AF are written later."""
        cdef int64_t base = self._longest(shape.start, shape.stop)
        cdef int64_t ref_first = self._ref_offsets[base], ref_length = self._ref_offsets[base + 1] - ref_first
        cdef int64_t at, allele, alt_first, alt_length, own_ref, index, bit, failed = 0
        cdef int64_t filters = self._filters[shape.start]
        put(out, record + 8, self._contig, 4)
        put(out, record + 12, self._positions[position] - 1, 4)
        put(out, record + 16, ref_length, 4)
        put_float(out, record + 20, self._qual[shape.start])
        put(out, record + 24, 3 | ((shape.total + 1) << 16), 4)
        out[record + 32] = 0x07  # no ID
        at = put_type(out, record + 33, ref_length, TEXT)
        memcpy(out + at, &self._ref[ref_first], ref_length)
        at += ref_length
        for allele in range(shape.start, shape.stop):
            if self._own[allele] < 0:
                continue
            alt_first = self._alt_offsets[allele]
            alt_length = self._alt_offsets[allele + 1] - alt_first
            own_ref = self._ref_offsets[allele + 1] - self._ref_offsets[allele]
            at = put_type(out, at, alt_length + ref_length - own_ref, TEXT)
            memcpy(out + at, &self._alt[alt_first], alt_length)
            at += alt_length
            for index in range(own_ref, ref_length):
                out[at] = self._ref[ref_first + index]
                at += 1
        if shape.star:
            out[at] = 0x17
            out[at + 1] = 42
            at += 2
        for bit in range(8):
            failed += (filters >> bit) & 1
        at = put_type(out, at, max(failed, <int64_t>1), 1)
        if failed == 0:
            at = put(out, at, 0, 1)
        for bit in range(8):
            if (filters >> bit) & 1:
                at = put(out, at, bit + 1, 1)
        shape.ac_at = put_key(out, at, self._ids[AC], shape.total, 4)
        shape.an_at = put_key(out, shape.ac_at + 4 * shape.total, self._ids[AN], 1, 4)
        shape.af_at = put_key(out, shape.an_at + 4, self._ids[AF], shape.total, FLOAT)
        return shape.af_at + 4 * shape.total

    cdef int64_t _write_dense(self, uint8_t *out, int64_t at, int64_t position, Shape *shape) noexcept nogil:
        """Write genotype and quality of all participants from the cells, keep depths; return the place of DP."""
        cdef int64_t people = self._people, column, kind, deep
        cdef int32_t gt_0, gt_1
        cdef uint32_t cell
        shape.gt_size = 1 if shape.total <= MOST_GT_8 else 2
        shape.gt_at = put_key(out, at, self._ids[GT], 2, shape.gt_size)
        shape.gq_at = put_key(out, shape.gt_at + 2 * shape.gt_size * people, self._ids[GQ], 1, 1)
        shape.deepest = 0
        for column in range(people):
            cell = self._cells[position, column]
            kind = cell & (CELL_KINDS - 1)
            if self._kind_record[kind] != self._record_number:
                self._kind_record[kind] = self._record_number
                self._find_kind(kind, shape)
            gt_0 = self._kind_gt[kind][0]
            gt_1 = self._kind_gt[kind][1]
            if shape.gt_size == 1:
                out[shape.gt_at + 2 * column] = <uint8_t>gt_0
                out[shape.gt_at + 2 * column + 1] = <uint8_t>gt_1 if gt_1 >= 0 else 0x81
            else:
                put(out, shape.gt_at + 4 * column, gt_0, 2)
                put(out, shape.gt_at + 4 * column + 2, gt_1, 2)
            if gt_0 > 0:
                shape.an += 1
                self._ac[(gt_0 >> 1) - 1] += 1
            if gt_1 > 0:
                shape.an += 1
                self._ac[(gt_1 >> 1) - 1] += 1
            out[shape.gq_at + column] = <uint8_t>self._kind_gq[kind] if self._kind_gq[kind] >= 0 else 0x80
            deep = <int64_t>(cell >> CELL_DP) - 1
            self._depth[column] = <int32_t>(deep if deep >= 0 else NOTHING)
            shape.deepest = max(shape.deepest, deep)
        return shape.gq_at + people

    cdef void _find_kind(self, int64_t kind, const Shape *shape) noexcept nogil:
        """Compute the genotype that all cells of one kind have in the record."""
        cdef int64_t ploidy = 1 if kind & haploid_bits(self._mode) else 2
        cdef int64_t taken = 0, quality = -1, allele, _copy
        cdef int64_t haplotype[2]
        cdef bint shown = True
        cdef Joint joint
        haplotype[0] = haplotype[1] = 0
        for allele in range(shape.start, shape.stop):
            if self._own[allele] < 0:
                continue
            joint = cell_genotype(
                <uint32_t>kind, self._mode, self._frequency[allele], &self._likelihood[0], &self._limits[0]
            )
            shown = shown and joint.copies >= 0
            quality = joint.gq if quality < 0 else min(quality, joint.gq)
            for _copy in range(joint.copies):
                if taken < ploidy:
                    haplotype[taken] = self._own[allele]
                    taken += 1
        if shape.star and shown:
            for _copy in range((kind >> CELL_OTHER) & 3):
                if taken < ploidy:
                    haplotype[taken] = shape.total
                    taken += 1
        self._kind_gq[kind] = <int32_t>(quality if quality >= 0 else NOTHING)
        self._kind_gt[kind][0] = self._kind_gt[kind][1] = 0
        if ploidy == 1:
            self._kind_gt[kind][1] = VECTOR_END
        if shown:
            if ploidy == 1:
                self._kind_gt[kind][0] = <int32_t>((haplotype[0] + 1) << 1)
            else:
                self._kind_gt[kind][0] = <int32_t>((min(haplotype[0], haplotype[1]) + 1) << 1)
                self._kind_gt[kind][1] = <int32_t>((max(haplotype[0], haplotype[1]) + 1) << 1)

    cdef int64_t _lay_out(self, uint8_t *out, int64_t at, Shape *shape) noexcept nogil:
        """Write the depths of all participants, then the sparse fields as missing values; return their end."""
        cdef const DenseRow *rows = self._rows
        cdef int64_t people = self._people, row, column, local = 0, most_ad = -1, most_pl = -1, most_ps = -1, k
        shape.most_alleles = 1
        for row in range(shape.first_row, shape.last_row):
            shape.deepest = max(shape.deepest, <int64_t>rows[row].dp)
            most_ad = max(most_ad, <int64_t>rows[row].ad_ref)
            if row == shape.first_row or rows[row].column != rows[row - 1].column:
                local = 0
            if not has(shape, rows[row].allele):
                continue
            local += 1
            shape.most_alleles = max(shape.most_alleles, local)
            most_ad = max(most_ad, <int64_t>rows[row].ad_alt)
            for k in range(3):
                most_pl = max(most_pl, <int64_t>rows[row].pl[k])
            if rows[row].phase:
                most_ps = max(most_ps, <int64_t>rows[row].phase_set)
        shape.formats = 3
        shape.dp_size = size_of(shape.deepest)
        shape.dp_at = put_key(out, at, self._ids[DP], 1, shape.dp_size)
        at = shape.dp_at
        for column in range(people):
            at = put(out, at, self._depth[column], shape.dp_size)
        shape.ad_size = size_of(most_ad)
        shape.ad_at = 0
        if most_ad >= 0:
            shape.formats += 1
            shape.ad_at = put_key(out, at, self._ids[AD], shape.total + 1, shape.ad_size)
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
                shape.laa_at = put_key(out, at, self._ids[LAA], shape.most_alleles, shape.laa_size)
                at = fill(out, shape.laa_at, people, shape.most_alleles, shape.laa_size)
                shape.pl_width = (shape.most_alleles + 1) * (shape.most_alleles + 2) // 2
            shape.pl_at = put_key(
                out, at, self._ids[PL if shape.total == 1 else LPL], shape.pl_width, shape.pl_size
            )
            at = fill(out, shape.pl_at, people, shape.pl_width, shape.pl_size)
        shape.ps_at = 0
        if most_ps >= 0:
            shape.formats += 1
            shape.ps_at = put_key(out, at, self._ids[PS], 1, 4)
            at = fill(out, shape.ps_at, people, 1, 4)
        return at

    cdef void _write_sparse(self, uint8_t *out, Shape *shape) noexcept nogil:
        """Write the fields of the participants with call rows here."""
        cdef int64_t row = shape.first_row
        while row < shape.last_row:
            row = write_carrier(out, shape, row)
