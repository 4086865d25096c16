"""Pseudonyms: one kind letter, twelve random characters, one check character.

The alphabet is Crockford's base 32 (no I, L, O, U). The check character is that of H. M. Damm, *Total anti-symmetrische
Quasigruppen* (Marburg 2004), over GF(32) = GF(2)[x]/(x^5 + x^2 + 1) with the operation ``a * b = x·(a + b)``. So every
character, the kind letter too, has its own power of x as a weight. x has order 31. Within 31 characters each of these
changes the sum: a single substitution, a swap and a twin error, of characters that are adjacent or one apart.
"""

from __future__ import annotations

import re
import secrets
from functools import cache
from typing import TYPE_CHECKING, Literal

from baekman.errors import InputRefused, Problem

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Kind = Literal["P", "S", "D", "J", "R", "X"]

KINDS: dict[str, str] = {
    "P": "participant",
    "S": "specimen",
    "D": "delivery",
    "J": "project",
    "R": "release",
    "X": "participant of one project",
}
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_LENGTH = 12
LENGTH = 1 + RANDOM_LENGTH + 1
# A regular expression of the form alone; ``is_valid`` also proves the check character.
PATTERN = rf"[PSDJRX][{ALPHABET}]{{{RANDOM_LENGTH + 1}}}"
# The IDs that a cohort store accepts: pseudonyms, and others that are safe as the name of a file and of a sample. The
# table of a participant ``P.reference`` would have the file name of the reference blocks of P.
PARTICIPANT_ID = re.compile(r"(?!.*\.reference\Z)[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_POLYNOMIAL = 0b100101
_VALUE = {character: value for value, character in enumerate(ALPHABET)}


def check_character(body: str) -> str:
    """Return the check character of ``body`` (kind letter and random characters, all in ``ALPHABET``)."""
    state = 0
    for character in body:
        state = (state ^ _VALUE[character]) << 1
        if state >= 32:
            state ^= _POLYNOMIAL
    return ALPHABET[state]


def new(kind: Kind) -> str:
    """Return a new pseudonym of ``kind``: 60 bits of the system's random source, derived from nothing else.

    ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"no such kind of identifier: expected one of {', '.join(KINDS)}")
    bits = secrets.randbits(5 * RANDOM_LENGTH)
    pairs, weights = _pairs()
    body, check = str(kind), _weight(_VALUE[kind], places=RANDOM_LENGTH + 1)
    for weight in weights:
        body += pairs[bits & 1023]
        check ^= weight[bits & 1023]
        bits >>= 10
    return body + ALPHABET[check]


def new_column(kind: Kind, count: int) -> npt.NDArray[np.bytes_]:
    """Return ``count`` new pseudonyms of ``kind`` as ``new`` makes them, as ASCII."""
    import numpy as np

    values = np.frombuffer(secrets.token_bytes(count * RANDOM_LENGTH), np.uint8).reshape(count, RANDOM_LENGTH) & 31
    alphabet = np.frombuffer(ALPHABET.encode(), np.uint8)
    check = np.full(count, _weight(_VALUE[kind], places=RANDOM_LENGTH + 1), np.uint8)
    for place in range(RANDOM_LENGTH):
        weights = [_weight(value, places=RANDOM_LENGTH - place) for value in range(32)]
        check ^= np.array(weights, np.uint8)[values[:, place]]
    characters = np.empty((count, LENGTH), np.uint8)
    characters[:, 0] = ord(kind)
    characters[:, 1:-1] = alphabet[values]
    characters[:, -1] = alphabet[check]
    return characters.view(f"S{LENGTH}").ravel()


@cache
def _weight(value: int, *, places: int) -> int:
    """Return the share of a character of ``value`` in the check sum, ``places`` before its end; the sum is linear."""
    return _VALUE[check_character(ALPHABET[value] + "0" * (places - 1))]


@cache
def _pairs() -> tuple[list[str], list[list[int]]]:
    """Return each pair of characters by ten random bits, and the shares of the pair in the check sum at each place."""
    both = [(first, second) for first in range(32) for second in range(32)]
    return [ALPHABET[first] + ALPHABET[second] for first, second in both], [
        [_weight(first, places=places) ^ _weight(second, places=places - 1) for first, second in both]
        for places in range(RANDOM_LENGTH, 0, -2)
    ]


def is_valid(text: str, kind: Kind | None = None) -> bool:
    """Return whether ``text`` is a pseudonym of ``kind`` (of any kind when None), in its only spelling."""
    if len(text) != LENGTH or text[0] not in (KINDS if kind is None else (kind,)):
        return False
    if any(character not in _VALUE for character in text):
        return False
    return check_character(text[:-1]) == text[-1]


def slip(text: str, kind: Kind) -> str:
    """Return the mistake in ``text`` that should be a pseudonym of ``kind``, as a message shows it; "" without one.

    Other names, which a bare cohort may have, have no mistake.
    """
    if is_valid(text):
        return "" if text[0] == kind else f"the ID of a {KINDS[text[0]]}"
    if is_valid(text.upper()):
        return "an ID in small letters"
    if all(map(is_valid, text.split(","))):
        return "several IDs"
    return "an ID with a wrong check character: it is mistyped" if re.fullmatch(PATTERN, text) else ""


def check(text: str, kind: Kind) -> str:
    """Return ``text`` if it is a pseudonym of ``kind``; raise InputRefused otherwise.

    The message does not quote ``text``, which may be a name.
    """
    if is_valid(text, kind):
        return text
    expected = f"{kind}, {RANDOM_LENGTH} characters of {ALPHABET} and a check character"
    if len(text) != LENGTH:
        found = f"{len(text)} characters"
    elif text[0] != kind:
        found = f"an identifier of another kind ({KINDS[text[0]]})" if is_valid(text) else "another first letter"
    elif any(character not in _VALUE for character in text):
        found = "a character outside the alphabet"
    else:
        found = "a wrong check character"
    raise InputRefused(
        Problem(
            file=f"{KINDS[kind]} identifier",
            expected=expected,
            found=found,
            action="copy it again from where it was issued",
        )
    )
