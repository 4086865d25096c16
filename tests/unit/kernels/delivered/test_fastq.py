"""FASTQ kernels against plain Python, however the text is cut between lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from baekman.kernels.delivered.fastq import FastqCopy, FastqNames
from baekman.kernels.delivered.pairs import PairLanes
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.sampled_from(
    [b"r1", b"r1/1", b"r/2 1:N:0:ACGT", b"x\tBC:Z:A", b" c", b"/1", b"a/3", b"n  two", b"r c /1", "n 김".encode()]
)
ODD_LINES = st.sampled_from([b"", b"@", b"@\x01", b"@r\r\r", b"\r", b"A C", b"-", b"+x\x1b", b"\x7f", b"FF "])


@st.composite
def record(draw: st.DrawFn) -> list[bytes]:
    name, length = draw(NAMES), draw(st.integers(1, 4))
    bases = bytes(draw(st.lists(st.sampled_from(b"ACGTNacgtRyk."), min_size=length, max_size=length)))
    qualities = bytes(draw(st.lists(st.integers(33, 126), min_size=length, max_size=length)))
    windows = draw(st.sampled_from([b"", b"", b"\r"]))
    lines = [b"@" + name, bases, b"+" + draw(st.sampled_from([b"", b"", name, b"other", b"\t"])), qualities]
    if draw(st.integers(0, 19)) == 0:
        lines[draw(st.integers(0, 3))] = draw(ODD_LINES)
    return [line + windows for line in lines]


texts = st.builds(
    lambda records, end: b"\n".join(line for lines in records for line in lines) + end,
    st.lists(record(), max_size=8),
    st.sampled_from([b"", b"\n", b"\n", b"\n\n", b"\r\n\r\n\n"]),
)
cuts = st.lists(st.integers(1, 7), min_size=1)


def lines_of(text: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+$", text)


def parts(text: bytes, sizes: list[int]) -> Iterator[bytes]:
    """``text`` in parts of whole lines."""
    lines = lines_of(text)
    at = 0
    for number in range(len(lines)):
        step = sizes[number % len(sizes)]
        yield b"".join(lines[at : at + step])
        at += step


def names_slowly(text: bytes) -> tuple[list[bytes], set[bytes], int, int]:
    """Names, comments, the number of records, and the line of the fault (0: none)."""
    lines = [line.removesuffix(b"\n").removesuffix(b"\r") for line in lines_of(text)]
    end = next((n for n in range(0, len(lines), 4) if not any(lines[n:])), len(lines))
    lines = lines[:end]  # blank lines at the end
    names: list[bytes] = []
    comments: set[bytes] = set()
    for number, line in enumerate(lines):
        if number % 4 == 0:
            if not re.fullmatch(rb"@[^\x01-\x08\x0b-\x1f]+", line):
                return names, comments, number // 4, number + 1
            name, _, comment = re.fullmatch(rb"@([^ \t]*)([ \t]?)(.*)", line, re.DOTALL).groups()  # type: ignore[union-attr]
            names.append(re.sub(rb"/[12]$", b"", name))
        elif number % 4 == 1:
            comment = b""
            if not re.fullmatch(rb"[ABCDGHKMNRSTVWYabcdghkmnrstvwy.]+", line):
                return names, comments, number // 4, number + 1
        elif number % 4 == 2:
            if not line.startswith(b"+"):
                return names, comments, number // 4, number + 1
            comment = b"" if line[1:] == lines[number - 2][1:] else line[1:]
        elif not re.fullmatch(rb"[!-~]*", line) or len(line) != len(lines[number - 2]):
            return names, comments, number // 4, number + 1
        comments |= {comment} - {b""}
    return names, comments, len(lines) // 4, len(lines) if len(lines) % 4 else 0


@given(texts, cuts)
def test_names_comments_and_faults_are_those_of_plain_python(text: bytes, sizes: list[int]) -> None:
    reads = FastqNames()
    taken = [reads.feed(part) for part in parts(text, sizes)]
    count = reads.finish()
    names, comments, records, fault = names_slowly(text)
    assert b"".join(part for part, _ in taken) == b"".join(name + b"\n" for name in names)
    assert set(b"".join(part for _, part in taken).split(b"\n")) - {b""} == {b"\t" + comment for comment in comments}
    assert (count, reads.fault_line) == (records, fault)


@given(st.lists(st.binary(min_size=1, max_size=250).filter(lambda text: b"\n" not in text), max_size=40))
def test_each_comment_comes_out_at_least_once_and_a_repeated_one_once(comments: list[bytes]) -> None:
    reads = FastqNames()
    shown = b"".join(reads.feed(b"@r\nA\n+" + comment + b"\nI\n")[1] for comment in [*comments, *comments])
    assert set(shown.split(b"\n")) - {b""} == {
        b"\t" + comment.removesuffix(b"\r") for comment in comments if comment not in (b"r", b"r\r", b"\r")
    }
    again = reads.feed(b"@r\nA\n+short\nI\n" * 50)[1]
    assert again == b"\tshort\n"


@given(texts, cuts, st.sampled_from([b"L1", b"L12", b""]))
def test_a_copy_has_other_names_and_no_comment(text: bytes, sizes: list[int], lane: bytes) -> None:
    expected = []
    number = 0
    for line in lines_of(text):
        kept = line.removesuffix(b"\n").removesuffix(b"\r")
        if number % 4 == 0 and not kept:
            continue
        if number % 4 == 0:
            kept = (
                b"@%b.%d" % (lane, number // 4 + 1) if lane else re.sub(rb"/[12]$", b"", re.split(rb"[ \t]", kept)[0])
            )
        elif number % 4 == 1:
            kept = kept.upper().replace(b".", b"N").replace(b"=", b"N")
        expected.append((b"+" if number % 4 == 2 else kept) + b"\n")
        number += 1
    copy = FastqCopy(lane)
    assert b"".join(copy.feed(part) for part in parts(text, sizes)) == b"".join(expected)


GROUPS = [b"X", b"Y.1", b"Z z", b"X1"]
ENDS = [b"", b"\tRG:Z:X", b"\tRG:Z:Y.1", b"\tBC:Z:q\tRG:Z:X1\tzz", b"\tRG:Z:nobody", b"\tRG:Z:", b"\tRG:Z:Z z"]


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"bb", b"c/1"]), st.sampled_from(ENDS)), max_size=8),
    st.integers(0, 4),
    st.booleans(),
    cuts,
)
def test_pairs_go_to_the_lane_of_their_read_group(
    pairs: list[tuple[bytes, bytes]], groups: int, rename: bool, sizes: list[int]
) -> None:
    text = b"".join(b"@%b%b\nAC%b\n+\nIII\n" % (name, end, base) for name, end in pairs for base in (b"G", b"T"))
    dealt: dict[tuple[int, int], bytes] = {}
    counts = [0] * max(groups, 1)
    for name, end in pairs:
        group = re.search(rb"\tRG:Z:([^\t]*)", end)
        lane = GROUPS[:groups].index(group[1]) if group and group[1] in GROUPS[:groups] else 0
        counts[lane] += 1
        shown = b"L%d.%d" % (lane + 3, counts[lane]) if rename else name + end.split(b"\tRG:Z:")[0]
        for mate, base in enumerate((b"G", b"T")):
            dealt[lane, mate] = dealt.get((lane, mate), b"") + b"@%b\nAC%b\n+\nIII\n" % (shown, base)
    lanes = PairLanes(GROUPS[:groups], first_lane=3, rename=rename)
    taken: dict[tuple[int, int], bytes] = {}
    for part in parts(text, sizes):
        lanes.feed(part)
        for lane in range(lanes.lanes):
            for mate in range(2):
                taken[lane, mate] = taken.get((lane, mate), b"") + lanes.take(lane, mate)
    assert {place: part for place, part in taken.items() if part} == dealt
    assert lanes.counts == counts and lanes.complete
    lanes.feed(b"@r\nA\n+\nI\n")
    assert not lanes.complete
