"""Looking for what identifies a person in text that a delivery brings: headers, read names, comments, records.

The rules are those of ``identifier_shapes``; here they are applied to streams. Read names come by the hundred
million, so a block is first screened with plain byte searches for what any finding must contain, and looked at
closely only where there is something.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Protocol

from baekman.privacy.personal_shapes import find_identifiers

REGISTERED = "registered"

# what a line must have for any shape to be in it; lines that have it are given to find_identifiers
_CANDIDATE = re.compile(
    rb"[^\x00-\x7f]|.@.|\+82|\d{6}[-._ ]{0,3}\d[0-9*xX]{6}|01[016789]\d{7}"
    rb"|0\d{1,2}\)?[-. ]\d{3,4}[-. ]\d{4}"
)
# The same in one look: digits are 0, separators are -, what masks digits is a digit too.
_SHAPE_CLASSES = bytes.maketrans(b"123456789*xX._ )", b"000000000000----")
_SHAPE_SCREEN = (
    *(b"000000" + b"-" * count + b"0000000" for count in (1, 2, 3)),
    b"0000000000",
    b"00-000-0000",
    b"00-0000-0000",
)
# as many candidate lines are looked at closely; a file with more has told enough
_CANDIDATES_LIMIT = 100_000
_WINDOW = 100_000
_BEFORE = 200  # no shape is longer
_REST_LIMIT = 1 << 20
# coordinates in read names are numbers of up to six digits: a registered one of that length proves nothing
_SHORTEST_NUMBER = 7
_SHORTEST_TEXT = 3
# a number of so many digits is no coordinate in any genome
_LONGEST_COORDINATE = 12
# as many coordinates may be what is registered as a number; a file with more is refused rather than searched
_COORDINATES_LIMIT = 10_000
_SHORTEST_WIDE_TEXT = 2

_LOWER = bytes(range(256)).lower()
_SEPARATORS = b"\t ._-"
_WORD_CLASSES = bytes(ord("-") if byte in _SEPARATORS else _LOWER[byte] for byte in range(256))


class Layout(Protocol):
    """What is known of the lines that are searched."""

    def place(self, line: bytes, at: int) -> str:
        """What stands at byte ``at`` of ``line``, in words that hold nothing of the line."""

    def is_number(self, line: bytes, at: int) -> bool:
        """Whether the digits at byte ``at`` of ``line`` are a coordinate or the like."""


class IdentifierSearch:
    """Finds in text lines what identifies a person; ``found`` has the kinds, never the values.

    ``registered``: the confidential strings of the specimen. Short numbers and texts of one or two letters
    among them are left aside: they would be found in any file. ``label``: the specimen's own, which is no
    identifier of a person; a string that is part of it is not found there. With a ``layout`` the place of the
    first of each kind is kept, and a registered number is not found where the format has a number.
    """

    def __init__(self, registered: Iterable[str], *, label: str, layout: Layout | None = None) -> None:
        telling = {text for text in registered if text != label and _is_telling(text)}
        self.layout = layout
        self._words = _words(telling, label=label)
        self._needles = {
            needle
            for form in _forms(telling)
            for needle in (form.encode().translate(_WORD_CLASSES), "".join(form.split()).encode().lower())
        }
        self._rest = b""
        self._candidates = 0
        self._coordinates = 0
        self.places: dict[str, str] = {}

    @property
    def found(self) -> set[str]:
        """The kinds that were found."""
        return set(self.places)

    def feed(self, block: bytes) -> None:
        """Look through the whole lines of ``block``; a line that has only begun waits for the next block."""
        text = self._rest + block
        end = text.rfind(b"\n") + 1
        # a line without an end is not collected for ever
        if len(text) - end > _REST_LIMIT:
            end = len(text)
        self._rest = text[end:]
        self._search(text[:end])

    def finish(self) -> None:
        """Look through the last line, which may have no end."""
        self._search(self._rest)
        self._rest = b""

    def _search(self, text: bytes) -> None:
        if REGISTERED not in self.places and self._may_name(text):
            self._look_for_words(text)
        if self._candidates < _CANDIDATES_LIMIT and _may_have_shape(text):
            self._look_closely(text)

    def _may_name(self, text: bytes) -> bool:
        folded = text.translate(_WORD_CLASSES)
        return any(needle in folded for needle in self._needles)

    def _look_for_words(self, text: bytes) -> None:
        for match in self._words.finditer(text):
            if match.lastindex is not None:  # the label
                continue
            line, at = _line_at(text, match.start())
            if self.layout is not None and match[0].isdigit() and len(match[0]) <= _LONGEST_COORDINATE:
                self._coordinates += 1
                if self._coordinates <= _COORDINATES_LIMIT and self.layout.is_number(line, at):
                    continue
            self._note(REGISTERED, line, at)
            return

    def _look_closely(self, text: bytes) -> None:
        """Look for shapes in windows of lines, each from a little before a candidate on."""
        at = 0
        while self._candidates < _CANDIDATES_LIMIT and (match := _CANDIDATE.search(text, at)):
            self._candidates += 1
            begins = max(match.start() - _BEFORE, 0)
            begins = max(begins, text.rfind(b"\n", begins, match.start()) + 1)
            ends = text.find(b"\n", match.end(), match.end() + _WINDOW)
            at = ends if ends >= 0 else match.end() + _WINDOW - 2 * _BEFORE
            window = text[begins : ends if ends >= 0 else match.end() + _WINDOW]
            # in records a colon ends a field; in read names it is part of a number's surroundings
            for finding in find_identifiers(window if self.layout is None else window.replace(b":", b"\t")):
                if finding.kind not in self.places:
                    self._note(finding.kind, *_line_at(text, begins + finding.offset))

    def _note(self, kind: str, line: bytes, at: int) -> None:
        self.places.setdefault(kind, self.layout.place(line, at) if self.layout is not None else "")


def _line_at(text: bytes, at: int) -> tuple[bytes, int]:
    """The line of ``text`` that byte ``at`` is in, without its end, and where in the line that is."""
    start = text.rfind(b"\n", 0, at) + 1
    stop = text.find(b"\n", at)
    return text[start : stop if stop >= 0 else None], at - start


def found_in(text: str, registered: Iterable[str], *, label: str) -> set[str]:
    """The kinds of identifier in one ``text`` (a file name)."""
    search = IdentifierSearch(registered, label=label)
    search.feed(text.encode("utf-8", "surrogateescape") + b"\n")
    return search.found


def _may_have_shape(text: bytes) -> bool:
    """Whether ``text`` has what any match of ``_CANDIDATE`` has; quick, and sometimes wrongly yes."""
    if b"@" in text or b"+82" in text or not text.isascii():
        return True
    classes = text.translate(_SHAPE_CLASSES)
    return any(screen in classes for screen in _SHAPE_SCREEN)


def _is_telling(text: str) -> bool:
    if text.isdigit():
        return len(text) >= _SHORTEST_NUMBER
    return len(text) >= (_SHORTEST_TEXT if text.isascii() else _SHORTEST_WIDE_TEXT)


def _words(texts: set[str], *, label: str) -> re.Pattern[bytes]:
    """A pattern of any of ``texts`` or ``label`` as a word of its own, in any spelling; the longest first.

    Spellings: composed or decomposed (NFC, NFD), any case, any separator (or none) where a space is. The label,
    and it alone, is in a group: a shorter subject code that begins it is not found there.
    """
    spelled = {_spelled(form): b"%b" for form in _forms(texts)}
    spelled |= {_spelled(form): b"(%b)" for form in _forms({label} if label else set())}
    longest_first = sorted(spelled, key=lambda word: (-len(word), word))
    alternatives = b"|".join(spelled[word] % word for word in longest_first) or b"(?!)"
    return re.compile(rb"(?<![A-Za-z0-9])(?:" + alternatives + rb")(?![A-Za-z0-9])", re.IGNORECASE)


def _forms(texts: set[str]) -> set[str]:
    composed = {unicodedata.normalize(form, text) for text in texts for form in ("NFC", "NFD")}
    return composed | {form for text in composed for form in (text.lower(), text.upper())}


def _spelled(text: str) -> bytes:
    return rb"[\t ._-]?".join(re.escape(word.encode()) for word in text.split())
