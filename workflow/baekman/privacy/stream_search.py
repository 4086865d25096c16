"""The search for identifiers of persons in the text of a delivery: headers, read names, comments, records.

The rules are those of ``personal_shapes``, applied to streams. A file has hundreds of millions of read names, so
kernels first look for bytes that each identifier contains. Only a block with such bytes gets a close look.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Protocol

from baekman.kernels.delivered.screen import WordScreen, may_have_shape
from baekman.privacy.personal_shapes import find_identifiers

REGISTERED = "registered"

# a line with a shape has one of these; find_identifiers looks only at such lines
_CANDIDATE = re.compile(
    rb"[^\x00-\x7f]|.@.|\+82|\d{6}[-._ ]{0,3}\d[0-9*xX]{6}|01[016789]\d{7}"
    rb"|0\d{1,2}\)?[-. ]\d{3,4}[-. ]\d{4}"
)
# the number of candidates that get a close look; a file with more is bad enough
_CANDIDATES_LIMIT = 100_000
_WINDOW = 100_000
_BEFORE = 200  # no shape is longer
_REST_LIMIT = 1 << 20
# coordinates in read names have up to six digits: a registered number of that length proves nothing
_SHORTEST_NUMBER = 7
_SHORTEST_TEXT = 3
# no coordinate in any genome has more digits
_LONGEST_COORDINATE = 12
# the number of coordinates that may equal a registered number; more of them count as the registered number itself
_COORDINATES_LIMIT = 10_000
_SHORTEST_WIDE_TEXT = 2

_LOWER = bytes(range(256)).lower()
_SEPARATORS = b"\t ._-"
_WORD_CLASSES = bytes(ord("-") if byte in _SEPARATORS else _LOWER[byte] for byte in range(256))


class Layout(Protocol):
    """The fields of the lines that are searched."""

    def place(self, line: bytes, at: int) -> str:
        """Return the name of the field at byte ``at`` of ``line``; it holds nothing of the line."""

    def is_number(self, line: bytes, at: int) -> bool:
        """Return whether the digits at byte ``at`` of ``line`` are a coordinate or another number of the format."""


class IdentifierSearch:
    """Finds identifiers of persons in lines of text; ``found`` has their kinds, never their values.

    Args:
        registered: the confidential strings of the specimen. Short numbers and texts of one or two letters are not
            searched: they occur in any file.
        barcode: the specimen's own, which is no identifier of a person. A registered string that is a part of it
            is not found in it.
        layout: the fields of the lines. With it the place of the first identifier of each kind is kept, and a
            registered number is not found where the format has a number.
    """

    def __init__(self, registered: Iterable[str], *, barcode: str, layout: Layout | None = None) -> None:
        telling = {text for text in registered if text != barcode and _is_telling(text)}
        self.layout = layout
        self._words = _words(telling, barcode=barcode)
        self._screen = WordScreen(
            {
                word
                for form in _forms(telling)
                for word in (form.encode().translate(_WORD_CLASSES), "".join(form.split()).encode().lower())
            },
            folding=_WORD_CLASSES,
        )
        self._rest = b""
        self._candidates = 0
        self._coordinates = 0
        self.places: dict[str, str] = {}

    @property
    def found(self) -> set[str]:
        """Return the kinds found so far."""
        return set(self.places)

    def feed(self, block: bytes) -> None:
        """Search the whole lines of ``block``; a line without its end waits for the next block."""
        text = self._rest + block
        end = text.rfind(b"\n") + 1
        # a line that does not end is searched in parts
        if len(text) - end > _REST_LIMIT:
            end = len(text)
        self._rest = text[end:]
        self._search(text[:end])

    def finish(self) -> None:
        """Search the last line, which may have no end."""
        self._search(self._rest)
        self._rest = b""

    def _search(self, text: bytes) -> None:
        if REGISTERED not in self.places and self._screen.is_in(text):
            self._look_for_words(text)
        if self._candidates < _CANDIDATES_LIMIT and may_have_shape(text):
            self._look_closely(text)

    def _look_for_words(self, text: bytes) -> None:
        for match in self._words.finditer(text):
            if match.lastindex is not None:  # the barcode
                continue
            line, at = _line_at(text, match.start())
            if self.layout is not None and match[0].isdigit() and len(match[0]) <= _LONGEST_COORDINATE:
                self._coordinates += 1
                if self._coordinates <= _COORDINATES_LIMIT and self.layout.is_number(line, at):
                    continue
            self._note(REGISTERED, line, at)
            return

    def _look_closely(self, text: bytes) -> None:
        """Look for shapes in windows of lines that begin a little before a candidate."""
        at = 0
        while self._candidates < _CANDIDATES_LIMIT and (match := _CANDIDATE.search(text, at)):
            self._candidates += 1
            begins = max(match.start() - _BEFORE, 0)
            begins = max(begins, text.rfind(b"\n", begins, match.start()) + 1)
            ends = text.find(b"\n", match.end(), match.end() + _WINDOW)
            at = ends if ends >= 0 else match.end() + _WINDOW - 2 * _BEFORE
            window = text[begins : ends if ends >= 0 else match.end() + _WINDOW]
            # in records a colon ends a field; in read names it may belong to a number
            for finding in find_identifiers(window if self.layout is None else window.replace(b":", b"\t")):
                if finding.kind not in self.places:
                    self._note(finding.kind, *_line_at(text, begins + finding.offset))

    def _note(self, kind: str, line: bytes, at: int) -> None:
        self.places.setdefault(kind, self.layout.place(line, at) if self.layout is not None else "")


def _line_at(text: bytes, at: int) -> tuple[bytes, int]:
    """Return the line of ``text`` with byte ``at``, without its end, and the place of the byte in the line."""
    start = text.rfind(b"\n", 0, at) + 1
    stop = text.find(b"\n", at)
    return text[start : stop if stop >= 0 else None], at - start


def found_in(text: str, registered: Iterable[str], *, barcode: str) -> set[str]:
    """Return the kinds of identifier in one ``text`` (a file name)."""
    search = IdentifierSearch(registered, barcode=barcode)
    search.feed(text.encode("utf-8", "surrogateescape") + b"\n")
    return search.found


def _is_telling(text: str) -> bool:
    if text.isdigit():
        return len(text) >= _SHORTEST_NUMBER
    return len(text) >= (_SHORTEST_TEXT if text.isascii() else _SHORTEST_WIDE_TEXT)


def _words(texts: set[str], *, barcode: str) -> re.Pattern[bytes]:
    """Return a pattern of any of ``texts`` or ``barcode`` as a word of its own, in any spelling; the longest first.

    Spellings: composed or decomposed (NFC, NFD), any case, any separator (or none) in place of a blank.
    Only the barcode is in a group: a shorter subject code at its beginning is not found there.
    """
    spelled = {_spelled(form): b"%b" for form in _forms(texts)}
    spelled |= {_spelled(form): b"(%b)" for form in _forms({barcode} if barcode else set())}
    longest_first = sorted(spelled, key=lambda word: (-len(word), word))
    alternatives = b"|".join(spelled[word] % word for word in longest_first) or b"(?!)"
    return re.compile(rb"(?<![A-Za-z0-9])(?:" + alternatives + rb")(?![A-Za-z0-9])", re.IGNORECASE)


def _forms(texts: set[str]) -> set[str]:
    composed = {unicodedata.normalize(form, text) for text in texts for form in ("NFC", "NFD")}
    return composed | {form for text in composed for form in (text.lower(), text.upper())}


def _spelled(text: str) -> bytes:
    return rb"[\t ._-]?".join(re.escape(word.encode()) for word in text.split())
