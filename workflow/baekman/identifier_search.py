"""Looking for what identifies a person in text that a delivery brings: headers, read names, comments.

Two things are looked for: the strings that are registered for this very specimen, and the shapes of numbers
and addresses that identify anybody.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from baekman.identifier_shapes import find_identifiers

REGISTERED = "registered"

# what a line must have for any shape to be in it, on bytes, as read names come by the hundred million
_CANDIDATE = re.compile(
    rb"[^\x00-\x7f]|.@.|\+82|\d{6}[^0-9A-Za-z\n]{0,3}\d[0-9*xX]{6}|01[016789]\d{7}"
    rb"|0\d{1,2}\)?[-. ]\d{3,4}[-. ]\d{4}"
)
# as many candidate lines are looked at closely; a file with more has told enough
_CANDIDATES_LIMIT = 100_000
LINE_LIMIT = 100_000
# coordinates in read names are numbers of up to six digits: a registered one of that length proves nothing
_SHORTEST_NUMBER = 7
_SHORTEST_TEXT = 3
_SHORTEST_WIDE_TEXT = 2


class IdentifierSearch:
    """Finds in text lines what identifies a person; ``found`` has the kinds, never the values.

    ``registered``: the confidential strings of the specimen. Short numbers and texts of one or two letters
    among them are left aside: they would be found in any file. ``label``: the specimen's own, which is no identifier
    of a person; a string that is part of it is not found there.
    """

    def __init__(self, registered: Iterable[str], *, label: str) -> None:
        telling = {text for text in registered if text != label and _is_telling(text)}
        # the label comes first: a subject code that begins it is no finding
        self._words = _any_of([{label} if label else set(), telling])
        self._rest = b""
        self._candidates = 0
        self.found: set[str] = set()

    def feed(self, block: bytes) -> None:
        """Look through the whole lines of ``block``; a line that has only begun waits for the next block."""
        text = self._rest + block
        end = text.rfind(b"\n") + 1
        # a line without an end is not collected for ever
        self._rest = text[end:] if len(text) - end < 1 << 20 else b""
        self._search(text[: end or None] if not self._rest else text[:end])

    def finish(self) -> None:
        """Look through the last line, which may have no end."""
        self._search(self._rest)
        self._rest = b""

    def _search(self, text: bytes) -> None:
        if not text:
            return
        if REGISTERED not in self.found:
            for match in self._words.finditer(text):
                if match.lastindex != 1:
                    self.found.add(REGISTERED)
                    break
        if self._candidates >= _CANDIDATES_LIMIT:
            return
        seen = -1
        for match in _CANDIDATE.finditer(text):
            start = text.rfind(b"\n", 0, match.start()) + 1
            if start == seen:
                continue
            seen = start
            self._candidates += 1
            stop = text.find(b"\n", match.end())
            line = text[start : stop if stop >= 0 else None]
            self.found |= {finding.kind for finding in find_identifiers(line[:LINE_LIMIT])}
            if self._candidates >= _CANDIDATES_LIMIT:
                return


def found_in(text: str, registered: Iterable[str], *, label: str) -> set[str]:
    """The kinds of identifier in one ``text`` (a file name)."""
    search = IdentifierSearch(registered, label=label)
    search.feed(text.encode("utf-8", "surrogateescape") + b"\n")
    return search.found


def _is_telling(text: str) -> bool:
    if text.isdigit():
        return len(text) >= _SHORTEST_NUMBER
    return len(text) >= (_SHORTEST_TEXT if text.isascii() else _SHORTEST_WIDE_TEXT)


def _any_of(groups: list[set[str]]) -> re.Pattern[bytes]:
    """A pattern with one group per set: any of its texts as a word of its own, in any spelling.

    Spellings: composed or decomposed (NFC, NFD), any case, any separator where a space is.
    """
    alternatives = [b"(" + (b"|".join(sorted(map(_spelled, _forms(texts)))) or b"(?!)") + b")" for texts in groups]
    return re.compile(rb"(?<![A-Za-z0-9])(?:" + b"|".join(alternatives) + rb")(?![A-Za-z0-9])", re.IGNORECASE)


def _forms(texts: set[str]) -> set[str]:
    composed = {unicodedata.normalize(form, text) for text in texts for form in ("NFC", "NFD")}
    return composed | {form for text in composed for form in (text.lower(), text.upper())}


def _spelled(text: str) -> bytes:
    return rb"[\s_.\-]*".join(re.escape(word.encode()) for word in text.split())
