"""The files of the per-participant tables: their places, their writing, verification and reading.

A folder of tables holds two data sets, ``variants/<bucket>/<ID>.parquet`` (schema TABLE) and
``reference/<bucket>/<ID>.parquet`` (schema REFERENCE_TABLE). Earlier versions wrote ``<bucket>/<ID>.parquet`` and
``<bucket>/<ID>.reference.parquet``; ``convert_layout`` moves these files to their places.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import numpy_of, open_parquet, parquet_options, with_metadata
from baekman.cohort.schema import TABLES
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.tables.keys import FOLDER, TableKeys, bucket_of, is_encrypted
from baekman.tables.seals import DATASETS, accept, digests_of_tables, is_whole, require_footer, seal_path
from baekman.tables.seals import FOLDER as SEALS
from baekman.workspace.paths import Top

VARIANTS, REFERENCE = "variants", "reference"
OLD_BUCKET = "??"  # in an earlier version's folder; neither data set has a name of two characters
OLD_REFERENCE = ".reference"


def table_path(output: Path, participant: str, *, dataset: str = VARIANTS) -> Path:
    """Return the path of a participant's table of variants, or of the file in another data set."""
    return output / dataset / bucket_of(participant) / f"{participant}.parquet"


def files_of(output: Path, participant: str) -> tuple[Path, Path, Path]:
    """Return the paths of a participant's table, reference blocks and seal."""
    return table_path(output, participant), reference_path(output, participant), seal_path(output, participant)


def reference_path(output: Path, participant: str) -> Path:
    """Return the path of a participant's reference blocks."""
    return table_path(output, participant, dataset=REFERENCE)


class TableWriters:
    """The two open files of a participant: ``close`` verifies them, ``show`` gives them their names."""

    def __init__(
        self,
        output: Path,
        participant: str,
        metadata: dict[str, str],
        keys: TableKeys | None,
        *,
        schemas: Sequence[pa.Schema] = TABLES,
    ) -> None:
        self.output = output
        self.participant = participant
        self.keys = keys
        self.digests: dict[str, Any] = {}
        encryption = keys.encryption(participant) if keys is not None else None
        self.targets = (table_path(output, participant), reference_path(output, participant))
        for target in self.targets:
            target.parent.mkdir(parents=True, exist_ok=True)
        self.temporary = [target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp" for target in self.targets]
        self.schemas = [with_metadata(schema, metadata) for schema in schemas]
        self.files = [
            pq.ParquetWriter(path, schema, encryption_properties=encryption, **parquet_options(schema))
            for path, schema in zip(self.temporary, self.schemas, strict=True)
        ]
        self.rows = [0, 0]

    def write(self, number: int, table: pa.Table) -> None:
        """Add a row group to the table (``number`` 0) or to the reference blocks (1)."""
        if table.num_rows:
            self.files[number].write_table(table, row_group_size=table.num_rows)
            self.rows[number] += table.num_rows

    def close(self) -> None:
        """Finish both files and read them again; raises OSError when they differ from what was written."""
        for number, (file, path) in enumerate(zip(self.files, self.temporary, strict=True)):
            file.close()
            _verify(path, self.schemas[number], participant=self.participant, rows=self.rows[number], keys=self.keys)

        self.digests = digests_of_tables(self.temporary)

    def show(self) -> None:
        """Seal both files and give them their names; a reader finds the older or the newer ones, and accepts both."""
        replaces = any(target.exists() for target in self.targets)
        accept(self.output, self.participant, self.digests, alone=not replaces)
        for path, target in zip(self.temporary, self.targets, strict=True):
            path.replace(target)
        if replaces:
            accept(self.output, self.participant, self.digests, alone=True)

    def discard(self) -> None:
        """Delete the files that have not got their names."""
        for file, path in zip(self.files, self.temporary, strict=True):
            if path.exists():
                with suppress(OSError):  # of a full disk: the rest need not be written
                    file.close()
                path.unlink(missing_ok=True)


def remove_unfinished(output: Path, participant: str = "*") -> None:
    """Delete unfinished files, of this and earlier versions, of a participant or of everyone."""
    bucket = bucket_of(participant) if participant != "*" else "*"
    patterns = [f"{dataset}/{bucket}/.{participant}" for dataset in DATASETS]
    patterns += [f"{bucket}/.{participant}{kind}" for kind in ("", OLD_REFERENCE)]
    patterns = [f"{pattern}.parquet" for pattern in patterns] + [f"{SEALS}/{bucket}/.{participant}.json"]
    for pattern in patterns:
        for stale in output.glob(f"{pattern}.*.tmp"):
            stale.unlink(missing_ok=True)


def remove_tables(output: Path, participant: str) -> None:
    """Delete the tables of a participant in ``output``, unfinished ones too."""
    for path in files_of(output, participant):
        path.unlink(missing_ok=True)
    remove_unfinished(output, participant)


# -- the layout of earlier versions


def convert_layout(output: Path) -> int:
    """Move the files of an earlier version's layout to their places; returns the number of files moved.

    Each file moves by one atomic rename, so a second run finishes what a kill left. Two processes may convert the
    same folder. A file of the old layout replaces one in the new layout, since it was written later: this version
    converts before it writes.
    """
    count = 0
    for path in sorted(output.glob(f"{OLD_BUCKET}/*.parquet")):
        name = path.name.removesuffix(".parquet")
        participant = name.removesuffix(OLD_REFERENCE)
        target = table_path(output, participant, dataset=VARIANTS if name == participant else REFERENCE)
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process has just moved it
            path.replace(target)
            count += 1
    for bucket in output.glob(OLD_BUCKET):
        with suppress(OSError):  # not empty
            bucket.rmdir()
    return count


def tables_folder(folder: Path) -> Path:
    """Return the folder of the tables that ``folder`` means: that of a workspace, or the one around ``variants``."""
    if folder.name in (VARIANTS, REFERENCE) and (folder.parent / VARIANTS).is_dir():
        return folder.parent
    inside = folder / Top.TABLES
    return inside if not (folder / VARIANTS).is_dir() and (inside / VARIANTS).is_dir() else folder


def require_layout(output: Path) -> None:
    """Raise InputRefused, with the command that converts them, for tables in an earlier version's layout."""
    if next(output.glob(f"{OLD_BUCKET}/*.parquet"), None) is None:
        return
    raise InputRefused(
        Problem(
            file=output.name,
            expected=f"tables in {VARIANTS}/ and {REFERENCE}/",
            found="tables of an earlier version, both kinds in one folder",
            action="move them with: baekman tables --cohort COHORT --output TABLES --convert",
        )
    )


# -- reading


def open_table(path: Path, *, participant: str, keys: TableKeys | None) -> pq.ParquetFile:
    """Open a participant's table or reference blocks, encrypted or not.

    Raises InputRefused when the key is missing, and DamagedFile for a footer that its seal does not have.
    """
    require_footer(path, participant)
    return _open(path, participant=participant, keys=keys)


def _open(path: Path, *, participant: str, keys: TableKeys | None) -> pq.ParquetFile:
    if not is_encrypted(path):
        return open_parquet(path)
    if keys is None:
        raise InputRefused(
            Problem(
                file=path.name,
                expected="a table that can be read without a key, or the keys of its workspace",
                found=f"an encrypted table and no {FOLDER} next to the cohort",
                action="put the workspace's keys back in their place",
            )
        )
    return open_parquet(path, decryption=keys.decryption(participant))


def _verify(path: Path, schema: pa.Schema, *, participant: str, rows: int, keys: TableKeys | None) -> None:
    """Read a finished file again: schema, number of rows, one ID, positions in order within each row group."""
    with _open(path, participant=participant, keys=keys) as file:
        position = "pos" if "pos" in schema.names else "start"
        if not file.schema_arrow.equals(schema) or file.metadata.num_rows != rows:
            raise OSError("a table does not read back as it was written")
        for group in range(file.metadata.num_row_groups):
            table = file.read_row_group(group, columns=["participant_id", position])
            positions = numpy_of(table, position)
            ids = table.column("participant_id").unique().to_pylist()
            if ids != [participant] or (positions[1:] < positions[:-1]).any():
                raise OSError("a table does not read back as it was written")


def is_done(
    output: Path,
    participant: str,
    metadata: dict[str, str],
    keys: TableKeys | None,
    *,
    schemas: Sequence[pa.Schema] = TABLES,
) -> bool:
    """Return whether both files are there and whole, with ``metadata`` and columns, and encrypted where keys are."""
    both = (table_path(output, participant), reference_path(output, participant))
    if not all(path.exists() for path in both) or not is_whole(output, participant, both):
        return False
    if keys is not None and not all(is_encrypted(path) for path in both):
        return False
    if not all(metadata_of(path, participant=participant, keys=keys) == metadata for path in both):
        return False
    return all(
        columns_of(path, participant=participant, keys=keys) == schema.names
        for path, schema in zip(both, schemas, strict=True)
    )


def columns_of(table: Path, *, participant: str, keys: TableKeys | None) -> list[str]:
    """Return the names of the columns of a participant's whole table."""
    with open_table(table, participant=participant, keys=keys) as file:
        names: list[str] = file.schema_arrow.names
    return names


def metadata_of(table: Path, *, participant: str = "", keys: TableKeys | None = None) -> dict[str, str]:
    """Return the metadata (``sites_metadata``) of a participant's table, or of a file of sites.

    Empty for a table without its key, which can never be read again, and for one with a damaged footer.
    """
    if keys is not None and is_encrypted(table) and not keys.has(participant):
        return {}
    try:
        if participant:
            require_footer(table, participant)
        file = _open(table, participant=participant, keys=keys)
    except DamagedFile:
        return {}
    with file:
        metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}
