"""The writer of BCF 2.2 records (VCF specification 4.3, section 6); ``baekman.export.bcf`` feeds it.

The dense fields (GT, GQ, DP) are written for all participants from the reference segments' cells. The sparse fields
(AD, PL, PS) are filled with missing values, then written for the participants with call rows.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

import numpy as np

from baekman.kernels.bcf.carriers cimport write_carrier
from baekman.kernels.bcf.combinations cimport take_one, take_position
from baekman.kernels.bcf.fields cimport lay_out
from baekman.kernels.bcf.haplotypes cimport assign, cell_items, number_of
from baekman.kernels.bcf.shape cimport AC, AF, AN, GQ, GT, Haplotypes, Item, Shape
from baekman.kernels.bcf.values cimport FLOAT, NOTHING, TEXT, VECTOR_END, put, put_float, put_key, put_type
from baekman.kernels.dense cimport haploid_bits
from baekman.kernels.layout cimport CELL_DP, CELL_KINDS, CELL_OTHER, DenseRow

cdef enum:
    RECORD_ROOM = 512

# The most ALTs with numbers that fit GT in 8 bits.
cpdef enum:
    MOST_GT_8 = 62


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
    cdef uint8_t[::1] _alone, _mismatch
    cdef int64_t[:, ::1] _combined
    cdef uint8_t[::1] _items
    cdef int64_t _kind_turn[CELL_KINDS]
    cdef int64_t _turn
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
        self._ac = np.zeros(6 * len(frequency) + 16, np.int64)
        self._alone = np.zeros(len(frequency), np.uint8)
        refs, alts = np.diff(np.asarray(ref_offsets)), np.diff(np.asarray(alt_offsets))
        self._mismatch = ((refs == 1) & (alts == 1)).astype(np.uint8)
        # an allele joins with a base other than the reference's: one of ACGTN
        self._combined = np.zeros((2, 5 * len(frequency) + 8), np.int64)
        self._items = np.zeros((len(frequency) + 1) * sizeof(Item), np.uint8)
        self._depth = np.zeros(max(self._people, 1), np.int32)

    def encode(self, int64_t begin, uint8_t[::1] out not None):
        """Write the records of the positions from ``begin`` on while ``out`` has room.

        Returns the next position and the number of bytes written.
        """
        cdef int64_t position, filled = 0, need
        cdef int64_t positions = len(self._positions)
        cdef Shape shape
        cdef bint full = False
        self._begin(&shape)
        with nogil:
            for position in range(begin, positions):
                need = self._measure(position, &shape)
                if need == 0:
                    continue
                if filled + need > len(out):
                    full = True
                    break
                filled = self._write_position(&out[0], filled, position, &shape)
        self._turn = shape.turn
        return (position if full else positions), filled

    cdef void _begin(self, Shape *shape) noexcept:
        shape.rows = self._rows
        shape.mode = self._mode
        shape.ids = &self._ids[0]
        shape.depth = &self._depth[0]
        shape.own = &self._own[0]
        shape.alone = &self._alone[0]
        shape.mismatch = &self._mismatch[0]
        shape.ac = &self._ac[0]
        shape.items = <Item *>&self._items[0]
        shape.people = self._people
        shape.frequency = &self._frequency[0]
        shape.likelihood = &self._likelihood[0]
        shape.limits = &self._limits[0]
        shape.kind_turn = &self._kind_turn[0]
        shape.turn = self._turn
        shape.combined_base = &self._combined[0, 0]
        shape.combined_indel = &self._combined[1, 0]

    cdef int64_t _write_position(
        self, uint8_t *out, int64_t filled, int64_t position, Shape *shape
    ) noexcept nogil:
        """Write the record of a position, then one for each allele that is not in it; return their end."""
        cdef int64_t allele, first = self._first_allele[position], last = self._first_allele[position + 1]
        if self._by_position:
            if shape.total:
                filled = self._write(out, filled, position, shape)
            for allele in range(first, last):
                # the number of an allele that has a line of its own is 0 from here on
                self._alone[allele] = self._wanted[allele] and shape.own[allele] < 0
            for allele in range(first, last):
                self._own[allele] = -1
        for allele in range(first, last):
            if self._alone[allele] if self._by_position else self._wanted[allele]:
                take_one(shape, allele)
                filled = self._write(out, filled, position, shape)
                self._own[allele] = -1
        return filled

    cdef int64_t _measure(self, int64_t position, Shape *shape) noexcept nogil:
        """Choose the alleles of a position's record; return the most bytes that its records need, 0 for none."""
        cdef int64_t first = self._first_allele[position], last = self._first_allele[position + 1]
        cdef int64_t alts = 0, letters = 0, allele, row, local = 0, need, length, longest = 0, index
        cdef int64_t likelihoods, bytes_each
        cdef const DenseRow *rows = self._rows
        for allele in range(first, last):
            if self._wanted[allele]:
                alts += 1
                length = self._ref_offsets[allele + 1] - self._ref_offsets[allele]
                longest = max(longest, length)
                letters += length
                letters += self._alt_offsets[allele + 1] - self._alt_offsets[allele]
        if alts == 0:
            return 0
        shape.first_row = self._first_row[position]
        shape.last_row = self._first_row[position + 1]
        shape.cells = &self._cells[position, 0] if self._people else NULL
        shape.most_local = 1
        if self._by_position:
            shape.start = first
            shape.stop = last
            take_position(shape, &self._wanted[0])
            for index in range(shape.combined):
                allele = shape.combined_indel[index]
                letters += self._alt_offsets[allele + 1] - self._alt_offsets[allele]
            for row in range(shape.first_row, shape.last_row):
                if row == shape.first_row or rows[row].column != rows[row - 1].column:
                    local = 2 if shape.combined else 0
                local += self._wanted[rows[row].allele]
                shape.most_local = max(shape.most_local, local)
        else:
            shape.total = 1
        likelihoods = max((shape.most_local + 1) * (shape.most_local + 2) // 2, <int64_t>3)
        bytes_each = 4 + 1 + 4 + 4 * (shape.total + 2) + 4 * shape.most_local + 4 * likelihoods + 4
        need = RECORD_ROOM + self._people * bytes_each + 8 * (shape.total + 1) + letters
        need += (shape.total + 2) * (longest + 8)
        # one record of all alleles, or one for each of those outside of it
        return (1 + alts - (shape.listed if self._by_position else 1)) * (need + letters)

    cdef int64_t _longest(self, int64_t first, int64_t last) noexcept nogil:
        """Return the allele of the record with the longest REF."""
        cdef int64_t allele, length, longest = first, most = -1
        for allele in range(first, last):
            length = self._ref_offsets[allele + 1] - self._ref_offsets[allele]
            if self._own[allele] >= 0 and length > most:
                longest = allele
                most = length
        return longest

    cdef int64_t _write(self, uint8_t *out, int64_t record, int64_t position, Shape *shape) noexcept nogil:
        """Write one record; return its end."""
        cdef int64_t at, individual, index
        self._record_number += 1
        individual = self._write_shared(out, record, position, shape)
        put(out, record, individual - record - 8, 4)
        for index in range(shape.total + 1):
            self._ac[index] = 0
        shape.an = 0
        at = self._write_dense(out, individual, position, shape)
        at = lay_out(out, at, shape)
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
        return at

    cdef int64_t _write_shared(self, uint8_t *out, int64_t record, int64_t position, Shape *shape) noexcept nogil:
        """Write the part of a record before its genotypes; return its end. AC, AN and AF are written later."""
        cdef int64_t longest = self._longest(shape.start, shape.stop), at, allele, index, bit, failed = 0, filters = 0
        cdef int64_t ref_first = self._ref_offsets[longest], ref_length = self._ref_offsets[longest + 1] - ref_first
        cdef double quality = 0.0
        cdef bint passed = False
        for allele in range(shape.start, shape.stop):
            if self._own[allele] >= 0:
                quality = max(quality, self._qual[allele])
                filters |= self._filters[allele]
                passed = passed or self._filters[allele] == 0
        if passed:
            filters = 0
        put(out, record + 8, self._contig, 4)
        put(out, record + 12, self._positions[position] - 1, 4)
        put(out, record + 16, ref_length, 4)
        put_float(out, record + 20, quality)
        put(out, record + 24, 3 | ((shape.total + 1) << 16), 4)
        out[record + 32] = 0x07  # no ID
        at = put_type(out, record + 33, ref_length, TEXT)
        memcpy(out + at, &self._ref[ref_first], ref_length)
        at += ref_length
        for allele in range(shape.start, shape.stop):
            if self._own[allele] > 0:
                at = self._write_alt(out, at, longest, -1, allele)
        for index in range(shape.combined):
            at = self._write_alt(out, at, longest, shape.combined_base[index], shape.combined_indel[index])
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

    cdef int64_t _write_alt(
        self, uint8_t *out, int64_t at, int64_t longest, int64_t base, int64_t allele
    ) noexcept nogil:
        """Write an ALT, padded to the REF of ``longest``, and with the mismatch ``base`` unless it is -1."""
        cdef int64_t first = self._alt_offsets[allele], length = self._alt_offsets[allele + 1] - first
        cdef int64_t own_ref = self._ref_offsets[allele + 1] - self._ref_offsets[allele]
        cdef int64_t padding = self._ref_offsets[longest + 1] - self._ref_offsets[longest] - own_ref
        at = put_type(out, at, length + padding, TEXT)
        memcpy(out + at, &self._alt[first], length)
        if base >= 0:
            out[at] = self._alt[self._alt_offsets[base]]
        memcpy(out + at + length, &self._ref[0] + self._ref_offsets[longest] + own_ref, padding)
        return at + length + padding

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
        cdef int64_t ploidy = 1 if kind & haploid_bits(self._mode) else 2, quality, index
        cdef int64_t stars = (kind >> CELL_OTHER) & 3 if shape.star else 0
        cdef int64_t items = cell_items(shape, <uint32_t>kind, &quality)
        cdef int64_t gt[2]
        cdef Haplotypes haplotypes
        self._kind_gq[kind] = <int32_t>(quality if quality >= 0 else NOTHING)
        self._kind_gt[kind][0] = self._kind_gt[kind][1] = 0
        if ploidy == 1:
            self._kind_gt[kind][1] = VECTOR_END
        if items < 0:
            return
        assign(shape, items, ploidy, &haplotypes)
        for index in range(ploidy):
            gt[index] = number_of(shape, haplotypes.base[index], haplotypes.indel[index])
            if gt[index] == 0 and stars:
                gt[index] = shape.total
                stars -= 1
        if ploidy == 2:
            self._kind_gt[kind][1] = <int32_t>((max(gt[0], gt[1]) + 1) << 1)
            gt[0] = min(gt[0], gt[1])
        self._kind_gt[kind][0] = <int32_t>((gt[0] + 1) << 1)

    cdef void _write_sparse(self, uint8_t *out, Shape *shape) noexcept nogil:
        """Write the fields of the participants with call rows here."""
        cdef int64_t row = shape.first_row
        while row < shape.last_row:
            row = write_carrier(out, shape, row)
