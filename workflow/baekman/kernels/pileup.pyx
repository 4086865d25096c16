"""The bases of a pileup whose reads exclude each ALT: depth and likelihoods, as bcftools mpileup has them.

``baekman.call.screening`` feeds this class, and has bcftools pile up the bases that are left.
"""

cimport cython
from libc.math cimport HUGE_VAL, exp, lgamma, log, log1p, pow
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memmove, memset

import zlib

import numpy as np

from baekman.kernels.delivered.buffer cimport Buffer, add, reserve

cdef enum:
    MATCH = 0
    INSERTION = 1
    DELETION = 2
    SKIP = 3
    SOFT_CLIP = 4
    EQUAL = 7
    DIFFERENCE = 8
    CONSUMES_READ = 0x193  # bit by operation: M I S = X
    CONSUMES_REFERENCE = 0x18D  # M D N = X
    PAIRED = 0x1
    PROPER_PAIR = 0x2
    MATE_UNMAPPED = 0x8
    REVERSE = 0x10
    # bcftools mpileup: --min-BQ, --max-BQ, --delta-BQ, the cap of MAPQ and the MAPQ of a read without one
    MIN_BASE_QUALITY = 1
    MAX_BASE_QUALITY = 60
    DELTA = 30
    MAX_MAPPING_QUALITY = 60
    DEFAULT_MAPPING_QUALITY = 20
    MIN_QUALITY = 4  # errmod's
    BASES = 4
    NO_BASE = 4
    ALLELES = 5  # of errmod: the bases, and none
    MAX_PL = 255
    CROWD = 150  # reads at a time, from which on those of mpileup --max-depth (250) may be fewer
    GOOD = 30  # a quality at which an error is unlikely at any depth
    ROOM = 255  # of qualities per base; errmod takes no more
    STRETCH = 256  # bases that are piled up at a time
    BUCKETS = 1 << 14
    HEADER = 18  # bytes of a BGZF block before its data
    FOOTER = 8
    FIXED = 32  # bytes of a BAM record before the name, after its size

cdef double DEPENDENCY = 1.0 - (1.0 - 0.83)  # bcftools' default theta
cdef double ETA = 0.03
cdef double LN_2 = 0.69314718055994530942
cdef double ROUNDING = 0.499  # mpileup's
# 0 to 3 for A, C, G, T
cdef uint8_t BASE_OF_LETTER[256]
cdef uint8_t BASE_OF_CODE[16]  # of BAM
memset(BASE_OF_LETTER, NO_BASE, 256)
memset(BASE_OF_CODE, NO_BASE, 16)
for number in range(BASES):
    BASE_OF_LETTER[ord("ACGT"[number])] = BASE_OF_CODE[1 << number] = number

cdef struct Read:
    uint8_t *data
    uint32_t *cigar
    uint8_t *sequence
    uint8_t *quality
    uint8_t *name
    int64_t start
    int64_t end
    int64_t at  # reference position of the operation `operation`
    Read *next_of_name
    uint64_t name_hash
    int32_t length
    int32_t operations
    int32_t operation
    int32_t offset  # in the read, of the operation `operation`
    int32_t name_length
    int32_t edge  # a base whose quality at the end of the stretch before is `edge_quality`
    uint8_t edge_quality
    uint8_t mapping_quality
    uint8_t strand
    bint waits  # for its mate, by name


cdef inline int64_t operation_length(uint32_t word) noexcept nogil:
    return word >> 4


cdef inline bint is_match(uint32_t word) noexcept nogil:
    return (word & 15) == MATCH or (word & 15) == EQUAL or (word & 15) == DIFFERENCE


cdef inline int base_at(const uint8_t *sequence, int64_t index) noexcept nogil:
    """Return a base of a read as BAM has it: 1, 2, 4 or 8 for A, C, G or T, 0 for the reference's."""
    return (sequence[index >> 1] >> (4 if (index & 1) == 0 else 0)) & 15


cdef uint32_t x31(const uint8_t *name) noexcept nogil:
    """Return khash's hash of a string."""
    cdef uint32_t value = name[0]
    if value:
        name += 1
        while name[0]:
            value = (value << 5) - value + name[0]
            name += 1
    return value


cdef uint32_t wang(uint32_t key) noexcept nogil:
    """Return khash's hash of a number (Thomas Wang's)."""
    key += ~(key << 15)
    key ^= key >> 10
    key += key << 3
    key ^= key >> 6
    key += ~(key << 11)
    key ^= key >> 16
    return key


# A place in a read, base by base along the reference (htslib's cigar_iref2iseq).
cdef struct Walk:
    uint32_t *cigar
    uint32_t *end
    int64_t within
    int64_t base
    int64_t position  # from the start of the read; -1 at the end


cdef bint set_walk(Walk *walk, Read *read, int64_t position) noexcept nogil:
    """Set ``walk`` to the first aligned base at or after ``position``; return False when there is none."""
    cdef int64_t left = position, length
    cdef uint32_t word
    walk.cigar, walk.end = read.cigar, read.cigar + read.operations
    walk.within = walk.base = walk.position = 0
    if position < 0:
        return False
    while walk.cigar < walk.end:
        word = walk.cigar[0]
        length = operation_length(word)
        if is_match(word):
            left -= length
            if left < 0:
                walk.within = length + left
                walk.base += walk.within
                walk.position += walk.within
                return True
            walk.base += length
            walk.position += length
        elif (word & 15) == SOFT_CLIP or (word & 15) == INSERTION:
            walk.base += length
        elif (word & 15) == DELETION or (word & 15) == SKIP:
            left -= length
            if left < 0:
                left = 0
            walk.position += length
        walk.cigar += 1
    return False


cdef bint step(Walk *walk) noexcept nogil:
    """Go to the next aligned base; return False when there is none."""
    cdef int64_t length
    cdef uint32_t word
    while walk.cigar < walk.end:
        word = walk.cigar[0]
        length = operation_length(word)
        if is_match(word):
            if walk.within < length - 1:
                walk.base += 1
                walk.within += 1
                walk.position += 1
                return True
        elif (word & 15) == DELETION or (word & 15) == SKIP:
            walk.position += length
        elif (word & 15) == SOFT_CLIP or (word & 15) == INSERTION:
            walk.base += length
        walk.cigar += 1
        walk.within = -1
    walk.base = walk.position = -1
    return False


cdef inline bint is_after_deletion(Walk *walk, Read *read) noexcept nogil:
    return walk.cigar > read.cigar and ((walk.cigar - 1)[0] & 15) == DELETION


cdef void tweak(Read *a, Read *b) noexcept nogil:
    """Take the bases of two mates that overlap as one: a quality of 0 in one of them (htslib's tweak_overlap_quality).

    ``a`` came before ``b``. Where the bases are the same the other gets the sum, at most 200; else the better of both
    keeps 0.8 of its own.
    """
    cdef Walk left, right
    cdef int64_t position = b.start
    cdef int total, of_a = wang(x31(a.name)) & 1, of_b
    of_b = 1 - of_a
    if not set_walk(&left, a, position - a.start) or not set_walk(&right, b, 0):
        return
    while True:
        while left.position >= 0 and left.position < position - a.start:
            if not step(&left):
                return
        while right.position >= 0 and right.position < position - b.start:
            if not step(&right):
                return
        position = max(position, left.position + a.start, right.position + b.start) + 1
        if left.position + a.start != right.position + b.start:
            if left.position + a.start < right.position + b.start and is_after_deletion(&right, b):
                while left.position + a.start < right.position + b.start:
                    a.quality[left.base] = <uint8_t>(a.quality[left.base] * 0.8) if of_a else 0
                    if not step(&left):
                        return
            elif is_after_deletion(&left, a):
                while True:
                    b.quality[right.base] = <uint8_t>(b.quality[right.base] * 0.8) if of_b else 0
                    if not step(&right):
                        return
                    if right.position + b.start >= left.position + a.start:
                        break
            else:
                continue
        if base_at(a.sequence, left.base) == base_at(b.sequence, right.base):
            total = min(a.quality[left.base] + b.quality[right.base], 200)
            a.quality[left.base] = <uint8_t>(of_a * total)
            b.quality[right.base] = <uint8_t>(of_b * total)
        elif a.quality[left.base] > b.quality[right.base]:
            a.quality[left.base] = <uint8_t>(0.8 * a.quality[left.base])
            b.quality[right.base] = 0
        elif a.quality[left.base] < b.quality[right.base]:
            b.quality[right.base] = <uint8_t>(0.8 * b.quality[right.base])
            a.quality[left.base] = 0
        else:
            a.quality[left.base] = <uint8_t>(of_a * 0.8 * a.quality[left.base])
            b.quality[right.base] = <uint8_t>(of_b * 0.8 * b.quality[right.base])


@cython.final
cdef class Pileup:
    """A pileup of ``bases``, the reference's from the position ``start`` (0-based) on, and what it shows.

    ``feed`` takes an uncompressed BAM file (``samtools view -u``), in pieces of any size: the reads of one contig,
    sorted. ``finish`` returns three arrays of an element for each base:

    - ``depth`` (int32): the reads that count, 0 where there is none or where reads differ;
    - ``gq`` (int32): the distance of the most likely other genotype from the reference's, phred, at most 99;
    - ``differs`` (bool): the reads do not exclude an ALT, or only mpileup can tell: a read may have an insertion or a
      deletion, or mpileup may leave out reads.

    Reads exclude an ALT that one of them has when each genotype with it is ``limit`` phred worse than the reference.
    Reads are those of ``bcftools mpileup -B`` with its default options, the likelihoods those of htslib's ``errmod``
    (revised MAQ error model). ``ploidy`` 1 takes homozygous genotypes only.
    """

    cdef bytes _bases
    cdef const uint8_t *_letters  # of _bases
    cdef int64_t _start, _end, _flushed, _last_start
    cdef int32_t _contig
    cdef bint _is_haploid, _has_header
    cdef int _limit
    cdef Buffer _blocks, _records
    cdef int64_t _used
    cdef Read **_active
    cdef int64_t _reads, _reads_room
    cdef Read **_by_name
    cdef uint16_t *_piled  # a row of the stretch for each read that counts: quality, strand and base, as in errmod
    cdef uint8_t *_is_mixed  # by base of the stretch: a read has another base than the reference
    cdef uint16_t *_counts  # of reads by base of the stretch, those with GOOD quality by strand after them
    cdef double *_spread  # errmod's fk
    cdef double *_spread_sum  # of the first elements
    cdef double *_choose  # logarithms of factorials
    cdef double *_beta  # by quality, depth and number of errors; a row is made when it is needed
    cdef object _depth, _gq, _differs
    cdef int32_t[::1] _depth_of
    cdef int32_t[::1] _gq_of
    cdef uint8_t[::1] _differs_of

    def __cinit__(self, bytes bases, int64_t start, *, int ploidy, int limit):
        cdef int64_t length = len(bases), n
        self._bases, self._letters = bases, bases
        self._start, self._end, self._flushed, self._last_start = start, start + length, start, -1
        self._contig = -1
        self._is_haploid = ploidy == 1
        self._limit = limit
        self._depth = np.zeros(length, np.int32)
        self._gq = np.zeros(length, np.int32)
        self._differs = np.zeros(length, np.uint8)
        self._depth_of, self._gq_of, self._differs_of = self._depth, self._gq, self._differs
        self._reads_room = 4096
        self._active = <Read **>malloc(self._reads_room * sizeof(Read *))
        self._by_name = <Read **>calloc(BUCKETS, sizeof(Read *))
        self._piled = <uint16_t *>malloc(STRETCH * ROOM * sizeof(uint16_t))
        self._is_mixed = <uint8_t *>malloc(STRETCH)
        self._counts = <uint16_t *>malloc(3 * STRETCH * sizeof(uint16_t))
        self._spread = <double *>malloc(256 * sizeof(double))
        self._spread_sum = <double *>malloc(257 * sizeof(double))
        self._choose = <double *>malloc(257 * sizeof(double))
        self._beta = <double *>calloc(64 << 16, sizeof(double))
        tables = (
            self._active != NULL, self._by_name != NULL, self._piled != NULL, self._is_mixed != NULL,
            self._counts != NULL, self._spread != NULL, self._spread_sum != NULL, self._choose != NULL,
            self._beta != NULL,
        )
        if not all(tables):
            raise MemoryError
        self._spread[0] = 1.0
        for n in range(1, 256):
            self._spread[n] = pow(DEPENDENCY, n) * (1.0 - ETA) + ETA
        self._spread_sum[0] = 0.0
        for n in range(256):
            self._spread_sum[n + 1] = self._spread_sum[n] + self._spread[n]
        for n in range(257):
            self._choose[n] = lgamma(n + 1)

    def __dealloc__(self):
        cdef int64_t index
        if self._active:
            for index in range(self._reads):
                free(self._active[index].data)
                free(self._active[index])
        free(self._active)
        free(self._by_name)
        free(self._piled)
        free(self._is_mixed)
        free(self._counts)
        free(self._spread)
        free(self._spread_sum)
        free(self._choose)
        free(self._beta)
        free(self._blocks.data)
        free(self._records.data)

    def feed(self, bytes data) -> None:
        """Take the next bytes. Raises ValueError when they are no BAM."""
        cdef const uint8_t *text = data
        cdef int64_t length = len(data)
        if not reserve(&self._blocks, length):
            raise MemoryError
        add(&self._blocks, text, length)
        self._take_blocks()
        self._take_records()

    def finish(self) -> tuple:
        """Return ``depth``, ``gq`` and ``differs``. Raises ValueError when the file ends in a record."""
        if self._blocks.used or self._used != self._records.used or not self._has_header:
            raise ValueError("the alignments end in a record")
        self._flush(self._end)
        differs = self._differs.astype(bool)
        # an indel after the last base of a stretch is seen in the next
        self._depth[differs] = self._gq[differs] = 0
        return self._depth, self._gq, differs

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
            if length >= 5 and block[HEADER] == 1:  # one block of deflate that is only stored
                if not reserve(&self._records, length):
                    raise MemoryError
                add(&self._records, block + HEADER + 5, length - 5)
            else:
                plain = zlib.decompress((<const char *>block)[HEADER : HEADER + length], -15)
                if not reserve(&self._records, len(plain)):
                    raise MemoryError
                add(&self._records, <const uint8_t *>(<bytes>plain), len(plain))
            at += size
        drop(&self._blocks, at)
        return 0

    cdef int _take_records(self) except -1:
        """Pile up the whole records."""
        cdef int64_t size
        if not self._has_header:
            size = header_size(&self._records)
            if size < 0:
                return 0
            self._used = size
            self._has_header = True
        with nogil:
            while self._records.used - self._used >= 4:
                size = 4 + <int64_t>(<int32_t *>(self._records.data + self._used))[0]
                if size < 4 + FIXED:
                    with gil:
                        raise ValueError("a record of the alignments is too short")
                if self._records.used - self._used < size:
                    break
                if not self._take(self._records.data + self._used + 4, size - 4):
                    with gil:
                        raise MemoryError
                self._used += size
        drop(&self._records, self._used)
        self._used = 0
        return 0

    cdef bint _take(self, const uint8_t *record, int64_t size) noexcept nogil:
        """Add one record; return False when there is no memory."""
        cdef int32_t contig = (<int32_t *>record)[0], position = (<int32_t *>record)[1]
        cdef int32_t length = (<int32_t *>record)[4]
        cdef int flag = (<uint16_t *>record)[7], operations = (<uint16_t *>record)[6], name_length = record[8]
        cdef int32_t mate_contig = (<int32_t *>record)[5], mate_position = (<int32_t *>record)[6]
        cdef int64_t insert_size = (<int32_t *>record)[7], of_read = 0, of_reference = 0
        cdef Read *read
        cdef int64_t index
        if contig < 0 or ((flag & PAIRED) and not (flag & PROPER_PAIR)):
            return True
        if self._contig < 0:
            self._contig = contig
        if contig != self._contig:
            return True
        if FIXED + name_length + 4 * <int64_t>operations + (<int64_t>length + 1) // 2 + length > size:
            return True
        read = <Read *>calloc(1, sizeof(Read))
        if read == NULL:
            return False
        read.data = <uint8_t *>malloc(size)
        if read.data == NULL:
            free(read)
            return False
        memcpy(read.data, record, size)
        read.name = read.data + FIXED
        read.name_length = name_length
        read.cigar = <uint32_t *>(read.name + name_length)
        read.operations = operations
        read.sequence = <uint8_t *>(read.cigar + operations)
        read.quality = read.sequence + (length + 1) // 2
        read.length = length
        for index in range(operations):
            if CONSUMES_READ >> (read.cigar[index] & 15) & 1:
                of_read += operation_length(read.cigar[index])
            if CONSUMES_REFERENCE >> (read.cigar[index] & 15) & 1:
                of_reference += operation_length(read.cigar[index])
        read.start = read.at = position
        read.end = position + of_reference
        read.mapping_quality = record[9] if record[9] < 255 else DEFAULT_MAPPING_QUALITY
        read.mapping_quality = min(read.mapping_quality, MAX_MAPPING_QUALITY)
        read.strand = (flag & REVERSE) != 0
        read.edge = -1
        if of_read != length or self._is_crowded(position):
            self._mark(read.start, read.end)
        if of_read != length or read.end <= self._flushed:
            free(read.data)
            free(read)
        else:
            if not self._keep(read):
                return False
            if not (flag & MATE_UNMAPPED) and (flag & PROPER_PAIR) and not (
                (mate_contig >= 0 and mate_contig != contig)
                or ((insert_size if insert_size >= 0 else -insert_size) >= 2 * length and mate_position >= read.end)
            ):
                self._meet_mate(read, mate_position, has_mate=flag & PAIRED)
        if position > self._flushed + STRETCH:
            self._flush(position - position % STRETCH)
        self._last_start = position
        return True

    cdef bint _is_crowded(self, int64_t position) noexcept nogil:
        """Return whether so many reads reach ``position`` that mpileup may leave out others that start there."""
        cdef int64_t index, reads = 0
        if self._reads < CROWD:
            return False
        for index in range(self._reads):
            reads += self._active[index].end >= position
        return reads >= CROWD

    cdef bint _keep(self, Read *read) noexcept nogil:
        cdef Read **bigger
        if self._reads == self._reads_room:
            bigger = <Read **>malloc(2 * self._reads_room * sizeof(Read *))
            if bigger == NULL:
                return False
            memcpy(bigger, self._active, self._reads * sizeof(Read *))
            free(self._active)
            self._active = bigger
            self._reads_room *= 2
        self._active[self._reads] = read
        self._reads += 1
        return True

    cdef void _meet_mate(self, Read *read, int64_t mate_position, bint has_mate) noexcept nogil:
        """Treat the overlap with the mate that came before, or note the read for a mate that comes (overlap_push)."""
        cdef uint64_t bucket = wang(x31(read.name)) & (BUCKETS - 1)
        cdef Read *other = self._by_name[bucket]
        while other != NULL and (
            other.name_length != read.name_length or memcmp(other.name, read.name, read.name_length)
        ):
            other = other.next_of_name
        if other == NULL:
            if mate_position >= read.start or (has_mate and mate_position == -1):
                read.name_hash = bucket
                read.next_of_name = self._by_name[bucket]
                read.waits = True
                self._by_name[bucket] = read
            return
        self._forget(other)
        if read.start < other.end:
            self._overlap(other, read)

    cdef void _overlap(self, Read *other, Read *read) noexcept nogil:
        """Treat the overlap of two mates, of which ``read`` came last.

        A base before the overlap that mpileup piles up before it has the second mate sees the quality from before.
        """
        cdef Walk walk
        cdef int64_t base = -1
        cdef uint8_t quality = 0
        if read.start == self._last_start and set_walk(&walk, other, read.start - other.start):
            base, quality = walk.base, other.quality[walk.base]
        tweak(other, read)
        if base > 0:
            other.edge, other.edge_quality = <int32_t>base, quality

    cdef void _forget(self, Read *read) noexcept nogil:
        """Take a read that waits for its mate out of the table of names."""
        cdef Read **at = &self._by_name[read.name_hash]
        while at[0] != read:
            at = &at[0].next_of_name
        at[0] = read.next_of_name
        read.waits = False

    cdef void _mark(self, int64_t start, int64_t end) noexcept nogil:
        """Note that reads may differ from ``start`` to ``end``."""
        start, end = max(start, self._start), min(end, self._end)
        if start < end:
            memset(&self._differs_of[start - self._start], 1, end - start)

    cdef void _flush(self, int64_t until) noexcept nogil:
        """Finish the bases before ``until``; every read that starts before it has come."""
        cdef int64_t begin = self._flushed, end, index, kept
        cdef Read *read
        until = min(until, self._end)
        while begin < until:
            end = min(begin + STRETCH, until)
            memset(self._counts, 0, 3 * STRETCH * sizeof(uint16_t))
            memset(self._is_mixed, False, STRETCH)
            kept = 0
            for index in range(self._reads):
                read = self._active[index]
                if read.start < end:
                    self._pile(read, begin, end)
                if read.end > end:
                    self._active[kept] = read
                    kept += 1
                    continue
                if read.waits:
                    self._forget(read)
                free(read.data)
                free(read)
            self._reads = kept
            for index in range(begin, end):
                self._judge(index, index - begin)
            begin = end
        self._flushed = max(self._flushed, until)

    cdef void _pile(self, Read *read, int64_t begin, int64_t end) noexcept nogil:
        """Add the bases of ``read`` from ``begin`` to ``end``."""
        cdef int64_t last
        cdef uint32_t word
        while read.operation < read.operations and read.at < end:
            word = read.cigar[read.operation]
            last = read.at
            if CONSUMES_REFERENCE >> (word & 15) & 1:
                last += operation_length(word)
            if is_match(word):
                self._pile_match(read, begin, max(begin, read.at), min(last, end))
            else:
                # an insertion or a deletion belongs to the base before it
                self._mark(max(read.at - 1, read.start), read.at)
                self._mark(max(last - 1, read.start), last)
            if last > end:
                return
            if CONSUMES_READ >> (word & 15) & 1:
                read.offset += <int32_t>operation_length(word)
            read.at = last
            read.operation += 1

    cdef void _pile_match(self, Read *read, int64_t begin, int64_t first, int64_t last) noexcept nogil:
        """Add the aligned bases from ``first`` to ``last`` to the stretch that starts at ``begin``."""
        cdef const uint8_t *letters = self._letters - self._start
        cdef const uint8_t *qualities = read.quality
        cdef uint8_t *differs = &self._differs_of[0] - self._start
        cdef uint16_t *counts = self._counts - begin
        cdef uint16_t *good = self._counts + (1 + read.strand) * STRETCH - begin
        cdef int64_t at, index = read.offset + first - read.at
        cdef uint8_t *mixed = self._is_mixed - begin
        cdef uint16_t word
        cdef int quality, code, base, cap = min(MAX_BASE_QUALITY, read.mapping_quality)
        for at in range(first, last):
            quality = qualities[index]
            if quality > DELTA:  # else no neighbour lowers it
                if index > 0:
                    quality = min(quality, qualities[index - 1] + DELTA)
                if index + 1 == read.edge:
                    quality = min(quality, read.edge_quality + DELTA)
                elif index + 1 < read.length:
                    quality = min(quality, qualities[index + 1] + DELTA)
            if quality >= MIN_BASE_QUALITY:
                code = base_at(read.sequence, index)
                base = BASE_OF_CODE[code] if code else BASE_OF_LETTER[letters[at]]
                if base == NO_BASE or counts[at] == ROOM:
                    differs[at] = 1
                else:
                    mixed[at] |= base != BASE_OF_LETTER[letters[at]]
                    quality = max(min(quality, cap), MIN_QUALITY)
                    word = <uint16_t>(quality << 5 | read.strand << 4 | base)
                    self._piled[counts[at] * STRETCH + at - begin] = word
                    counts[at] += 1
                    good[at] += quality >= GOOD
            index += 1

    cdef void _judge(self, int64_t position, int64_t row) noexcept nogil:
        """Set depth and GQ of one base, or note that its reads differ."""
        cdef int64_t at = position - self._start
        cdef int depth = self._counts[row], gq, reference = BASE_OF_LETTER[self._letters[at]]
        cdef float heterozygous
        if depth == 0 or self._differs_of[at] or reference == NO_BASE:
            self._differs_of[at] |= depth > 0
            return
        if self._is_mixed[row]:
            gq = self._distance(row, depth, reference)
        else:
            # a genotype with an ALT that no read has: errmod's logarithm of 2 ** -depth
            heterozygous = <float>(-4.343 * (0.0 - LN_2 * depth))
            gq = 99 if self._is_haploid else min(99, <int>(heterozygous + ROUNDING))
            # Errors cost at least this: the first costs least, and of each strand the best reads come first.
            if self._row(GOOD, depth)[0] * (
                self._spread_sum[self._counts[STRETCH + row]] + self._spread_sum[self._counts[2 * STRETCH + row]]
            ) < gq + 1:
                gq = self._distance(row, depth, reference)
        if gq < 0:
            self._differs_of[at] = 1
            return
        self._depth_of[at] = depth
        self._gq_of[at] = gq

    cdef int _distance(self, int64_t row, int depth, int reference) noexcept nogil:
        """Return the GQ of a base whose reads exclude each ALT, else -1: errmod_cal, then bcf_call_combine."""
        cdef uint16_t bases[ROOM]
        cdef double errors[ALLELES]
        cdef int counts[ALLELES]
        cdef int on_strand[32]
        cdef float likelihoods[ALLELES * ALLELES]
        cdef float best
        cdef int alleles[ALLELES]
        cdef int index, place, base, of_reference, pl, i, k, seen = 1, present, nearest = MAX_PL, excluded = MAX_PL
        cdef uint16_t word
        for index in range(depth):
            word = self._piled[index * STRETCH + row]
            place = index
            while place > 0 and bases[place - 1] > word:
                bases[place] = bases[place - 1]
                place -= 1
            bases[place] = word
        memset(errors, 0, sizeof(errors))
        memset(counts, 0, sizeof(counts))
        memset(on_strand, 0, sizeof(on_strand))
        for index in range(depth - 1, -1, -1):
            word = bases[index]
            base = word & 15
            errors[base] += self._spread[on_strand[word & 31]] * self._row(word >> 5, depth)[counts[base]]
            counts[base] += 1
            on_strand[word & 31] += 1
        self._fill_likelihoods(likelihoods, errors, counts)
        # the alleles: the reference, those of reads, and one that no read has
        alleles[0] = reference
        for base in range(BASES):
            if base != reference and counts[base]:
                alleles[seen] = base
                seen += 1
        present = seen
        for base in range(BASES):
            if base != reference and not counts[base]:
                alleles[seen] = base
                seen += 1
                break
        best = likelihoods[reference * ALLELES + reference]
        for i in range(seen):
            for k in range(i + 1):
                best = min(best, likelihoods[alleles[i] * ALLELES + alleles[k]])
        of_reference = phred(likelihoods[reference * ALLELES + reference], best)
        for i in range(1, seen):
            for k in range(i + 1):
                if self._is_haploid and i != k:
                    continue
                pl = phred(likelihoods[alleles[i] * ALLELES + alleles[k]], best)
                nearest = min(nearest, pl)
                if i < present:
                    excluded = min(excluded, pl)
        if present > 1 and excluded - of_reference < self._limit:
            return -1
        return max(0, min(nearest - of_reference, 99))

    cdef void _fill_likelihoods(self, float *likelihoods, const double *errors, const int *counts) noexcept nogil:
        """Fill the costs (phred) of the genotypes, ``ALLELES`` by ``ALLELES``, as errmod_cal does."""
        cdef int i, j, k, both, others
        cdef float cost
        memset(likelihoods, 0, ALLELES * ALLELES * sizeof(float))
        for j in range(ALLELES):
            cost, others = 0.0, 0
            for k in range(ALLELES):
                if k != j:
                    cost += errors[k]
                    others += counts[k]
            if others:
                likelihoods[j * ALLELES + j] = cost
            for k in range(j + 1, ALLELES):
                both = counts[j] + counts[k]
                cost, others = 0.0, 0
                for i in range(ALLELES):
                    if i != j and i != k:
                        cost += errors[i]
                        others += counts[i]
                if others:
                    cost = -4.343 * (self._combinations(both, counts[k]) - LN_2 * both) + cost
                else:
                    cost = -4.343 * (self._combinations(both, counts[k]) - LN_2 * both)
                likelihoods[j * ALLELES + k] = likelihoods[k * ALLELES + j] = cost
            for k in range(ALLELES):
                likelihoods[j * ALLELES + k] = max(likelihoods[j * ALLELES + k], <float>0.0)

    cdef inline const double *_row(self, int quality, int depth) noexcept nogil:
        """Return errmod's costs (phred) of the first, second, … error among ``depth`` bases of one quality."""
        cdef double *row = &self._beta[quality << 16 | depth << 8]
        cdef double error, wrong, right, total, smaller
        cdef int k
        if row[depth] != 0.0:
            return row
        error = pow(10.0, -quality / 10.0)
        wrong, right = log(error), log(1.0 - error)
        smaller = 0.0 + depth * wrong
        row[depth] = HUGE_VAL
        for k in range(depth - 1, -1, -1):
            total = smaller + log1p(
                exp(self._combinations(depth, k) + k * wrong + (depth - k) * right - smaller)
            )
            row[k] = -10.0 / 2.30258509299404568402 * (smaller - total)
            smaller = total
        return row

    cdef inline double _combinations(self, int n, int k) noexcept nogil:
        """Return the logarithm of n over k; errmod has 0 for k = 0."""
        return self._choose[n] - self._choose[k] - self._choose[n - k] if k else 0.0


cdef inline int phred(float likelihood, float best) noexcept nogil:
    return min(<int>(likelihood - best + ROUNDING), MAX_PL)


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
