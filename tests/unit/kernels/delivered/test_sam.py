"""SAM kernels against plain Python, however the text is cut between lines."""

from __future__ import annotations

import re

from baekman.kernels.delivered.sam import SamCopy, SamNames
from hypothesis import given
from hypothesis import strategies as st

TAGS = [
    *(b"RG:Z:X", b"RG:Z:Y.1", b"RG:Z:nobody", b"NM:i:3", b"MD:Z:150", b"OQ:Z:III", b"CO:Z:Kim H", b"XA:A:c"),
    *(b"XH:H:1A", b"XB:B:c,1", b"XX:Z:", b"AB:C", b"BC:Z:" + b"A" * 300, b"RG:Z:", b"U2:Z:F", "XX:Z:김".encode()),
]
COLUMNS = b"4\t*\t0\t0\t*\t*\t0\t0\tACGT\tIIII"

records = st.lists(
    st.tuples(st.sampled_from([b"r1", b"r2", b"01", b"1", b"@x"]), st.lists(st.sampled_from(TAGS), max_size=5)),
    max_size=9,
)
cuts = st.lists(st.integers(1, 5), min_size=1)


def parts(lines: list[bytes], sizes: list[int]) -> list[bytes]:
    """Return the lines in parts."""
    made, at = [], 0
    while at < len(lines):
        step = sizes[len(made) % len(sizes)]
        made.append(b"".join(lines[at : at + step]))
        at += step
    return made


def text_of(reads: list[tuple[bytes, list[bytes]]]) -> list[bytes]:
    return [b"\t".join([name, COLUMNS, *tags]) + b"\n" for name, tags in reads]


@given(records, cuts)
def test_names_and_tags_of_text_are_those_of_plain_python(
    reads: list[tuple[bytes, list[bytes]]], sizes: list[int]
) -> None:
    kernel = SamNames()
    taken = [kernel.feed(part) for part in parts(text_of(reads), sizes)]
    noise = (b"OQ", b"BQ", b"QT", b"Q2", b"CQ", b"BZ", b"QX", b"CY", b"U2")
    tags = {tag for _, tags in reads for tag in tags if re.match(rb"..:[ZHA]:", tag) and tag[:2] not in noise}
    assert b"".join(names for names, _ in taken) == b"".join(name + b"\n" for name, _ in reads)
    assert set(b"".join(part for _, part in taken).split(b"\n")) - {b""} == {b"\t" + tag for tag in tags}
    assert kernel.records == len(reads)


@given(
    st.lists(st.tuples(st.sampled_from([b"A", b"AC", b"*"]), st.booleans(), st.booleans(), st.booleans()), max_size=9)
)
def test_reads_without_bases_or_qualities_are_counted(reads: list[tuple[bytes, bool, bool, bool]]) -> None:
    """The quality of one base may be ``*``, which then is its quality."""
    kernel, bare = SamNames(), 0
    for bases, has_qualities, is_secondary, has_tag in reads:
        qualities = b"I" * len(bases) if has_qualities and bases != b"*" else b"*"
        kernel.feed(
            b"r\t%d\t*\t0\t0\t*\t*\t0\t0\t%s\t%s%s\n"
            % (4 + 256 * is_secondary, bases, qualities, b"\tNM:i:1" * has_tag)
        )
        bare += not is_secondary and (bases == b"*" or (bases == b"AC" and qualities == b"*"))
    assert kernel.bare == bare


@given(records, cuts, st.integers(0, 3), st.booleans())
def test_a_copy_has_numbered_names_and_the_read_group_of_its_lane(
    reads: list[tuple[bytes, list[bytes]]], sizes: list[int], count: int, rename: bool
) -> None:
    groups = [b"Y.1", b"X", b"Z"][:count]
    expected, number, last = [], 0, None
    for name, tags in reads:
        number += name != last
        last = name
        known = [tag[5:] for tag in tags if tag.startswith(b"RG:Z:") and tag[5:] in groups]
        lane = groups.index(known[-1]) + 1 if known else 1
        kept = [tag for tag in tags if not tag.startswith(b"RG:Z:")]
        shown = b"L1.%d" % number if rename else name
        expected.append(b"\t".join([shown, COLUMNS, *kept, b"RG:Z:L%d" % lane]) + b"\n")
    copy = SamCopy(groups, rename=rename)
    assert b"".join(copy.feed(part) for part in parts(text_of(reads), sizes)) == b"".join(expected)


@given(st.lists(st.tuples(st.integers(0, 0xFFF), st.booleans()), max_size=9), cuts)
def test_reads_are_the_records_that_are_neither_secondary_nor_supplementary(
    flags: list[tuple[int, bool]], sizes: list[int]
) -> None:
    lines = [b"r\t%d\t*\t0\t0\t*\t*\t0\t0\tACGT\tIIII%s\n" % (flag, b"\tNM:i:1" * tag) for flag, tag in flags]
    names, copy = SamNames(), SamCopy([], rename=True)
    for part in parts(lines, sizes):
        names.feed(part)
        copy.feed(part)
    assert names.reads == copy.reads == sum(not flag & 0x900 for flag, _ in flags)
