"""The rows of a release of the tier ``low_risk``: one per participant, each equal to those of ten others at least.

Every column of such a row counts as a quasi-identifier. Columns are made coarse by the dictionary first. Then values
are set to missing, column by column from the left, until each combination of values is held by enough participants.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baekman.query.limits import Limits
from baekman.releases.transform import Rules, birth_bands

if TYPE_CHECKING:
    import duckdb

    from baekman.records.dictionary import Dictionary

PERSONAL = ("sex", "birth")  # columns before those of codes
RECORDED = "yes"
BANDS = 20  # of the plausible range of a number
ROWS = 1 << 16  # of an answer at a time


def row_schema(codes: Sequence[str], *, key: str) -> pa.Schema:
    """Return the schema of the rows: ``key``, sex, birth and a text for each of ``codes``, all nullable but the key."""
    names = (*PERSONAL, *codes)
    return pa.schema([pa.field(key, pa.string(), nullable=False), *(pa.field(name, pa.string()) for name in names)])


def participant_rows(events: pa.Table, persons: pa.Table, rules: Rules, dictionary: Dictionary) -> pa.Table:
    """Return a row (``row_schema``) for each of ``persons``, before values are set to missing.

    The cell of a code is ``yes`` for an event, the last category, or the band of the last number. It is null where
    there is none: nothing is assumed to be absent.

    Args:
        events: Rows that ``transform.generalise`` returned.
        persons: ``participant_id``, ``sex`` and ``birth_year``, a row each.
        rules: The rules of the release.
        dictionary: The dictionary that the codes are in.
    """
    codes = sorted(rules.people)
    people = persons["participant_id"].combine_chunks()
    births = birth_bands(persons["birth_year"].combine_chunks(), rules)
    columns = [people, persons["sex"], births]
    order = [(name, "ascending") for name in ("participant_id", "time", "value", "category")]
    ordered = events.sort_by(order)
    for code in codes:
        of_code = ordered.filter(pc.equal(ordered["code"], code))
        cells = _cells(of_code, code, dictionary)
        known = pc.is_valid(cells)
        holders, cells = of_code["participant_id"].filter(known), cells.filter(known)
        last = _last_of_each(holders)
        place = pc.index_in(people, value_set=holders.take(last).combine_chunks())
        columns.append(pc.take(cells.take(last), place))
    return pa.table(columns, schema=row_schema(codes, key="participant_id"))


def _cells(events: pa.Table, code: str, dictionary: Dictionary) -> pa.Array:
    """Return the text of each event of ``code`` in a row of ``low_risk``."""
    entry = dictionary.entry(code)
    if entry is None or entry.kind == "event":
        return pa.array([RECORDED] * events.num_rows, pa.string())
    if entry.kind == "category":
        return events["category"].combine_chunks()
    return number_bands(events["value"].combine_chunks(), low=entry.low, high=entry.high)


def number_bands(values: pa.Array, *, low: float | None, high: float | None) -> pa.Array:
    """Return the band of each number as text (``120-140``, the second end not included); null for null.

    Bands are as wide as the next of 1, 2 or 5 times a power of ten over a twentieth of the range from ``low`` to
    ``high``. They do not depend on the values. A code without both bounds has no bands, and no value is shown.
    """
    if low is None or high is None or not high > low:
        return pa.nulls(len(values), pa.string())
    width = _round_up((high - low) / BANDS)
    number = values.to_numpy(zero_copy_only=False).astype(np.float64)
    valid = ~np.isnan(number)
    first = np.floor(number[valid] / width) * width
    texts = np.full(len(number), None, object)
    texts[valid] = [f"{begin:.10g}-{begin + width:.10g}" for begin in first.tolist()]
    return pa.array(texts, pa.string())


def _round_up(width: float) -> float:
    power = 10.0 ** math.floor(math.log10(width))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= width * (1 - 1e-9))


def _last_of_each(people: pa.ChunkedArray) -> pa.Array:
    """Return the place of the last row of each person; the rows of a person follow each other."""
    names = people.to_numpy()
    ends = np.flatnonzero(np.r_[names[1:] != names[:-1], True]) if len(names) else np.zeros(0, np.int64)
    return pa.array(ends, pa.int64())


@contextmanager
def suppressed(
    tables: Iterable[pa.Table], *, schema: pa.Schema, threshold: int, limits: Limits | None = None
) -> Iterator[tuple[duckdb.DuckDBPyRelation, Mapping[str, int]]]:
    """Yield the rows of ``tables`` with values set to missing, sorted by the first column, and counts by column.

    Each combination of the columns after the first is then held by at least ``threshold`` rows, a missing value
    counting as a value. The exception are fewer rows than that, which all become missing. The counts are the
    values that were set to missing. Rows that do not fit into memory lie on disk while the block lasts.

    Columns are handled from the left. Within the rows that are alike so far, the values of too few rows become
    missing. Where the missing ones are too few in turn, the rarest other value becomes missing too.
    """
    import duckdb

    from baekman.query.connection import spill_encrypted

    limits = limits or Limits()
    key, *names = schema.names
    with tempfile.TemporaryDirectory(prefix="baekman-release-") as spill, duckdb.connect() as connection:
        spill_encrypted(connection, spill)
        connection.execute("SET preserve_insertion_order = false")
        limits.set_on(connection)
        columns = [_quoted(name) for name in schema.names]
        connection.execute(f"CREATE TABLE raw ({', '.join(f'{column} VARCHAR' for column in columns)})")
        for table in tables:
            connection.register("part", table)
            connection.execute("INSERT INTO raw SELECT * FROM part")
            connection.unregister("part")
        connection.execute(_combinations(names))
        for number, name in enumerate(names):
            connection.execute(_step(number, name, threshold=threshold))
        shown = ", ".join(f"s.shown_{number} AS {_quoted(name)}" for number, name in enumerate(names))
        joined = " AND ".join(f"r.{_quoted(name)} IS NOT DISTINCT FROM s.{_quoted(name)}" for name in names)
        chosen = f"{shown}, " if names else ""
        counts = _counts(connection, names)
        yield (
            connection.sql(
                f"SELECT r.{_quoted(key)}, {chosen.removesuffix(', ')} FROM raw AS r JOIN step_{len(names)} AS s "
                f"ON {joined or 'true'} ORDER BY r.{_quoted(key)}"
            ),
            counts,
        )


def _combinations(names: Sequence[str]) -> str:
    columns = ", ".join(map(_quoted, names))
    grouped = f" GROUP BY {columns}" if names else ""
    return f"CREATE TABLE step_0 AS SELECT {columns}{',' if names else ''} count(*) AS n, 0 AS alike FROM raw{grouped}"


def _step(number: int, name: str, *, threshold: int) -> str:
    """Return SQL that makes the next step: column ``name`` within rows that are ``alike`` in the columns before it.

    Values come in the order of their size, the missing and the rare ones first. A value is shown if it is held by
    enough rows, and those before it are none or enough. The missing ones are then none or enough too.
    """
    column = _quoted(name)
    return f"""
        CREATE TABLE step_{number + 1} AS
        WITH sizes AS (SELECT alike, {column} AS cell, sum(n) AS size FROM step_{number} GROUP BY alike, {column}),
        placed AS (
            SELECT *, coalesce(sum(size) OVER (
                PARTITION BY alike ORDER BY cell IS NOT NULL, size, cell
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), 0) AS before, sum(CASE WHEN cell IS NULL OR size < {threshold} THEN size ELSE 0 END)
                OVER (PARTITION BY alike) AS missing
            FROM sizes
        ),
        decided AS (
            SELECT *, CASE WHEN cell IS NOT NULL AND size >= {threshold} AND (missing = 0 OR before >= {threshold})
                THEN cell END AS shown
            FROM placed
        ),
        numbered AS (SELECT *, dense_rank() OVER (ORDER BY alike, shown) AS next_alike FROM decided)
        SELECT s.* EXCLUDE (alike), d.shown AS shown_{number}, d.next_alike AS alike
        FROM step_{number} AS s
        JOIN numbered AS d ON s.alike = d.alike AND s.{column} IS NOT DISTINCT FROM d.cell
    """


def _counts(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> dict[str, int]:
    if not names:
        return {}
    sums = ", ".join(
        f"coalesce(sum(n) FILTER ({_quoted(name)} IS NOT NULL AND shown_{number} IS NULL), 0)"
        for number, name in enumerate(names)
    )
    (row,) = connection.execute(f"SELECT {sums} FROM step_{len(names)}").fetchall()
    return {name: int(count) for name, count in zip(names, row, strict=True)}


def group_sizes(relation: duckdb.DuckDBPyRelation, names: Sequence[str]) -> tuple[int, int]:
    """Return the size of the smallest group of rows that are equal in the columns ``names``, and the groups of one.

    Both are 0 without any row.
    """
    columns = ", ".join(map(_quoted, names))
    groups = relation.aggregate(f"count(*) AS size, {columns}", columns)
    ((size, unique),) = groups.aggregate("min(size), count(*) FILTER (size = 1)").fetchall()
    return int(size or 0), int(unique)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
