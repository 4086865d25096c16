"""The alleles of a record, checked against the reference."""

from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.layout cimport (
    COUNT_BREAKEND, COUNT_OTHER_LETTER, COUNT_SYMBOLIC_ALLELE, COUNT_SYMBOLIC_DELETION,
)
from baekman.kernels.line cimport ALT, QUAL, REF, Line
from baekman.kernels.reader cimport BAD_ALT, BAD_REF, BAD_REF_BASE, DONE, PAST_END, TOO_MANY_ALLELES
from baekman.kernels.text cimport (
    ASTERISK, CLOSING, COLON, COMMA, DOT, GREATER, LESS, OPENING, is_allele_letter, is_base, upper,
)


cdef int read_alleles(const Line *line, Record *record, const uint8_t *contig, int64_t length) noexcept nogil:
    """Read REF and ALT; ``contig`` is the sequence of the record's contig, with ``length`` bases."""
    cdef const uint8_t *buf = record.buf
    cdef int64_t start, stop, index, alt_end = line.columns[QUAL] - 1
    cdef int kind
    cdef uint8_t base, expected
    cdef bint ambiguous = False
    record.ref_start = line.columns[REF]
    record.ref_length = line.columns[ALT] - 1 - record.ref_start
    record.alleles = 1
    record.real = 0
    record.letters = 0
    record.block = True
    record.starred = True
    record.deletion = False
    start = line.columns[ALT]
    if alt_end - start == 1 and buf[start] == DOT:
        start = alt_end + 1
    while start <= alt_end:
        stop = start
        while stop < alt_end and buf[stop] != COMMA:
            stop += 1
        if stop == start:
            return BAD_ALT
        if record.alleles == MAX_ALLELES:
            return TOO_MANY_ALLELES
        kind = kind_of(buf, start, stop)
        if kind < 0:
            return BAD_ALT
        record.allele_start[record.alleles] = start
        record.allele_end[record.alleles] = stop
        record.allele_kind[record.alleles] = <uint8_t>kind
        if kind == REAL:
            record.real += 1
            record.letters += stop - start
            for index in range(start, stop):
                ambiguous = ambiguous or not is_base(upper(buf[index]))
        elif kind == OTHER:
            record.counts[COUNT_SYMBOLIC_ALLELE] += 1
        elif kind == BREAKEND:
            record.counts[COUNT_BREAKEND] += 1
        elif kind == DELETION:
            record.counts[COUNT_SYMBOLIC_DELETION] += 1
        if kind != NON_REF:
            record.block = False
            record.starred = record.starred and kind == STAR
            record.deletion = record.deletion or kind == DELETION
        record.alleles += 1
        start = stop + 1
    if record.ref_length < 1:
        return BAD_REF
    for index in range(record.ref_length):
        base = upper(buf[record.ref_start + index])
        if not is_allele_letter(base):
            return BAD_REF
        if record.pos + index > length:
            if record.block:
                break
            return PAST_END
        expected = contig[record.pos - 1 + index]
        if base != expected:
            if not is_base(base):
                ambiguous = ambiguous or not record.block
            elif is_base(expected):
                return BAD_REF_BASE
    record.counts[COUNT_OTHER_LETTER] += ambiguous
    return DONE


cdef int kind_of(const uint8_t *buf, int64_t start, int64_t stop) noexcept nogil:
    """Return the kind of an ALT, -1 when it is not an ALT."""
    cdef int64_t index
    cdef bint breakend = False
    if buf[start] == LESS:
        if stop - start == 3 and buf[start + 1] == ASTERISK:
            return NON_REF
        if stop - start == 9 and buf[start + 1] == 78 and buf[start + 5] == 82:  # <NON_REF>
            return NON_REF
        if stop - start == 3 and buf[start + 1] == 88:  # <X> of bcftools before 1.3
            return NON_REF
        if stop - start >= 5 and buf[start + 1] == 68 and buf[start + 2] == 69 and buf[start + 3] == 76 and (
            buf[start + 4] == GREATER or buf[start + 4] == COLON
        ):  # <DEL> or <DEL:…>
            return DELETION
        return OTHER
    if stop - start == 1 and buf[start] == ASTERISK:
        return STAR
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
    return BREAKEND if breakend else -1
