"""The reader of gVCF text: one pass over the bytes of whole lines, no Python object per record.

A record becomes call rows (one per participant and normalised allele) and evidence intervals (what the record
or block says of every position that it covers). ``baekman.gvcf`` feeds it and says what its numbers mean.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

import numpy as np

from baekman.kernels.layout cimport (
    FLAG_CALLED, FLAG_GENOTYPED, STATE_CALLED, STATE_MISSING, STATE_WEAK, CallRow, Interval,
)
from baekman.kernels.rows cimport NON_REF, OTHER, REAL, Record, RowTable, Workspace, add_rows, count_changed
from baekman.kernels.text cimport (
    CLOSING, COLON, COMMA, DOT, EQUALS, LESS, NEWLINE, OPENING, PIPE, RETURN, SEMICOLON, SLASH, STAR, TAB,
    digest, integer, is_allele_letter, is_base, key_number, named, position, quality, same, upper,
)

# Why reading stopped: after the last line, before the first record of another contig, at a line that is refused.
cpdef enum:
    DONE = 0
    NEXT_CONTIG = 1
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
    BAD_PLOIDY = 20
    REVISITED = 21
    TOO_MANY_FIELDS = 22
    TOO_MANY_FILTERS = 23
    DUPLICATED = 24
    MORE_FIELDS = 25

cdef enum:
    NO_MEMORY = 2
    EMPTY = 3  # a line without columns
    MAX_FORMATS = 64
    MAX_FIELDS = 64
    MAX_ALLELES = 256
    MAX_FILTERS = 250
    MOST_SAME = 16  # records of one POS that are told apart from those before them
    FORMAT_ROOM = 16384
    FILTER_ROOM = 65536

# Fields of a sample that are read, by their place in KEYS.
cdef enum:
    GT = 0
    GQ = 1
    DP = 2
    MIN_DP = 3
    AD = 4
    PL = 5
    PS = 6
    PGT = 7
    PID = 8
    LEN = 9
    KEYS = 10

cdef const uint8_t *KEY_POOL = b"GTGQDPMIN_DPADPLPSPGTPIDLEN"
cdef int64_t[10] KEY_ENDS = [2, 4, 6, 12, 14, 16, 18, 21, 24, 27]
# bcftools wrote MinDP and MIN_DP, by version
cdef enum:
    END = 0
    INFO_KEYS = 3
cdef const uint8_t *INFO_POOL = b"ENDMIN_DPMinDP"
cdef int64_t[3] INFO_ENDS = [3, 9, 14]

# Columns of a line.
cdef enum:
    CHROM = 0
    POS = 1
    ID = 2
    REF = 3
    ALT = 4
    QUAL = 5
    FILTER = 6
    INFO = 7
    FORMAT = 8
    SAMPLE = 9
    COLUMNS = 10


cdef struct Line:
    int64_t begin
    int64_t end  # without the line's end
    int64_t columns[COLUMNS + 1]  # where each begins


cdef inline bint is_missing(const uint8_t *buf, int64_t start, int64_t stop) noexcept nogil:
    return stop - start <= 1 and (stop == start or buf[start] == DOT)


cdef class RecordReader:
    """Reads the records of one gVCF, contig by contig.

    ``names`` are the contigs' names and aliases, ``contig_of_name`` the number of the contig that each names;
    ``starts`` and ``lengths`` say where each contig lies in ``sequence`` (upper case, all contigs one after the
    other). A record is called with GQ of ``min_gq``, a depth of ``min_dp`` (0: any) and, when heterozygous, a weaker
    allele with ``min_het_percent`` of the reads (0: any).
    """

    cdef const uint8_t[::1] _name_pool
    cdef const int64_t[::1] _name_ends, _contig_of_name, _starts, _lengths
    cdef const uint8_t[::1] _sequence
    cdef uint8_t[::1] _seen
    cdef int64_t _min_gq, _min_dp, _min_het_percent
    cdef int64_t _name  # the name that the last record's contig had
    cdef int64_t _last_pos
    cdef readonly int64_t contig  # of the last record, -1 before the first
    cdef public int64_t line  # the last line that was read, 1-based
    cdef readonly int64_t records
    cdef readonly int64_t contradicting  # fields taken as missing since they contradict their header
    cdef int64_t _same  # how many records of _last_pos have a digest
    cdef int64_t _digests[MOST_SAME]
    cdef int64_t _formats, _last_format
    cdef uint8_t _format_pool[FORMAT_ROOM]
    cdef int64_t _format_ends[MAX_FORMATS]
    cdef int64_t _format_fields[MAX_FORMATS][KEYS + 1]  # where each key is, and how many fields there are
    cdef int64_t _filters
    cdef uint8_t _filter_pool[FILTER_ROOM]
    cdef int64_t _filter_ends[MAX_FILTERS]
    cdef int64_t _allele_start[MAX_ALLELES]
    cdef int64_t _allele_end[MAX_ALLELES]
    cdef uint8_t _allele_kind[MAX_ALLELES]
    cdef int64_t _depths[MAX_ALLELES]
    cdef uint8_t _members[MAX_ALLELES]
    cdef int64_t _field_start[MAX_FIELDS]
    cdef int64_t _field_end[MAX_FIELDS]
    cdef int64_t _fields
    cdef int64_t _letters  # of the real ALTs of a record
    cdef int64_t _real
    cdef bint _block
    cdef RowTable _table
    cdef int64_t _row_room, _ref_room, _alt_room
    cdef Interval *_intervals
    cdef int64_t _interval_count, _interval_room
    cdef Workspace _work
    cdef int64_t *_pl
    cdef int64_t _byte_room, _number_room, _pl_room

    def __cinit__(
        self, names, const int64_t[::1] contig_of_name, const int64_t[::1] starts, const int64_t[::1] lengths,
        const uint8_t[::1] sequence, *, int64_t min_gq, int64_t min_dp, int64_t min_het_percent,
    ):
        encoded = [name.encode() for name in names]
        self._name_pool = b"".join(encoded)
        self._name_ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        self._contig_of_name = contig_of_name
        self._starts = starts
        self._lengths = lengths
        self._sequence = sequence
        self._seen = bytearray(len(lengths))
        self._min_gq = min_gq
        self._min_dp = min_dp
        self._min_het_percent = min_het_percent
        self.contig = -1
        self._last_format = -1
        self._work.members = self._members

    def __dealloc__(self):
        free(self._table.rows)
        free(self._table.ref_pool)
        free(self._table.alt_pool)
        free(self._intervals)
        free(self._work.ref)
        free(self._work.alt)
        free(self._work.begin)
        free(self._pl)

    def read(self, const uint8_t[::1] buf not None, int64_t begin):
        """Read the whole lines of ``buf`` from ``begin`` on; returns (why it stopped, where).

        Raises MemoryError.
        """
        cdef int64_t at = begin
        cdef int reason
        with nogil:
            reason = self._read(&buf[0], len(buf), &at)
        if reason == NO_MEMORY:
            raise MemoryError
        return reason, at

    @property
    def filters(self):
        """The values of FILTER that were met so far, but PASS, in the order of their codes from 1 on."""
        cdef int64_t index, first = 0
        found = []
        for index in range(self._filters):
            found.append(self._filter_pool[first : self._filter_ends[index]].decode(errors="replace"))
            first = self._filter_ends[index]
        return found

    def take(self):
        """What was read of a contig, and forget it: (rows, REF strings, ALT strings, intervals).

        Rows are (n, len(ROW_COLUMNS)) and intervals (m, len(INTERVAL_COLUMNS)), 32-bit integers in the order of the
        file; the strings stand one after the other.
        """
        cdef int64_t count = self._table.count, intervals = self._interval_count
        cdef int64_t letters
        rows = _copied(self._table.rows, count * sizeof(CallRow)).view(np.int32)
        letters = self._table.rows[count - 1].ref_end if count else 0
        ref = _copied(self._table.ref_pool, letters)
        letters = self._table.rows[count - 1].alt_end if count else 0
        alt = _copied(self._table.alt_pool, letters)
        found = _copied(self._intervals, intervals * sizeof(Interval)).view(np.int32)
        self._table.count = 0
        self._interval_count = 0
        return rows.reshape(count, sizeof(CallRow) // 4), ref, alt, found.reshape(intervals, sizeof(Interval) // 4)

    cdef int _read(self, const uint8_t *buf, int64_t limit, int64_t *at) noexcept nogil:
        cdef Line line
        cdef Record record
        cdef int64_t next_line = 0
        cdef int reason
        record.buf = buf
        record.allele_start = self._allele_start
        record.allele_end = self._allele_end
        record.allele_kind = self._allele_kind
        record.depths = self._depths
        while at[0] < limit:
            reason = split(buf, at[0], limit, &line, &next_line)
            if reason == EMPTY:
                self.line += 1
                at[0] = next_line
                continue
            if reason == DONE:
                reason = self._enter(buf, &line)
            if reason == NEXT_CONTIG:
                return reason
            self.line += 1
            if reason == DONE:
                reason = self._locate(buf, &line, &record)
            if reason == DONE:
                reason = self._read_alleles(&line, &record)
            if reason == DONE:
                reason = self._make_room(&record, next_line - line.begin)
            if reason == DONE:
                reason = self._check_repeated(buf, &line, &record, next_line, limit)
            if reason == DONE:
                reason = self._read_format(buf, &line)
            if reason == DONE:
                reason = self._read_sample(&line, &record)
            if reason != DONE:
                return reason
            self.records += 1
            at[0] = next_line
        return DONE

    cdef int _enter(self, const uint8_t *buf, Line *line) noexcept nogil:
        """Find the line's contig."""
        cdef int64_t index, first, name_end = line.columns[POS] - 1, found = -1
        cdef const uint8_t *pool = &self._name_pool[0]
        cdef const int64_t *ends = &self._name_ends[0]
        if self.contig >= 0:
            first = ends[self._name - 1] if self._name else 0
            if same(buf, line.begin, name_end, pool, first, ends[self._name]):
                return DONE
        first = 0
        for index in range(len(self._name_ends)):
            if same(buf, line.begin, name_end, pool, first, ends[index]):
                found = index
                break
            first = ends[index]
        if found < 0:
            return BAD_CONTIG
        if self._contig_of_name[found] != self.contig:
            if self._seen[self._contig_of_name[found]]:
                return REVISITED
            if self.contig >= 0 and self._last_pos > 0:
                self._last_pos = 0
                return NEXT_CONTIG
            self.contig = self._contig_of_name[found]
            self._seen[self.contig] = 1
            self._last_pos = 0
        self._name = found
        return DONE

    cdef int _locate(self, const uint8_t *buf, Line *line, Record *record) noexcept nogil:
        record.pos = position(buf, line.columns[POS], line.columns[ID] - 1)
        if record.pos < 1:
            return BAD_POS
        if record.pos > self._lengths[self.contig]:
            return PAST_END
        if record.pos < self._last_pos:
            return BAD_ORDER
        return DONE

    cdef int _read_alleles(self, Line *line, Record *record) noexcept nogil:
        cdef const uint8_t *buf = record.buf
        cdef const uint8_t *contig = &self._sequence[0] + self._starts[self.contig]
        cdef int64_t length = self._lengths[self.contig]
        cdef int64_t start, stop, index, alt_end = line.columns[QUAL] - 1
        cdef int kind
        cdef uint8_t base, expected
        record.ref_start = line.columns[REF]
        record.ref_length = line.columns[ALT] - 1 - record.ref_start
        record.alleles = 1
        self._real = 0
        self._letters = 0
        self._block = True
        start = line.columns[ALT]
        if alt_end - start == 1 and buf[start] == DOT:
            start = alt_end + 1
        while start <= alt_end:
            stop = start
            while stop < alt_end and buf[stop] != COMMA:
                stop += 1
            if stop == start or record.alleles >= MAX_ALLELES:
                return BAD_ALT
            kind = kind_of(buf, start, stop)
            if kind < 0:
                return BAD_ALT
            self._allele_start[record.alleles] = start
            self._allele_end[record.alleles] = stop
            self._allele_kind[record.alleles] = <uint8_t>kind
            if kind == REAL:
                self._real += 1
                self._letters += stop - start
            if kind != NON_REF:
                self._block = False
            record.alleles += 1
            start = stop + 1
        if record.ref_length < 1:
            return BAD_REF
        for index in range(record.ref_length):
            base = upper(buf[record.ref_start + index])
            if not is_allele_letter(base):
                return BAD_REF
            if record.pos + index > length:
                if self._block:
                    break
                return PAST_END
            expected = contig[record.pos - 1 + index]
            if base != expected and is_base(base) and is_base(expected):
                return BAD_REF_BASE
        return DONE

    cdef int _make_room(self, const Record *record, int64_t line_length) noexcept nogil:
        """Room for all that this record may add."""
        cdef int64_t rows = self._letters + 2 * self._real + 1
        cdef int64_t letters = (self._real + 1) * (record.ref_length + 2) + self._letters + 2 * rows
        cdef int64_t count = self._table.count
        cdef int64_t used_ref = self._table.rows[count - 1].ref_end if count else 0
        cdef int64_t used_alt = self._table.rows[count - 1].alt_end if count else 0
        cdef int64_t numbers
        if not (
            grown(<void **>&self._table.rows, count + rows, &self._row_room, sizeof(CallRow))
            and grown(<void **>&self._table.ref_pool, used_ref + letters, &self._ref_room, 1)
            and grown(<void **>&self._table.alt_pool, used_alt + letters, &self._alt_room, 1)
            and grown(
                <void **>&self._intervals, self._interval_count + record.ref_length + 1, &self._interval_room,
                sizeof(Interval),
            )
            and grown(<void **>&self._pl, line_length, &self._pl_room, sizeof(int64_t))
        ):
            return NO_MEMORY
        if self._letters + record.ref_length + 2 > self._byte_room:
            self._byte_room = 2 * (self._letters + record.ref_length + 2)
            free(self._work.ref)
            free(self._work.alt)
            self._work.ref = <uint8_t *>malloc(self._byte_room)
            self._work.alt = <uint8_t *>malloc(self._byte_room)
            if self._work.ref == NULL or self._work.alt == NULL:
                return NO_MEMORY
        numbers = max(self._letters + 2 * self._real + 2, record.ref_length + 2)
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

    cdef int _check_repeated(
        self, const uint8_t *buf, const Line *line, const Record *record, int64_t next_line, int64_t limit
    ) noexcept nogil:
        """Refuse a record that is the same as one above it at its POS."""
        cdef int64_t line_digest, index
        # where the next line's ID is, if it has the same contig and POS
        cdef int64_t after = next_line + line.columns[ID] - line.begin
        if record.pos != self._last_pos:
            self._same = 0
        if (
            record.pos == self._last_pos
            or after > limit
            or buf[next_line] == NEWLINE or buf[next_line] == RETURN  # an empty line
            or same(buf, line.begin, line.columns[ID], buf, next_line, after)
        ):
            line_digest = digest(buf, line.columns[POS], line.end)
            for index in range(min(self._same, <int64_t>MOST_SAME)):
                if self._digests[index] == line_digest:
                    return DUPLICATED
            self._digests[self._same % MOST_SAME] = line_digest
            self._same += 1
        self._last_pos = record.pos
        return DONE

    cdef int _read_format(self, const uint8_t *buf, const Line *line) noexcept nogil:
        """Find out where the fields of this line are."""
        cdef int64_t start = line.columns[FORMAT], end = line.columns[SAMPLE] - 1, stop
        cdef int64_t first, before, key, number
        cdef int64_t last = self._last_format
        if last >= 0:
            first = self._format_ends[last - 1] if last else 0
            if not same(buf, start, end, self._format_pool, first, self._format_ends[last]):
                last = -1
        if last < 0:
            before = self._formats
            last = named(
                &self._formats, buf, start, end, self._format_pool, FORMAT_ROOM, self._format_ends, MAX_FORMATS
            )
            if last < 0:  # the list is full: begin it anew
                self._formats = 0
                before = 0
                last = named(
                    &self._formats, buf, start, end, self._format_pool, FORMAT_ROOM, self._format_ends, MAX_FORMATS
                )
                if last < 0:
                    return TOO_MANY_FIELDS
            if self._formats != before:
                for key in range(KEYS):
                    self._format_fields[last][key] = -1
                number = 0
                while start <= end:
                    stop = start
                    while stop < end and buf[stop] != COLON:
                        stop += 1
                    key = key_number(buf, start, stop, KEY_POOL, KEY_ENDS, KEYS)
                    if key >= 0:
                        self._format_fields[last][key] = number
                    number += 1
                    start = stop + 1
                self._format_fields[last][KEYS] = number
            self._last_format = last
        start = line.columns[SAMPLE]
        self._fields = 0
        while start <= line.end:
            stop = start
            while stop < line.end and buf[stop] != COLON:
                stop += 1
            if self._fields >= MAX_FIELDS:
                return TOO_MANY_FIELDS
            self._field_start[self._fields] = start
            self._field_end[self._fields] = stop
            self._fields += 1
            start = stop + 1
        if self._fields > self._format_fields[last][KEYS]:
            return MORE_FIELDS
        return DONE

    cdef inline bint _find(self, int64_t key, int64_t *start, int64_t *stop) noexcept nogil:
        """Where a field of the sample is, if there is one."""
        cdef int64_t number = self._format_fields[self._last_format][key]
        if number < 0 or number >= self._fields:
            return False
        start[0] = self._field_start[number]
        stop[0] = self._field_end[number]
        return True

    cdef int _read_sample(self, const Line *line, Record *record) noexcept nogil:
        """Read genotype, likelihoods and depths, and add what they say to the rows and intervals."""
        cdef bint complete, called, covered
        cdef int64_t reach = 0, info_dp = -1, state
        cdef int reason = self._read_genotype(record, &complete)
        if reason != DONE:
            return reason
        self._read_likelihoods(record, complete)
        if record.ploidy == 0:
            record.ploidy = 2
            record.genotype[0] = -1
            record.genotype[1] = -1
        if self._block:
            read_info(record.buf, line, &reach, &info_dp)
        self._read_depths(record)
        self._read_quality(record, info_dp)
        called = complete and self._is_called(record)
        covered = record.dp != 0 or record.genotype[0] > 0 or (record.ploidy == 2 and record.genotype[1] > 0)
        state = STATE_MISSING
        if complete:
            state = STATE_CALLED if called else STATE_WEAK
        if self._block:
            return self._add_block(record, reach, covered, state)
        count_changed(record, self._work.begin)
        if covered:
            self._add_bases(record, state)
        if not self._real:
            return DONE
        record.flags = (FLAG_GENOTYPED if complete and covered else 0) | (FLAG_CALLED if called and covered else 0)
        if not self._read_filter(line, record):
            return TOO_MANY_FILTERS
        self._read_phase(record)
        record.quality = quality(record.buf, line.columns[QUAL], line.columns[FILTER] - 1)
        add_rows(record, &self._sequence[0] + self._starts[self.contig], &self._table, &self._work)
        return DONE

    cdef int _read_genotype(self, Record *record, bint *complete) noexcept nogil:
        """GT; ``complete`` says whether every allele is given."""
        cdef const uint8_t *buf = record.buf
        cdef int64_t start, stop, last, allele, index
        record.ploidy = 0
        record.phased = False
        complete[0] = True
        if not self._find(GT, &start, &stop):
            complete[0] = False
            return DONE
        if start < stop and (buf[start] == SLASH or buf[start] == PIPE):  # VCF 4.5 leading phase mark
            start += 1
        while start <= stop:
            last = start
            while last < stop and buf[last] != SLASH and buf[last] != PIPE:
                last += 1
            if last < stop and buf[last] == PIPE:
                record.phased = True
            if record.ploidy == 2:
                return BAD_PLOIDY
            allele = integer(buf, start, last)
            for index in range(start + 1, last):
                if buf[index] == DOT:  # a decimal
                    allele = -2
            if allele >= record.alleles and record.alleles == 1:
                # a caller that carries a GT over to the bases of a deletion
                if complete[0]:
                    self.contradicting += 1
                allele = -1
            if allele == -2 or allele >= record.alleles:
                return BAD_GENOTYPE
            if allele < 0:
                complete[0] = False
            record.genotype[record.ploidy] = allele
            record.ploidy += 1
            start = last + 1
        return DONE

    cdef void _read_likelihoods(self, Record *record, bint complete) noexcept nogil:
        """PL; where GT does not tell the ploidy, PL does."""
        cdef const uint8_t *buf = record.buf
        cdef int64_t start, stop, last, value, expected
        cdef int64_t alleles = record.alleles
        cdef bint unknown = False, wrong = False
        record.values = 0
        record.pl = self._pl
        if not self._find(PL, &start, &stop) or is_missing(buf, start, stop):
            return
        while start <= stop:
            last = start
            while last < stop and buf[last] != COMMA:
                last += 1
            value = integer(buf, start, last)
            if value == -1:
                unknown = True
            elif value < 0:
                wrong = True
            self._pl[record.values] = value
            record.values += 1
            start = last + 1
        if record.ploidy == 0:
            record.ploidy = 1 if record.values == alleles else 2
            record.genotype[0] = -1
            record.genotype[1] = -1
        elif record.ploidy == 1 and not complete and record.values == alleles * (alleles + 1) // 2:
            record.ploidy = 2  # a lone "." of a diploid record
            record.genotype[1] = -1
        expected = alleles if record.ploidy == 1 else alleles * (alleles + 1) // 2
        if record.values != expected or wrong:
            self.contradicting += 1
            record.values = 0
        elif unknown:
            record.values = 0

    cdef void _read_depths(self, Record *record) noexcept nogil:
        """AD."""
        cdef int64_t start, stop, last, value
        cdef bint unknown = False, wrong = False
        record.counted = 0
        if record.alleles < 2 or not self._find(AD, &start, &stop) or is_missing(record.buf, start, stop):
            return
        while start <= stop and record.counted < MAX_ALLELES:
            last = start
            while last < stop and record.buf[last] != COMMA:
                last += 1
            value = integer(record.buf, start, last)
            if value == -1:
                unknown = True
            elif value < 0:
                wrong = True
            self._depths[record.counted] = value
            record.counted += 1
            start = last + 1
        if record.counted != record.alleles or wrong:
            self.contradicting += 1
            record.counted = 0
        elif unknown:
            record.counted = 0

    cdef void _read_quality(self, Record *record, int64_t info_dp) noexcept nogil:
        """DP and GQ, or what stands for them where they are missing."""
        cdef int64_t start, stop, dp = -1, gq = -1, index, least, second = -1
        cdef bint has_min_dp
        if self._block and self._find(MIN_DP, &start, &stop):
            dp = integer(record.buf, start, stop)
        has_min_dp = dp >= 0
        if dp < 0 and self._find(DP, &start, &stop):
            dp = integer(record.buf, start, stop)
        if dp == -2:
            self.contradicting += 1
            dp = -1
        if dp < 0:
            dp = max(info_dp, <int64_t>-1)
        if dp < 0 and record.counted:
            dp = 0
            for index in range(record.counted):
                dp += self._depths[index]
        if self._find(GQ, &start, &stop):
            gq = integer(record.buf, start, stop)
            if gq == -2:
                self.contradicting += 1
                gq = -1
        if gq < 0 and self._block and has_min_dp:
            gq = dp * 30103 // 10000
        if gq < 0 and record.values > 1:
            least = self._pl[0]
            for index in range(1, record.values):
                if self._pl[index] < least:
                    second = least
                    least = self._pl[index]
                elif second < 0 or self._pl[index] < second:
                    second = self._pl[index]
            gq = second - least
        if gq < 0 and self._block and dp >= 0:
            gq = dp * 30103 // 10000
        record.dp = dp
        record.gq = min(gq, <int64_t>99)

    cdef bint _is_called(self, const Record *record) noexcept nogil:
        """Whether a record whose GT is complete meets the thresholds."""
        cdef int64_t total = 0, index, lesser
        if record.gq < self._min_gq or (self._min_dp != 0 and record.dp < self._min_dp):
            return False
        if not self._min_het_percent or not record.counted or record.ploidy != 2:
            return True
        if record.genotype[0] == record.genotype[1]:
            return True
        for index in range(record.counted):
            total += self._depths[index]
        lesser = min(self._depths[record.genotype[0]], self._depths[record.genotype[1]])
        return lesser * 100 >= self._min_het_percent * total

    cdef int _add_block(self, const Record *record, int64_t reach, bint covered, int64_t state) noexcept nogil:
        """The interval of a record that names no ALT; ``reach`` is its END, 0 when there is none."""
        cdef int64_t start, stop, size, copies = 0, last_pos = record.pos + record.ref_length - 1
        if reach == 0 and self._find(LEN, &start, &stop):
            size = position(record.buf, start, stop)
            if size == -2:
                self.contradicting += 1
            elif size > 0:
                reach = record.pos + size - 1
        if reach:
            if reach < record.pos:
                return BAD_END
            last_pos = reach
        if last_pos > self._lengths[self.contig]:
            return PAST_END
        if covered:
            copies = (record.genotype[0] > 0) + (record.ploidy == 2 and record.genotype[1] > 0)
            self._add_interval(record, record.pos, last_pos, copies, state, 0)
        return DONE

    cdef void _add_bases(self, const Record *record, int64_t state) noexcept nogil:
        """Intervals for the bases that a record spans: how many copies change each is in the work space."""
        cdef int64_t *changed = self._work.begin
        cdef int64_t base = 0, stop
        while base < record.ref_length:
            stop = base + 1
            while stop < record.ref_length and changed[stop] == changed[base]:
                stop += 1
            self._add_interval(record, record.pos + base, record.pos + stop - 1, changed[base], state, record.pos)
            base = stop

    cdef inline void _add_interval(
        self, const Record *record, int64_t start, int64_t end, int64_t other, int64_t state, int64_t spans
    ) noexcept nogil:
        cdef Interval *out = &self._intervals[self._interval_count]
        out.start = <int32_t>start
        out.end = <int32_t>end
        out.gq = <int32_t>record.gq
        out.dp = <int32_t>record.dp
        out.ploidy = <int32_t>record.ploidy
        out.other = <int32_t>other
        out.state = <int32_t>state
        out.spans = <int32_t>spans
        out.record = <int32_t>self.records
        self._interval_count += 1

    cdef bint _read_filter(self, const Line *line, Record *record) noexcept nogil:
        """FILTER by its number, 0 for PASS or none; False when there are too many different ones."""
        cdef const uint8_t *buf = record.buf
        cdef int64_t start = line.columns[FILTER], stop = line.columns[INFO] - 1
        record.filter = 0
        if stop - start == 1 and buf[start] == DOT:
            return True
        if stop - start == 4 and buf[start] == 80 and buf[start + 1] == 65 and buf[start + 2] == 83:  # PASS
            return True
        record.filter = 1 + named(
            &self._filters, buf, start, stop, self._filter_pool, FILTER_ROOM, self._filter_ends, MAX_FILTERS
        )
        return record.filter > 0

    cdef void _read_phase(self, Record *record) noexcept nogil:
        """Which haplotype carries what: a phased GT, or GATK's PGT with PID."""
        cdef const uint8_t *buf = record.buf
        cdef int64_t start, stop, last
        record.phase_set = -1
        record.haplotype[0] = record.genotype[0]
        record.haplotype[1] = record.genotype[1] if record.ploidy == 2 else -1
        if self._find(PS, &start, &stop):
            record.phase_set = max(integer(buf, start, stop), <int64_t>-1)
        if record.phased or record.ploidy != 2 or not self._find(PGT, &start, &stop):
            return
        if stop - start != 3 or buf[start + 1] != PIPE or buf[start] == buf[start + 2]:
            return
        # PGT orders the genotype: "0|1" puts the ALT on the second haplotype
        if record.genotype[0] != record.genotype[1] and buf[start] != 48:
            record.haplotype[0] = record.genotype[1]
            record.haplotype[1] = record.genotype[0]
        record.phased = True
        if record.phase_set < 0 and self._find(PID, &start, &stop):
            last = start
            while last < stop and 48 <= buf[last] <= 57:
                last += 1
            record.phase_set = integer(buf, start, last)


cdef object _copied(const void *data, int64_t size):
    """A NumPy array of bytes of its own."""
    array = np.empty(size, np.uint8)
    cdef uint8_t[::1] view = array
    if size:
        memcpy(&view[0], data, size)
    return array


cdef bint grown(void **array, int64_t wanted, int64_t *room, size_t width) noexcept nogil:
    """Make room for ``wanted`` elements; False when there is no memory."""
    cdef void *bigger
    cdef int64_t count
    if wanted <= room[0]:
        return True
    count = max(2 * room[0], wanted, <int64_t>4096)
    bigger = realloc(array[0], count * width)
    if bigger == NULL:
        return False
    array[0] = bigger
    room[0] = count
    return True


cdef int split(const uint8_t *buf, int64_t at, int64_t limit, Line *line, int64_t *next_line) noexcept nogil:
    """Find the columns of a line, if it has any, and the line after it."""
    cdef int64_t column = 0, end = at
    line.begin = at
    line.columns[0] = at
    while end < limit and buf[end] != NEWLINE:
        if buf[end] == TAB:
            column += 1
            if column >= COLUMNS:
                return BAD_COLUMNS
            line.columns[column] = end + 1
        end += 1
    next_line[0] = end + 1
    if end > at and buf[end - 1] == RETURN:
        end -= 1
    line.end = end
    if end == at:
        return EMPTY
    return DONE if column == SAMPLE else BAD_COLUMNS


cdef int kind_of(const uint8_t *buf, int64_t start, int64_t stop) noexcept nogil:
    """The kind of an ALT, -1 when it is none."""
    cdef int64_t index
    cdef bint breakend = False
    if buf[start] == LESS:
        if stop - start == 3 and buf[start + 1] == STAR:
            return NON_REF
        if stop - start == 9 and buf[start + 1] == 78 and buf[start + 5] == 82:  # <NON_REF>
            return NON_REF
        return OTHER
    if stop - start == 1 and buf[start] == STAR:
        return OTHER
    if stop - start == 1 and buf[start] == DOT:
        return NON_REF
    for index in range(start, stop):
        if not is_allele_letter(upper(buf[index])):
            break
    else:
        return REAL
    for index in range(start, stop):
        if buf[index] == OPENING or buf[index] == CLOSING or buf[index] == DOT:
            breakend = True
    return OTHER if breakend else -1


cdef void read_info(const uint8_t *buf, const Line *line, int64_t *reach, int64_t *dp) noexcept nogil:
    """END and the least depth of a block, where INFO has them."""
    cdef int64_t start = line.columns[INFO], stop = line.columns[FORMAT] - 1, last, equals, key
    while start < stop:
        last = start
        equals = -1
        while last < stop and buf[last] != SEMICOLON:
            if equals < 0 and buf[last] == EQUALS:
                equals = last
            last += 1
        key = key_number(buf, start, equals, INFO_POOL, INFO_ENDS, INFO_KEYS) if equals >= 0 else -1
        if key == END:
            reach[0] = position(buf, equals + 1, last)
            if reach[0] == -1:  # END=.
                reach[0] = 0
        elif key >= 0:
            dp[0] = integer(buf, equals + 1, last)
        start = last + 1
