"""Check 11: no ID of this workspace in any byte, footer, page or name of a finished package."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from baekman import pseudonyms
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.privacy.file_scan import FileScan, Scan
from baekman.privacy.leak_patterns import Identifier, Matcher, Pattern, patterns_of
from baekman.workspace.paths import Workspace

if TYPE_CHECKING:
    from baekman.registry.records import Registry

OWN_KINDS = "PSD"  # participants, specimens, deliveries: IDs that no release has
SHOWN = 20  # leaks that a refusal names
# All forms (base64, hashes and others) of so many members are looked for. Of everybody else, the ID itself is: any
# text with the form of an ID is looked up in the registry, since chance makes such texts in base64.
MEMBERS = 500
MEMBER = "member"
_FIRST = f"[{OWN_KINDS}{OWN_KINDS.lower()}]"
_REST = pseudonyms.LENGTH - 1
_FORMS: tuple[tuple[str, re.Pattern[bytes], Callable[[bytes], bytes]], ...] = (
    ("plain", re.compile(rf"(?=({_FIRST}[0-9A-Za-z]{{{_REST}}}))".encode()), bytes),
    ("utf-16", re.compile(rf"(?=({_FIRST}(?:\0[0-9A-Za-z]){{{_REST}}}))".encode()), lambda data: data[::2]),
    (
        "hex",
        re.compile(rf"(?=([57][034](?:[34567][0-9A-Fa-f]){{{_REST}}}))".encode()),
        lambda data: bytes.fromhex(data.decode()),
    ),
)
Lookup = Callable[[Collection[str]], Collection[str]]  # returns those of some IDs that are ours


class IdMatcher(Matcher):
    """A search for every ID of a participant, specimen or delivery, and for other forms of those of ``members``."""

    def __init__(self, members: Iterable[str] = ()) -> None:
        identifiers = [Identifier(value=value, place=MEMBER) for value in islice(members, MEMBERS)]
        super().__init__(pattern for identifier in identifiers for pattern in patterns_of(identifier))
        self.longest = max(self.longest, 2 * pseudonyms.LENGTH)

    def find(self, data: bytes) -> Iterator[tuple[int, Pattern]]:
        """Yield (offset in bytes, pattern) of every ID in ``data``, in no order."""
        yield from super().find(data)
        for form, pattern, plain in _FORMS:
            for match in pattern.finditer(data):
                text = plain(match[1]).decode("ascii", "replace").upper()
                if pseudonyms.is_valid(text) and text[0] in OWN_KINDS:
                    yield match.start(), Pattern(bytes(match[1]), text, form)


@dataclass(frozen=True, order=True)
class Candidate:
    """A text that may be an ID of ours: the ID, or ``MEMBER`` for a form of a member, and where it stands."""

    file: str
    where: str
    text: str
    encoding: str

    @property
    def is_member(self) -> bool:
        """Whether it is a form of a member, which chance does not make."""
        return self.text == MEMBER

    def problem(self) -> Problem:
        """Return the line that reports it; the ID is not in it."""
        owner = self.text if self.is_member else pseudonyms.KINDS[self.text[0]]
        return Problem(
            file=self.file,
            place=self.where,
            expected="no ID of this workspace",
            found=f"the ID of a {owner} ({self.encoding})",
            action="the package was not made; report this",
        )


@dataclass(frozen=True, kw_only=True)
class ScanTasks:
    """The scan of the entries of a package, one for each task."""

    folder: Path
    entries: tuple[str, ...]
    members: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path, *, members: Iterable[str] = (), without: str = "") -> ScanTasks:
        """Return the tasks for everything in ``folder``; other forms are looked for of the first ``members``.

        Files with names that end in ``without`` are left out: they are encrypted, and were scanned before.
        """
        paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
        entries = tuple(path for path in paths if not without or not path.endswith(without))
        return cls(folder=folder, entries=entries, members=tuple(islice(members, MEMBERS)))

    def __len__(self) -> int:
        return len(self.entries)

    def __call__(self, index: int) -> tuple[list[Candidate], list[tuple[str, str]]]:
        """Return the candidates in an entry, and (file, reason) where it cannot be read to its end."""
        name = self.entries[index]
        matcher, result = _matcher(self.members), Scan()
        shown = name if next(matcher.find(name.encode()), None) is None else f"entry {index + 1} of the package"
        FileScan(self.folder / name, shown=shown, matcher=matcher, result=result).run()
        candidates = [Candidate(leak.file, leak.where, leak.place, leak.encoding) for leak in result.leaks]
        return candidates, [*result.unread, *result.damaged]


@lru_cache(maxsize=1)
def _matcher(members: tuple[str, ...]) -> IdMatcher:
    return IdMatcher(members)


def scan_package(
    folder: Path, *, ours: Lookup, members: Iterable[str] = (), engine: Engine | None = None, without: str = ""
) -> int:
    """Scan every file and name in ``folder``; return the number of entries.

    ``ours`` is asked which IDs are of this workspace. Files with names that end in ``without`` are left out.

    Raises:
        InputRefused: An ID of ours is there in any form, or a file could not be read to its end.
    """
    tasks = ScanTasks.of(folder, members=members, without=without)
    with (engine or Engine()).open() as map_tasks:
        results = map_tasks("scanning", tasks, len(tasks))
    candidates = sorted(candidate for some, _ in results for candidate in some)
    known = set(ours({candidate.text for candidate in candidates if not candidate.is_member}))
    problems = [each.problem() for each in candidates if each.is_member or each.text in known]
    problems += [
        Problem(file=file, expected="a file that can be scanned to its end", found=reason)
        for _, faults in results
        for file, reason in faults
    ]
    if problems:
        raise InputRefused(problems[:SHOWN])
    return len(tasks)


def ids_of(workspace: Path, registry: Registry) -> Lookup:
    """Return the look-up of IDs of participants, specimens and deliveries of ``workspace``."""
    from sqlalchemy import select

    from baekman.registry import database

    columns = {"P": database.participants.c.participant_id, "S": database.specimens.c.specimen_id}

    def ours(candidates: Collection[str]) -> set[str]:
        known = {each for each in candidates if each[0] == "D" and Workspace(workspace).delivery(each).path.exists()}
        with database.reading(registry.engine) as connection:
            for kind, column in columns.items():
                for some in database.chunks(sorted(each for each in candidates if each[0] == kind)):
                    known.update(connection.scalars(select(column).where(column.in_(some))))
        return known

    return ours
