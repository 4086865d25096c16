"""The rows of an answer as aligned text, CSV or Parquet."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_file
from baekman.files.shown_text import CONTROLS, FORMULA_STARTS, REPLACEMENT, printable, spreadsheet_text

OUTPUT_FORMATS = ("table", "csv", "parquet")
BATCH_ROWS = 1 << 16
TABLE_WIDTH_ROWS = 1000  # the rows at the beginning that set the widths of a table's columns
WIDEST = 24  # of a column of a table; a longer value pushes the rest of its line to the right
TERMINAL_ROWS = 1000  # shown on a terminal; DuckDB then reports how many there are
FLOATS = frozenset(("float", "double"))
INTEGERS = frozenset(f"{sign}{size}int" for sign in ("", "u") for size in ("tiny", "small", "big", "huge"))
NUMBERS = FLOATS | INTEGERS | {"integer", "uinteger", "decimal"}
SIX_DIGITS = "'{:.6g}'"
NESTED = frozenset(("list", "struct", "map", "array", "union"))
WITHOUT_TEXT = NUMBERS | {"boolean", "date", "time", "timestamp", "uuid"}
CONTROLS_OF_RE2 = re.sub(r"\\[xu]([0-9A-F]+)", r"\\x{\1}", CONTROLS)  # the syntax of DuckDB's expressions


def check_format(format: str, *, output: Path | None) -> None:
    """Raise InputRefused for an unknown format, and for Parquet without a file to write to."""
    if format not in OUTPUT_FORMATS:
        raise InputRefused(Problem(file="--format", expected=f"one of {', '.join(OUTPUT_FORMATS)}", found=repr(format)))
    if format == "parquet" and output is None:
        raise InputRefused(Problem(file="--format", expected="--output FILE with parquet", found="no --output"))


def write_answer(relation: duckdb.DuckDBPyRelation, *, format: str, output: Path | None = None) -> None:
    """Write the rows of ``relation`` to ``output`` (atomically) or stdout, a batch at a time.

    ``table`` is aligned text with a line per row, or on a terminal DuckDB's box, as wide as the terminal. Lists
    become text in a table and in CSV. Control characters in texts are replaced in a table, and in CSV on a terminal.
    In CSV a text that a spreadsheet would take for a formula begins with a quote (``spreadsheet_text``).

    Raises:
        InputRefused: see ``check_format``.
        duckdb.Error: DuckDB cannot run the SQL.
    """
    check_format(format, output=output)
    if format == "table" and output is None and sys.stdout.isatty():
        _printable(_flattened(relation)).show(
            max_width=shutil.get_terminal_size().columns, max_rows=TERMINAL_ROWS, null_value="."
        )
        return
    write = {"table": _write_table, "csv": _write_csv, "parquet": _write_parquet}[format]
    with _opened(output) as target:
        write(relation, target)


def arrow_table(relation: duckdb.DuckDBPyRelation, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of ``relation``, or some of its columns; raises InputRefused for an unknown column."""
    if columns is None:
        return relation.to_arrow_table()
    if unknown := [name for name in columns if name not in relation.columns]:
        known = ", ".join(relation.columns)
        raise InputRefused(Problem(file="columns", expected=f"some of {known}", found=", ".join(map(repr, unknown))))
    return relation.project(", ".join(map(_quoted, columns))).to_arrow_table()


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[bytes]]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with atomic_file(output) as temporary, temporary.open("wb") as target:
            yield target


def _write_parquet(relation: duckdb.DuckDBPyRelation, target: IO[bytes]) -> None:
    reader = relation.to_arrow_reader(BATCH_ROWS)
    with pq.ParquetWriter(target, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def _write_csv(relation: duckdb.DuckDBPyRelation, target: IO[bytes]) -> None:
    flat = _without_formulas(relation)
    if target.isatty():
        flat = _printable(flat)
    reader = flat.to_arrow_reader(BATCH_ROWS)
    options = pa_csv.WriteOptions(quoting_style="needed")
    with pa_csv.CSVWriter(target, reader.schema, write_options=options) as writer:
        for batch in reader:
            writer.write_batch(batch)


def _write_table(relation: duckdb.DuckDBPyRelation, target: IO[bytes]) -> None:
    """Write aligned columns: numbers to the right, floats with six digits, and ``.`` for null."""
    relation = _printable(_flattened(relation))
    names = relation.columns
    pads = [pc.utf8_lpad if kind.id in NUMBERS else pc.utf8_rpad for kind in relation.types]
    texts = ", ".join(
        f"coalesce({f'format({SIX_DIGITS}, {name})' if kind.id in FLOATS else f'{name}::VARCHAR'}, '.') AS {name}"
        for name, kind in zip(map(_quoted, names), relation.types, strict=True)
    )
    widths: list[int] = []
    for batch in relation.project(texts).to_arrow_reader(BATCH_ROWS):
        if not widths:
            lengths = [pc.max(pc.utf8_length(column[:TABLE_WIDTH_ROWS])).as_py() for column in batch.columns]
            widths = [max(len(name), min(WIDEST, length)) for name, length in zip(names, lengths, strict=True)]
            target.write(_lines(names, pads, widths))
        target.write(_lines(batch.columns, pads, widths))
    if not widths:
        target.write(_lines(names, pads, [0] * len(names)))


def _lines(columns: Sequence[Any], pads: Sequence[Callable[..., Any]], widths: Sequence[int]) -> bytes:
    """Return a line per row of ``columns``, padded to ``widths``."""
    padded = [
        pad(pa.array([column]) if isinstance(column, str) else column, width)
        for pad, column, width in zip(pads, columns, widths, strict=True)
    ]
    lines = pc.utf8_rtrim_whitespace(pc.binary_join_element_wise(*padded, "  ")).to_pylist()
    return "".join(f"{line}\n" for line in lines).encode()


def _flattened(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return ``relation`` with nested columns as text: lists joined by commas, others as DuckDB writes them."""
    columns = []
    for name, kind in zip(map(_quoted, relation.columns), relation.types, strict=True):
        if kind.id == "list":
            columns.append(f"array_to_string({name}, ',') AS {name}")
        else:
            columns.append(f"CAST({name} AS VARCHAR) AS {name}" if kind.id in NESTED else name)
    return relation.project(", ".join(columns))


def _printable(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return ``relation`` with control characters in names and texts replaced (``shown_text.printable``)."""
    expression = f"regexp_replace(({{0}})::VARCHAR, '{CONTROLS_OF_RE2}', '{REPLACEMENT}', 'g')"
    return _with_texts(relation, expression, printable)


def _without_formulas(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return ``relation`` flattened, with ``spreadsheet_text`` of its names and texts; lists of numbers stay."""
    starts = ", ".join(f"chr({ord(character)})" for character in FORMULA_STARTS)
    expression = f"CASE WHEN ({{0}}::VARCHAR)[1] IN ({starts}) THEN chr(39) || {{0}}::VARCHAR ELSE {{0}}::VARCHAR END"
    numbers = [kind.id == "list" and kind.child.id in NUMBERS for kind in relation.types]
    return _with_texts(_flattened(relation), expression, spreadsheet_text, unchanged=numbers)


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
        value = _quoted(name)
        if kind.id not in WITHOUT_TEXT and not (unchanged and unchanged[column]):
            value = expression.replace("{0}", value)
        columns.append(f"{value} AS {_quoted(rename(name))}")
    return relation.project(", ".join(columns))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
