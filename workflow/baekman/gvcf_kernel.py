"""The compiled reader of gVCF text: one pass over the bytes of whole lines, no Python object per record.

A record becomes call rows (one per participant and normalised allele) and evidence intervals (what the record
or block says of every position that it covers). ``gvcf.py`` feeds it and gives names to its numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from baekman.alleles import atomize, downcode, left_align
from baekman.kernels import compiled
from baekman.schema import FLAG_GENOTYPED, MISSING, STATE_CALLED, STATE_MISSING, STATE_WEAK

Array = Any  # a NumPy array inside compiled code

# Slots of ``state``: what the reader carries from one chunk to the next.
(
    CONTIG,
    LAST_POS,
    LINE,
    RECORDS,
    CONTRADICTING,
    ERROR,
    FORMATS,
    FILTERS,
    STARTED,
    ROOM_ROWS,
    ROOM_INTERVALS,
    ROOM_LETTERS,
) = range(12)
STATE_SLOTS = 12

# Why reading stopped.
DONE, FLUSH, GROW, NEXT_CONTIG = 0, 1, 2, 3
(
    BAD_COLUMNS,
    BAD_CONTIG,
    BAD_POS,
    BAD_ORDER,
    PAST_END,
    BAD_REF,
    BAD_REF_BASE,
    BAD_ALT,
    BAD_END,
    BAD_GENOTYPE,
    BAD_PLOIDY,
    REVISITED,
    TOO_MANY_FIELDS,
    TOO_MANY_FILTERS,
) = range(10, 24)

KEYS = ("GT", "GQ", "DP", "MIN_DP", "AD", "PL", "PS", "PGT", "PID", "LEN")
GT, GQ, DP, MIN_DP, AD, PL, PS, PGT, PID, LEN = range(10)
INFO_KEYS = ("END", "MIN_DP", "MinDP")  # bcftools wrote MinDP and MIN_DP, by version
END = 0
MAX_FORMATS = 64
MAX_FIELDS = 64
MAX_ALLELES = 256
MAX_FILTERS = 250

# Kinds of ALT.
REAL, NON_REF, OTHER = 0, 1, 2

TAB, COLON, COMMA, SLASH, PIPE, DOT, SEMICOLON, STAR, LESS, EQUALS = 9, 58, 44, 47, 124, 46, 59, 42, 60, 61

ROW_INTS = ("pos", "copies", "ploidy", "other", "gq", "dp", "ad_ref", "ad_alt", "pl_0", "pl_1", "pl_2")
ROW_COLUMNS = (*ROW_INTS, "phase", "phase_set", "filter", "flags", "quality", "ref_end", "alt_end")
(
    R_POS, R_COPIES, R_PLOIDY, R_OTHER, R_GQ, R_DP, R_AD_REF, R_AD_ALT, R_PL_0, R_PL_1, R_PL_2,
    R_PHASE, R_PHASE_SET, R_FILTER, R_FLAGS, R_QUALITY, R_REF_END, R_ALT_END,
) = range(18)  # fmt: skip
INTERVAL_COLUMNS = ("start", "end", "gq", "dp", "ploidy", "other", "state", "spans")
I_START, I_END, I_GQ, I_DP, I_PLOIDY, I_OTHER, I_STATE, I_SPANS = range(8)


@compiled
def _integer(buf: Array, start: int, end: int) -> int:
    """The integer at ``buf[start:end]`` (decimals cut off); -1 when ``.`` or empty, -2 when it is none."""
    if start >= end or (end - start == 1 and buf[start] == DOT):
        return -1
    value = 0
    for at in range(start, end):
        digit = buf[at] - 48
        if digit < 0 or digit > 9:
            if buf[at] == DOT and at > start:
                return value
            return -2
        value = value * 10 + digit
        if value > 2_000_000_000:
            return 2_000_000_000
    return value


@compiled
def _quality(buf: Array, start: int, end: int) -> int:
    """QUAL in hundredths, -1 when missing; only compared, never stored."""
    whole = _integer(buf, start, end)
    if whole < 0:
        return -1
    hundredths = min(whole, 10_000_000) * 100
    for at in range(start, end):
        if buf[at] == DOT:
            if at + 1 < end and 48 <= buf[at + 1] <= 57:
                hundredths += 10 * (buf[at + 1] - 48)
            if at + 2 < end and 48 <= buf[at + 2] <= 57:
                hundredths += buf[at + 2] - 48
            break
    return hundredths


@compiled
def _same(buf: Array, start: int, end: int, pool: Array, first: int, last: int) -> bool:
    if end - start != last - first:
        return False
    for index in range(end - start):
        if buf[start + index] != pool[first + index]:
            return False
    return True


@compiled
def _upper(base: int) -> int:
    return base - 32 if 97 <= base <= 122 else base


@compiled
def _is_base(base: int) -> bool:
    return base == 65 or base == 67 or base == 71 or base == 84


@compiled
def _is_allele_letter(base: int) -> bool:
    return 65 <= base <= 90


@compiled
def _named(state: Array, slot: int, buf: Array, start: int, end: int, pool: Array, ends: Array, limit: int) -> int:
    """Number of the string at ``buf[start:end]`` in a growing list of strings; -1 when the list is full."""
    count = state[slot]
    for index in range(count):
        first = ends[index - 1] if index else 0
        if _same(buf, start, end, pool, first, ends[index]):
            return index
    first = ends[count - 1] if count else 0
    if count >= limit or first + end - start > len(pool):
        return -1
    for index in range(end - start):
        pool[first + index] = buf[start + index]
    ends[count] = first + end - start
    state[slot] = count + 1
    return count


@compiled
def _key(buf: Array, start: int, end: int, key_pool: Array, key_ends: Array) -> int:
    first = 0
    for index in range(len(key_ends)):
        if _same(buf, start, end, key_pool, first, key_ends[index]):
            return index
        first = key_ends[index]
    return -1


@compiled
def read_chunk(
    buf: Array,
    begin: int,
    limit: int,
    state: Array,
    contig_pool: Array,
    contig_name_ends: Array,
    contig_of_name: Array,
    contig_starts: Array,
    contig_lengths: Array,
    contig_seen: Array,
    genome: Array,
    key_pool: Array,
    key_ends: Array,
    info_pool: Array,
    info_ends: Array,
    format_pool: Array,
    format_ends: Array,
    format_fields: Array,
    filter_pool: Array,
    filter_ends: Array,
    min_gq: int,
    min_dp: int,
    min_het_percent: int,
    rows: Array,
    row_count: int,
    ref_pool: Array,
    alt_pool: Array,
    intervals: Array,
    interval_count: int,
    scratch_bytes: Array,
    scratch_ints: Array,
    pl: Array,
) -> tuple[int, int, int, int]:
    """Read the whole lines of ``buf[begin:limit]``; return (why it stopped, where, rows, intervals).

    Stops after the last line (DONE), before a line for which the outputs (FLUSH; ``state`` says how much room it
    wants) or the scratch space (GROW) are too small, or before the first record of another contig (NEXT_CONTIG);
    ``state[ERROR]`` is set when a line is refused.
    """
    at = begin
    columns = np.empty(11, np.int64)
    field_start = np.empty(MAX_FIELDS, np.int64)
    field_end = np.empty(MAX_FIELDS, np.int64)
    allele_start = np.empty(MAX_ALLELES, np.int64)
    allele_end = np.empty(MAX_ALLELES, np.int64)
    allele_kind = np.empty(MAX_ALLELES, np.uint8)
    depths = np.empty(MAX_ALLELES, np.int64)
    members = np.zeros(MAX_ALLELES, np.bool_)
    genotype = np.empty(2, np.int64)
    likelihoods = np.empty(3, np.int64)
    part = len(scratch_ints) // 5
    atom_begin = scratch_ints[:part]
    atom_ref = scratch_ints[part : 2 * part]
    atom_alt = scratch_ints[2 * part : 3 * part]
    member_row = scratch_ints[3 * part : 4 * part]  # pairs (row, ALT): the ALTs of the record that hold an atom
    member_allele = scratch_ints[4 * part :]
    half = len(scratch_bytes) // 2
    ref_bytes = scratch_bytes[:half]
    alt_bytes = scratch_bytes[half:]
    last_format = -1

    while at < limit:
        # --- columns -----------------------------------------------------------------------------------------
        column = 0
        columns[0] = at
        end = at
        while end < limit and buf[end] != 10:
            if buf[end] == TAB:
                column += 1
                if column > 9:
                    break
                columns[column] = end + 1
            end += 1
        line_end = end
        if line_end > at and buf[line_end - 1] == 13:
            line_end -= 1
        if line_end == at:  # an empty line
            state[LINE] += 1
            at = end + 1
            continue
        if column != 9:
            state[LINE] += 1
            state[ERROR] = BAD_COLUMNS
            return DONE, at, row_count, interval_count

        # --- contig and position -----------------------------------------------------------------------------
        contig = state[CONTIG]
        name_end = columns[1] - 1
        known = False
        if contig >= 0:
            index = state[STARTED]
            first = contig_name_ends[index - 1] if index else 0
            known = _same(buf, at, name_end, contig_pool, first, contig_name_ends[index])
        if not known:
            found = -1
            first = 0
            for index in range(len(contig_name_ends)):
                if _same(buf, at, name_end, contig_pool, first, contig_name_ends[index]):
                    found = index
                    break
                first = contig_name_ends[index]
            if found < 0:
                state[LINE] += 1
                state[ERROR] = BAD_CONTIG
                return DONE, at, row_count, interval_count
            if contig_of_name[found] != contig:
                if contig_seen[contig_of_name[found]]:
                    state[LINE] += 1
                    state[ERROR] = REVISITED
                    return DONE, at, row_count, interval_count
                if contig >= 0 and state[LAST_POS] > 0:
                    state[LAST_POS] = 0
                    return NEXT_CONTIG, at, row_count, interval_count
                contig = contig_of_name[found]
                contig_seen[contig] = 1
                state[CONTIG] = contig
                state[LAST_POS] = 0
            state[STARTED] = found
        length = contig_lengths[contig]
        base_zero = contig_starts[contig]
        state[LINE] += 1
        pos = _integer(buf, columns[1], columns[2] - 1)
        if pos < 1:
            state[ERROR] = BAD_POS
            return DONE, at, row_count, interval_count
        if pos > length:
            state[ERROR] = PAST_END
            return DONE, at, row_count, interval_count
        if pos < state[LAST_POS]:
            state[ERROR] = BAD_ORDER
            return DONE, at, row_count, interval_count

        # --- REF and ALT -------------------------------------------------------------------------------------
        ref_start = columns[3]
        ref_length = columns[4] - 1 - ref_start
        alleles = 1
        real = 0
        alt_letters = 0
        alt_end = columns[5] - 1
        start = columns[4]
        if alt_end - start == 1 and buf[start] == DOT:
            start = alt_end + 1
        while start <= alt_end:
            stop = start
            while stop < alt_end and buf[stop] != COMMA:
                stop += 1
            if stop == start or alleles >= MAX_ALLELES:
                state[ERROR] = BAD_ALT
                return DONE, at, row_count, interval_count
            kind = REAL
            if buf[start] == LESS:
                kind = OTHER
                if stop - start == 3 and buf[start + 1] == STAR:
                    kind = NON_REF
                elif stop - start == 9 and buf[start + 1] == 78 and buf[start + 5] == 82:
                    kind = NON_REF  # <NON_REF>
            elif buf[start] == STAR and stop - start == 1:
                kind = OTHER
            elif buf[start] == DOT and stop - start == 1:
                kind = NON_REF
            else:
                for index in range(start, stop):
                    if not _is_allele_letter(_upper(buf[index])):
                        kind = OTHER  # a breakend
                        if buf[index] != 91 and buf[index] != 93 and buf[index] != DOT and buf[index] != COLON:
                            state[ERROR] = BAD_ALT
                        break
                if kind == OTHER:
                    breakend = False
                    for index in range(start, stop):
                        if buf[index] == 91 or buf[index] == 93 or buf[index] == DOT:
                            breakend = True
                    if not breakend:
                        state[ERROR] = BAD_ALT
                        return DONE, at, row_count, interval_count
                    state[ERROR] = 0
            allele_start[alleles] = start
            allele_end[alleles] = stop
            allele_kind[alleles] = kind
            if kind == REAL:
                real += 1
                alt_letters += stop - start
            alleles += 1
            start = stop + 1
        block = True
        for index in range(1, alleles):
            if allele_kind[index] != NON_REF:
                block = False
        if ref_length < 1:
            state[ERROR] = BAD_REF
            return DONE, at, row_count, interval_count
        for index in range(ref_length):
            base = _upper(buf[ref_start + index])
            if not _is_allele_letter(base):
                state[ERROR] = BAD_REF
                return DONE, at, row_count, interval_count
            if pos + index > length:
                if block:
                    break
                state[ERROR] = PAST_END
                return DONE, at, row_count, interval_count
            expected = genome[base_zero + pos - 1 + index]
            if base != expected and _is_base(base) and _is_base(expected):
                state[ERROR] = BAD_REF_BASE
                return DONE, at, row_count, interval_count

        # --- room for what this line may add -----------------------------------------------------------------
        most_rows = alt_letters + 2 * real + 1
        most_letters = (real + 1) * (ref_length + 2) + alt_letters + 2 * most_rows
        used_ref = rows[row_count - 1, R_REF_END] if row_count else 0
        used_alt = rows[row_count - 1, R_ALT_END] if row_count else 0
        if (
            row_count + most_rows > len(rows)
            or interval_count + ref_length + 1 > len(intervals)
            or used_ref + most_letters > len(ref_pool)
            or used_alt + most_letters > len(alt_pool)
        ):
            state[LINE] -= 1
            state[ROOM_ROWS] = most_rows
            state[ROOM_INTERVALS] = ref_length + 1
            state[ROOM_LETTERS] = most_letters
            return FLUSH, at, row_count, interval_count
        if (
            alt_letters + ref_length + 2 > half
            or alt_letters + 2 * real + 2 > part
            or ref_length + 2 > part
            or end - at > len(pl)
        ):
            state[LINE] -= 1
            return GROW, at, row_count, interval_count
        state[LAST_POS] = pos

        # --- FORMAT and sample -------------------------------------------------------------------------------
        format_start = columns[8]
        format_end = columns[9] - 1
        if last_format >= 0:
            first = format_ends[last_format - 1] if last_format else 0
            if not _same(buf, format_start, format_end, format_pool, first, format_ends[last_format]):
                last_format = -1
        if last_format < 0:
            before = state[FORMATS]
            last_format = _named(state, FORMATS, buf, format_start, format_end, format_pool, format_ends, MAX_FORMATS)
            if last_format < 0:  # the list is full: begin it anew
                state[FORMATS] = 0
                before = 0
                last_format = _named(
                    state, FORMATS, buf, format_start, format_end, format_pool, format_ends, MAX_FORMATS
                )
                if last_format < 0:
                    state[ERROR] = TOO_MANY_FIELDS
                    return DONE, at, row_count, interval_count
            if state[FORMATS] != before:
                for key in range(len(key_ends)):
                    format_fields[last_format, key] = -1
                start = format_start
                number = 0
                while start <= format_end:
                    stop = start
                    while stop < format_end and buf[stop] != COLON:
                        stop += 1
                    key = _key(buf, start, stop, key_pool, key_ends)
                    if key >= 0:
                        format_fields[last_format, key] = number
                    number += 1
                    start = stop + 1
        start = columns[9]
        fields = 0
        while start <= line_end:
            stop = start
            while stop < line_end and buf[stop] != COLON:
                stop += 1
            if fields >= MAX_FIELDS:
                state[ERROR] = TOO_MANY_FIELDS
                return DONE, at, row_count, interval_count
            field_start[fields] = start
            field_end[fields] = stop
            fields += 1
            start = stop + 1

        # --- genotype ----------------------------------------------------------------------------------------
        ploidy = 0
        complete = True
        phased = False
        number = format_fields[last_format, GT]
        if 0 <= number < fields:
            start = field_start[number]
            stop = field_end[number]
            if start < stop and (buf[start] == SLASH or buf[start] == PIPE):  # VCF 4.5 leading phase mark
                start += 1
            while start <= stop:
                last = start
                while last < stop and buf[last] != SLASH and buf[last] != PIPE:
                    last += 1
                if last < stop and buf[last] == PIPE:
                    phased = True
                if ploidy == 2:
                    state[ERROR] = BAD_PLOIDY
                    return DONE, at, row_count, interval_count
                allele = _integer(buf, start, last)
                if allele == -2 or allele >= alleles:
                    state[ERROR] = BAD_GENOTYPE
                    return DONE, at, row_count, interval_count
                if allele < 0:
                    complete = False
                genotype[ploidy] = allele
                ploidy += 1
                start = last + 1
        else:
            complete = False
        values = 0
        number = format_fields[last_format, PL]
        if 0 <= number < fields:
            start = field_start[number]
            stop = field_end[number]
            broken = False
            if not (stop - start <= 1 and (stop == start or buf[start] == DOT)):
                while start <= stop:
                    last = start
                    while last < stop and buf[last] != COMMA:
                        last += 1
                    value = _integer(buf, start, last)
                    if value < 0:
                        broken = True
                    pl[values] = value
                    values += 1
                    start = last + 1
                if ploidy == 0:
                    ploidy = 1 if values == alleles else 2
                    genotype[0] = -1
                    genotype[1] = -1
                elif ploidy == 1 and not complete and values == alleles * (alleles + 1) // 2:
                    ploidy = 2  # a lone "." of a diploid record
                    genotype[1] = -1
                expected_values = alleles if ploidy == 1 else alleles * (alleles + 1) // 2
                if values != expected_values:
                    state[CONTRADICTING] += 1
                    values = 0
                elif broken:
                    values = 0
        if ploidy == 0:
            ploidy = 2
            genotype[0] = -1
            genotype[1] = -1
        reach = 0
        info_dp = -1
        if block:
            start = columns[7]
            stop = columns[8] - 1
            while start < stop:
                last = start
                equals = -1
                while last < stop and buf[last] != SEMICOLON:
                    if equals < 0 and buf[last] == EQUALS:
                        equals = last
                    last += 1
                key = _key(buf, start, equals, info_pool, info_ends) if equals >= 0 else -1
                if key == END:
                    reach = _integer(buf, equals + 1, last)
                    if reach == -1:  # END=.
                        reach = 0
                elif key >= 0:
                    info_dp = _integer(buf, equals + 1, last)
                start = last + 1
        counted = 0
        number = format_fields[last_format, AD]
        if 0 <= number < fields and alleles > 1:
            start = field_start[number]
            stop = field_end[number]
            if not (stop - start <= 1 and (stop == start or buf[start] == DOT)):
                while start <= stop and counted < MAX_ALLELES:
                    last = start
                    while last < stop and buf[last] != COMMA:
                        last += 1
                    value = _integer(buf, start, last)
                    depths[counted] = value if value >= 0 else 0
                    counted += 1
                    start = last + 1
                if counted != alleles:
                    state[CONTRADICTING] += 1
                    counted = 0
        dp = -1
        number = format_fields[last_format, MIN_DP] if block else -1
        if 0 <= number < fields:
            dp = _integer(buf, field_start[number], field_end[number])
        has_min_dp = dp >= 0
        number = format_fields[last_format, DP]
        if dp < 0 and 0 <= number < fields:
            dp = _integer(buf, field_start[number], field_end[number])
        if dp == -2:
            state[CONTRADICTING] += 1
            dp = -1
        if dp < 0:
            dp = max(info_dp, -1)
        if dp < 0 and counted:
            dp = 0
            for index in range(counted):
                dp += depths[index]
        gq = -1
        number = format_fields[last_format, GQ]
        if 0 <= number < fields:
            gq = _integer(buf, field_start[number], field_end[number])
            if gq == -2:
                state[CONTRADICTING] += 1
                gq = -1
        if gq < 0 and block and has_min_dp:
            gq = (dp * 30103) // 10000
        if gq < 0 and values > 1:
            least = pl[0]
            second = -1
            for index in range(1, values):
                if pl[index] < least:
                    second = least
                    least = pl[index]
                elif second < 0 or pl[index] < second:
                    second = pl[index]
            gq = second - least
        if gq < 0 and block and dp >= 0:
            gq = (dp * 30103) // 10000
        gq = min(gq, 99)
        carried = 0
        for index in range(ploidy):
            if genotype[index] > 0:
                carried += 1
        called = complete and gq >= min_gq and (min_dp == 0 or dp >= min_dp)
        if called and min_het_percent and counted and ploidy == 2 and genotype[0] != genotype[1]:
            total = 0
            for index in range(counted):
                total += depths[index]
            lesser = min(depths[genotype[0]], depths[genotype[1]])
            called = lesser * 100 >= min_het_percent * total
        covered = dp != 0 or carried > 0
        evidence = STATE_MISSING
        if complete:
            evidence = STATE_CALLED if called else STATE_WEAK

        # --- how far the record reaches ----------------------------------------------------------------------
        last_pos = pos + ref_length - 1
        if block:
            number = format_fields[last_format, LEN]
            if reach == 0 and 0 <= number < fields:
                size = _integer(buf, field_start[number], field_end[number])
                if size > 0:
                    reach = pos + size - 1
            if reach:
                if reach < pos:
                    state[ERROR] = BAD_END
                    return DONE, at, row_count, interval_count
                last_pos = reach
            if last_pos > length:
                state[ERROR] = PAST_END
                return DONE, at, row_count, interval_count
            if covered:
                intervals[interval_count, I_START] = pos
                intervals[interval_count, I_END] = last_pos
                intervals[interval_count, I_GQ] = gq
                intervals[interval_count, I_DP] = dp
                intervals[interval_count, I_PLOIDY] = ploidy
                intervals[interval_count, I_OTHER] = carried
                intervals[interval_count, I_STATE] = evidence
                intervals[interval_count, I_SPANS] = 0
                interval_count += 1
            state[RECORDS] += 1
            at = end + 1
            continue

        # --- what the record says of each base that it spans -------------------------------------------------
        for index in range(ref_length):
            atom_begin[index] = 0  # copies that are not the reference base here
        for index in range(ploidy):
            allele = genotype[index]
            if allele < 1:
                continue
            if allele_kind[allele] != REAL:
                for base in range(ref_length):
                    atom_begin[base] += 1
                continue
            size = allele_end[allele] - allele_start[allele]
            trimmed_ref = ref_length
            while (
                trimmed_ref > 1
                and size > 1
                and _upper(buf[ref_start + trimmed_ref - 1]) == _upper(buf[allele_start[allele] + size - 1])
            ):
                trimmed_ref -= 1
                size -= 1
            for base in range(trimmed_ref):
                if base >= size or _upper(buf[ref_start + base]) != _upper(buf[allele_start[allele] + base]):
                    atom_begin[base] += 1
        if covered:
            base = 0
            while base < ref_length:
                stop = base + 1
                while stop < ref_length and atom_begin[stop] == atom_begin[base]:
                    stop += 1
                intervals[interval_count, I_START] = pos + base
                intervals[interval_count, I_END] = pos + stop - 1
                intervals[interval_count, I_GQ] = gq
                intervals[interval_count, I_DP] = dp
                intervals[interval_count, I_PLOIDY] = ploidy
                intervals[interval_count, I_OTHER] = atom_begin[base]
                intervals[interval_count, I_STATE] = evidence
                intervals[interval_count, I_SPANS] = 1
                interval_count += 1
                base = stop

        # --- call rows ---------------------------------------------------------------------------------------
        if real:
            filter_code = 0
            start = columns[6]
            stop = columns[7] - 1
            if not (
                (stop - start == 1 and buf[start] == DOT)
                or (stop - start == 4 and buf[start] == 80 and buf[start + 1] == 65 and buf[start + 2] == 83)
            ):  # fmt: skip
                filter_code = _named(state, FILTERS, buf, start, stop, filter_pool, filter_ends, MAX_FILTERS) + 1
                if filter_code == 0:
                    state[ERROR] = TOO_MANY_FILTERS
                    return DONE, at, row_count, interval_count
            phase_set = -1
            phased_first = genotype[0]
            phased_second = genotype[1] if ploidy == 2 else -1
            number = format_fields[last_format, PS]
            if 0 <= number < fields:
                phase_set = max(_integer(buf, field_start[number], field_end[number]), -1)
            number = format_fields[last_format, PGT]
            if not phased and ploidy == 2 and 0 <= number < fields:
                start = field_start[number]
                if field_end[number] - start == 3 and buf[start + 1] == PIPE and buf[start] != buf[start + 2]:
                    # PGT orders the genotype: "0|1" puts the ALT on the second haplotype
                    if genotype[0] != genotype[1] and buf[start] != 48:
                        phased_first = genotype[1]
                        phased_second = genotype[0]
                    phased = True
                    number = format_fields[last_format, PID]
                    if phase_set < 0 and 0 <= number < fields:
                        stop = field_start[number]
                        while stop < field_end[number] and 48 <= buf[stop] <= 57:
                            stop += 1
                        phase_set = _integer(buf, field_start[number], stop)
            quality = _quality(buf, columns[5], columns[6] - 1)
            first_row = row_count
            pairs = 0
            for allele in range(1, alleles):
                if allele_kind[allele] != REAL:
                    continue
                alt_length = allele_end[allele] - allele_start[allele]
                for index in range(ref_length):
                    ref_bytes[index] = _upper(buf[ref_start + index])
                for index in range(alt_length):
                    alt_bytes[index] = _upper(buf[allele_start[allele] + index])
                changed = ref_length
                changed_alt = alt_length
                while changed > 1 and changed_alt > 1 and ref_bytes[changed - 1] == alt_bytes[changed_alt - 1]:
                    changed -= 1
                    changed_alt -= 1
                aligned_pos, aligned_ref, aligned_alt = left_align(
                    genome, base_zero, pos, ref_bytes, ref_length, alt_bytes, alt_length
                )
                atoms = atomize(ref_bytes, aligned_ref, alt_bytes, aligned_alt, atom_begin, atom_ref, atom_alt)
                for atom in range(atoms):
                    begins = atom_begin[atom]
                    atom_ref_length = atom_ref[atom]
                    atom_alt_length = atom_alt[atom]
                    atom_pos = aligned_pos + begins
                    if atom_ref_length != atom_alt_length:
                        alt_bytes[begins] = ref_bytes[begins]
                    # the bases of the record that the atom changes; of an indel, before it slid to the left
                    if atoms == 1 and atom_ref_length != atom_alt_length:
                        window = min(changed, changed_alt) - 1
                        window_end = max(changed, window + 1)
                    else:
                        window = atom_pos - pos
                        window_end = window + atom_ref_length
                    # the same atom of another ALT of this record: one row for both
                    same = -1
                    for row in range(first_row, row_count):
                        if rows[row, R_POS] != atom_pos:
                            continue
                        first = rows[row - 1, R_REF_END] if row else 0
                        if not _same(
                            ref_bytes, begins, begins + atom_ref_length, ref_pool, first, rows[row, R_REF_END]
                        ):
                            continue
                        first = rows[row - 1, R_ALT_END] if row else 0
                        if _same(alt_bytes, begins, begins + atom_alt_length, alt_pool, first, rows[row, R_ALT_END]):
                            same = row
                            break
                    if same < 0:
                        same = row_count
                        used_ref = rows[row_count - 1, R_REF_END] if row_count else 0
                        used_alt = rows[row_count - 1, R_ALT_END] if row_count else 0
                        for index in range(atom_ref_length):
                            ref_pool[used_ref + index] = ref_bytes[begins + index]
                        for index in range(atom_alt_length):
                            alt_pool[used_alt + index] = alt_bytes[begins + index]
                        for index in range(rows.shape[1]):
                            rows[same, index] = 0
                        rows[same, R_REF_END] = used_ref + atom_ref_length
                        rows[same, R_ALT_END] = used_alt + atom_alt_length
                        rows[same, R_POS] = atom_pos
                        # until the row is finished
                        rows[same, R_PL_1] = window
                        rows[same, R_PL_2] = window_end
                        rows[same, R_QUALITY] = quality
                        row_count += 1
                    member_row[pairs] = same
                    member_allele[pairs] = allele
                    pairs += 1
            for row in range(first_row, row_count):
                for index in range(alleles):
                    members[index] = False
                for index in range(pairs):
                    if member_row[index] == row:
                        members[member_allele[index]] = True
                window = rows[row, R_PL_1]
                window_end = rows[row, R_PL_2]
                copies = 0
                other = 0
                phase = 0
                for index in range(ploidy):
                    allele = genotype[index]
                    if allele < 1:
                        continue
                    if members[allele]:
                        copies += 1
                    elif allele_kind[allele] != REAL:
                        other += 1
                    else:
                        # does the other ALT change a base of this atom?
                        size = allele_end[allele] - allele_start[allele]
                        trimmed_ref = ref_length
                        while (
                            trimmed_ref > 1
                            and size > 1
                            and _upper(buf[ref_start + trimmed_ref - 1]) == _upper(buf[allele_start[allele] + size - 1])
                        ):
                            trimmed_ref -= 1
                            size -= 1
                        for base in range(window, min(window_end, trimmed_ref)):
                            if (
                                base >= size
                                or _upper(buf[ref_start + base]) != _upper(buf[allele_start[allele] + base])
                                or (base == min(size, trimmed_ref) - 1 and size != trimmed_ref)
                            ):
                                other += 1
                                break
                if phased and ploidy == 2:
                    if phased_first > 0 and members[phased_first]:
                        phase |= 1
                    if phased_second > 0 and members[phased_second]:
                        phase |= 2
                ad_alt = -1
                if counted:
                    ad_alt = 0
                    for index in range(1, alleles):
                        if members[index]:
                            ad_alt += depths[index]
                if values:
                    downcode(pl, 0, alleles, ploidy, members, likelihoods)
                else:
                    likelihoods[0] = likelihoods[1] = likelihoods[2] = MISSING
                if copies == 0 and ad_alt == 0 and not (values and likelihoods[1] < likelihoods[0] + 20):
                    # named without evidence: what the record says of the base is in its interval. The strings
                    # of the rows behind it stay where they are, so its place is closed up below.
                    rows[row, R_POS] = -1
                    continue
                rows[row, R_COPIES] = copies
                rows[row, R_PLOIDY] = ploidy
                rows[row, R_OTHER] = other
                rows[row, R_GQ] = gq
                rows[row, R_DP] = dp
                rows[row, R_AD_REF] = depths[0] if counted else -1
                rows[row, R_AD_ALT] = ad_alt
                rows[row, R_PL_0] = likelihoods[0]
                rows[row, R_PL_1] = likelihoods[1]
                rows[row, R_PL_2] = likelihoods[2]
                rows[row, R_PHASE] = phase
                rows[row, R_PHASE_SET] = phase_set
                rows[row, R_FILTER] = filter_code
                rows[row, R_FLAGS] = (FLAG_GENOTYPED if complete and covered else 0) | (2 if called and covered else 0)
            # close up the dropped rows
            kept = first_row
            used_ref = rows[first_row - 1, R_REF_END] if first_row else 0
            used_alt = rows[first_row - 1, R_ALT_END] if first_row else 0
            ref_from = used_ref
            alt_from = used_alt
            for row in range(first_row, row_count):
                ref_to = rows[row, R_REF_END]
                alt_to = rows[row, R_ALT_END]
                if rows[row, R_POS] >= 0:
                    if kept != row:
                        for index in range(ref_from, ref_to):
                            ref_pool[used_ref + index - ref_from] = ref_pool[index]
                        for index in range(alt_from, alt_to):
                            alt_pool[used_alt + index - alt_from] = alt_pool[index]
                        for index in range(rows.shape[1]):
                            rows[kept, index] = rows[row, index]
                    used_ref += ref_to - ref_from
                    used_alt += alt_to - alt_from
                    rows[kept, R_REF_END] = used_ref
                    rows[kept, R_ALT_END] = used_alt
                    kept += 1
                ref_from = ref_to
                alt_from = alt_to
            row_count = kept
        state[RECORDS] += 1
        at = end + 1
    return DONE, at, row_count, interval_count
