"""The dictionary: the meaning of every code that a record may have.

A table in tab-separated UTF-8 with the columns of ``DICTIONARY_SCHEMA``. A code is ``SYSTEM/CODE``
(``LOINC/8480-6``, ``KCD8/E119``). The dictionary of a store only grows: see ``Dictionary.merged``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from baekman.columns import Column, Columns, schema_of
from baekman.errors import InputRefused, Problem
from baekman.files import atomic
from baekman.records.dictionary_rows import COLUMNS, entry_problems, read_rows

if TYPE_CHECKING:
    from baekman.records.store import RecordStore

Kind = Literal["event", "number", "category"]
Tier = Literal["open", "low_risk", "room", "never"]

DICTIONARY_COLUMNS: Columns = (
    Column("code", pa.string(), "`SYSTEM/CODE`; KCD8 codes without the dot (`KCD8/E119`)."),
    Column("name_ko", pa.string(), "Korean name for people."),
    Column("name_en", pa.string(), "English name for people."),
    Column("kind", pa.string(), "`event`, `number` or `category`."),
    Column("unit", pa.string(), "Unit of a number, in UCUM.", "", "no unit is known, or the code is no number"),
    Column("low", pa.float64(), "Least plausible number, inclusive.", "`unit`", "no bound"),
    Column("high", pa.float64(), "Greatest plausible number, inclusive.", "`unit`", "no bound"),
    Column("categories", pa.list_(pa.string()), "Categories, separated by `|`.", "", "the code has no categories"),
    Column("scope", pa.string(), "Consent that the code needs: `clinical`, `lifestyle` or `public_record_linkage`."),
    Column("tier", pa.string(), "Most open release that may have it: `open`, `low_risk`, `room` or `never`."),
    Column("parent", pa.string(), "Code that a rare one is rolled up to.", "", "there is none"),
    Column("uri", pa.string(), "Address that defines the code.", "", "none is known"),
)
DICTIONARY_SCHEMA = schema_of(DICTIONARY_COLUMNS)
# columns in which a code that is known must never change; labels (names and uri) may be corrected
MEANING = ("kind", "unit", "low", "high", "scope", "tier", "parent")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The meaning of one code; the attributes are the columns of ``DICTIONARY_SCHEMA``."""

    code: str
    name_ko: str
    name_en: str
    kind: Kind
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    scope: str
    tier: Tier
    parent: str | None = None
    uri: str | None = None


@dataclass(frozen=True)
class Dictionary:
    """The entries of a dictionary: one table in ``DICTIONARY_SCHEMA``, sorted by code, each code once."""

    table: pa.Table

    @classmethod
    def of(cls, entries: dict[str, Entry]) -> Dictionary:
        """Return the dictionary of ``entries``, which are valid, by code."""
        rows = [_row(entries[code]) for code in sorted(entries)]
        return cls(pa.Table.from_pylist(rows, schema=DICTIONARY_SCHEMA))

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Return the entries by code, sorted by code."""
        return {row["code"]: Entry(**{**row, "categories": tuple(row["categories"] or ())}) for row in self._rows()}

    @property
    def codes(self) -> tuple[str, ...]:
        """Return all codes, sorted."""
        return tuple(self.entries)

    def entry(self, code: str) -> Entry | None:
        """Return the entry of ``code``; None for an unknown code."""
        return self.entries.get(code)

    def merged(self, other: Dictionary) -> Dictionary:
        """Return this dictionary with the entries of ``other``.

        A dictionary only grows. ``other`` may add codes, add categories to a code after the known ones, and
        correct names and URI. Raises InputRefused, with every fault, when another column of a known code differs.
        """
        problems: list[Problem] = []
        entries = dict(self.entries)
        for code, entry in other.entries.items():
            known = entries.get(code)
            if known is not None:
                problems += _changes(known, entry)
            entries[code] = entry
        if problems:
            raise InputRefused(problems)
        return Dictionary.of(entries)

    def _rows(self) -> Iterator[dict[str, Any]]:
        for batch in self.table.to_batches(max_chunksize=4096):
            yield from batch.to_pylist()


def read_dictionary(path: Path, *, known: Dictionary | None = None) -> Dictionary:
    """Return the dictionary in the file ``path``: tab-separated UTF-8 with a header of all columns.

    Categories are separated by ``|``; an empty field is null. A parent must be in the file or in ``known``.

    Raises:
        InputRefused: The file is no such table; every faulty field is reported at once.
    """
    rows = read_rows(path)
    problems = [problem for row in rows for problem in entry_problems(row, file=path.name)]
    codes: dict[str, int] = {}
    for row in rows:
        if (first := codes.setdefault(row.fields["code"], row.number)) != row.number:
            problems.append(row.problem(path.name, "code", "each code once", f"the code of row {first} again"))
    parents = {row.fields["code"]: row.fields["parent"] for row in rows}
    for row in rows:
        parent = row.fields["parent"]
        if parent and parent not in codes and (known is None or known.entry(parent) is None):
            problems.append(row.problem(path.name, "parent", "a code of the dictionary", "none of its codes"))
        elif parent and _is_own_ancestor(row.fields["code"], parents):
            problems.append(row.problem(path.name, "parent", "a parent above the code", "a circle of parents"))
    if problems:
        raise InputRefused(sorted(problems, key=_row_of))
    return Dictionary.of({row.fields["code"]: _entry(row.fields) for row in rows})


def extend_dictionary(store: RecordStore, dictionary: Dictionary) -> Dictionary:
    """Add the entries of ``dictionary`` to that of ``store``; return the result. Raises InputRefused as ``merged``."""
    with store.lock():
        known = read_dictionary(store.dictionary)
        merged = known.merged(dictionary)
        if merged.table != known.table:
            write_dictionary(merged, store.dictionary)
    return merged


def write_dictionary(dictionary: Dictionary, path: Path) -> None:
    """Write ``dictionary`` to ``path`` atomically, in the form that ``read_dictionary`` reads."""
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(_text(value) for value in vars(entry).values()) for entry in dictionary.entries.values()]
    atomic.write_text(path, "\n".join(lines) + "\n")


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "|".join(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return "" if value is None else str(value)


def _row(entry: Entry) -> dict[str, Any]:
    return {**vars(entry), "categories": list(entry.categories) or None}


def _entry(fields: dict[str, str]) -> Entry:
    """Return the entry of valid ``fields``."""
    values: dict[str, Any] = {name: text or None for name, text in fields.items()}
    for bound in ("low", "high"):
        values[bound] = float(fields[bound]) if fields[bound] else None
    values["categories"] = tuple(fields["categories"].split("|")) if fields["categories"] else ()
    return Entry(**values)


def _changes(known: Entry, entry: Entry) -> Iterator[Problem]:
    """Yield a problem for each column in which ``entry`` changes the meaning of ``known``."""
    columns = [name for name in MEANING if getattr(known, name) != getattr(entry, name)]
    if entry.categories[: len(known.categories)] != known.categories:
        columns.append("categories")
    for column in columns:
        yield Problem(
            file="dictionary.tsv",
            place=f"{known.code}, column {column}",
            expected="the meaning that the dictionary of the store has",
            found="another one",
            action="give the new meaning a code of its own",
        )


def _is_own_ancestor(code: str, parents: dict[str, str]) -> bool:
    seen: set[str] = set()
    ancestor = parents[code]
    while ancestor and ancestor not in seen:
        if ancestor == code:
            return True
        seen.add(ancestor)
        ancestor = parents.get(ancestor, "")
    return False


def _row_of(problem: Problem) -> int:
    return int(problem.place.removeprefix("row ").split(",")[0])
