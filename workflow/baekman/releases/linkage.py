"""Linkage by content: people of two releases with new IDs each, joined by what the rows say.

The days since a person's first event survive every offset of dates. People with the same codes on the same of these
days are the same person where nobody else has them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from baekman.arrow import read_parquet
from baekman.query.limits import Limits

if TYPE_CHECKING:
    import duckdb

RECORDS = "records"  # folder of a package
_COLUMNS = ("project_id", "time", "code")
_NAMES = ["person", "time", "code"]
# one signature per person: of the codes with the days since the first of these events, in whatever order
_SIGNATURES = """
    INSERT INTO {table}
    SELECT sum(hash(code, days - first)::HUGEINT)::VARCHAR || ',' || count(*) FROM (
        SELECT person, code, datediff('day', TIMESTAMP '2000-01-01', date_trunc('day', time)) AS days,
            min(days) OVER (PARTITION BY person) AS first
        FROM part
    ) GROUP BY person
"""


@dataclass(frozen=True)
class OtherRecords:
    """The records of another release's package: its files, and its codes."""

    files: tuple[Path, ...]
    codes: frozenset[str]

    @classmethod
    def of(cls, package: Path) -> OtherRecords | None:
        """Return the records of ``package``; None where it has none."""
        files = tuple(sorted((package / RECORDS).glob("*.parquet")))
        codes: set[str] = set()
        for file in files:
            codes.update(pc.unique(read_parquet(file, columns=["code"])["code"]).to_pylist())
        return cls(files, frozenset(codes)) if files else None

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows of each file; all rows of a person are in one."""
        for file in self.files:
            yield read_parquet(file, columns=_COLUMNS).rename_columns(_NAMES)


def joined(rows: Iterable[pa.Table], others: Sequence[OtherRecords], *, codes: Collection[str]) -> list[int]:
    """Return for each of ``others`` how many people of ``rows`` can be joined with one person there and with no other.

    ``rows`` have ``participant_id``, ``time`` and ``code``; all rows of a person are in one table. They are read once.
    Only codes that are in ``codes``, those of ``rows``, and in the other release are compared.
    """
    import duckdb

    from baekman.query.connection import spill_encrypted

    common = [pa.array(sorted(other.codes.intersection(codes)), pa.string()) for other in others]
    with tempfile.TemporaryDirectory(prefix="baekman-release-") as spill, duckdb.connect() as connection:
        spill_encrypted(connection, spill)
        Limits().set_on(connection)

        def add(name: str, table: pa.Table, compared: pa.Array) -> None:
            connection.register("part", table.filter(pc.is_in(table["code"], value_set=compared)))
            connection.execute(_SIGNATURES.format(table=name))
            connection.unregister("part")

        for number, (other, compared) in enumerate(zip(others, common, strict=True)):
            connection.execute(f"CREATE TABLE ours_{number} (signature VARCHAR)")
            connection.execute(f"CREATE TABLE theirs_{number} (signature VARCHAR)")
            for table in other.tables():
                add(f"theirs_{number}", table, compared)
        for table in rows:
            ours = table.select(["participant_id", "time", "code"]).rename_columns(_NAMES)
            for number, compared in enumerate(common):
                add(f"ours_{number}", ours, compared)
        return [_matches(connection, number) for number in range(len(others))]


def _matches(connection: duckdb.DuckDBPyConnection, number: int) -> int:
    once = "SELECT signature FROM {} GROUP BY ALL HAVING count(*) = 1"
    ours, theirs = once.format(f"ours_{number}"), once.format(f"theirs_{number}")
    ((count,),) = connection.execute(f"SELECT count(*) FROM ({ours}) JOIN ({theirs}) USING (signature)").fetchall()
    return int(count)
