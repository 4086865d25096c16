"""The records of an uncompressed BAM file that comes in pieces."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memmove

import zlib

from baekman.kernels.delivered.buffer cimport Buffer, add, reserve

cdef enum:
    HEADER = 18  # bytes of a BGZF block before its data
    FOOTER = 8
    STORED = 5  # bytes before data that deflate only stores


@cython.final
cdef class BamRecords:
    """The records of a BAM file; ``take`` takes its next bytes, ``next`` gives its next whole record."""

    def __dealloc__(self):
        free(self._blocks.data)
        free(self._records.data)

    cdef int take(self, bytes data) except -1:
        """Take the next bytes. Raises ValueError when they are no BAM."""
        cdef int64_t size
        cdef const uint8_t *text = data
        drop(&self._records, self._used)
        self._used = 0
        if not reserve(&self._blocks, len(data)):
            raise MemoryError
        add(&self._blocks, text, len(data))
        self._take_blocks()
        if not self._has_header:
            size = header_size(&self._records)
            if size >= 0:
                self._used = size
                self._has_header = True
        return 0

    cdef const uint8_t *next(self, int64_t *size) noexcept nogil:
        """Return a record without the number of its bytes, which ``size`` gets; NULL when none is whole."""
        cdef const uint8_t *record = self._records.data + self._used
        cdef int64_t left = self._records.used - self._used
        if not self._has_header or left < 4:
            return NULL
        size[0] = (<int32_t *>record)[0]
        if size[0] < 0 or left - 4 < size[0]:
            return NULL
        self._used += 4 + size[0]
        return record + 4

    cdef bint is_whole(self) noexcept nogil:
        """Return whether the file ended with its last record."""
        return self._has_header and self._blocks.used == 0 and self._used == self._records.used

    cdef int _take_blocks(self) except -1:
        """Move the data of whole BGZF blocks to the records."""
        cdef const uint8_t *block
        cdef int64_t at = 0, size, length
        while self._blocks.used - at >= HEADER:
            block = self._blocks.data + at
            if block[0] != 31 or block[1] != 139 or block[12] != 66 or block[13] != 67:
                raise ValueError("the alignments have no BGZF blocks")
            size = (block[16] | (block[17] << 8)) + 1
            if self._blocks.used - at < size:
                break
            length = size - HEADER - FOOTER
            if length >= STORED and block[HEADER] == 1:  # one block of deflate that is only stored
                if not reserve(&self._records, length):
                    raise MemoryError
                add(&self._records, block + HEADER + STORED, length - STORED)
            else:
                plain = zlib.decompress((<const char *>block)[HEADER : HEADER + length], -15)
                if not reserve(&self._records, len(plain)):
                    raise MemoryError
                add(&self._records, <const uint8_t *>(<bytes>plain), len(plain))
            at += size
        drop(&self._blocks, at)
        return 0


cdef void drop(Buffer *buffer, int64_t length) noexcept nogil:
    """Remove the first ``length`` bytes."""
    memmove(buffer.data, buffer.data + length, buffer.used - length)
    buffer.used -= length


cdef int64_t header_size(Buffer *records) except -2:
    """Return the size of the header of a BAM file; -1 while it is not whole."""
    cdef int64_t at = 8, contigs
    if records.used < 8:
        return -1
    if memcmp(records.data, b"BAM\1", 4):
        raise ValueError("the alignments are no BAM")
    at += (<int32_t *>(records.data + 4))[0]
    if records.used < at + 4:
        return -1
    contigs = (<int32_t *>(records.data + at))[0]
    at += 4
    for _ in range(contigs):
        if records.used < at + 4:
            return -1
        at += 8 + (<int32_t *>(records.data + at))[0]
    return at if records.used >= at else -1
