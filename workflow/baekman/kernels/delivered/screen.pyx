"""Quick looks at text, one pass each, for identifiers of persons: most text has none and needs no closer look.

``baekman.privacy.stream_search`` uses them.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np

# Classes of bytes in the shapes of numbers.
cdef enum:
    OTHER = 0
    DIGIT = 1  # and the characters that mask one
    SEPARATOR = 2
    TELLING = 3  # @, and bytes beyond ASCII
    SIGN = 4  # +

cdef uint8_t CLASSES[256]


cdef void _fill_classes() noexcept:
    cdef int byte
    for byte in range(256):
        CLASSES[byte] = TELLING if byte >= 128 else OTHER
    for byte in b"0123456789*xX":
        CLASSES[byte] = DIGIT
    for byte in b"-._ )":
        CLASSES[byte] = SEPARATOR
    CLASSES[64] = TELLING
    CLASSES[43] = SIGN


_fill_classes()


def may_have_shape(const uint8_t[::1] text not None):
    """Return whether ``text`` has a byte or a sequence of digits and separators that a shape of an identifier needs.

    These are ``@``, ``+82``, a byte beyond ASCII, ten digits, six digits before seven with one to three separators
    between them, and two digits, three or four, and four with one separator between them.
    """
    cdef int64_t size = len(text)
    cdef bint found = False
    if size:
        with nogil:
            found = _has_shape(&text[0], size)
    return found


cdef bint _has_shape(const uint8_t *text, int64_t size) noexcept nogil:
    cdef int64_t at, digits = 0, separators = 0, before = 0, separators_before = 0, first = 0
    cdef uint8_t kind, last = OTHER
    for at in range(size):
        kind = CLASSES[text[at]]
        if kind == DIGIT:
            if last != DIGIT:
                if last == OTHER:
                    first = before = separators = separators_before = 0
                digits = 0
            digits += 1
            if digits >= 4 and (
                digits >= 10
                or (digits >= 7 and before >= 6 and 1 <= separators <= 3)
                or (separators == 1 and (before == 3 or before == 4) and separators_before == 1 and first >= 2)
            ):
                return True
        elif kind == SEPARATOR:
            if last == DIGIT:
                first = before
                before = digits
                separators_before = separators
                separators = 0
            elif last == OTHER:
                first = before = separators = separators_before = 0
            separators += 1
        elif kind == TELLING or (kind == SIGN and at + 2 < size and text[at + 1] == 56 and text[at + 2] == 50):
            return True
        else:
            kind = OTHER
        last = kind
    return False


@cython.final
cdef class WordScreen:
    """Looks for any of ``words`` in text (Aho and Corasick 1975, Commun ACM 18:333).

    ``folding``: 256 bytes that say which bytes are taken for the same; the words are folded already.
    """

    cdef const int32_t[:, ::1] _next  # by state and byte: the next state, -1 at the end of a word

    def __cinit__(self, words, bytes folding not None):
        children = [{}]
        ends = [False]
        for word in words:
            state = 0
            for byte in word:
                if byte not in children[state]:
                    children[state][byte] = len(children)
                    children.append({})
                    ends.append(False)
                state = children[state][byte]
            ends[state] = True
        table = np.zeros((len(children), 256), np.int32)
        queue = [(0, 0)]  # a state, and the state of its longest suffix that is a prefix of a word
        for state, suffix in queue:
            if state:
                table[state] = table[suffix]
            for byte, child in children[state].items():
                child_suffix = int(table[suffix, byte]) if state else 0
                table[state, byte] = -1 if ends[child] or child_suffix < 0 else child
                queue.append((child, max(child_suffix, 0)))
        self._next = np.ascontiguousarray(table[:, np.frombuffer(folding, np.uint8)])

    def is_in(self, const uint8_t[::1] text not None):
        """Return whether ``text`` has one of the words."""
        cdef int64_t size = len(text)
        cdef bint found = False
        if size:
            with nogil:
                found = self._walk(&text[0], size)
        return found

    cdef bint _walk(self, const uint8_t *text, int64_t size) noexcept nogil:
        cdef const int32_t *table = &self._next[0, 0]
        cdef int32_t state = 0
        cdef int64_t at
        for at in range(size):
            state = table[(<int64_t>state << 8) + text[at]]
            if state < 0:
                return True
        return False
