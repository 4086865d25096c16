"""The text of a person's reason: others read it, and it lies among pseudonyms. It has no identifier."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from baekman import pseudonyms
from baekman.errors import Problem
from baekman.privacy.stream_search import found_in

LONGEST_REASON = 500  # characters


def reason_problems(text: str, *, names: Iterable[str] = (), readers: str) -> Iterator[Problem]:
    """Yield the problems of a reason: its form, pseudonymous IDs, shapes of identifiers, and ``names``.

    ``readers`` are those who read the text (``the institution``), and ``names`` those of institutions and deliveries.
    """

    def problem(expected: str, found: str) -> Problem:
        return Problem(file="--reason", expected=expected, found=found, action="write it in other words")

    words = text.split()
    if not words or len(text) > LONGEST_REASON or not text.isprintable():
        yield problem(f"a line of text, 1 to {LONGEST_REASON} characters", "no such text")
    if any(pseudonyms.is_valid(word) for word in re.findall("[0-9A-Za-z]+", text)):
        yield problem(f"a text for {readers}, without pseudonymous IDs", "an ID")
    if kinds := found_in(text, (), barcode=""):
        yield problem("a text without identifiers of a person", ", ".join(sorted(kinds)))
    if found_in(text, names, barcode="") - kinds:
        yield problem("a text without the name of an institution or a delivery", "such a name")
