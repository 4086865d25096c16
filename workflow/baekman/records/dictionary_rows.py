"""The rows of a dictionary file, and the rules for each field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf, isfinite
from pathlib import Path
from typing import NamedTuple

from baekman.consent import Scope
from baekman.errors import InputRefused, Problem
from baekman.files.delimited import DelimitedTable

COLUMNS = (
    "code",
    "name_ko",
    "name_en",
    "kind",
    "unit",
    "low",
    "high",
    "categories",
    "scope",
    "tier",
    "parent",
    "uri",
)
KINDS = ("event", "number", "category")
SCOPES = (Scope.CLINICAL.value, Scope.LIFESTYLE.value, Scope.PUBLIC_RECORD_LINKAGE.value)
TIERS = ("open", "low_risk", "room", "never")
CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}/[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}")
# chapters and blocks of KCD are ranges: KCD8/E00-E90, KCD8/E10-E14
KCD8 = re.compile(r"KCD8/[A-Z][0-9]{2}(?:[0-9]{1,3}|-[A-Z][0-9]{2})?")
_NAME = re.compile(r"[^\x00-\x1f\x7f|]{1,200}")
_UNIT = re.compile(r"[!-~]{1,40}")  # UCUM is ASCII without blanks
_CATEGORY = re.compile(r"[^\x00-\x1f\x7f|]{1,100}")
_URI = re.compile(r"(?:https?://|urn:)[!-~]{1,300}")


class DictionaryRow(NamedTuple):
    """A row of a dictionary file: its number, from 1 (the header), and its fields by column, stripped."""

    number: int
    fields: dict[str, str]

    def problem(self, file: str, column: str, expected: str, found: str) -> Problem:
        """Return the problem of one field of this row."""
        return Problem(file=file, place=f"row {self.number}, column {column}", expected=expected, found=found)


def read_rows(path: Path) -> list[DictionaryRow]:
    """Return the rows of the dictionary file ``path``; InputRefused when it is no table with all columns."""
    with DelimitedTable(path) as table:
        if sorted(table.header) != sorted(COLUMNS):
            raise InputRefused(_header_problems(path.name, table.header))
        records = list(table.records())
    problems = [
        Problem(
            file=path.name,
            place=f"row {record.row}",
            expected=f"{len(COLUMNS)} fields",
            found=f"{len(record.fields)}",
            action="separate the fields by tabs, and leave none out",
        )
        for record in records
        if len(record.fields) != len(COLUMNS)
    ]
    if not records:
        problems.append(Problem(file=path.name, expected="a row for each code", found="a header only"))
    if problems:
        raise InputRefused(problems)
    return [
        DictionaryRow(record.row, {name: text.strip() for name, text in zip(table.header, record.fields, strict=True)})
        for record in records
    ]


def _header_problems(file: str, header: list[str]) -> Iterator[Problem]:
    for column in COLUMNS:
        if (count := header.count(column)) != 1:
            found = f"{count} of them" if count else "none"
            yield Problem(file=file, place="row 1", expected=f"the column {column}", found=found)
    if unknown := len([column for column in header if column not in COLUMNS]):
        found = f"{unknown} other column{'s' if unknown > 1 else ''}"
        yield Problem(file=file, place="row 1", expected=f"the columns {' '.join(COLUMNS)}", found=found)


def entry_problems(row: DictionaryRow, *, file: str) -> Iterator[Problem]:
    """Yield a problem for each field of ``row`` that breaks a rule of its own or of the kind of the code."""
    fields = row.fields
    checks = (
        ("code", CODE, "SYSTEM/CODE of letters, digits and . _ : + -"),
        ("name_ko", _NAME, "a name of 1 to 200 characters without |"),
        ("name_en", _NAME, "a name of 1 to 200 characters without |"),
        ("unit", _UNIT, "a unit of UCUM"),
        ("uri", _URI, "an address (https://, http:// or urn:)"),
    )
    for column, pattern, expected in checks:
        is_optional = column in ("unit", "uri")
        if not (is_optional and not fields[column]) and not pattern.fullmatch(fields[column]):
            yield row.problem(file, column, expected, "something else" if fields[column] else "nothing")
    if fields["code"].startswith("KCD8/") and not KCD8.fullmatch(fields["code"]):
        expected = "a letter and two to five digits, as KCD8/E119, or a block, as KCD8/E10-E14"
        yield row.problem(file, "code", expected, "something else")
    for column, allowed in (("kind", KINDS), ("scope", SCOPES), ("tier", TIERS)):
        if fields[column] not in allowed:
            yield row.problem(
                file, column, f"one of {', '.join(allowed)}", "something else" if fields[column] else "nothing"
            )
    yield from _kind_problems(row, file=file)


def _kind_problems(row: DictionaryRow, *, file: str) -> Iterator[Problem]:
    fields, kind = row.fields, row.fields["kind"]
    if kind in ("event", "category"):
        for column in ("unit", "low", "high"):
            if fields[column]:
                yield row.problem(file, column, f"nothing, as the kind is {kind}", "something")
    if kind in ("event", "number") and fields["categories"]:
        yield row.problem(file, "categories", f"nothing, as the kind is {kind}", "something")
    if kind == "number":
        yield from _range_problems(row, file=file)
    if kind == "category":
        categories = fields["categories"].split("|")
        if any(name != name.strip() or not _CATEGORY.fullmatch(name) for name in categories):
            expected = "categories of 1 to 100 characters, separated by |"
            yield row.problem(file, "categories", expected, "something else" if fields["categories"] else "nothing")
        elif len(set(categories)) < len(categories):
            yield row.problem(file, "categories", "each category once", "a category again")


def _range_problems(row: DictionaryRow, *, file: str) -> Iterator[Problem]:
    bounds = {"low": -inf, "high": inf}
    for column in bounds:
        if text := row.fields[column]:
            try:
                bounds[column] = float(text)
            except ValueError:
                bounds[column] = inf
            if not isfinite(bounds[column]):
                yield row.problem(file, column, "a number, or nothing", "something else")
                return
    if bounds["low"] >= bounds["high"]:
        yield row.problem(file, "high", "more than low", "no more")
