"""Pseudonyms: random, and no common slip of the hand turns one into another."""

from __future__ import annotations

import pytest
from baekman import pseudonyms
from baekman.errors import InputRefused
from baekman.pseudonyms import ALPHABET, KINDS, LENGTH
from hypothesis import given
from hypothesis import strategies as st

IDS = [pseudonyms.new(kind) for kind in KINDS for _ in range(50)]  # type: ignore[arg-type]
bodies = st.builds(
    lambda kind, body: kind + body + pseudonyms.check_character(kind + body),
    st.sampled_from(sorted(KINDS)),
    st.text(ALPHABET, min_size=12, max_size=12),
)


def slow_multiply_by_x(value: int) -> int:
    """Return x times ``value`` in GF(2)[x]/(x^5 + x^2 + 1), by polynomial long division."""
    product = value * 2
    return product % 32 ^ (0b00101 if product & 32 else 0)


def test_check_character_is_damm_over_gf32() -> None:
    for identifier in IDS:
        total = 0
        for character in identifier:
            total = slow_multiply_by_x(total ^ ALPHABET.index(character))
        assert total == 0


def test_the_operation_is_an_anti_symmetric_quasigroup() -> None:
    operation = [[slow_multiply_by_x(a ^ b) for b in range(32)] for a in range(32)]
    for row in operation:
        assert sorted(row) == list(range(32))
    for c in range(32):
        assert operation[c][c] == 0
        for a in range(32):
            for b in range(32):
                if a != b:
                    assert operation[operation[c][a]][b] != operation[operation[c][b]][a]


@pytest.mark.parametrize("identifier", IDS[::25], ids=range(len(IDS[::25])))
def test_every_single_substitution_is_caught(identifier: str) -> None:
    for place in range(LENGTH):
        for character in ALPHABET:
            changed = identifier[:place] + character + identifier[place + 1 :]
            assert pseudonyms.is_valid(changed) == (changed == identifier)


@pytest.mark.parametrize("distance", [1, 2])
def test_every_swap_is_caught(distance: int) -> None:
    """Try each two places and each two different characters; the other characters do not matter."""
    for place in range(LENGTH - distance):
        other = place + distance
        for first in ALPHABET:
            for second in ALPHABET:
                if first == second:
                    continue
                text = list("0" * LENGTH)
                text[place], text[other] = first, second
                swapped = list(text)
                swapped[place], swapped[other] = second, first
                assert _sum("".join(text)) != _sum("".join(swapped))


@pytest.mark.parametrize("distance", [1, 2])
def test_every_twin_error_is_caught(distance: int) -> None:
    """Try ``aa`` read as ``bb`` and ``axa`` read as ``bxb``, at every place."""
    for place in range(LENGTH - distance):
        for first in ALPHABET:
            for second in ALPHABET:
                if first == second:
                    continue
                text, changed = list("0" * LENGTH), list("0" * LENGTH)
                text[place] = text[place + distance] = first
                changed[place] = changed[place + distance] = second
                assert _sum("".join(text)) != _sum("".join(changed))


@given(identifier=bodies, data=st.data())
def test_slips_of_the_hand_are_caught_in_whole_identifiers(identifier: str, data: st.DataObject) -> None:
    assert pseudonyms.is_valid(identifier)
    distance = data.draw(st.sampled_from([1, 2]))
    place = data.draw(st.integers(0, LENGTH - 1 - distance))
    text = list(identifier)
    text[place], text[place + distance] = text[place + distance], text[place]
    assert pseudonyms.is_valid("".join(text)) == ("".join(text) == identifier)
    if identifier[place] == identifier[place + distance]:
        twin = data.draw(st.sampled_from(ALPHABET))
        text = list(identifier)
        text[place] = text[place + distance] = twin
        assert pseudonyms.is_valid("".join(text)) == (twin == identifier[place])


@given(text=st.text(min_size=1, max_size=20).filter(lambda text: not pseudonyms.is_valid(text)))
def test_any_other_text_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(InputRefused) as refused:
        pseudonyms.check(text, "P")
    with pytest.raises(InputRefused) as other:
        pseudonyms.check("\n" * len(text), "P")
    allowed = {str(other.value).replace("another first letter", found) for found in FOUND}
    allowed.add(str(other.value))
    assert str(refused.value) in allowed


FOUND = (
    "a character outside the alphabet",
    "a wrong check character",
    *(f"an identifier of another kind ({name})" for name in KINDS.values()),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("P0123", "5 characters"),
        ("S0000000000000", "another first letter"),
        ("P00000000000O0", "a character outside the alphabet"),
        ("p0000000000000", "another first letter"),
        ("P0000000000000", "a wrong check character"),
    ],
)
def test_a_refusal_names_the_fault(text: str, found: str) -> None:
    with pytest.raises(InputRefused) as refused:
        pseudonyms.check(text, "P")
    assert str(refused.value) == (
        "participant identifier: expected P, 12 characters of 0123456789ABCDEFGHJKMNPQRSTVWXYZ and a check "
        f"character, found {found}; copy it again from where it was issued"
    )


def test_kinds_do_not_pass_for_each_other() -> None:
    specimen = pseudonyms.new("S")
    with pytest.raises(InputRefused, match=r"another kind \(specimen\)"):
        pseudonyms.check(specimen, "P")


def test_identifiers_do_not_repeat() -> None:
    assert len({pseudonyms.new("P") for _ in range(20_000)}) == 20_000


def _sum(text: str) -> str:
    return pseudonyms.check_character(text)
