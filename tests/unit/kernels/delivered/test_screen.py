"""Screens for identifiers against plain byte searches."""

from __future__ import annotations

from baekman.kernels.delivered.screen import WordScreen, may_have_shape
from hypothesis import given
from hypothesis import strategies as st

DIGITS = bytes.maketrans(b"123456789*xX._ )", b"000000000000----")
SHAPES = (
    *(b"000000" + b"-" * count + b"0000000" for count in (1, 2, 3)),
    b"0000000000",
    b"00-000-0000",
    b"00-0000-0000",
)
FOLDING = bytes(range(256)).lower().replace(b"_", b"-")

pieces = st.lists(
    st.sampled_from([b"0", b"12", b"345", b"6789", b"123456", b"-", b".", b" ", b"a", b"\n", b"xX*", b"+8", b"+82"]),
    max_size=14,
)


def has_shape_slowly(text: bytes) -> bool:
    if b"@" in text or b"+82" in text or not text.isascii():
        return True
    classes = text.translate(DIGITS)
    return any(shape in classes for shape in SHAPES)


@given(
    st.one_of(pieces.map(b"".join), st.text("019-._ )*x+82@a\n", max_size=40).map(str.encode), st.binary(max_size=9))
)
def test_shapes_are_those_of_plain_searches(text: bytes) -> None:
    assert may_have_shape(text) == has_shape_slowly(text)


@given(
    st.sets(st.text("abc-", min_size=1, max_size=5).map(str.encode), max_size=6),
    st.text("aAbBcC-_ x", max_size=40).map(str.encode),
)
def test_words_are_those_of_plain_searches(words: set[bytes], text: bytes) -> None:
    folded = text.translate(FOLDING)
    assert WordScreen(words, folding=FOLDING).is_in(text) == any(word in folded for word in words)


def test_long_texts_are_searched_to_their_end() -> None:
    screen = WordScreen([b"kim-hanbit", "김한빛".encode()], folding=FOLDING)
    assert screen.is_in(b"x" * 3_000_000 + b"KIM_HANBIT") and not screen.is_in(b"kim-hanbi" * 300_000)
    assert may_have_shape(b"1" * 9 + b"a" * 3_000_000 + b"010-123-4567") and not may_have_shape(b"12345:" * 300_000)
