"""Columns of an answer made fit for the eyes and for spreadsheets: SQL expressions over each column of text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import duckdb

from baekman.files.shown_text import CONTROLS, FORMULA_STARTS, REPLACEMENT, printable, spreadsheet_text

FLOATS = frozenset(("float", "double"))
INTEGERS = frozenset(f"{sign}{size}int" for sign in ("", "u") for size in ("tiny", "small", "big", "huge")) | {
    "integer",
    "uinteger",
}
NUMBERS = FLOATS | INTEGERS | {"decimal"}
NESTED = frozenset(("list", "struct", "map", "array", "union"))
WITHOUT_TEXT = NUMBERS | {"boolean", "date", "time", "timestamp", "uuid"}
CONTROLS_OF_RE2 = re.sub(r"\\[xu]([0-9A-F]+)", r"\\x{\1}", CONTROLS)  # the syntax of DuckDB's expressions


def quoted(name: str) -> str:
    """Return a column's name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def flattened(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return ``relation`` with nested columns as text: lists joined by commas, others as DuckDB writes them."""
    columns = []
    for name, kind in zip(map(quoted, relation.columns), relation.types, strict=True):
        if kind.id == "list":
            columns.append(f"array_to_string({name}, ',') AS {name}")
        else:
            columns.append(f"CAST({name} AS VARCHAR) AS {name}" if kind.id in NESTED else name)
    return relation.project(", ".join(columns))


def without_controls(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return ``relation`` with control characters in names and texts replaced (``shown_text.printable``)."""
    expression = f"regexp_replace(({{0}})::VARCHAR, '{CONTROLS_OF_RE2}', '{REPLACEMENT}', 'g')"
    return _with_texts(relation, expression, printable)


def without_formulas(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return ``relation`` flattened, with ``spreadsheet_text`` of its names and texts; lists of numbers stay."""
    starts = ", ".join(f"chr({ord(character)})" for character in FORMULA_STARTS)
    expression = f"CASE WHEN ({{0}}::VARCHAR)[1] IN ({starts}) THEN chr(39) || {{0}}::VARCHAR ELSE {{0}}::VARCHAR END"
    numbers = [kind.id == "list" and kind.child.id in NUMBERS for kind in relation.types]
    return _with_texts(flattened(relation), expression, spreadsheet_text, unchanged=numbers)


def without_breaks(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    r"""Return ``relation`` with a tab, line feed, carriage return or backslash in texts as ``\t \n \r \\``."""
    expression = "{0}::VARCHAR"
    for code, escape in ((92, "\\\\"), (9, "\\t"), (10, "\\n"), (13, "\\r")):
        expression = f"replace({expression}, chr({code}), '{escape}')"
    return _with_texts(relation, expression, printable)


def _with_texts(
    relation: duckdb.DuckDBPyRelation,
    expression: str,
    rename: Callable[[str], str],
    *,
    unchanged: Sequence[bool] = (),
) -> duckdb.DuckDBPyRelation:
    """Return ``relation`` with ``expression`` of each column of text, except ``unchanged``, under new names."""
    columns = []
    for column, (name, kind) in enumerate(zip(relation.columns, relation.types, strict=True)):
        value = quoted(name)
        if kind.id not in WITHOUT_TEXT and not (unchanged and unchanged[column]):
            value = expression.replace("{0}", value)
        columns.append(f"{value} AS {quoted(rename(name))}")
    return relation.project(", ".join(columns))
