"""FASTQ text, whole lines at a time: checked and its names taken out, copied with other names, dealt to lanes.

A line may end without a newline only where a text ends. ``baekman.intake`` feeds these classes.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

import numpy as np

from baekman.kernels.delivered.buffer cimport NUMBER_ROOM, Buffer, add, add_byte, add_number, reserve, taken
from baekman.kernels.delivered.lanes cimport Lanes, lane_of
from baekman.kernels.delivered.lines cimport TAB, find, first_blank, line_end, without_mate
from baekman.kernels.delivered.seen cimport Seen, free_seen, is_new, make_seen
from baekman.kernels.text cimport NEWLINE, PLUS

cdef enum:
    AT = 64  # @
    # the lines of a record
    NAME = 0
    BASES = 1
    SEPARATOR = 2
    QUALITIES = 3

cdef const uint8_t *GROUP = b"RG:Z:"
cdef enum:
    GROUP_LENGTH = 5


cdef inline bint has_control(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return whether there is an ASCII control character other than tab."""
    cdef uint8_t bad = 0
    cdef int64_t at
    for at in range(begin, end):
        bad |= (text[at] < 32) & (text[at] != TAB)
    return bad


cdef inline bint all_bases(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return whether all bytes are letters, ``.``, ``*`` or ``-``."""
    cdef uint8_t bad = 0, byte
    cdef int64_t at
    for at in range(begin, end):
        byte = text[at]
        bad |= (<uint8_t>((byte | 32) - 97) > 25) & (byte != 46) & (byte != 42) & (byte != 45)
    return not bad


cdef inline bint all_qualities(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return whether all bytes are visible ASCII characters."""
    cdef uint8_t bad = 0
    cdef int64_t at
    for at in range(begin, end):
        bad |= <uint8_t>(text[at] - 33) > 93
    return not bad


@cython.final
cdef class FastqNames:
    """Checks records and takes out their names, without mate number, and their comments.

    A comment is the text after a name's first blank, or after ``+`` where it does not repeat the name line.
    Comments that came before are left out as far as they are remembered, as most reads of a file share theirs.
    """

    cdef readonly int64_t lines  # that were read and are no fault
    cdef readonly int64_t fault_line  # 1-based; 0 as long as there is none
    cdef int64_t _bases
    cdef Buffer _head, _names, _comments  # _head: the name line of the record, without @
    cdef Seen _seen

    def __cinit__(self):
        if not make_seen(&self._seen):
            raise MemoryError

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

    def finish(self):
        """Note a fault at the last line where a record is incomplete; return the number of records."""
        if not self.fault_line and self.lines % 4:
            self.fault_line = self.lines
        return self.lines // 4

    cdef bint _read(self, const uint8_t *text, int64_t size) noexcept nogil:
        cdef int64_t begin = 0, end, kind
        # a name line gives at most its own length, and a comment line two bytes more
        if not (reserve(&self._names, size + 1) and reserve(&self._comments, size + 2)):
            return False
        while begin < size:
            end = line_end(text, begin, size)
            kind = self.lines % 4
            if kind == NAME:
                self._head.used = 0
                if not reserve(&self._head, end - begin):
                    return False
                if end - begin < 2 or text[begin] != AT or has_control(text, begin, end):
                    break
                add(&self._head, text + begin + 1, end - begin - 1)
                self._read_name(text, begin + 1, end)
            elif kind == BASES:
                if not all_bases(text, begin, end):
                    break
                self._bases = end - begin
            elif kind == SEPARATOR:
                if begin == end or text[begin] != PLUS:
                    break
                if not self._repeats_name(text, begin + 1, end):
                    self._add_comment(text, begin + 1, end)
            elif end - begin != self._bases or not all_qualities(text, begin, end):
                break
            self.lines += 1
            begin = end + 1
        else:
            return True
        self.fault_line = self.lines + 1
        return True

    cdef void _read_name(self, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
        cdef int64_t blank = first_blank(text, begin, end)
        if blank < end:
            self._add_comment(text, blank + 1, end)
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
    """Copies records without comments; names are numbered ``<lane>.<number>``, or kept when ``lane`` is empty."""

    cdef bytes _lane
    cdef int64_t _lines
    cdef Buffer _out

    def __cinit__(self, bytes lane not None):
        self._lane = lane

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
        cdef int64_t begin = 0, end, kind
        cdef Buffer *out = &self._out
        while begin < size:
            end = line_end(text, begin, size)
            if not reserve(out, end - begin + lane_length + NUMBER_ROOM + 3):
                return False
            kind = self._lines % 4
            if kind == SEPARATOR:
                add_byte(out, PLUS)
            elif kind == NAME and lane_length:
                add_byte(out, AT)
                add(out, lane, lane_length)
                add_byte(out, 46)
                add_number(out, self._lines // 4 + 1)
            elif kind == NAME:
                add(out, text + begin, without_mate(text, begin, first_blank(text, begin, end)) - begin)
            else:
                add(out, text + begin, end - begin)
            add_byte(out, NEWLINE)
            self._lines += 1
            begin = end + 1
        return True


@cython.final
cdef class PairLanes:
    """Deals interleaved pairs to the lanes of their read groups, a text for each mate.

    ``groups``: the read groups by lane; pairs of another or no group go to the first lane. A read's name line ends
    with a tab and ``RG:Z:<read group>``, which goes. Names are numbered ``L<lane>.<number>`` or kept; lanes
    are named from ``first_lane`` on.
    """

    cdef bytes _names
    cdef const int64_t[::1] _ends
    cdef int64_t _first_lane, _lines, _lane
    cdef bint _rename
    cdef readonly int64_t lanes
    cdef Lanes _groups
    cdef Buffer _name
    cdef Buffer *_out  # first and second mates of each lane
    cdef int64_t *_counts

    def __cinit__(self, groups, *, int64_t first_lane, bint rename):
        self._names = b"".join(groups)
        self._ends = np.cumsum([len(group) for group in groups], dtype=np.int64)
        self._groups.names = self._names
        self._groups.ends = &self._ends[0] if len(groups) else NULL
        self._groups.count = len(groups)
        self._first_lane = first_lane
        self._rename = rename
        self.lanes = max(<int64_t>len(groups), <int64_t>1)
        self._out = <Buffer *>calloc(2 * self.lanes, sizeof(Buffer))
        self._counts = <int64_t *>calloc(self.lanes, sizeof(int64_t))
        if self._out == NULL or self._counts == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef int64_t index
        if self._out != NULL:
            for index in range(2 * self.lanes):
                free(self._out[index].data)
        free(self._out)
        free(self._counts)
        free(self._name.data)

    @property
    def counts(self):
        """Return the number of pairs of each lane."""
        return [self._counts[lane] for lane in range(self.lanes)]

    @property
    def complete(self):
        """Return whether the last pair is complete."""
        return self._lines % 8 == 0

    def feed(self, const uint8_t[::1] text not None):
        """Deal ``text`` to the lanes. Raises MemoryError."""
        cdef int64_t size = len(text)
        cdef bint done = True
        if size:
            with nogil:
                done = self._deal(&text[0], size)
        if not done:
            raise MemoryError

    def take(self, int64_t lane, int64_t mate):
        """Return the text for ``mate`` (0 or 1) of ``lane`` (from 0 on) since it was last taken."""
        if not (0 <= lane < self.lanes and 0 <= mate <= 1):
            raise IndexError
        return taken(&self._out[2 * lane + mate])

    cdef bint _deal(self, const uint8_t *text, int64_t size) noexcept nogil:
        cdef int64_t begin = 0, end, kind
        cdef Buffer *out
        while begin < size:
            end = line_end(text, begin, size)
            kind = self._lines % 4
            if self._lines % 8 == 0 and not self._begin_pair(text, begin, end):
                return False
            out = &self._out[2 * self._lane + self._lines % 8 // 4]
            if not reserve(out, max(end - begin, self._name.used) + 1):
                return False
            if kind == NAME:
                add(out, self._name.data, self._name.used)
            elif kind == SEPARATOR:
                add_byte(out, PLUS)
            else:
                add(out, text + begin, end - begin)
            add_byte(out, NEWLINE)
            self._lines += 1
            begin = end + 1
        return True

    cdef bint _begin_pair(self, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
        """Find the lane of a pair and the name line of its reads."""
        cdef int64_t tab = find(text, begin, end, TAB), lane
        while tab < end and not (
            end - tab > GROUP_LENGTH and memcmp(text + tab + 1, GROUP, GROUP_LENGTH) == 0
        ):
            tab = find(text, tab + 1, end, TAB)
        self._lane = 0
        if tab < end:
            lane = tab + 1 + GROUP_LENGTH
            lane = lane_of(&self._groups, text + lane, find(text, lane, end, TAB) - lane)
            self._lane = max(lane, <int64_t>0)
        self._counts[self._lane] += 1
        self._name.used = 0
        if not reserve(&self._name, max(tab - begin, 2 * <int64_t>NUMBER_ROOM + 3)):
            return False
        if self._rename:
            add(&self._name, b"@L", 2)
            add_number(&self._name, self._first_lane + self._lane)
            add_byte(&self._name, 46)
            add_number(&self._name, self._counts[self._lane])
        else:
            add(&self._name, text + begin, tab - begin)
        return True
