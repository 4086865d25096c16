"""Identifiers of persons in the text of a delivered file: registered ones, and shapes that numbers and addresses have.

The search is for names, headers and comments: file names, SAM and VCF headers, read names, FASTQ comments. Never pass
bases, qualities or genotypes, which are no text: thirteen digits in a row mean nothing there.

The shapes are:

- A resident registration number: thirteen digits, ``YYMMDD-Cnnnnnn``. The first six are a date of birth. ``C`` is 1-8
  for sex, century and Korean or foreign (9 and 0 before 1900). The last six are random since October 2020, so the old
  checksum finds only a tenth of the new numbers. The date separates numbers from chance: about 1 in 27 of any thirteen
  digits pass. So a number without a separator must stand alone, between characters that are no letters, digits or
  ``_.:``. With a separator (hyphen, dot, blank, underscore or typographic forms) Hangul may be next to it, and its last
  six characters may be masked (``*``).
- A telephone number of Korea: 01x mobile, 02 and 0xx area codes, with separators, or ``+82``; a mobile number also
  without.
- An e-mail address.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

ShapeKind = Literal["registered", "resident_registration_number", "telephone", "e_mail"]

MIN_REGISTERED_BYTES = 4


@dataclass(frozen=True, order=True)
class PersonalShape:
    """The kind of an identifier and its offset in the data (bytes, 0-based); never the value."""

    offset: int
    kind: ShapeKind


_SEPARATOR = r"[-\u2010-\u2015\u2212\uff0d._ ]"
_FULL_WIDTH_DIGITS = {0xFF10 + digit: str(digit) for digit in range(10)}
_DATE = (
    r"[0-9]{2}(?:(?:0[13578]|1[02])(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)(?:0[1-9]|[12][0-9]|30)"
    r"|02(?:0[1-9]|[12][0-9]))"
)
_RESIDENT_NUMBER = re.compile(
    rf"(?<![0-9A-Za-z]){_DATE}{_SEPARATOR}{{1,3}}[0-9](?:[0-9]{{6}}|[*xX]{{6}})(?![0-9A-Za-z*])"
    rf"|(?<![0-9A-Za-z_.:]){_DATE}[0-9][0-9]{{6}}(?![0-9A-Za-z_.:])"
)
_TELEPHONE = re.compile(
    r"(?<![0-9A-Za-z.])(?:"
    r"\+82[-. )]{0,2}\(?0?(?:1[016789]|2|[3-6][1-5])\)?[-. ]?[0-9]{3,4}[-. ]?[0-9]{4}"
    r"|\(?0(?:1[016789]|2|[3-6][1-5]|70|50[0-9])\)?[-. ][0-9]{3,4}[-. ][0-9]{4}"
    r"|01[016789][0-9]{7,8}"
    r")(?![0-9A-Za-z])"
)
_E_MAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,5}[A-Za-z]{2,24}(?![A-Za-z0-9])"
)
_SHAPES: tuple[tuple[ShapeKind, re.Pattern[str]], ...] = (
    ("resident_registration_number", _RESIDENT_NUMBER),
    ("telephone", _TELEPHONE),
    ("e_mail", _E_MAIL),
)


def find_identifiers(data: bytes, confidential: Sequence[str] = ()) -> list[PersonalShape]:
    """Return every identifier in ``data``, sorted by offset: the strings in ``confidential``, and general shapes.

    A registered string is found in any case, in NFC and NFD, in UTF-8, CP949 and UTF-16. A string of pure ASCII counts
    only where it stands alone (``P1`` is not in ``SP12``). Strings under four bytes are not looked for.
    """
    text = data.decode("utf-8", "surrogateescape")
    shapes = set(_registered(data, confidential))
    # each character becomes one character, so offsets stay those of the text
    western = text.translate(_FULL_WIDTH_DIGITS)
    for kind, shape in _SHAPES:
        for match in shape.finditer(western):
            shapes.add(PersonalShape(len(text[: match.start()].encode("utf-8", "surrogateescape")), kind))
    return sorted(shapes)


def _registered(data: bytes, confidential: Sequence[str]) -> Iterable[PersonalShape]:
    folded = data.lower()
    for value in confidential:
        for form in spellings(value):
            for encoding in ("utf-8", "cp949", "utf-16-le", "utf-16-be"):
                try:
                    needle = form.encode(encoding).lower()
                except UnicodeEncodeError:
                    continue
                if len(needle) < MIN_REGISTERED_BYTES:
                    continue
                alone = form.isascii() and not encoding.startswith("utf-16")
                start = folded.find(needle)
                while start >= 0:
                    if not alone or _stands_alone(folded, start, len(needle)):
                        yield PersonalShape(start, "registered")
                    start = folded.find(needle, start + 1)


def _stands_alone(data: bytes, start: int, length: int) -> bool:
    before, after = data[start - 1 : start] if start else b"", data[start + length : start + length + 1]
    return not (before.isalnum() or after.isalnum())


def spellings(value: str) -> list[str]:
    """Return the spellings of a value, each once: NFC and NFD, as given, upper and lower case."""
    forms = {
        unicodedata.normalize(form, case) for case in (value, value.upper(), value.lower()) for form in ("NFC", "NFD")
    }
    return sorted(forms)
