"""The compiled writer of BCF 2.2 records (VCF specification 4.3, section 6); ``bcf.py`` feeds it.

What is dense (GT, GQ, DP) is written for everybody from the reference segments' cells; what is sparse (AD, PL, PS)
is filled with "missing" and then written for those who have call rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from baekman.dense import (
    AD_ALT,
    AD_REF,
    ALLELE,
    CALLED,
    CELL_DP,
    CELL_HAPLOID,
    CELL_KINDS,
    CELL_OTHER,
    CELL_STATE,
    COLUMN,
    COPIES,
    DP,
    FLAGS,
    GQ,
    JOINT,
    JOINT_COPIES,
    JOINT_GQ,
    OTHER,
    PHASE,
    PHASE_SET,
    PL_0,
    PL_1,
    PL_2,
    PLOIDY,
    cell_copies,
    row_shown,
)
from baekman.kernels import compiled
from baekman.schema import POSITION_FLAGS, STATE_CALLED
from baekman.sites import FILTER_NAMES

Array = Any  # a NumPy array inside compiled code

INFO = (
    ("AC", "A", "Integer", "Copies of each ALT in the genotypes shown"),
    ("AN", "1", "Integer", "Alleles in the genotypes shown"),
    ("AF", "A", "Float", "AC / AN"),
)
FORMAT = (
    ("GT", "1", "String", "Genotype"),
    ("GQ", "1", "Integer", "Genotype quality, phred; of a reference block the floor of its band"),
    ("DP", "1", "Integer", "Read depth; of a reference block its least"),
    ("AD", "R", "Integer", "Reads of each allele"),
    ("PL", "G", "Integer", "Phred likelihoods by copies of the ALT, each the least over the genotypes with so many"),
    ("LAA", ".", "Integer", "ALTs that the participant has likelihoods of, by number"),
    ("LPL", ".", "Integer", "Least phred likelihoods that agree with those of each allele of LAA, as PL is ordered"),
    ("PS", "1", "Integer", "Phase set"),
)
# PASS is 0, then every ID in the order of the header
_IDS = {name: number for number, name in enumerate([*FILTER_NAMES, *(f[0] for f in INFO), *(f[0] for f in FORMAT)], 1)}
ID_AC, ID_AN, ID_AF = (_IDS[field[0]] for field in INFO)
ID_GT, ID_GQ, ID_DP, ID_AD, ID_PL, ID_LAA, ID_LPL, ID_PS = (_IDS[field[0]] for field in FORMAT)

MISSING = -(1 << 31)
VECTOR_END = MISSING + 1
RECORD_ROOM = 512
MOST_GT_8 = 62  # ALTs whose numbers fit GT in 8 bits


@compiled
def _put(out: Array, at: int, value: int, size: int) -> int:
    """An integer of ``size`` bytes, little-endian; returns where the next goes."""
    if size == 1:
        out[at] = (value & 0xFF) if value > VECTOR_END else (0x80 if value == MISSING else 0x81)
        return at + 1
    if size == 2:
        if value <= VECTOR_END:
            value = 0x8000 if value == MISSING else 0x8001
        out[at] = value & 0xFF
        out[at + 1] = (value >> 8) & 0xFF
        return at + 2
    out[at] = value & 0xFF
    out[at + 1] = (value >> 8) & 0xFF
    out[at + 2] = (value >> 16) & 0xFF
    out[at + 3] = (value >> 24) & 0xFF
    return at + 4


@compiled
def _size_of(largest: int) -> int:
    return 1 if largest <= 127 else (2 if largest <= 32767 else 4)


@compiled
def _type(out: Array, at: int, count: int, size: int) -> int:
    """The descriptor of ``count`` integers of ``size`` bytes; size 7 is text and 5 is float, as in BCF."""
    code = 3 if size == 4 else size
    if count < 15:
        out[at] = (count << 4) | code
        return at + 1
    out[at] = 0xF0 | code
    length = _size_of(count)
    out[at + 1] = 0x10 | (3 if length == 4 else length)
    return _put(out, at + 2, count, length)


@compiled
def _key(out: Array, at: int, key: int, count: int, size: int) -> int:
    """The key and type of an INFO or FORMAT field."""
    out[at] = 0x11
    out[at + 1] = key
    return _type(out, at + 2, count, size)


@compiled
def _fill(out: Array, at: int, count: int, width: int, size: int) -> int:
    """``count`` missing vectors of ``width``: a missing value, then ends of vector."""
    for _ in range(count):
        at = _put(out, at, MISSING, size)
        for _rest in range(width - 1):
            at = _put(out, at, VECTOR_END, size)
    return at


@compiled
def _put_float(out: Array, at: int, value: float, pad: Array, pad_bytes: Array) -> int:
    pad[0] = value
    for index in range(4):
        out[at + index] = pad_bytes[index]
    return at + 4


@compiled
def encode_records(
    by_position: bool, mode: int, contig: int, begin: int, positions: Array, first_allele: Array, wanted: Array,
    cells: Array, rows: Array, first_row: Array, frequency: Array, qual: Array, filters: Array, ref_offsets: Array,
    ref: Array, alt_offsets: Array, alt: Array, likelihood: Array, limits: Array, out: Array,
) -> tuple[int, int]:  # fmt: skip
    """Write the records of the positions from ``begin`` on while ``out`` has room.

    Returns the position to go on with and the bytes written.
    """
    people = cells.shape[1]
    filled = 0
    pad = np.zeros(1, np.float32)
    pad_bytes = pad.view(np.uint8)
    depth = np.empty(people, np.int32)
    kind_record = np.zeros(CELL_KINDS, np.int64)
    kind_gt = np.zeros((CELL_KINDS, 2), np.int32)
    kind_gq = np.zeros(CELL_KINDS, np.int32)
    own_allele = np.full(len(frequency), -1, np.int64)  # an allele's number in the record that is written
    record_number = 0
    haplotype = np.zeros(2, np.int64)
    for position in range(begin, len(positions)):
        first, last = first_allele[position], first_allele[position + 1]
        row_first, row_last = first_row[position], first_row[position + 1]
        # --- what this position needs at most ------------------------------------------------------------------
        alts = 0
        letters = 0
        longest = first
        for allele in range(first, last):
            if wanted[allele]:
                alts += 1
                letters += ref_offsets[allele + 1] - ref_offsets[allele]
                letters += alt_offsets[allele + 1] - alt_offsets[allele]
                if (
                    not wanted[longest]
                    or ref_offsets[allele + 1] - ref_offsets[allele] > ref_offsets[longest + 1] - ref_offsets[longest]
                ):
                    longest = allele
        if alts == 0:
            continue
        most_local = 0
        local = 0
        star = False
        copies = 0
        other = 0
        for row in range(row_first, row_last):
            if row == row_first or rows[row, COLUMN] != rows[row - 1, COLUMN]:
                local = 0
                copies = 0
                other = 0
            local += wanted[rows[row, ALLELE]]
            if row_shown(rows[row, FLAGS], mode, -1):
                copies += rows[row, COPIES]
                other = max(other, rows[row, OTHER] + rows[row, COPIES])
            most_local = max(most_local, local)
            if row + 1 == row_last or rows[row + 1, COLUMN] != rows[row, COLUMN]:
                star = star or other > copies
        if by_position:
            for column in range(people):
                cell = cells[position, column]
                if (cell >> CELL_OTHER) & 3 and (mode != CALLED or cell & CELL_STATE == STATE_CALLED):
                    star = True
            total = alts + star
        else:
            star = False
            total = 1
            most_local = min(most_local, 1)
        likelihoods = 3 if total == 1 else (most_local + 1) * (most_local + 2) // 2
        bytes_each = 4 + 1 + 4 + 4 * (total + 1) + 4 * max(most_local, 1) + 4 * max(likelihoods, 3) + 4
        length = ref_offsets[longest + 1] - ref_offsets[longest]
        need = RECORD_ROOM + people * bytes_each + 8 * total + letters + (total + 1) * (length + 8)
        if not by_position:
            need = alts * (need + letters)
        if filled + need > len(out):
            return position, filled
        start = first
        while start < last:
            # --- the alleles of this record ------------------------------------------------------------------
            if not wanted[start]:
                start += 1
                continue
            stop = last if by_position else start + 1
            number = 0
            for allele in range(start, stop):
                own_allele[allele] = -1
                if wanted[allele]:
                    number += 1
                    own_allele[allele] = number
            record_number += 1
            base = longest if by_position else start
            ref_first, ref_length = ref_offsets[base], ref_offsets[base + 1] - ref_offsets[base]
            record = filled
            # --- shared: the lengths and counts are written when they are known ----------------------------------
            _put(out, record + 8, contig, 4)
            _put(out, record + 12, positions[position] - 1, 4)
            _put(out, record + 16, ref_length, 4)
            _put_float(out, record + 20, qual[start], pad, pad_bytes)
            _put(out, record + 24, 3 | ((total + 1) << 16), 4)
            out[record + 32] = 0x07  # no ID
            at = _type(out, record + 33, ref_length, 7)
            for index in range(ref_length):
                out[at + index] = ref[ref_first + index]
            at += ref_length
            for allele in range(start, stop):
                if own_allele[allele] < 0:
                    continue
                alt_first, alt_length = alt_offsets[allele], alt_offsets[allele + 1] - alt_offsets[allele]
                own_ref = ref_offsets[allele + 1] - ref_offsets[allele]
                at = _type(out, at, alt_length + ref_length - own_ref, 7)
                for index in range(alt_length):
                    out[at + index] = alt[alt_first + index]
                at += alt_length
                for index in range(own_ref, ref_length):
                    out[at] = ref[ref_first + index]
                    at += 1
            if star:
                out[at] = 0x17
                out[at + 1] = 42
                at += 2
            failed = 0
            for bit in range(8):
                failed += (filters[start] >> bit) & 1
            at = _type(out, at, max(failed, 1), 1)
            if failed == 0:
                at = _put(out, at, 0, 1)
            for bit in range(8):
                if (filters[start] >> bit) & 1:
                    at = _put(out, at, bit + 1, 1)
            ac_at = _key(out, at, ID_AC, total, 4)
            an_at = _key(out, ac_at + 4 * total, ID_AN, 1, 4)
            af_at = _key(out, an_at + 4, ID_AF, total, 5)
            at = af_at + 4 * total
            ac = np.zeros(total + 1, np.int64)
            an = 0
            _put(out, record, at - record - 8, 4)
            individual = at
            # --- dense: genotype, quality and depth of everyone from the cells -----------------------------------
            gt_size = 1 if total <= MOST_GT_8 else 2
            gt_at = _key(out, at, ID_GT, 2, gt_size)
            gq_at = _key(out, gt_at + 2 * gt_size * people, ID_GQ, 1, 1)
            at = gq_at + people
            deepest = 0
            for column in range(people):
                cell = cells[position, column]
                kind = cell & (CELL_KINDS - 1)
                if kind_record[kind] != record_number:
                    kind_record[kind] = record_number
                    ploidy = 1 if kind & CELL_HAPLOID else 2
                    haplotype[:] = 0
                    taken = 0
                    quality = -1
                    shown = True
                    for allele in range(start, stop):
                        if own_allele[allele] < 0:
                            continue
                        carried, gq = cell_copies(kind, mode, frequency[allele], likelihood, limits)
                        shown = shown and carried >= 0
                        quality = gq if quality < 0 else min(quality, gq)
                        for _ in range(carried):
                            if taken < ploidy:
                                haplotype[taken] = own_allele[allele]
                                taken += 1
                    if star and shown:
                        for _ in range((kind >> CELL_OTHER) & 3):
                            if taken < ploidy:
                                haplotype[taken] = total
                                taken += 1
                    kind_gq[kind] = quality if quality >= 0 else MISSING
                    low = min(haplotype[0], haplotype[1]) if ploidy == 2 else haplotype[0]
                    high = max(haplotype[0], haplotype[1])
                    kind_gt[kind, 0] = (low + 1) << 1 if shown else 0
                    kind_gt[kind, 1] = VECTOR_END if ploidy == 1 else ((high + 1) << 1 if shown else 0)
                gt_0, gt_1 = kind_gt[kind, 0], kind_gt[kind, 1]
                if gt_size == 1:
                    out[gt_at + 2 * column] = gt_0
                    out[gt_at + 2 * column + 1] = gt_1 if gt_1 >= 0 else 0x81
                else:
                    _put(out, gt_at + 4 * column, gt_0, 2)
                    _put(out, gt_at + 4 * column + 2, gt_1, 2)
                if gt_0 > 0:
                    an += 1
                    ac[(gt_0 >> 1) - 1] += 1
                if gt_1 > 0:
                    an += 1
                    ac[(gt_1 >> 1) - 1] += 1
                out[gq_at + column] = kind_gq[kind] if kind_gq[kind] >= 0 else 0x80
                deep = (cell >> CELL_DP) - 1
                depth[column] = deep if deep >= 0 else MISSING
                deepest = max(deepest, deep)
            # --- how wide the sparse fields are --------------------------------------------------------------
            most_ad = -1
            most_pl = -1
            most_ps = -1
            most_alleles = 1
            local = 0
            for row in range(row_first, row_last):
                deepest = max(deepest, rows[row, DP])
                most_ad = max(most_ad, rows[row, AD_REF])
                if row == row_first or rows[row, COLUMN] != rows[row - 1, COLUMN]:
                    local = 0
                allele = rows[row, ALLELE]
                if allele < start or allele >= stop or own_allele[allele] < 0:
                    continue
                local += 1
                most_alleles = max(most_alleles, local)
                most_ad = max(most_ad, rows[row, AD_ALT])
                most_pl = max(most_pl, max(rows[row, PL_0], rows[row, PL_1], rows[row, PL_2]))
                if rows[row, PHASE]:
                    most_ps = max(most_ps, rows[row, PHASE_SET])
            formats = 3
            dp_size = _size_of(deepest)
            dp_at = _key(out, at, ID_DP, 1, dp_size)
            at = dp_at
            for column in range(people):
                at = _put(out, at, depth[column], dp_size)
            ad_size = _size_of(most_ad)
            ad_at = 0
            if most_ad >= 0:
                formats += 1
                ad_at = _key(out, at, ID_AD, total + 1, ad_size)
                at = _fill(out, ad_at, people, total + 1, ad_size)
            pl_size = _size_of(most_pl)
            pl_at = 0
            pl_width = 3
            laa_at = 0
            laa_size = _size_of(total)
            if most_pl >= 0:
                formats += 1
                if total > 1:
                    formats += 1
                    laa_at = _key(out, at, ID_LAA, most_alleles, laa_size)
                    at = _fill(out, laa_at, people, most_alleles, laa_size)
                    pl_width = (most_alleles + 1) * (most_alleles + 2) // 2
                pl_at = _key(out, at, ID_PL if total == 1 else ID_LPL, pl_width, pl_size)
                at = _fill(out, pl_at, people, pl_width, pl_size)
            ps_at = 0
            if most_ps >= 0:
                formats += 1
                ps_at = _key(out, at, ID_PS, 1, 4)
                at = _fill(out, ps_at, people, 1, 4)
            # --- sparse: those who have call rows here ---------------------------------------------------------
            row = row_first
            while row < row_last:
                column = rows[row, COLUMN]
                group = row
                own = -1  # the first row of an allele of this record
                best = row  # what decides an allele that no row of theirs names
                shown = False
                unknown = 0  # copies of alleles of this record that are carried, but not shown
                owned = 0
                claimed = 0
                explained = 0
                other = 0
                phased = True
                haplotype[:] = 0
                quality = MISSING
                while row < row_last and rows[row, COLUMN] == column:
                    allele = rows[row, ALLELE]
                    if row_shown(rows[row, FLAGS], mode, -1):
                        other = max(other, rows[row, OTHER] + rows[row, COPIES])
                        explained += rows[row, COPIES]
                    if rows[row, GQ] > rows[best, GQ]:
                        best = row
                    if start <= allele < stop and own_allele[allele] > 0:
                        if own < 0:
                            own = row
                        owned += 1
                        copies = rows[row, JOINT_COPIES if mode == JOINT else COPIES]
                        phase = rows[row, PHASE]
                        if not row_shown(rows[row, FLAGS], mode, rows[row, PL_0]):
                            unknown += copies
                            copies = 0
                        else:
                            shown = True
                        if copies:
                            claimed += 1
                            bits = (phase & 1) + (phase >> 1)
                            if bits != copies or (phase & 1 and haplotype[0]) or (phase & 2 and haplotype[1]):
                                phased = False
                            if phase & 1:
                                haplotype[0] = own_allele[allele]
                            if phase & 2:
                                haplotype[1] = own_allele[allele]
                        gq = rows[row, JOINT_GQ if mode == JOINT else GQ]
                        if gq >= 0 and (quality < 0 or gq < quality):
                            quality = gq
                    row += 1
                decides = own if own >= 0 else best
                ploidy = rows[decides, PLOIDY]
                if own < 0:
                    shown = row_shown(rows[decides, FLAGS] >> POSITION_FLAGS, mode, -1)
                    if rows[decides, GQ] >= 0:
                        quality = rows[decides, GQ]
                stars = max(other - explained, 0) if star else 0
                if claimed == 0 or ploidy == 1 or stars or unknown:
                    phased = False
                if not phased:
                    taken = 0
                    haplotype[:] = 0
                    for member in range(group, row):
                        allele = rows[member, ALLELE]
                        if (
                            start <= allele < stop
                            and own_allele[allele] > 0
                            and row_shown(rows[member, FLAGS], mode, rows[member, PL_0])
                        ):
                            for _ in range(rows[member, JOINT_COPIES if mode == JOINT else COPIES]):
                                if taken < ploidy:
                                    haplotype[taken] = own_allele[allele]
                                    taken += 1
                    for _ in range(unknown):
                        if taken < ploidy:
                            haplotype[taken] = -1
                            taken += 1
                    for _ in range(stars):
                        if taken < ploidy:
                            haplotype[taken] = total
                            taken += 1
                    if ploidy == 2 and haplotype[0] > haplotype[1]:
                        haplotype[0], haplotype[1] = haplotype[1], haplotype[0]
                gt_0 = 0
                gt_1 = VECTOR_END if ploidy == 1 else 0
                if shown:
                    for index in range(ploidy):
                        if haplotype[index] >= 0:
                            an += 1
                            ac[haplotype[index]] += 1
                    gt_0 = (haplotype[0] + 1) << 1
                    if ploidy == 2:
                        gt_1 = ((haplotype[1] + 1) << 1) | (1 if phased else 0)
                _put(out, gt_at + 2 * gt_size * column, gt_0, gt_size)
                _put(out, gt_at + 2 * gt_size * column + gt_size, gt_1, gt_size)
                _put(out, gq_at + column, quality, 1)
                if rows[decides, DP] >= 0:
                    _put(out, dp_at + dp_size * column, rows[decides, DP], dp_size)
                if ad_at and rows[decides, AD_REF] >= 0:
                    place = ad_at + (total + 1) * ad_size * column
                    _put(out, place, rows[decides, AD_REF], ad_size)
                    for index in range(1, total + 1):
                        _put(out, place + index * ad_size, MISSING, ad_size)
                    for member in range(group, row):
                        allele = rows[member, ALLELE]
                        if start <= allele < stop and own_allele[allele] > 0 and rows[member, AD_ALT] >= 0:
                            _put(out, place + own_allele[allele] * ad_size, rows[member, AD_ALT], ad_size)
                if own >= 0 and pl_at and total == 1 and rows[own, PL_0] >= 0:
                    place = pl_at + 3 * pl_size * column
                    for index in range(ploidy + 1):
                        _put(out, place + index * pl_size, rows[own, PL_0 + index], pl_size)
                if own >= 0 and laa_at:
                    place = laa_at + most_alleles * laa_size * column
                    complete = True
                    for member in range(group, row):
                        allele = rows[member, ALLELE]
                        if start <= allele < stop and own_allele[allele] > 0:
                            place = _put(out, place, own_allele[allele], laa_size)
                            complete = complete and rows[member, PL_0] >= 0
                    place = pl_at + pl_width * pl_size * column
                    if complete and ploidy == 2:
                        for second in range(owned + 1):
                            for one in range(second + 1):
                                value = _local(rows, group, row, start, stop, own_allele, one, second)
                                place = _put(out, place, value, pl_size)
                    elif complete:
                        for one in range(owned + 1):
                            value = _local(rows, group, row, start, stop, own_allele, one, 0)
                            place = _put(out, place, value, pl_size)
                if ps_at and phased and shown and rows[decides, PHASE_SET] >= 0:
                    _put(out, ps_at + 4 * column, rows[decides, PHASE_SET], 4)
            # --- what is known now ---------------------------------------------------------------------------
            for index in range(total):
                _put(out, ac_at + 4 * index, ac[index + 1], 4)
                if an:
                    _put_float(out, af_at + 4 * index, ac[index + 1] / an, pad, pad_bytes)
                else:
                    _put(out, af_at + 4 * index, 0x7F800001, 4)
            _put(out, an_at, an, 4)
            _put(out, record + 28, people | (formats << 24), 4)
            _put(out, record + 4, at - individual, 4)
            filled = at
            for allele in range(start, stop):
                own_allele[allele] = -1
            start = stop
    return len(positions), filled


@compiled
def _local(rows: Array, group: int, end: int, start: int, stop: int, own_allele: Array, first: int, second: int) -> int:
    """The least likelihood of a genotype that agrees with its alleles' downcoded ones.

    ``first`` and ``second`` number the participant's own alleles from 1; 0 is the reference, and for a haploid
    ``second`` is 0.
    """
    value = 0
    number = 0
    for member in range(group, end):
        allele = rows[member, ALLELE]
        if start <= allele < stop and own_allele[allele] > 0:
            number += 1
            copies = (1 if first == number else 0) + (1 if second == number else 0)
            value = max(value, rows[member, PL_0 + copies])
    return value
