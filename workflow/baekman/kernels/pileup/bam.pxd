from libc.stdint cimport int64_t, uint8_t

from baekman.kernels.delivered.buffer cimport Buffer


cdef class BamRecords:
    cdef Buffer _blocks, _records
    cdef int64_t _used
    cdef bint _has_header

    cdef int take(self, bytes data) except -1
    cdef int _take_blocks(self) except -1
    cdef const uint8_t *next(self, int64_t *size) noexcept nogil
    cdef bint is_whole(self) noexcept nogil
