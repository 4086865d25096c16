"""The files of the per-participant tables: where they lie, how they are written, verified and opened."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import numpy_of, parquet_options, with_metadata
from baekman.cohort.schema import REFERENCE_TABLE, TABLE
from baekman.errors import InputRefused, Problem
from baekman.tables import keys as table_keys
from baekman.tables.keys import TableKeys


def table_path(output: Path, participant: str) -> Path:
    """Where a participant's table lies, in its bucket."""
    return output / table_keys.bucket_of(participant) / f"{participant}.parquet"


def reference_path(output: Path, participant: str) -> Path:
    """Where a participant's reference blocks lie: beside the table."""
    return table_path(output, participant).with_suffix(".reference.parquet")


class TableWriters:
    """The two open files of one participant: verified by ``close``, they appear under their names by ``show``."""

    def __init__(self, output: Path, participant: str, metadata: dict[str, str], keys: TableKeys | None) -> None:
        self.participant = participant
        self.keys = keys
        encryption = keys.encryption(participant) if keys is not None else None
        self.targets = (table_path(output, participant), reference_path(output, participant))
        self.targets[0].parent.mkdir(parents=True, exist_ok=True)
        self.temporary = [target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp" for target in self.targets]
        self.schemas = (with_metadata(TABLE, metadata), with_metadata(REFERENCE_TABLE, metadata))
        self.files = [
            pq.ParquetWriter(path, schema, encryption_properties=encryption, **parquet_options(schema))
            for path, schema in zip(self.temporary, self.schemas, strict=True)
        ]
        self.rows = [0, 0]

    def write(self, number: int, table: pa.Table) -> None:
        if table.num_rows:
            self.files[number].write_table(table, row_group_size=table.num_rows)
            self.rows[number] += table.num_rows

    def close(self) -> None:
        for number, (file, path) in enumerate(zip(self.files, self.temporary, strict=True)):
            file.close()
            _verify(path, self.schemas[number], participant=self.participant, rows=self.rows[number], keys=self.keys)

    def show(self) -> None:
        for path, target in zip(self.temporary, self.targets, strict=True):
            path.replace(target)

    def discard(self) -> None:
        for file, path in zip(self.files, self.temporary, strict=True):
            if path.exists():
                with suppress(OSError):  # of a full disk: what is not written has not to be
                    file.close()
                path.unlink(missing_ok=True)


def remove_unfinished(output: Path, participant: str = "*") -> None:
    """Delete files of a participant, or of everyone, that are being written, or were by a run that was killed."""
    bucket = table_keys.bucket_of(participant) if participant != "*" else "*"
    for kind in ("", ".reference"):
        for stale in output.glob(f"{bucket}/.{participant}{kind}.parquet.*.tmp"):
            stale.unlink(missing_ok=True)


def open_table(path: Path, *, participant: str, keys: TableKeys | None) -> pq.ParquetFile:
    """A participant's table or reference blocks, encrypted or not; InputRefused when its key is not at hand."""
    if not table_keys.is_encrypted(path):
        return pq.ParquetFile(path)
    if keys is None:
        raise InputRefused(
            Problem(
                file=path.name,
                expected="a table that can be read without a key, or the keys of its workspace",
                found=f"an encrypted table and no {table_keys.FOLDER} beside the cohort",
                action="put the workspace's keys back in their place",
            )
        )
    return pq.ParquetFile(path, decryption_properties=keys.decryption(participant))


def _verify(path: Path, schema: pa.Schema, *, participant: str, rows: int, keys: TableKeys | None) -> None:
    """Read a finished file again: schema, number of rows, one ID, positions in order within each row group."""
    with open_table(path, participant=participant, keys=keys) as file:
        position = "pos" if "pos" in schema.names else "start"
        if not file.schema_arrow.equals(schema) or file.metadata.num_rows != rows:
            raise OSError("a table does not read back as it was written")
        for group in range(file.metadata.num_row_groups):
            table = file.read_row_group(group, columns=["participant_id", position])
            positions = numpy_of(table, position)
            ids = table.column("participant_id").unique().to_pylist()
            if ids != [participant] or (positions[1:] < positions[:-1]).any():
                raise OSError("a table does not read back as it was written")


def is_done(output: Path, participant: str, metadata: dict[str, str], keys: TableKeys | None) -> bool:
    both = (table_path(output, participant), reference_path(output, participant))
    if not all(path.exists() for path in both):
        return False
    if keys is not None and not all(table_keys.is_encrypted(path) for path in both):
        return False
    return all(metadata_of(path, participant=participant, keys=keys) == metadata for path in both)


def metadata_of(table: Path, *, participant: str = "", keys: TableKeys | None = None) -> dict[str, str]:
    """What a participant's table, or a file of sites, says of itself (``sites_metadata``).

    Nothing for a table whose key is gone: nobody will ever read it.
    """
    if keys is not None and table_keys.is_encrypted(table) and not keys.has(participant):
        return {}
    with open_table(table, participant=participant, keys=keys) as file:
        metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}
