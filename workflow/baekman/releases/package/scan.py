"""Check 11: no ID of this workspace in any byte, footer, page or name of a finished package."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from baekman import pseudonyms
from baekman.errors import InputRefused, Problem
from baekman.privacy.file_scan import FileScan, Scan
from baekman.privacy.leak_patterns import Identifier, Matcher, Pattern, patterns_of

OWN_KINDS = "PSD"  # participants, specimens, deliveries: IDs that no release has
SHOWN = 20  # leaks that a refusal names
# The forms of so many members are looked for one by one (base64, hashes and others); those of all others by the form of
# a pseudonym with its check character.
MEMBERS = 500
_BODY = rf"[{OWN_KINDS}{OWN_KINDS.lower()}][0-9A-Za-z]{{{pseudonyms.LENGTH - 1}}}".encode()
_PLAIN = re.compile(b"(?=(" + _BODY + b"))")
_WIDE = re.compile(
    rf"(?=([{OWN_KINDS}{OWN_KINDS.lower()}](?:\0[0-9A-Za-z]){{{pseudonyms.LENGTH - 1}}}))".encode()  # of either order
)
_HEX = re.compile(rb"(?=((?:[57][034])(?:[34567][0-9A-Fa-f]){%d}))" % (pseudonyms.LENGTH - 1))
_FORMS: tuple[tuple[str, re.Pattern[bytes], Callable[[bytes], bytes]], ...] = (
    ("plain", _PLAIN, bytes),
    ("utf-16", _WIDE, lambda data: data[::2]),
    ("hex", _HEX, lambda data: bytes.fromhex(data.decode())),
)


class IdMatcher(Matcher):
    """A search for every ID of a participant, specimen or delivery, and for other forms of those of ``members``."""

    def __init__(self, members: Iterable[str] = ()) -> None:
        identifiers = [Identifier(value=value, place="a member") for value in islice(members, MEMBERS)]
        super().__init__(pattern for identifier in identifiers for pattern in patterns_of(identifier))
        self.longest = max(self.longest, 2 * pseudonyms.LENGTH)

    def find(self, data: bytes) -> Iterator[tuple[int, Pattern]]:
        """Yield (offset in bytes, pattern) of every ID in ``data``, in no order."""
        yield from super().find(data)
        for form, pattern, plain in _FORMS:
            for match in pattern.finditer(data):
                text = plain(match[1]).decode("ascii", "replace").upper()
                if pseudonyms.is_valid(text) and text[0] in OWN_KINDS:
                    kind = pseudonyms.KINDS[text[0]]
                    yield match.start(), Pattern(bytes(match[1]), f"the ID of a {kind}", form)


def scan_package(folder: Path, *, members: Iterable[str] = ()) -> int:
    """Scan every file and name in ``folder``; return the number of files.

    Raises:
        InputRefused: An ID of ours is there in any form, or a file could not be read to its end.
    """
    matcher, result = IdMatcher(members), Scan()
    for path in sorted(folder.rglob("*")):
        shown = path.relative_to(folder).as_posix()
        if next(matcher.find(shown.encode()), None) is not None:
            shown = "(a name with an ID)"
        FileScan(path, shown=shown, matcher=matcher, result=result).run()
    problems = [
        Problem(
            file=leak.file,
            place=leak.where,
            expected="no ID of this workspace",
            found=f"{leak.place} ({leak.encoding})",
            action="the package was not made; report this",
        )
        for leak in sorted(result.leaks)[:SHOWN]
    ]
    problems += [
        Problem(file=file, expected="a file that can be scanned to its end", found=reason)
        for file, reason in [*result.unread, *result.damaged][:SHOWN]
    ]
    if problems:
        raise InputRefused(problems)
    return result.files
