"""SAM records, whole lines at a time: their names and tags taken out, or copied with other names and read groups.

A line may end without a newline only where a text ends. ``baekman.intake`` feeds these classes.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free
from libc.string cimport memcmp

import numpy as np

from baekman.kernels.delivered.buffer cimport NUMBER_ROOM, Buffer, add, add_byte, add_number, reserve, taken
from baekman.kernels.delivered.lanes cimport Lanes, lane_of
from baekman.kernels.delivered.lines cimport TAB, find, line_end
from baekman.kernels.delivered.seen cimport Seen, free_seen, is_new, make_seen
from baekman.kernels.text cimport COLON, NEWLINE

cdef enum:
    COLUMNS = 11  # before the tags
    GROUP_LENGTH = 5
    QUALITY_TAGS = 9
    ZERO = 48
    STAR = 42
    SECONDARY = 0x100
    SUPPLEMENTARY = 0x800

cdef const uint8_t *GROUP = b"RG:Z:"
# Tags of qualities: they are noise, and no copy keeps them.
cdef const uint8_t *QUALITIES = b"OQBQQTQ2CQBZQXCYU2"


cdef inline int64_t columns_end(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return the end of the columns before the tags of the line ``text[begin:end]``."""
    begin -= 1
    for _ in range(COLUMNS):
        begin = find(text, begin + 1, end, TAB)
    return min(begin, end)


cdef inline bint is_primary(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return whether FLAG, in ``text[begin:end]``, is that of a read: neither secondary nor supplementary."""
    cdef int64_t flag = 0, index
    for index in range(begin, end):
        flag = 10 * flag + text[index] - ZERO
    return (flag & (SECONDARY | SUPPLEMENTARY)) == 0


cdef inline bint is_text(const uint8_t *tag, int64_t length) noexcept nogil:
    """Return whether a tag holds text (types Z, H, A) other than qualities."""
    cdef int64_t index
    if length < 5 or tag[2] != COLON or tag[4] != COLON or not (tag[3] == 90 or tag[3] == 72 or tag[3] == 65):
        return False
    for index in range(QUALITY_TAGS):
        if tag[0] == QUALITIES[2 * index] and tag[1] == QUALITIES[2 * index + 1]:
            return False
    return True


@cython.final
cdef class SamNames:
    """Takes out the names of records and the tags that hold text, without those of qualities.

    Tags that came before are left out as far as they are remembered.
    """

    cdef readonly int64_t records
    cdef readonly int64_t reads  # records that are neither secondary nor supplementary
    cdef readonly int64_t bare  # reads with ``*`` as SEQ or QUAL
    cdef uint8_t _lowest, _highest
    cdef Buffer _names, _tags
    cdef Seen _seen

    def __cinit__(self):
        if not make_seen(&self._seen):
            raise MemoryError
        self._lowest = 255

    @property
    def qualities(self):
        """Return the lowest and the highest byte of QUAL; None without any."""
        return (self._lowest, self._highest) if self._lowest <= self._highest else None

    def __dealloc__(self):
        free_seen(&self._seen)
        free(self._names.data)
        free(self._tags.data)

    def feed(self, const uint8_t[::1] text not None):
        """Return the names (a line each) and new tags (a tab and a line each) of records. Raises MemoryError."""
        cdef int64_t size = len(text)
        # a name and a tag have in the text what ends them here, but the last
        if not (reserve(&self._names, size + 1) and reserve(&self._tags, size + 1)):
            raise MemoryError
        if size:
            with nogil:
                self._read(&text[0], size)
        return taken(&self._names), taken(&self._tags)

    cdef void _read(self, const uint8_t *text, int64_t size) noexcept nogil:
        cdef int64_t begin = 0, end, tab, stop
        cdef bint is_read, is_bare
        while begin < size:
            end = line_end(text, begin, size)
            stop = find(text, begin, end, TAB)
            add(&self._names, text + begin, stop - begin)
            add_byte(&self._names, NEWLINE)
            is_read = is_primary(text, stop + 1, find(text, stop + 1, end, TAB))
            tab = columns_end(text, begin, end)
            is_bare = self._read_qualities(text, begin, tab)
            self.reads += is_read
            self.bare += is_read and is_bare
            while tab < end:
                stop = find(text, tab + 1, end, TAB)
                if is_text(text + tab + 1, stop - tab - 1) and is_new(&self._seen, text + tab + 1, stop - tab - 1):
                    add(&self._tags, text + tab, stop - tab)
                    add_byte(&self._tags, NEWLINE)
                tab = stop
            self.records += 1
            begin = end + 1

    cdef bint _read_qualities(self, const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
        """Read QUAL, the last column of ``text[begin:end]``, and return whether it or SEQ is ``*``.

        One byte does not count. Of one base it is the quality, also where it is ``*``.
        """
        cdef uint8_t lowest = self._lowest, highest = self._highest
        cdef int64_t first = end, at
        cdef bint is_base
        while first > begin and text[first - 1] != TAB:
            first -= 1
        if end - first < 2:
            is_base = first - begin > 2 and text[first - 3] == TAB and text[first - 2] != STAR
            return first < end and text[first] == STAR and not is_base
        for at in range(first, end):
            lowest = text[at] if text[at] < lowest else lowest
            highest = text[at] if text[at] > highest else highest
        self._lowest, self._highest = lowest, highest
        return False


@cython.final
cdef class SamCopy:
    """Copies records with the read group of their lane, ``L1``, ``L2``, …, as the last tag.

    ``groups``: the read groups by lane; records of another or no group go to the first lane. With ``rename`` the
    names are numbered ``L1.<number>``; neighbours of one name keep one name.
    """

    cdef bytes _names
    cdef const int64_t[::1] _ends
    cdef Lanes _groups
    cdef bint _rename
    cdef readonly int64_t reads  # copied records that are neither secondary nor supplementary
    cdef int64_t _number
    cdef Buffer _name, _out  # _name: of the last record

    def __cinit__(self, groups, *, bint rename):
        self._names = b"".join(groups)
        self._ends = np.cumsum([len(group) for group in groups], dtype=np.int64)
        self._groups.names = self._names
        self._groups.ends = &self._ends[0] if len(groups) else NULL
        self._groups.count = len(groups)
        self._rename = rename

    def __dealloc__(self):
        free(self._name.data)
        free(self._out.data)

    def feed(self, const uint8_t[::1] text not None):
        """Return the copy of ``text``. Raises MemoryError."""
        cdef int64_t size = len(text)
        cdef bint done = True
        if size:
            with nogil:
                done = self._copy(&text[0], size)
        if not done:
            raise MemoryError
        return taken(&self._out)

    cdef bint _copy(self, const uint8_t *text, int64_t size) noexcept nogil:
        cdef int64_t begin = 0, end, tab, stop, lane, found
        cdef Buffer *out = &self._out
        while begin < size:
            end = line_end(text, begin, size)
            if not (reserve(out, end - begin + 2 * NUMBER_ROOM + 16) and reserve(&self._name, end - begin)):
                return False
            stop = find(text, begin, end, TAB)
            if self._number == 0 or not (
                stop - begin == self._name.used and memcmp(text + begin, self._name.data, stop - begin) == 0
            ):
                self._name.used = 0
                add(&self._name, text + begin, stop - begin)
                self._number += 1
            if self._rename:
                add(out, b"L1.", 3)
                add_number(out, self._number)
            else:
                add(out, text + begin, stop - begin)
            self.reads += is_primary(text, stop + 1, find(text, stop + 1, end, TAB))
            tab = columns_end(text, begin, end)
            add(out, text + stop, tab - stop)
            lane = 0
            while tab < end:
                stop = find(text, tab + 1, end, TAB)
                if stop - tab > GROUP_LENGTH and memcmp(text + tab + 1, GROUP, GROUP_LENGTH) == 0:
                    found = lane_of(&self._groups, text + tab + 1 + GROUP_LENGTH, stop - tab - 1 - GROUP_LENGTH)
                    lane = found if found >= 0 else lane
                else:
                    add(out, text + tab, stop - tab)
                tab = stop
            add(out, b"\tRG:Z:L", 7)
            add_number(out, lane + 1)
            add_byte(out, NEWLINE)
            begin = end + 1
        return True
