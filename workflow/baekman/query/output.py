"""The rows of an answer as a table, TSV, CSV, JSON or Parquet."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_file
from baekman.query.safe_columns import (
    FLOATS,
    NUMBERS,
    flattened,
    quoted,
    without_breaks,
    without_controls,
    without_formulas,
)

OUTPUT_FORMATS = ("table", "tsv", "csv", "json", "parquet")
# names of files that would not be what they say
OTHER_ENDINGS = ("xlsx", "xls", "ods", "gz", "zst", "zip", "feather", "arrow", "vcf", "bcf", "db", "html", "md")
BATCH_ROWS = 1 << 16
TABLE_WIDTH_ROWS = 1000  # the rows at the beginning that set the widths of a table's columns
WIDEST = 24  # of a column of a table; a longer value pushes the rest of its line to the right
SIX_DIGITS = "'{:.6g}'"
NULL = "."  # in a table and in TSV, as bcftools prints it
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Output:
    """The form of an answer.

    Attributes:
        format: one of ``OUTPUT_FORMATS``; None: by the ending of ``file``, a table on a terminal, else TSV.
        file: the file to write; None: stdout.
        columns: names with commas, or ``all``; None: all, but on a terminal those of ``short`` if there are any.
        limit: the most rows, 0 for all; None: all, but on a terminal ``terminal.TERMINAL_ROWS``.
        short: columns that suffice on a terminal.
    """

    format: str | None = None
    file: Path | None = None
    columns: str | None = None
    limit: int | None = None
    short: Sequence[str] = ()

    @property
    def chosen_format(self) -> str:
        """Return the format, also where none is given."""
        if self.format is not None:
            return self.format
        if self.file is not None:
            return self._ending if self._ending in OUTPUT_FORMATS[1:] else "tsv"
        return "table" if sys.stdout.isatty() else "tsv"

    @property
    def _ending(self) -> str:
        return self.file.suffix.removeprefix(".").lower() if self.file is not None else ""

    @property
    def is_drawn(self) -> bool:
        """Return whether the answer is a table on a terminal."""
        return self.chosen_format == "table" and self.file is None and sys.stdout.isatty()

    def check(self) -> None:
        """Raise InputRefused for an unknown format, and for Parquet without a file to write to."""
        format = self.chosen_format
        if format not in OUTPUT_FORMATS:
            known = ", ".join(OUTPUT_FORMATS)
            raise InputRefused(Problem(file="--format", expected=f"one of {known}", found=repr(format)))
        if format == "parquet" and self.file is None:
            raise InputRefused(Problem(file="--format", expected="--output FILE with parquet", found="no --output"))
        if self.file is not None and self.file.is_dir():
            raise InputRefused(Problem(file="--output", expected="a file", found="a folder", action="add a name"))
        if self.format is None and self._ending in OTHER_ENDINGS:
            raise InputRefused(
                Problem(
                    file="--output",
                    expected=f"a name that ends in .{', .'.join(OUTPUT_FORMATS[1:])}, or --format",
                    found=f".{self._ending}",
                    action="CSV opens in a spreadsheet" if self._ending.startswith("xls") else "",
                )
            )


def write_answer(relation: duckdb.DuckDBPyRelation, output: Output) -> None:
    """Write the rows of ``relation`` to a file (atomically) or stdout, a batch at a time.

    ``table`` is aligned text with a line per row, or on a terminal tables as wide as it (``terminal.show``). Lists
    become text in a table, in TSV and in CSV. Control characters in texts are replaced in a table and on a terminal.
    In TSV and CSV a text that a spreadsheet would take for a formula begins with a quote (``spreadsheet_text``).

    Raises:
        InputRefused: see ``Output.check`` and ``project``.
        duckdb.Error: DuckDB cannot run the SQL.
    """
    output.check()
    chosen = _chosen(relation, output)
    if output.is_drawn:
        from baekman.query import terminal  # not for a pipe

        rows = terminal.TERMINAL_ROWS if output.limit is None else output.limit
        if 0 < rows <= terminal.MOST_ROWS:
            hidden = len(relation.columns) - len(chosen.columns)
            terminal.show(chosen, rows=rows, hidden=hidden, is_short=output.columns is None and hidden > 0)
            return
    if output.limit:
        chosen = chosen.limit(output.limit)
    write = {
        "table": _write_table,
        "tsv": _write_tsv,
        "csv": _write_csv,
        "json": _write_json,
        "parquet": _write_parquet,
    }
    with _opened(output.file) as target:
        write[output.chosen_format](chosen, target)


def _chosen(relation: duckdb.DuckDBPyRelation, output: Output) -> duckdb.DuckDBPyRelation:
    """Return the columns of ``relation`` that the output has."""
    if output.columns is None:
        short = [name for name in output.short if name in relation.columns] if output.is_drawn else []
        return project(relation, short) if short else relation
    if output.columns.strip() == ALL:
        return relation
    return project(relation, [name for text in output.columns.split(",") if (name := text.strip())])


def project(relation: duckdb.DuckDBPyRelation, columns: Sequence[str]) -> duckdb.DuckDBPyRelation:
    """Return some columns of ``relation``; raise InputRefused for an unknown column, or for none."""
    unknown = [name for name in columns if name not in relation.columns]
    if unknown or not columns:
        known = ", ".join(relation.columns)
        found = ", ".join(map(repr, unknown)) or "none"
        near = [match for name in unknown for match in difflib.get_close_matches(name, relation.columns, n=1)]
        action = f"did you mean {', '.join(near)}?" if near else ""
        raise InputRefused(Problem(file="columns", expected=f"some of {known}", found=found, action=action))
    return relation.project(", ".join(map(quoted, columns)))


def arrow_table(relation: duckdb.DuckDBPyRelation, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of ``relation``, or some of its columns; raises InputRefused for an unknown column."""
    return (relation if columns is None else project(relation, columns)).to_arrow_table()


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
    flat = without_formulas(relation)
    if target.isatty():
        flat = without_controls(flat)
    reader = flat.to_arrow_reader(BATCH_ROWS)
    options = pa_csv.WriteOptions(quoting_style="needed")
    with pa_csv.CSVWriter(target, reader.schema, write_options=options) as writer:
        for batch in reader:
            writer.write_batch(batch)


def _write_tsv(relation: duckdb.DuckDBPyRelation, target: IO[bytes]) -> None:
    """Write tab-separated text without quotes, with every digit of a number and ``.`` for null."""
    flat = without_breaks(without_formulas(relation))
    if target.isatty():
        flat = without_controls(flat)
    names = flat.columns
    texts = ", ".join(f"coalesce({name}::VARCHAR, '{NULL}') AS {name}" for name in map(quoted, names))
    target.write("\t".join(names).encode() + b"\n")
    for batch in flat.project(texts).to_arrow_reader(BATCH_ROWS):
        lines = pc.binary_join_element_wise(*batch.columns, "\t").to_pylist()
        target.write("".join(f"{line}\n" for line in lines).encode())


def _write_json(relation: duckdb.DuckDBPyRelation, target: IO[bytes]) -> None:
    """Write an array of objects, one per line; numbers that are none (NaN, infinite) become null."""
    columns = ", ".join(
        f"CASE WHEN isfinite({name}) THEN {name} END AS {name}" if kind.id in FLOATS else name
        for name, kind in zip(map(quoted, relation.columns), relation.types, strict=True)
    )
    rows = relation.project(columns).set_alias("answer")
    rows = rows.project("to_json(answer)::VARCHAR AS line")
    if target.isatty():
        rows = without_controls(rows)
    before = "["
    for batch in rows.to_arrow_reader(BATCH_ROWS):
        target.write((before + ",\n ".join(batch.column(0).to_pylist())).encode())
        before = ",\n "
    target.write(b"[]\n" if before == "[" else b"]\n")


def _write_table(relation: duckdb.DuckDBPyRelation, target: IO[bytes]) -> None:
    """Write aligned columns: numbers to the right, floats with six digits, and ``.`` for null."""
    relation = without_controls(flattened(relation))
    names = relation.columns
    pads = [pc.utf8_lpad if kind.id in NUMBERS else pc.utf8_rpad for kind in relation.types]
    texts = ", ".join(
        f"coalesce({f'format({SIX_DIGITS}, {name})' if kind.id in FLOATS else f'{name}::VARCHAR'}, '{NULL}') AS {name}"
        for name, kind in zip(map(quoted, names), relation.types, strict=True)
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
