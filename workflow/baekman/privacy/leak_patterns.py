"""Patterns of leaks: every form in which an identifier may stand in a file, and the search for them.

The forms of an identifier are:

- the text itself, in upper and lower case, NFC and NFD;
- each spelling in UTF-8, UTF-16 (both byte orders) and CP949;
- each spelling escaped as in JSON, HTML and URLs, in hexadecimal, and in base64 at each of its three alignments;
- its plain MD5, SHA-1 and SHA-256, in hexadecimal, base64 and raw.

A number with separators is also looked for without them, and a resident registration number with its hyphen.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from baekman.privacy.personal_shapes import spellings

SHORTEST = 4
# chance makes shorter patterns in a hundred megabytes of qualities and compressed bytes: they must stand alone
ALONE_BELOW = 6
DIGITS_ALONE_BELOW = 9
DERIVED_FROM = 6


@dataclass(frozen=True, kw_only=True)
class Identifier:
    """One value to look for; messages name it by its place in the list only: ``line 7`` or ``line 7, name``."""

    value: str
    place: str

    def __repr__(self) -> str:
        return f"Identifier({self.place})"


@dataclass(frozen=True)
class Pattern:
    """One form of one identifier, as bytes.

    Attributes:
        data: The bytes to look for.
        place: Place of the identifier in the list.
        encoding: Name of the form.
        folded: Whether any ASCII case matches.
        alone: Whether a match counts only if neither neighbour is a letter or digit.
    """

    data: bytes
    place: str
    encoding: str
    folded: bool = False
    alone: bool = False

    def __repr__(self) -> str:
        return f"Pattern({self.place}, {self.encoding})"


def is_too_short(value: str) -> bool:
    """Return whether ``value`` is so short that chance makes it everywhere: only its hashes are looked for."""
    return len(unicodedata.normalize("NFC", value).encode()) < SHORTEST


def patterns_of(identifier: Identifier) -> Iterator[Pattern]:
    """Yield every form of ``identifier``, each byte string once."""
    seen: set[tuple[bytes, bool]] = set()
    for value in _written(identifier.value):
        for pattern in _forms(value, identifier.place):
            # the case of a folded pattern does not matter
            key = (pattern.data.lower() if pattern.folded else pattern.data, pattern.folded)
            if key not in seen:
                seen.add(key)
                yield pattern


def _written(value: str) -> list[str]:
    """Return ``value``, and a number of nine and more digits also without separators and as a resident number."""
    forms = [value]
    digits = re.sub(r"[-. ()]", "", value)
    if digits.isascii() and digits.isdigit() and len(digits) >= 9:
        forms.append(digits)
        if len(digits) == 13:
            forms.append(f"{digits[:6]}-{digits[6:]}")
    return list(dict.fromkeys(forms))


def _forms(value: str, place: str) -> Iterator[Pattern]:
    long_enough = not is_too_short(value)
    for spelling in spellings(value):
        data = spelling.encode()
        yield from _hashes(data, place)
        if not long_enough:
            continue
        digits = value.isascii() and value.isdigit()
        alone = value.isascii() and (len(data) < ALONE_BELOW or (digits and len(data) < DIGITS_ALONE_BELOW))
        yield Pattern(data, place, "plain", folded=True, alone=alone)
        if not spelling.isascii():
            korean = spelling.encode("cp949", "ignore")
            if len(korean) >= DERIVED_FROM and korean.decode("cp949") == spelling:
                yield Pattern(korean, place, "cp949")
            yield Pattern(json.dumps(spelling)[1:-1].encode(), place, "json", folded=True)
            yield Pattern("".join(f"&#{ord(character)};" for character in spelling).encode(), place, "html")
            yield Pattern(
                "".join(f"&#x{ord(character):x};" for character in spelling).encode(), place, "html", folded=True
            )
        for encoding in ("utf-16-le", "utf-16-be"):
            wide = spelling.encode(encoding)
            if len(wide) >= DERIVED_FROM:
                yield Pattern(wide, place, encoding, folded=spelling.isascii())
        escaped = quote(spelling, safe="").encode()
        if escaped != data:
            yield Pattern(escaped, place, "url", folded=True)
        if len(data) >= ALONE_BELOW:
            yield Pattern(data.hex().encode(), place, "hex", folded=True)
        for core in base64_cores(data):
            if len(core) >= DERIVED_FROM:
                yield Pattern(core, place, "base64")


def _hashes(data: bytes, place: str) -> Iterator[Pattern]:
    # with a newline too, as `echo NAME | md5sum` hashes it
    for content in (data, data + b"\n"):
        for name in ("md5", "sha1", "sha256"):
            digest = hashlib.new(name, content, usedforsecurity=False)
            yield Pattern(digest.hexdigest().encode(), place, name, folded=True)
            yield Pattern(digest.digest(), place, f"{name} raw")
            for core in base64_cores(digest.digest()):
                yield Pattern(core, place, f"{name} base64")


def base64_cores(data: bytes) -> Iterator[bytes]:
    """Yield the base64 of ``data`` inside any text, without the characters that neighbours share.

    There is one for each of the three alignments and the two alphabets.
    """
    for shift in range(3):
        first, end = math.ceil(8 * shift / 6), 8 * (shift + len(data)) // 6
        padded = b"\0" * shift + data
        standard = base64.b64encode(padded)[first:end]
        yield standard
        url_safe = base64.urlsafe_b64encode(padded)[first:end]
        if url_safe != standard:
            yield url_safe


# tag and type of a text field in BAM, which its value follows without a gap
_BAM_TEXT_TAG = re.compile(rb"[A-Za-z][A-Za-z0-9]Z")
_TABLE_BITS = 22
_MULTIPLIER = 0x9E3779B97F4A7C15


class Matcher:
    """A search for many patterns in one pass: their first bytes by a NumPy hash table, the rest by comparison."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self.longest = 1
        self._tables = (_Table(8), _Table(SHORTEST))
        for pattern in patterns:
            self.longest = max(self.longest, len(pattern.data))
            self._tables[0 if len(pattern.data) >= 8 else 1].add(pattern)

    def find(self, data: bytes) -> Iterator[tuple[int, Pattern]]:
        """Yield (offset in bytes, pattern) of every occurrence in ``data``, in no order."""
        folded = data.lower()
        for table in self._tables:
            for offset, pattern in table.candidates(folded):
                text = folded if pattern.folded else data
                wanted = pattern.data.lower() if pattern.folded else pattern.data
                if text.startswith(wanted, offset) and not (
                    pattern.alone and _inside_word(data, offset, offset + len(wanted))
                ):
                    yield offset, pattern


def _inside_word(data: bytes, start: int, end: int) -> bool:
    if data[end : end + 1].isalnum():
        return True
    return data[max(0, start - 1) : start].isalnum() and not _BAM_TEXT_TAG.fullmatch(data[max(0, start - 3) : start])


class _Table:
    """A table of patterns by their first ``width`` bytes in lower case."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.type = np.dtype(f"<u{width}")
        self.by_key: defaultdict[int, list[Pattern]] = defaultdict(list)
        self.bits = np.zeros(1 << _TABLE_BITS, dtype=np.bool_)

    def add(self, pattern: Pattern) -> None:
        """Add a pattern of at least ``width`` bytes."""
        key = np.frombuffer(pattern.data.lower()[: self.width], dtype=self.type)
        self.by_key[int(key[0])].append(pattern)
        self.bits[self._slot(key)] = True

    def _slot(self, keys: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.unsignedinteger]:
        bits = self.width * 8
        factor = self.type.type(_MULTIPLIER & ((1 << bits) - 1))
        slots: npt.NDArray[np.unsignedinteger] = (keys * factor) >> self.type.type(bits - _TABLE_BITS)
        return slots

    def candidates(self, data: bytes) -> Iterator[tuple[int, Pattern]]:
        """Yield (offset, pattern) where ``data``, in lower case, has the first bytes of a pattern."""
        if not self.by_key:
            return
        for shift in range(min(self.width, max(0, len(data) - self.width + 1))):
            count = (len(data) - shift) // self.width
            keys = np.frombuffer(data, dtype=self.type, count=count, offset=shift)
            for hit in np.flatnonzero(self.bits[self._slot(keys)]):
                for pattern in self.by_key.get(int(keys[hit]), ()):
                    yield shift + int(hit) * self.width, pattern


def matcher_of(identifiers: Sequence[Identifier]) -> Matcher:
    """Return a matcher for every form of ``identifiers``."""
    return Matcher(pattern for identifier in identifiers for pattern in patterns_of(identifier))
