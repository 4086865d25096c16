"""The compiled reader of gVCF text: one pass over the bytes of whole lines, no Python object per record.

A record becomes call rows (one per participant and normalised allele) and evidence intervals (what the record
or block says of every position that it covers). ``gvcf.py`` feeds it and gives names to its numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from baekman.gvcf_rows import (
    NON_REF,
    OTHER,
    R_ALT_END,
    R_REF_END,
    REAL,
    close_up,
    collect_atoms,
    complete_rows,
    count_changed,
)
from baekman.gvcf_text import (
    COLON,
    COMMA,
    DOT,
    EQUALS,
    LESS,
    PIPE,
    SEMICOLON,
    SLASH,
    STAR,
    TAB,
    digest,
    integer,
    is_allele_letter,
    is_base,
    key_number,
    named,
    quality,
    same,
    upper,
)
from baekman.kernels import compiled
from baekman.schema import FLAG_CALLED, FLAG_GENOTYPED, STATE_CALLED, STATE_MISSING, STATE_WEAK

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
    SAME_POS,  # how many records of LAST_POS have a digest in the slots from SAME_LINES on
) = range(13)
SAME_LINES = 13
MOST_SAME = 16
STATE_SLOTS = SAME_LINES + MOST_SAME

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
    DUPLICATED,
    MORE_FIELDS,
) = range(10, 26)

KEYS = ("GT", "GQ", "DP", "MIN_DP", "AD", "PL", "PS", "PGT", "PID", "LEN")
GT, GQ, DP, MIN_DP, AD, PL, PS, PGT, PID, LEN = range(10)
INFO_KEYS = ("END", "MIN_DP", "MinDP")  # bcftools wrote MinDP and MIN_DP, by version
END = 0
MAX_FORMATS = 64
MAX_FIELDS = 64
MAX_ALLELES = 256
MAX_FILTERS = 250

INTERVAL_COLUMNS = ("start", "end", "gq", "dp", "ploidy", "other", "state", "spans")
I_START, I_END, I_GQ, I_DP, I_PLOIDY, I_OTHER, I_STATE, I_SPANS = range(8)  # spans: POS of a record, 0 of a block


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
            known = same(buf, at, name_end, contig_pool, first, contig_name_ends[index])
        if not known:
            found = -1
            first = 0
            for index in range(len(contig_name_ends)):
                if same(buf, at, name_end, contig_pool, first, contig_name_ends[index]):
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
        pos = integer(buf, columns[1], columns[2] - 1)
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
                    if not is_allele_letter(upper(buf[index])):
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
            base = upper(buf[ref_start + index])
            if not is_allele_letter(base):
                state[ERROR] = BAD_REF
                return DONE, at, row_count, interval_count
            if pos + index > length:
                if block:
                    break
                state[ERROR] = PAST_END
                return DONE, at, row_count, interval_count
            expected = genome[base_zero + pos - 1 + index]
            if base != expected and is_base(base) and is_base(expected):
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
        if pos != state[LAST_POS]:
            state[SAME_POS] = 0
        after = end + 1 + columns[2] - at  # where the next line's ID is, if it has the same contig and POS
        if (
            pos == state[LAST_POS]
            or after > limit
            or same(buf, at, columns[2], buf, end + 1, after)
        ):  # fmt: skip
            line_digest = digest(buf, columns[1], line_end)
            for index in range(min(state[SAME_POS], MOST_SAME)):
                if state[SAME_LINES + index] == line_digest:
                    state[ERROR] = DUPLICATED
                    return DONE, at, row_count, interval_count
            state[SAME_LINES + state[SAME_POS] % MOST_SAME] = line_digest
            state[SAME_POS] += 1
        state[LAST_POS] = pos

        # --- FORMAT and sample -------------------------------------------------------------------------------
        format_start = columns[8]
        format_end = columns[9] - 1
        if last_format >= 0:
            first = format_ends[last_format - 1] if last_format else 0
            if not same(buf, format_start, format_end, format_pool, first, format_ends[last_format]):
                last_format = -1
        if last_format < 0:
            before = state[FORMATS]
            last_format = named(state, FORMATS, buf, format_start, format_end, format_pool, format_ends, MAX_FORMATS)
            if last_format < 0:  # the list is full: begin it anew
                state[FORMATS] = 0
                before = 0
                last_format = named(
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
                    key = key_number(buf, start, stop, key_pool, key_ends)
                    if key >= 0:
                        format_fields[last_format, key] = number
                    number += 1
                    start = stop + 1
                format_fields[last_format, len(key_ends)] = number
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
        if fields > format_fields[last_format, len(key_ends)]:
            state[ERROR] = MORE_FIELDS
            return DONE, at, row_count, interval_count

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
                allele = integer(buf, start, last)
                for index in range(start + 1, last):
                    if buf[index] == DOT:  # a decimal
                        allele = -2
                if allele >= alleles and alleles == 1:  # a caller that carries a GT over to the bases of a deletion
                    if complete:
                        state[CONTRADICTING] += 1
                    allele = -1
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
                    value = integer(buf, start, last)
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
                key = key_number(buf, start, equals, info_pool, info_ends) if equals >= 0 else -1
                if key == END:
                    reach = integer(buf, equals + 1, last)
                    if reach == -1:  # END=.
                        reach = 0
                elif key >= 0:
                    info_dp = integer(buf, equals + 1, last)
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
                    value = integer(buf, start, last)
                    depths[counted] = value if value >= 0 else 0
                    counted += 1
                    start = last + 1
                if counted != alleles:
                    state[CONTRADICTING] += 1
                    counted = 0
        dp = -1
        number = format_fields[last_format, MIN_DP] if block else -1
        if 0 <= number < fields:
            dp = integer(buf, field_start[number], field_end[number])
        has_min_dp = dp >= 0
        number = format_fields[last_format, DP]
        if dp < 0 and 0 <= number < fields:
            dp = integer(buf, field_start[number], field_end[number])
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
            gq = integer(buf, field_start[number], field_end[number])
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
                size = integer(buf, field_start[number], field_end[number])
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
        count_changed(buf, ref_start, ref_length, genotype, ploidy, allele_start, allele_end, allele_kind, atom_begin)
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
                intervals[interval_count, I_SPANS] = pos
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
                filter_code = named(state, FILTERS, buf, start, stop, filter_pool, filter_ends, MAX_FILTERS) + 1
                if filter_code == 0:
                    state[ERROR] = TOO_MANY_FILTERS
                    return DONE, at, row_count, interval_count
            phase_set = -1
            phased_first = genotype[0]
            phased_second = genotype[1] if ploidy == 2 else -1
            number = format_fields[last_format, PS]
            if 0 <= number < fields:
                phase_set = max(integer(buf, field_start[number], field_end[number]), -1)
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
                        phase_set = integer(buf, field_start[number], stop)
            first_row = row_count
            row_count, pairs = collect_atoms(
                buf, ref_start, ref_length, alleles, allele_start, allele_end, allele_kind, genome, base_zero, pos,
                quality(buf, columns[5], columns[6] - 1), rows, row_count, ref_pool, alt_pool, ref_bytes, alt_bytes,
                atom_begin, atom_ref, atom_alt, member_row, member_allele,
            )  # fmt: skip
            flags = (FLAG_GENOTYPED if complete and covered else 0) | (FLAG_CALLED if called and covered else 0)
            complete_rows(
                buf, ref_start, ref_length, alleles, allele_start, allele_end, allele_kind, genotype, ploidy, phased,
                phased_first, phased_second, depths, counted, pl, values, gq, dp, phase_set, filter_code, flags,
                rows, first_row, row_count, member_row, member_allele, pairs, members, likelihoods,
            )  # fmt: skip
            row_count = close_up(rows, first_row, row_count, ref_pool, alt_pool)
        state[RECORDS] += 1
        at = end + 1
    return DONE, at, row_count, interval_count
