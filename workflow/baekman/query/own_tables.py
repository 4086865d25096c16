"""Tables of one's own next to the views of a cohort: CSV, TSV or Parquet, by participant or by allele.

They are copied into the memory of the query before it is closed to files, within its limits of memory and disk.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from baekman.errors import InputRefused, Problem
from baekman.query.safe_columns import quoted

PARTICIPANT = "participant_id"
KEYS = (PARTICIPANT, "contig")  # a table has one of them
TEXTS = (PARTICIPANT, "contig", "ref", "alt")  # also where every value is a number
PARQUET = (".parquet", ".pq")
NULLS = ("", ".", "NA")
KINDS = ("BIGINT", "DOUBLE", "DATE", "TIMESTAMP", "VARCHAR")  # no BOOLEAN: yes and no stay as they are
OPTION = "--with"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LINE = re.compile(r"\bline:? (\d+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class OwnTable:
    """A table of one's own: the ``name`` of its view and the ``file`` that it is read from."""

    name: str
    file: Path


def own_tables(texts: Sequence[str], *, views: Collection[str]) -> tuple[OwnTable, ...]:
    """Return the tables that ``texts`` name: ``FILE``, with the view named after the file, or ``NAME=FILE``.

    Raises:
        InputRefused: A name is none for a view, is that of one of ``views``, or comes twice.
    """
    tables: list[OwnTable] = []
    taken = {view.lower() for view in views}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not _NAME.fullmatch(name):
            name, path = Path(text).name.partition(".")[0], text
        if not _NAME.fullmatch(name) or name.lower() in taken:
            raise InputRefused(
                Problem(
                    file=OPTION,
                    expected="a name of letters, digits and _ that no other view has",
                    found=repr(name),
                    action=f"give the table another: {OPTION} pheno=FILE",
                )
            )
        taken.add(name.lower())
        tables.append(OwnTable(name=name, file=Path(path)))
    return tuple(tables)


def load(connection: duckdb.DuckDBPyConnection, tables: Sequence[OwnTable], *, listed: str | None) -> None:
    """Copy ``tables`` into ``connection``, each as a table of its name.

    Empty texts, ``.`` and ``NA`` are null in CSV and TSV. ``listed`` is SQL for the IDs of the cohort, None for
    those of nobody.

    Raises:
        InputRefused: A file cannot be read, has neither ``participant_id`` nor ``contig`` and ``pos``, none of its
            participants is in the cohort, or it does not fit within the limits of the query.
    """
    for table in tables:
        _copy(connection, table)
        kinds = _kinds(connection, table.name)
        if not (PARTICIPANT in kinds or {"contig", "pos"} <= {*kinds}):
            raise _refused(
                table,
                expected=f"a column {PARTICIPANT}, or contig and pos",
                # without a header they are values
                found=f"{len(kinds)} columns of other names" if table.file.stat().st_size else "an empty file",
                action=f"name the column of IDs {PARTICIPANT}",
            )
        if PARTICIPANT in kinds and listed is not None:
            _require_members(connection, table, listed=listed)


def described(connection: duckdb.DuckDBPyConnection, tables: Sequence[OwnTable]) -> str:
    """Return the columns of ``tables`` with their types, for the message about SQL that does not run."""
    parts = []
    for table in tables:
        kinds = _kinds(connection, table.name)
        parts.append(f"{table.name} has " + ", ".join(f"{name} {kind}" for name, kind in kinds.items()))
    return "; ".join(parts)


def _copy(connection: duckdb.DuckDBPyConnection, table: OwnTable) -> None:
    if not table.file.is_file():
        raise _refused(table, expected="a table in CSV, TSV or Parquet", found="no such file", action="check the path")
    try:
        source = _source(connection, table.file)
        connection.execute(f"CREATE TABLE {quoted(table.name)} AS SELECT * FROM {source}", [str(table.file)])
    except duckdb.OutOfMemoryException:
        raise _refused(
            table,
            expected="a table that fits within --memory-limit and --spill-limit",
            found="a larger one",
            action="leave out columns, or raise the limits",
        ) from None
    except duckdb.Error as error:  # its text may have a value of the table
        line = None if table.file.suffix in PARQUET else _LINE.search(str(error))
        raise _refused(
            table,
            place=f"line {line[1]}" if line else "",
            expected="a table in CSV, TSV or Parquet: UTF-8, a header, the same columns in each line",
            found="other content",
            action="save it again as CSV in UTF-8",
        ) from None


def _source(connection: duckdb.DuckDBPyConnection, file: Path) -> str:
    """Return SQL that reads a file, whose path is the parameter of the statement."""
    if file.suffix in PARQUET:
        return "read_parquet(?)"
    tab = ", delim = '\t'" if ".tsv" in [suffix.lower() for suffix in file.suffixes] else ""
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    nulls = ", ".join(f"'{text}'" for text in NULLS)
    options = f"header = true, skip = 0, sample_size = -1, nullstr = [{nulls}], auto_type_candidates = [{kinds}]{tab}"
    names = [row[0] for row in connection.execute(f"DESCRIBE FROM read_csv(?, {options})", [str(file)]).fetchall()]
    texts = ", ".join(f"'{name}': 'VARCHAR'" for name in TEXTS if name in names)
    return f"read_csv(?, {options}{f', types = {{{texts}}}' if texts else ''})"


def _kinds(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    rows = connection.execute(f"DESCRIBE {quoted(name)}").fetchall()
    return {row[0]: row[1] for row in rows}


def _require_members(connection: duckdb.DuckDBPyConnection, table: OwnTable, *, listed: str) -> None:
    """Raise InputRefused when the table has rows, and none of a participant of the cohort; warn of rows of others."""
    ((rows, members),) = connection.execute(
        f"SELECT count(*), count(*) FILTER ({PARTICIPANT} IN ({listed})) FROM {quoted(table.name)}"
    ).fetchall()
    if rows and not members:
        raise _refused(
            table,
            place=PARTICIPANT,
            expected="IDs of the cohort, such as P0123456789ABX",
            found=f"{rows} rows with other IDs",
            action="take the IDs that the cohort shows; codes of an institution are known to the registry alone",
        )
    if members < rows:
        warnings.warn(f"{table.name}: {rows - members} of {rows} rows have an ID that no view has", stacklevel=2)


def _refused(table: OwnTable, *, expected: str, found: str, action: str, place: str = "") -> InputRefused:
    return InputRefused(Problem(file=table.file.name, place=place, expected=expected, found=found, action=action))
