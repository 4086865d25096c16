"""The reader of gVCF text: one pass over the bytes of whole lines, no Python object per record.

A record becomes call rows (one per participant and normalised allele) and intervals (the evidence of the record or
block at the positions that it covers). ``baekman.gvcf.reader`` feeds it and takes a piece of a contig at a time.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc

import numpy as np

from baekman.kernels.fields cimport FT, Fields, find, find_fields
from baekman.kernels.intervals cimport IntervalTable, add_bases, add_block, add_deletion, part_intervals
from baekman.kernels.layout cimport (
    COUNT_BLOCK_FILTER, COUNT_GT_FROM_GQ, COUNT_NO_EVIDENCE, COUNT_NOT_A_NUMBER, COUNT_STAR_BLOCK, COUNTED,
    FLAG_CALLED, FLAG_GENOTYPED, STATE_CALLED, STATE_MISSING, STATE_WEAK, CallRow, Interval,
)
from baekman.kernels.line cimport FILTER, ID, INFO, POS, QUAL, Line, has_failed, is_pass, read_info, split
from baekman.kernels.phase cimport PhaseSets, read_phase
from baekman.kernels.record cimport MAX_ALLELES, Record, read_alleles
from baekman.kernels.repeats cimport Repeats, check_repeated
from baekman.kernels.rows cimport RowTable, Workspace, add_rows, count_changed, grown, part_rows
from baekman.kernels.sample cimport (
    has_evidence, has_failed_genotype, is_called, read_depths, read_genotype, read_likelihoods, read_quality,
    states_reference,
)
from baekman.kernels.separators cimport WIDTH, Ends
from baekman.kernels.text cimport key_number, named, position, quality, same

cdef enum:
    MAX_FILTERS = 250
    FILTER_ROOM = 65536

cdef int64_t NOWHERE = <int64_t>1 << 40


@cython.final
cdef class RecordReader:
    """Reader of the records of one gVCF, contig by contig.

    ``names``: the contigs' names and aliases. ``contig_of_name``: the contig's number for each of them. ``starts`` and
    ``lengths``: the place of each contig in ``sequence`` (upper case, all contigs one after the other).
    ``shard_ends``: the last positions of all contigs' shards. ``first_shards``: the index of each contig's first shard.
    A piece is some shards of a contig with ``piece_records`` rows and intervals or more. It is complete at a record
    that begins more than ``margin`` bases after it (-1: at the contig's end). A record is called with a GQ of
    ``min_gq``, a depth of ``min_dp`` (0: any) and, when heterozygous, ``min_het_percent`` of the reads for the weaker
    allele (0: any).
    """

    cdef const uint8_t[::1] _name_pool
    cdef const int64_t[::1] _name_ends, _contig_of_name, _starts, _lengths
    cdef const uint8_t[::1] _sequence, _left_out
    cdef uint8_t[::1] _seen
    cdef const int64_t[::1] _shard_ends, _first_shards
    cdef int64_t _piece_records, _margin
    cdef int64_t _shard, _upto  # the first and last of the next piece
    cdef int64_t _settled  # the contig's last position that was taken, 0 before the first
    cdef int64_t _ripe  # after this position a piece may be complete
    cdef int64_t _min_gq, _min_dp, _min_het_percent
    cdef int64_t _name  # the number of the name of the last record's contig
    cdef readonly int64_t ignored  # records that were left out with their contig
    cdef readonly int64_t contig  # of the last record, -1 before the first
    cdef public int64_t line  # the last line, 1-based
    cdef readonly int64_t records
    cdef Repeats _repeats
    cdef Fields _fields
    cdef int64_t _counts[COUNTED]
    cdef PhaseSets _phase_sets
    cdef int64_t _filters
    cdef uint8_t _filter_pool[FILTER_ROOM]
    cdef int64_t _filter_ends[MAX_FILTERS]
    cdef int64_t _allele_start[MAX_ALLELES]
    cdef int64_t _allele_end[MAX_ALLELES]
    cdef uint8_t _allele_kind[MAX_ALLELES]
    cdef int64_t _depths[MAX_ALLELES]
    cdef uint8_t _members[MAX_ALLELES]
    cdef RowTable _table
    cdef int64_t _row_room, _ref_room, _alt_room
    cdef IntervalTable _intervals
    cdef int64_t _interval_room
    cdef Workspace _work
    cdef int64_t *_pl
    cdef int64_t _byte_room, _number_room, _pl_room

    def __cinit__(
        self, names, const int64_t[::1] contig_of_name, const int64_t[::1] starts, const int64_t[::1] lengths,
        const uint8_t[::1] sequence, const int64_t[::1] shard_ends, const int64_t[::1] first_shards, *,
        int64_t piece_records, int64_t margin, int64_t min_gq, int64_t min_dp, int64_t min_het_percent,
    ):
        encoded = [name.encode() for name in names]
        self._name_pool = b"".join(encoded)
        self._name_ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        self._contig_of_name = contig_of_name
        self._starts = starts
        self._lengths = lengths
        self._sequence = sequence
        self._shard_ends = shard_ends
        self._first_shards = first_shards
        self._piece_records = piece_records
        self._margin = margin
        self._seen = bytearray(len(lengths))
        self._min_gq = min_gq
        self._min_dp = min_dp
        self._min_het_percent = min_het_percent
        self.contig = -1
        self._fields.last = -1
        self._work.members = self._members
        self._left_out = b""

    def __dealloc__(self):
        free(self._table.rows)
        free(self._table.ref_pool)
        free(self._table.alt_pool)
        free(self._intervals.intervals)
        free(self._work.ref)
        free(self._work.alt)
        free(self._work.begin)
        free(self._pl)

    def read(self, const uint8_t[::1] buf not None, int64_t begin):
        """Read the whole lines of ``buf`` from ``begin`` on; return the reason of the stop and its place.

        Raises MemoryError.
        """
        cdef int64_t at = begin
        cdef int reason
        with nogil:
            reason = self._read(&buf[0], len(buf), &at)
        if reason == NO_MEMORY:
            raise MemoryError
        return reason, at

    def ignore(self, const uint8_t[::1] name not None):
        """Leave out the records of the contig ``name``, which the read before refused, up to the next such contig."""
        self._left_out = name
        self.line -= 1

    @property
    def counts(self):
        """Return the numbers of remarks, by COUNT_*."""
        return [self._counts[kind] for kind in range(COUNTED)]

    @property
    def filters(self):
        """Return the values of FILTER so far, without PASS, in the order of their codes from 1 on."""
        cdef int64_t index, first = 0
        names = []
        for index in range(self._filters):
            names.append(self._filter_pool[first : self._filter_ends[index]].decode(errors="replace"))
            first = self._filter_ends[index]
        return names

    def take(self, *, bint rest):
        """Return the next piece, or the ``rest`` of the contig, and forget it.

        Returns the numbers of its first and last shard in the contig, rows, REF strings, ALT strings and intervals.
        Rows are (n, len(ROW_COLUMNS)) and intervals (m, len(INTERVAL_COLUMNS)), 32-bit integers in the order of the
        file. The strings follow one another. An interval that reaches beyond the piece stays for the next one too.
        """
        cdef int64_t shards = self._first_shards[self.contig], first = self._shard - shards, end
        cdef int64_t count = self._table.count
        if rest:
            self._upto = self._first_shards[self.contig + 1] - 1
        end = self._shard_ends[self._upto]
        rows = np.empty((count, sizeof(CallRow) // 4), np.int32)
        ref = np.empty(self._table.rows[count - 1].ref_end if count else 0, np.uint8)
        alt = np.empty(self._table.rows[count - 1].alt_end if count else 0, np.uint8)
        intervals = np.empty((self._intervals.count, sizeof(Interval) // 4), np.int32)
        cdef int32_t[:, ::1] row_view = rows, interval_view = intervals
        cdef uint8_t[::1] ref_view = ref, alt_view = alt
        taken = 0
        copied = 0
        if count:
            taken = part_rows(&self._table, end, <CallRow *>&row_view[0, 0], &ref_view[0], &alt_view[0])
        if len(intervals):
            copied = part_intervals(&self._intervals, end, <Interval *>&interval_view[0, 0])
        last = self._upto - shards
        self._settle(self._upto + 1, end)
        return first, last, rows[:taken], ref, alt, intervals[:copied]

    cdef void _settle(self, int64_t shard, int64_t end) noexcept nogil:
        """Continue with ``shard``, which begins after ``end``."""
        self._shard = shard
        self._settled = end
        self._ripe = NOWHERE
        if self._margin >= 0 and shard + 1 < self._first_shards[self.contig + 1]:
            self._ripe = self._shard_ends[shard] + self._margin

    cdef bint _completes(self, int64_t pos) noexcept nogil:
        """Return whether a record at ``pos``, after ``_ripe``, completes a piece; keep the last shard of the piece."""
        if self._table.count + self._intervals.count < self._piece_records:
            return False
        self._upto = self._shard
        while self._shard_ends[self._upto + 1] + self._margin < pos:
            self._upto += 1
        return True

    cdef int _read(self, const uint8_t *buf, int64_t limit, int64_t *at) noexcept nogil:
        cdef Line line
        cdef Record record
        cdef Ends ends
        cdef int64_t next_line = 0
        cdef int reason
        ends.at = at[0] - WIDTH
        ends.bits = 0
        record.buf = buf
        record.allele_start = self._allele_start
        record.allele_end = self._allele_end
        record.allele_kind = self._allele_kind
        record.depths = self._depths
        record.counts = self._counts
        while at[0] < limit:
            reason = split(&ends, buf, at[0], limit, &line, &next_line)
            if reason == EMPTY:
                self.line += 1
                at[0] = next_line
                continue
            if reason == DONE:
                reason = self._enter(buf, &line)
            if reason == NEXT_CONTIG:
                return reason
            self.line += 1
            if reason == IGNORED:
                self.ignored += 1
                at[0] = next_line
                continue
            if reason == DONE:
                reason = self._locate(buf, &line, &record)
            if reason == DONE and record.pos > self._ripe and self._completes(record.pos):
                self.line -= 1
                return NEXT_PIECE
            if reason == DONE:
                reason = read_alleles(
                    &line, &record, &self._sequence[0] + self._starts[self.contig], self._lengths[self.contig]
                )
            if reason == DONE:
                reason = self._make_room(&record, next_line - line.begin)
            if reason == DONE:
                reason = check_repeated(&self._repeats, buf, &line, &record, next_line, limit)
            if reason == DONE:
                reason = find_fields(&self._fields, buf, &line, limit)
            if reason == DONE:
                reason = self._read_sample(&line, &record)
            if reason != DONE:
                return reason
            self.records += 1
            at[0] = next_line
        return DONE

    cdef int _enter(self, const uint8_t *buf, Line *line) noexcept nogil:
        """Find the line's contig."""
        cdef int64_t first, name, name_end = line.columns[POS] - 1
        cdef const uint8_t *pool = &self._name_pool[0]
        cdef const int64_t *ends = &self._name_ends[0]
        if self.contig >= 0:
            first = ends[self._name - 1] if self._name else 0
            if same(buf, line.begin, name_end, pool, first, ends[self._name]):
                return DONE
        if len(self._left_out) and same(buf, line.begin, name_end, &self._left_out[0], 0, len(self._left_out)):
            return IGNORED
        name = key_number(buf, line.begin, name_end, pool, ends, len(self._name_ends))
        if name < 0:
            return BAD_CONTIG
        if self._contig_of_name[name] != self.contig:
            if self._seen[self._contig_of_name[name]]:
                return REVISITED
            if self.contig >= 0 and self._repeats.pos > 0:
                self._repeats.pos = 0
                return NEXT_CONTIG
            self.contig = self._contig_of_name[name]
            self._seen[self.contig] = 1
            self._phase_sets.count = self._phase_sets.next_place = self._phase_sets.last = 0
            self._intervals.reach = 0
            self._repeats.pos = 0
            self._settle(self._first_shards[self.contig], 0)
        elif name != self._name:
            return TWO_NAMES
        self._name = name
        return DONE

    cdef int _locate(self, const uint8_t *buf, Line *line, Record *record) noexcept nogil:
        record.number = self.records
        record.pos = position(buf, line.columns[POS], line.columns[ID] - 1)
        if record.pos < 1:
            return BAD_POS
        if record.pos > self._lengths[self.contig]:
            return PAST_END
        if record.pos < self._repeats.pos:
            return BAD_ORDER
        return DONE

    cdef int _make_room(self, Record *record, int64_t line_length) noexcept nogil:
        """Make room for everything that this record may add."""
        cdef int64_t rows = record.letters + 2 * record.real + 1
        cdef int64_t letters = (record.real + 1) * (record.ref_length + 2) + record.letters + 2 * rows
        cdef int64_t count = self._table.count
        cdef int64_t used_ref = self._table.rows[count - 1].ref_end if count else 0
        cdef int64_t used_alt = self._table.rows[count - 1].alt_end if count else 0
        cdef int64_t numbers, intervals = self._intervals.count + record.ref_length + 1
        if not (
            grown(<void **>&self._table.rows, count + rows, &self._row_room, sizeof(CallRow))
            and grown(<void **>&self._table.ref_pool, used_ref + letters, &self._ref_room, 1)
            and grown(<void **>&self._table.alt_pool, used_alt + letters, &self._alt_room, 1)
            and grown(<void **>&self._intervals.intervals, intervals, &self._interval_room, sizeof(Interval))
            and grown(<void **>&self._pl, line_length, &self._pl_room, sizeof(int64_t))
        ):
            return NO_MEMORY
        record.pl = self._pl
        if record.letters + record.ref_length + 2 > self._byte_room:
            self._byte_room = 2 * (record.letters + record.ref_length + 2)
            free(self._work.ref)
            free(self._work.alt)
            self._work.ref = <uint8_t *>malloc(self._byte_room)
            self._work.alt = <uint8_t *>malloc(self._byte_room)
            if self._work.ref == NULL or self._work.alt == NULL:
                return NO_MEMORY
        numbers = max(record.letters + 2 * record.real + 2, record.ref_length + 2)
        if numbers > self._number_room:
            self._number_room = 2 * numbers
            free(self._work.begin)
            self._work.begin = <int64_t *>malloc(5 * self._number_room * sizeof(int64_t))
            if self._work.begin == NULL:
                return NO_MEMORY
            self._work.ref_length = self._work.begin + self._number_room
            self._work.alt_length = self._work.begin + 2 * self._number_room
            self._work.member_row = self._work.begin + 3 * self._number_room
            self._work.member_allele = self._work.begin + 4 * self._number_room
        return DONE

    cdef int _read_sample(self, const Line *line, Record *record) noexcept nogil:
        """Read genotype, likelihoods and depths, and add them to the rows and intervals."""
        cdef bint complete, called, covered, failed, ft_failed
        cdef int64_t reach = 0, size = 0, info_dp = -1, state, row = self._table.count
        cdef int reason = read_genotype(record, &self._fields, &complete)
        if reason != DONE:
            return reason
        read_likelihoods(record, &self._fields, complete)
        if record.ploidy == 0:
            record.ploidy = 2
            record.genotype[0] = record.genotype[1] = -1
        if record.block or record.starred or record.deletion:
            read_info(record.buf, line, &reach, &info_dp, &size)
            if not record.block and record.starred and reach > 0:
                record.block = True
                record.counts[COUNT_STAR_BLOCK] += 1
        read_depths(record, &self._fields)
        if not complete and record.block and states_reference(&self._fields):
            complete = True
            record.counts[COUNT_GT_FROM_GQ] += 1
            record.ploidy = 2
            record.genotype[0] = record.genotype[1] = 0
        failed = has_failed(record.buf, line)
        ft_failed = has_failed_genotype(record, &self._fields)
        read_quality(record, &self._fields, info_dp, complete, failed or ft_failed)
        called = complete and not record.doubtful and (
            is_called(record, self._min_gq, self._min_dp, self._min_het_percent)
        )
        covered = has_evidence(record)
        self._counts[COUNT_NO_EVIDENCE] += not covered and (not record.block or (complete and record.gq > 0))
        state = (STATE_CALLED if called else STATE_WEAK) if complete else STATE_MISSING
        if record.block:
            self._counts[COUNT_BLOCK_FILTER] += failed
            return add_block(
                &self._intervals, record, &self._fields, self._lengths[self.contig], reach, covered, state
            )
        count_changed(record, self._work.begin)
        if not covered:
            return DONE
        add_bases(&self._intervals, record, self._work.begin, state)
        if record.deletion:
            reason = add_deletion(&self._intervals, record, self._lengths[self.contig], reach, size, state)
        if reason != DONE or not record.real:
            return reason
        record.flags = (FLAG_GENOTYPED if complete else 0) | (FLAG_CALLED if called else 0)
        if not self._read_filter(line, record, ft_failed):
            return TOO_MANY_FILTERS
        read_phase(record, &self._fields, &self._phase_sets)
        record.quality = quality(record.buf, line.columns[QUAL], line.columns[FILTER] - 1)
        self._counts[COUNT_NOT_A_NUMBER] += record.quality < -1
        record.quality = max(record.quality, <int64_t>-1)
        add_rows(record, &self._sequence[0] + self._starts[self.contig], &self._table, &self._work)
        while row < self._table.count:
            if self._table.rows[row].pos <= self._settled:
                return SLID
            row += 1
        return DONE

    cdef bint _read_filter(self, const Line *line, Record *record, bint failed) noexcept nogil:
        """Read FILTER, or a ``failed`` FT, as its code, 0 for PASS or none; return False for too many of them."""
        cdef const uint8_t *buf = record.buf
        cdef int64_t start = line.columns[FILTER], stop = line.columns[INFO] - 1
        record.filter = 0
        if is_pass(buf, start, stop) and not (failed and find(&self._fields, FT, &start, &stop)):
            return True
        record.filter = 1 + named(
            &self._filters, buf, start, stop, self._filter_pool, FILTER_ROOM, self._filter_ends, MAX_FILTERS
        )
        return record.filter > 0
