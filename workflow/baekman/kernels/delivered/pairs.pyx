"""Interleaved FASTQ text, whole lines at a time: dealt to the lanes of its read groups.

A line may end without a newline only where a text ends. ``baekman.intake`` feeds this class.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

import numpy as np

from baekman.kernels.delivered.bases cimport add_bases
from baekman.kernels.delivered.buffer cimport NUMBER_ROOM, Buffer, add, add_byte, add_number, reserve, taken
from baekman.kernels.delivered.lanes cimport Lanes, lane_of
from baekman.kernels.delivered.lines cimport TAB, find, line_end
from baekman.kernels.text cimport NEWLINE, PLUS

cdef enum:
    # the lines of a record
    NAME = 0
    BASES = 1
    SEPARATOR = 2

cdef const uint8_t *GROUP = b"RG:Z:"
cdef enum:
    GROUP_LENGTH = 5


cdef inline int64_t group_tab(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return the tab before the read group of a name line; ``end`` without a read group."""
    cdef int64_t tab = find(text, begin, end, TAB)
    while tab < end and not (end - tab > GROUP_LENGTH and memcmp(text + tab + 1, GROUP, GROUP_LENGTH) == 0):
        tab = find(text, tab + 1, end, TAB)
    return tab


@cython.final
cdef class PairLanes:
    """Deals interleaved pairs to the lanes of their read groups, a text for each mate.

    ``groups``: the read groups by lane; pairs of another or no group go to the first lane. A read's name line ends
    with a tab and ``RG:Z:<read group>``, which goes. Names are numbered ``L<lane>.<number>`` or kept; lanes
    are named from ``first_lane`` on. ``mixed``: the pairs of mates of two read groups.
    """

    cdef bytes _names
    cdef const int64_t[::1] _ends
    cdef int64_t _first_lane, _lines, _lane
    cdef bint _rename
    cdef readonly int64_t lanes, mixed
    cdef Lanes _groups
    cdef Buffer _name, _group  # the name line and the read group of the first mate
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
        free(self._group.data)

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
            if self._lines % 8 == 4:
                self.mixed += not self._is_of_group(text, begin, end)
            out = &self._out[2 * self._lane + self._lines % 8 // 4]
            if not reserve(out, max(end - begin, self._name.used) + 1):
                return False
            if kind == NAME:
                add(out, self._name.data, self._name.used)
            elif kind == SEPARATOR:
                add_byte(out, PLUS)
            elif kind == BASES:
                add_bases(out, text, begin, end)
            else:
                add(out, text + begin, end - begin)
            add_byte(out, NEWLINE)
            self._lines += 1
            begin = end + 1
        return True

    cdef bint _is_of_group(self, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
        """Return whether a name line has the read group of the first mate."""
        begin = min(group_tab(text, begin, end) + 1 + GROUP_LENGTH, end)
        end = find(text, begin, end, TAB)
        return end - begin == self._group.used and memcmp(text + begin, self._group.data, end - begin) == 0

    cdef bint _begin_pair(self, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
        """Find the lane of a pair and the name line of its reads."""
        cdef int64_t tab = group_tab(text, begin, end), group
        self._lane = 0
        self._group.used = 0
        if tab < end:
            group = tab + 1 + GROUP_LENGTH
            if not reserve(&self._group, end - group):
                return False
            add(&self._group, text + group, find(text, group, end, TAB) - group)
            self._lane = max(lane_of(&self._groups, self._group.data, self._group.used), <int64_t>0)
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
