"""The bases of a pileup whose reads exclude each ALT: depth and likelihoods, as bcftools mpileup has them.

``baekman.call.screening`` feeds this class, and has bcftools pile up the bases that are left.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

import numpy as np

from baekman.kernels.pileup.bam cimport BamRecords
from baekman.kernels.pileup.likelihoods cimport BASES, GOOD, NO_BASE, ROOM, ErrorModel
from baekman.kernels.pileup.mates cimport (
    CONSUMES_READ,
    CONSUMES_REFERENCE,
    Read,
    Walk,
    base_at,
    hash_of,
    is_match,
    operation_length,
    set_walk,
    tweak,
)

cdef enum:
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
    CROWD = 150  # reads at a time, from which on those of mpileup --max-depth (250) may be fewer
    STRETCH = 256  # bases that are piled up at a time
    BUCKETS = 1 << 14
    FIXED = 32  # bytes of a BAM record before the name

# 0 to 3 for A, C, G, T
cdef uint8_t BASE_OF_LETTER[256]
cdef uint8_t BASE_OF_CODE[16]  # of BAM
memset(BASE_OF_LETTER, NO_BASE, 256)
memset(BASE_OF_CODE, NO_BASE, 16)
for number in range(BASES):
    BASE_OF_LETTER[ord("ACGT"[number])] = BASE_OF_CODE[1 << number] = number


cdef bint is_sound(const uint8_t *record, int64_t size) noexcept nogil:
    """Return whether name, CIGAR, bases and qualities lie within the ``size`` bytes of a record."""
    cdef int64_t length, operations
    if size < FIXED:
        return False
    length, operations = (<int32_t *>record)[4], (<uint16_t *>record)[6]
    return length >= 0 and FIXED + record[8] + 4 * operations + (length + 1) // 2 + length <= size


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
    cdef BamRecords _records
    cdef ErrorModel _model
    cdef Read **_active
    cdef int64_t _reads, _reads_room
    cdef Read **_by_name  # reads that wait for their mates
    cdef uint16_t *_piled  # a row of the stretch for each read that counts: its words for the model
    cdef uint8_t *_is_mixed  # by base of the stretch: a read has another base than the reference
    cdef uint16_t *_counts  # of reads by base of the stretch, those with GOOD quality by strand after them
    cdef object _depth, _gq, _differs
    cdef int32_t[::1] _depth_of
    cdef int32_t[::1] _gq_of
    cdef uint8_t[::1] _differs_of

    def __cinit__(self, bytes bases, int64_t start, *, int ploidy, int limit):
        cdef int64_t length = len(bases)
        self._bases, self._letters = bases, bases
        self._start, self._end, self._flushed, self._last_start = start, start + length, start, -1
        self._contig = -1
        self._records, self._model = BamRecords(), ErrorModel(ploidy=ploidy, limit=limit)
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
        if self._active == NULL or self._by_name == NULL or self._piled == NULL:
            raise MemoryError
        if self._is_mixed == NULL or self._counts == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef int64_t index
        for index in range(self._reads):
            free(self._active[index].data)
            free(self._active[index])
        free(self._active)
        free(self._by_name)
        free(self._piled)
        free(self._is_mixed)
        free(self._counts)

    def feed(self, bytes data) -> None:
        """Take the next bytes. Raises ValueError when they are no BAM, or a record of it is damaged."""
        cdef const uint8_t *record
        cdef int64_t size
        cdef bint is_full = False, is_damaged = False
        self._records.take(data)
        with nogil:
            record = self._records.next(&size)
            while record != NULL and not is_full and not is_damaged:
                is_damaged = not is_sound(record, size)
                is_full = not is_damaged and not self._take(record, size)
                record = self._records.next(&size)
        if is_damaged:
            raise ValueError("a record of the alignments is damaged")
        if is_full:
            raise MemoryError

    def finish(self) -> tuple:
        """Return ``depth``, ``gq`` and ``differs``. Raises ValueError when the file ends in a record."""
        if not self._records.is_whole():
            raise ValueError("the alignments end in a record")
        self._flush(self._end)
        differs = self._differs.astype(bool)
        # an indel after the last base of a stretch is seen in the next
        self._depth[differs] = self._gq[differs] = 0
        return self._depth, self._gq, differs

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
        cdef uint64_t bucket = hash_of(read.name) & (BUCKETS - 1)
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
        if depth == 0 or self._differs_of[at] or reference == NO_BASE:
            self._differs_of[at] |= depth > 0
            return
        if not self._is_mixed[row] and self._model.is_sure(
            depth, self._counts[STRETCH + row], self._counts[2 * STRETCH + row]
        ):
            gq = self._model.gq_without_alt(depth)
        else:
            gq = self._model.gq(self._piled + row, STRETCH, depth, reference)
        if gq < 0:
            self._differs_of[at] = 1
            return
        self._depth_of[at] = depth
        self._gq_of[at] = gq
