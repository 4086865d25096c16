"""VCF text, whole lines at a time: the order of its records, and copies with other names of filters.

A line may end without a newline only where a text ends. ``baekman.intake`` feeds these classes.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free
from libc.string cimport memcmp

from baekman.kernels.delivered.buffer cimport Buffer, add, add_byte, reserve, taken
from baekman.kernels.delivered.lines cimport TAB, find, first_blank, line_end
from baekman.kernels.text cimport DOT, MINUS, NEWLINE

cdef enum:
    HASH = 35
    FILTER = 6  # columns before it
    FILTERS_LIMIT = 10_000  # values of FILTER that are remembered


@cython.final
cdef class RecordOrder:
    """Reads lines of a contig's name, a blank and a position: are the records of a contig together and sorted?

    Nothing is read after a position that is lower than the one before it.
    """

    cdef readonly list contigs  # their names as bytes, again where a contig comes again
    cdef readonly int64_t records
    cdef readonly bint sorted
    cdef set _names
    cdef bint _begun, _stopped
    cdef int64_t _position
    cdef Buffer _contig

    def __cinit__(self):
        self.contigs = []
        self._names = set()
        self.sorted = True

    def __dealloc__(self):
        free(self._contig.data)

    def feed(self, const uint8_t[::1] text not None):
        """Read the lines of ``text``. Raises MemoryError."""
        cdef int64_t size = len(text), at = 0, end
        while at < size and not self._stopped:
            with nogil:
                at = self._read(&text[0], at, size)
            if at < size and not self._stopped:
                end = first_blank(&text[0], at, line_end(&text[0], at, size))
                self._begin_contig(&text[at], end - at)

    cdef int64_t _read(self, const uint8_t *text, int64_t begin, int64_t size) noexcept nogil:
        """Read the records of one contig; return where that of another begins, or where it stopped."""
        cdef int64_t end, blank, position
        while begin < size:
            end = line_end(text, begin, size)
            blank = first_blank(text, begin, end)
            if not self._begun or blank - begin != self._contig.used or memcmp(
                text + begin, self._contig.data, blank - begin
            ) != 0:
                return begin
            position = number(text, blank + 1, end)
            if position < self._position:
                self.sorted = False
                self._stopped = True
                return begin
            self._position = position
            self.records += 1
            begin = end + 1
        return size

    cdef int _begin_contig(self, const uint8_t *text, int64_t length) except -1:
        name = PyBytes_FromStringAndSize(<const char *>text, length)
        if name in self._names:
            self.sorted = False
        self._names.add(name)
        self.contigs.append(name)
        self._contig.used = 0
        if not reserve(&self._contig, length):
            raise MemoryError
        add(&self._contig, text, length)
        self._position = 0
        self._begun = True
        return 0


cdef inline int64_t number(const uint8_t *text, int64_t begin, int64_t end) noexcept nogil:
    """Return the integer at ``text[begin:end]``, as far as it has digits."""
    cdef int64_t value = 0
    cdef bint negative = begin < end and text[begin] == MINUS
    begin += negative
    while begin < end and 48 <= text[begin] <= 57 and value < <int64_t>1 << 50:
        value = value * 10 + text[begin] - 48
        begin += 1
    return -value if negative else value


@cython.final
cdef class FilterCopy:
    """Copies records; in FILTER each name becomes that of ``names``, or nothing where it is not there.

    Header lines are left out. ``.`` and ``PASS`` stay.
    """

    cdef dict _names, _known
    cdef Buffer _out

    def __cinit__(self, dict names not None):
        self._names = names
        self._known = {}

    def __dealloc__(self):
        free(self._out.data)

    def feed(self, const uint8_t[::1] text not None):
        """Return the copy of ``text``. Raises MemoryError."""
        cdef int64_t size = len(text), at = 0, stop
        while at < size:
            with nogil:
                at = self._copy(&text[0], at, size)
            if at < 0:
                raise MemoryError
            if at < size:
                stop = find(&text[0], at, line_end(&text[0], at, size), TAB)
                kept = self._kept(PyBytes_FromStringAndSize(<const char *>&text[at], stop - at))
                if not reserve(&self._out, len(kept) + 1):
                    raise MemoryError
                add(&self._out, kept, len(kept))
                at = stop
                if at == size:
                    add_byte(&self._out, NEWLINE)
        return taken(&self._out)

    cdef int64_t _copy(self, const uint8_t *text, int64_t begin, int64_t size) noexcept nogil:
        """Copy records up to a FILTER that may need another name; return where it begins, -1 without memory.

        ``begin`` is a line's beginning, or where the rest of a line begins.
        """
        cdef int64_t end, tab, stop
        cdef bint rest = begin > 0 and text[begin - 1] != NEWLINE
        while begin < size:
            end = line_end(text, begin, size)
            if not reserve(&self._out, end - begin + 1):
                return -1
            if not rest and begin < end and text[begin] == HASH:
                begin = end + 1
                continue
            if not rest:
                tab = begin - 1
                for _ in range(FILTER):
                    tab = find(text, tab + 1, end, TAB)
                if tab < end:
                    stop = find(text, tab + 1, end, TAB)
                    if not is_plain(text + tab + 1, stop - tab - 1):
                        add(&self._out, text + begin, tab + 1 - begin)
                        return tab + 1
            add(&self._out, text + begin, end - begin)
            add_byte(&self._out, NEWLINE)
            rest = False
            begin = end + 1
        return size

    def _kept(self, bytes filters):
        kept = self._known.get(filters)
        if kept is None:
            kept = b";".join([self._names.get(name, b"") for name in filters.split(b";")])
            if len(self._known) < FILTERS_LIMIT:
                self._known[filters] = kept
        return kept


cdef inline bint is_plain(const uint8_t *filters, int64_t length) noexcept nogil:
    """Return whether FILTER is ``.`` or ``PASS``, or has nothing."""
    return length == 0 or (length == 1 and filters[0] == DOT) or (length == 4 and memcmp(filters, b"PASS", 4) == 0)
