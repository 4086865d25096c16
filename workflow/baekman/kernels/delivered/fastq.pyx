"""FASTQ text, whole lines at a time: checked and its names taken out, or copied with other names.

A line may end without a newline only where a text ends. ``baekman.intake`` feeds these classes.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy

from baekman.kernels.delivered.bases cimport add_bases, all_plain
from baekman.kernels.delivered.buffer cimport NUMBER_ROOM, Buffer, add, add_byte, add_number, reserve, taken
from baekman.kernels.delivered.lines cimport TAB, first_blank, line_end, mate_of, text_end, without_mate
from baekman.kernels.delivered.seen cimport Seen, free_seen, is_new, make_seen
from baekman.kernels.text cimport COLON, DOT, NEWLINE, PLUS, is_allele_letter, upper

cdef enum:
    AT = 64  # @
    # the lines of a record
    NAME = 0
    BASES = 1
    SEPARATOR = 2
    QUALITIES = 3
    # the faults of a record
    RECORD_FAULT = 1
    BASE_FAULT = 2
    QUALITY_FAULT = 3
    LENGTH_FAULT = 4
    EMPTY_FAULT = 5
    SUMMED = 64  # bases at the beginning of a read that its digest is made of


cdef inline bint has_control(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return whether there is an ASCII control character other than tab."""
    cdef uint8_t bad = 0
    cdef int64_t at
    for at in range(begin, end):
        bad |= (text[at] < 32) & (text[at] != TAB)
    return bad


cdef inline bint all_bases(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return whether all bytes are letters that IUPAC has for bases, of either case, or ``.``."""
    cdef int64_t at
    if all_plain(text, begin, end):
        return True
    for at in range(begin, end):
        if not is_allele_letter(upper(text[at])) and text[at] != DOT:
            return False
    return True


cdef inline uint64_t sum_of(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return a sum of 64 bits of the first bases of a read."""
    cdef uint64_t value = 14695981039346656037ULL, word
    end = min(end, begin + SUMMED)
    while begin < end:
        word = 0
        memcpy(&word, text + begin, min(end - begin, <int64_t>8))
        value = (value ^ word) * <uint64_t>1099511628211ULL
        value ^= value >> 29
        begin += 8
    return value


@cython.final
cdef class FastqNames:
    """Checks records and takes out their names, without mate number, and their comments.

    A comment is the text after a name's first blank, or after ``+`` where it does not repeat the name line.
    Comments that came before are left out as far as they are remembered, as most reads of a file share theirs.
    """

    cdef readonly int64_t lines  # that were read and are no fault, without blank lines at the end
    cdef readonly int64_t fault_line  # 1-based; 0 as long as there is none
    cdef readonly int64_t fault  # what is wrong with it, one of the faults above; 0 as long as there is none
    cdef readonly int64_t first_mates, second_mates  # reads that say so in their name or comment
    cdef readonly uint64_t bases_sum  # of the first bases of all reads in their order
    cdef readonly bint varied  # two reads differ in their first bases
    cdef uint8_t _lowest, _highest
    cdef uint64_t _last_sum
    cdef int64_t _bases, _blank
    cdef Buffer _head, _names, _comments  # _head: the name line of the record, without @
    cdef Seen _seen

    def __cinit__(self):
        if not make_seen(&self._seen):
            raise MemoryError
        self._lowest = 255

    def __dealloc__(self):
        free_seen(&self._seen)
        free(self._head.data)
        free(self._names.data)
        free(self._comments.data)

    def feed(self, const uint8_t[::1] text not None):
        """Return the names (a line each) and new comments (a tab and a line each); nothing after a fault.

        Raises MemoryError.
        """
        cdef int64_t size = len(text)
        cdef bint done = True
        if size and not self.fault_line:
            with nogil:
                done = self._read(&text[0], size)
        if not done:
            raise MemoryError
        return taken(&self._names), taken(&self._comments)

    @property
    def qualities(self):
        """Return the lowest and the highest byte of the qualities; None without any."""
        return (self._lowest, self._highest) if self._lowest <= self._highest else None

    def finish(self):
        """Note a fault at the last line where a record is incomplete; return the number of records."""
        if not self.fault_line and self.lines % 4:
            self.fault_line = self.lines
            self.fault = RECORD_FAULT
        return self.lines // 4

    cdef bint _read(self, const uint8_t *text, int64_t size) noexcept nogil:
        cdef int64_t begin = 0, end, stop, kind
        # a name line gives at most its own length, and a comment line two bytes more
        if not (reserve(&self._names, size + 1) and reserve(&self._comments, size + 2)):
            return False
        while begin < size:
            end = line_end(text, begin, size)
            stop = text_end(text, begin, end)
            kind = self.lines % 4
            self.fault = RECORD_FAULT
            if kind == NAME:
                if begin == stop:
                    # only blank lines may follow
                    self._blank += 1
                    begin = end + 1
                    continue
                self._head.used = 0
                if not reserve(&self._head, stop - begin):
                    return False
                if self._blank or stop - begin < 2 or text[begin] != AT or has_control(text, begin, stop):
                    break
                add(&self._head, text + begin + 1, stop - begin - 1)
                self._read_name(text, begin + 1, stop)
            elif kind == BASES:
                if begin == stop:
                    self.fault = EMPTY_FAULT
                    break
                if not all_bases(text, begin, stop):
                    self.fault = BASE_FAULT
                    break
                self._bases = stop - begin
                self._add_sum(text, begin, stop)
            elif kind == SEPARATOR:
                if begin == stop or text[begin] != PLUS:
                    break
                if not self._repeats_name(text, begin + 1, stop):
                    self._add_comment(text, begin + 1, stop)
            else:
                self._read_qualities(text, begin, stop)
                if stop - begin != self._bases:
                    self.fault = LENGTH_FAULT
                    break
                if stop > begin and (self._lowest < 33 or self._highest > 126):
                    self.fault = QUALITY_FAULT
                    break
            self.lines += 1
            begin = end + 1
        else:
            self.fault = 0
            return True
        self.fault_line = self.lines + 1
        return True

    cdef void _read_qualities(self, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
        cdef uint8_t lowest = self._lowest, highest = self._highest
        cdef int64_t at
        for at in range(begin, end):
            lowest = text[at] if text[at] < lowest else lowest
            highest = text[at] if text[at] > highest else highest
        self._lowest, self._highest = lowest, highest

    cdef void _add_sum(self, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
        cdef uint64_t value = sum_of(text, begin, end)
        self.varied = self.varied or (self.lines > BASES and value != self._last_sum)
        self._last_sum = value
        self.bases_sum = (self.bases_sum ^ value) * <uint64_t>1099511628211ULL

    cdef void _read_name(self, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
        cdef int64_t blank = first_blank(text, begin, end), mate = mate_of(text, begin, blank)
        if blank < end:
            self._add_comment(text, blank + 1, end)
            # as Illumina's software writes it: 1:N:0:ACGT
            if mate == 0 and end - blank > 2 and text[blank + 2] == COLON and 49 <= text[blank + 1] <= 50:
                mate = text[blank + 1] - 48
        self.first_mates += mate == 1
        self.second_mates += mate == 2
        add(&self._names, text + begin, without_mate(text, begin, blank) - begin)
        add_byte(&self._names, NEWLINE)

    cdef bint _repeats_name(self, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
        return end - begin == self._head.used and memcmp(text + begin, self._head.data, end - begin) == 0

    cdef void _add_comment(self, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
        if begin < end and is_new(&self._seen, text + begin, end - begin):
            add_byte(&self._comments, TAB)
            add(&self._comments, text + begin, end - begin)
            add_byte(&self._comments, NEWLINE)


@cython.final
cdef class FastqCopy:
    """Copies records without comments, bases in upper case and N for ``.``; Windows line ends and blank lines go.

    Names are numbered ``<lane>.<number>``, or kept when ``lane`` is empty, without ``trimmed`` bytes at their end.
    """

    cdef bytes _lane
    cdef int64_t _lines, _trimmed
    cdef Buffer _out

    def __cinit__(self, bytes lane not None, *, int64_t trimmed=0):
        self._lane = lane
        self._trimmed = trimmed

    def __dealloc__(self):
        free(self._out.data)

    @property
    def reads(self):
        """Return the number of whole records that were copied."""
        return self._lines // 4

    def feed(self, const uint8_t[::1] text not None):
        """Return the copy of ``text``. Raises MemoryError."""
        cdef const uint8_t *lane = self._lane
        cdef int64_t size = len(text), lane_length = len(self._lane)
        cdef bint done = True
        if size:
            with nogil:
                done = self._copy(&text[0], size, lane, lane_length)
        if not done:
            raise MemoryError
        return taken(&self._out)

    cdef bint _copy(self, const uint8_t *text, int64_t size, const uint8_t *lane, int64_t lane_length) noexcept nogil:
        cdef int64_t begin = 0, end, stop, kind
        cdef Buffer *out = &self._out
        while begin < size:
            end = line_end(text, begin, size)
            stop = text_end(text, begin, end)
            if not reserve(out, stop - begin + lane_length + NUMBER_ROOM + 3):
                return False
            kind = self._lines % 4
            if kind == NAME and begin == stop:
                begin = end + 1
                continue
            if kind == SEPARATOR:
                add_byte(out, PLUS)
            elif kind == NAME and lane_length:
                add_byte(out, AT)
                add(out, lane, lane_length)
                add_byte(out, DOT)
                add_number(out, self._lines // 4 + 1)
            elif kind == NAME:
                stop = without_mate(text, begin, first_blank(text, begin, stop))
                add(out, text + begin, max(stop - self._trimmed - begin, <int64_t>1))
            elif kind == BASES:
                add_bases(out, text, begin, stop)
            else:
                add(out, text + begin, stop - begin)
            add_byte(out, NEWLINE)
            self._lines += 1
            begin = end + 1
        return True
