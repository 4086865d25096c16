"""The tables and columns of OMOP CDM 5.4, from the package's ``data/omop54.tsv``.

The file has the tables, columns, types and required columns of ``OMOP_CDMv5.4_Field_Level.csv`` of
OHDSI/CommonDataModel (Apache-2.0), in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pyarrow as pa

from baekman import data

_ARROW = {
    "integer": pa.int32(),
    "float": pa.float64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
}
_DUCKDB = {"integer": "BIGINT", "float": "DOUBLE", "date": "DATE", "datetime": "TIMESTAMP"}


@dataclass(frozen=True)
class Column:
    """A column of OMOP CDM 5.4: ``type`` is integer, float, date, datetime or varchar(n)."""

    name: str
    type: str
    is_required: bool

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of the column in an export."""
        return _ARROW.get(self.type, pa.string())

    @property
    def sql(self) -> str:
        """The DuckDB type of the column; keys of other databases may need 64 bits."""
        return _DUCKDB.get(self.type, "VARCHAR")

    @property
    def length(self) -> int | None:
        """The longest text that the column takes; None without a limit or for another type."""
        digits = self.type.removeprefix("varchar(").removesuffix(")")
        return int(digits) if digits.isdigit() else None


@cache
def tables() -> dict[str, tuple[Column, ...]]:
    """Return the columns of each table of OMOP CDM 5.4, in the order of the standard."""
    columns: dict[str, list[Column]] = {}
    for line in data.text("omop54.tsv").splitlines()[1:]:
        table, name, kind, required = line.split("\t")
        columns.setdefault(table, []).append(Column(name, kind, required == "yes"))
    return {table: tuple(of_table) for table, of_table in columns.items()}


def schema(table: str) -> pa.Schema:
    """Return the Arrow schema of ``table``; required columns are not nullable."""
    return pa.schema([pa.field(c.name, c.arrow, nullable=not c.is_required) for c in tables()[table]])
