"""The confidential values of a registration table, for the search of leaks."""

from __future__ import annotations

from pathlib import Path

from baekman.errors import InputRefused, Problem
from baekman.files.delimited import DelimitedTable
from baekman.privacy.leak_patterns import Identifier
from baekman.registry.registration import CONFIDENTIAL_COLUMNS, REQUIRED_COLUMNS

COLUMNS = (*CONFIDENTIAL_COLUMNS, "array_genotypes")


def read_identifiers(file: Path) -> list[Identifier]:
    """Return the identifiers in ``file``: the confidential columns of a registration table, else one per line.

    Each value comes once, with the first place of it. InputRefused for a file without any.
    """
    with DelimitedTable(file) as table:
        identifiers = [
            Identifier(value=fields[column].strip(), place=f"line {row}, {name}")
            for row, _, fields in table.records()
            for column, name in enumerate(table.header)
            if name in COLUMNS and column < len(fields)
        ]
    if not set(REQUIRED_COLUMNS) <= set(table.header):
        lines = file.read_text("utf-8-sig").split("\n")
        identifiers = [Identifier(value=line.strip(), place=f"line {number}") for number, line in enumerate(lines, 1)]
    first = {identifier.value: identifier for identifier in reversed(identifiers) if identifier.value}
    if not first:
        raise InputRefused(
            Problem(
                file=file.name,
                expected="one identifier per line, or a registration table",
                found="none",
                action="a scan for nothing would prove nothing",
            )
        )
    return list(reversed(first.values()))
