"""Connections to DuckDB that read some files and nothing else, within limits."""

from __future__ import annotations

import functools
import tempfile
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from baekman.query.limits import Limits


def bound(connection: duckdb.DuckDBPyConnection, *, limits: Limits | None) -> None:
    """Set the limits of memory and disk on ``connection``, and a folder of its own for what does not fit in memory."""
    connection.execute("SET autoinstall_known_extensions = false; SET autoload_known_extensions = false")
    connection.execute("SET temp_directory = ?", [str(Path(_spill().name) / uuid.uuid4().hex)])
    if limits is not None:
        limits.set_on(connection)


def spill_encrypted(connection: duckdb.DuckDBPyConnection, folder: Path | str) -> None:
    """Let rows that do not fit into memory go to ``folder``, encrypted under a key that is in memory only.

    Without an extension DuckDB has no other random numbers for the key than those of its mbedtls, which it calls not
    secure, and it refuses to spill without this setting (docs/privacy.md, Limits).
    """
    connection.execute("SET temp_directory = ?", [str(folder)])
    connection.execute("SET temp_file_encryption = true; SET force_mbedtls_unsafe = 'true'")


def confine(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], *, limits: Limits | None = None, watched: bool = False
) -> None:
    """Close ``connection`` to everything but the files ``paths``, for ever.

    If it is ``watched``, the ``limits`` of time hold for each of its queries.
    """
    if paths:
        connection.execute("SET allowed_paths = ?", [[str(path) for path in paths]])
    connection.execute("SET enable_external_access = false")
    if limits is not None and watched:
        limits.watch(connection)
    connection.execute("SET lock_configuration = true")


@functools.cache
def _spill() -> tempfile.TemporaryDirectory[str]:
    """Return this process's folder (0700, deleted at exit) for what does not fit in memory.

    A relation may outlive the code that opened its connection, so DuckDB deletes each connection's part.
    """
    return tempfile.TemporaryDirectory(prefix="baekman-query-")


def fill(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str], rows: Iterable[tuple[str | int, ...]]
) -> None:
    """Create the table ``name`` with ``rows`` of text; a column named ``code`` has whole numbers."""
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    types = [pa.int64() if column == "code" else pa.string() for column in columns]
    arrays = [pa.array(value, kind) for value, kind in zip(values, types, strict=True)]
    connection.register("rows", pa.table(arrays, names=list(columns)))
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM rows")
    connection.unregister("rows")
