"""An answer on a terminal: tables as wide as the terminal, with a line for everything that they do not show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from baekman.query.safe_columns import FLOATS, NUMBERS, flattened, without_controls

TERMINAL_ROWS = 100  # shown without --limit
MOST_ROWS = 10_000  # of a table that is held in memory; more rows are written as they come
LONGEST = 40  # characters of a text
LONGEST_ALLELE = 16
BETWEEN = 3  # characters between two columns
ALLELES = ("ref", "alt")
KEYS = ("participant_id", "contig", "pos", "ref", "alt")  # repeated where a table goes on below


def show(relation: duckdb.DuckDBPyRelation, *, rows: int, hidden: int = 0, is_short: bool = False) -> None:
    """Print the first ``rows`` rows of ``relation`` on the terminal, and a line for what is not shown.

    Columns that do not fit next to each other go on in a table below; with ``is_short`` they are not shown. ``hidden``:
    columns of the answer that ``relation`` does not have. Integers have commas, other numbers four digits, and ``.`` is
    null.
    """
    safe = without_controls(flattened(relation))
    table = safe.limit(rows + 1).to_arrow_table()
    numeric = [kind.id in NUMBERS for kind in safe.types]
    floats = [kind.id in FLOATS for kind in safe.types]
    texts = [
        [_shown(value, is_float=is_float, longest=LONGEST_ALLELE if name in ALLELES else LONGEST) for value in column]
        for name, column, is_float in zip(safe.columns, table.slice(0, rows).to_pydict().values(), floats, strict=True)
    ]
    console = Console(color_system=None, highlight=False, emoji=False, markup=False)
    names = safe.columns
    widths = [max(map(cell_len, (name, *cells))) for name, cells in zip(names, texts, strict=True)]
    parts = list(_parts(names, widths, width=console.width))
    if is_short:
        hidden += len(names) - len(parts[0])
        names, parts = names[: len(parts[0])], parts[:1]
    for part in parts:
        drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for column in part:
            heading = Text(names[column])
            drawn.add_column(heading, justify="right" if numeric[column] else "left", overflow="fold")
        for row in range(min(table.num_rows, rows)):
            drawn.add_row(*(Text(texts[column][row]) for column in part))
        console.print(drawn)
        console.print()
    if table.num_rows > rows:
        ((count,),) = relation.aggregate("count(*)").fetchall()
        console.print(f"… {rows:,} of {count:,} rows; --limit 0 for all")
    if hidden:
        console.print(f"… {len(names)} of {len(names) + hidden} columns; --columns all for all")
    if any("…" in text for cells in texts for text in cells):
        console.print("… long texts are shortened, with their length; --format tsv has them whole")


def _shown(value: Any, *, is_float: bool, longest: int) -> str:
    """Return a value as people read it."""
    if value is None:
        return "."
    if isinstance(value, bool):
        return str(value).lower()
    if is_float:
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= longest else f"{text[: longest // 2]}…({len(text):,})"


def _parts(names: Sequence[str], widths: Sequence[int], *, width: int) -> Iterator[list[int]]:
    """Yield the columns of each table, so that it fits in ``width``; key columns come first in each."""
    keys = [number for number, name in enumerate(names) if name in KEYS]
    if sum(widths[number] + BETWEEN for number in keys) > width // 2:
        keys = []
    part: list[int] = []
    used = 0
    for number, own in enumerate(widths):
        if part and used + own + BETWEEN > width + BETWEEN:
            yield part
            part = [key for key in keys if key < number]
            used = sum(widths[key] + BETWEEN for key in part)
        part.append(number)
        used += own + BETWEEN
    if part:
        yield part
