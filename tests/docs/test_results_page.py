"""The page on results: its explained row has every column of a table, with the schema's unit and meaning of null."""

from __future__ import annotations

from baekman.cohort.schema import TABLE_COLUMNS
from support import PROJECT

PAGE = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")


def test_the_explained_row_has_unit_and_null_of_every_column() -> None:
    lines = PAGE.split("| Column | Unit | Null means | In this row |\n", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert [(name.strip("`"), unit, null) for name, unit, null, _ in rows] == [
        (column.name, column.unit, column.null) for column in TABLE_COLUMNS
    ]
    assert all(meaning for *_, meaning in rows)
