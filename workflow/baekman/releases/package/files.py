"""The Parquet files of a package: fixed row groups, a footer that names the release, and notes of finished files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import ROW_GROUP_ROWS, parquet_options, with_metadata
from baekman.files.atomic import atomic_file, write_text
from baekman.releases.package.verify import RELEASE_KEY


@dataclass(frozen=True)
class PackageFolder:
    """The folder in which the package of ``release`` is made; it has no package's name yet.

    ``content``, or ``sealed`` of a transfer, is what is renamed at the end. ``notes`` has a note for each finished
    task: the files and their rows.
    """

    path: Path
    release: str

    @property
    def content(self) -> Path:
        """The files of the package."""
        return self.path / "content"

    @property
    def sealed(self) -> Path:
        """The files of the package of a transfer, which are encrypted."""
        return self.path / "sealed"

    @property
    def notes(self) -> Path:
        """The notes of finished tasks."""
        return self.path / "notes"

    @property
    def spilled(self) -> Path:
        """The rows on their way from our buckets to those of the release."""
        return self.path / "spilled"

    def is_done(self, task: str) -> bool:
        """Return whether ``task`` is finished."""
        return (self.notes / f"{task}.json").is_file()

    def note(self, task: str, rows: Mapping[str, int]) -> None:
        """Note that ``task`` is finished, and the number of rows of each file that it wrote."""
        write_text(self.notes / f"{task}.json", json.dumps(dict(sorted(rows.items()))))

    def rows(self) -> dict[str, int]:
        """Return the number of rows of each file of the finished tasks."""
        rows: dict[str, int] = {}
        for path in sorted(self.notes.glob("*.json")):
            rows |= json.loads(path.read_text(encoding="utf-8"))
        return rows

    def write(self, name: str, tables: Iterable[pa.Table], *, schema: pa.Schema) -> int:
        """Write ``tables`` as the file ``name`` of the package; return the number of rows.

        The row groups have a fixed number of rows, wherever the tables are cut.
        """
        schema = with_metadata(schema, {RELEASE_KEY: self.release})
        count = 0
        with (
            atomic_file(self.content / name) as temporary,
            pq.ParquetWriter(temporary, schema, **parquet_options(schema)) as file,
        ):
            for group in _groups(tables, schema):
                file.write_table(group, row_group_size=ROW_GROUP_ROWS)
                count += group.num_rows
        return count


def _groups(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of ``tables`` in tables of ``ROW_GROUP_ROWS`` rows, the last one smaller."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table.cast(schema))
        if sum(part.num_rows for part in held) < ROW_GROUP_ROWS:
            continue
        rows = pa.concat_tables(held)
        whole = rows.num_rows // ROW_GROUP_ROWS * ROW_GROUP_ROWS
        for first in range(0, whole, ROW_GROUP_ROWS):
            yield rows.slice(first, ROW_GROUP_ROWS).combine_chunks()
        held = [rows.slice(whole)]
    if any(part.num_rows for part in held):
        yield pa.concat_tables(held).combine_chunks()
