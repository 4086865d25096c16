"""The work files of a participant: the columns of a gVCF, shard by shard, between reading it and building its batch.

Two Arrow files (``NAME.calls.arrow``, ``NAME.reference.arrow``) have a record batch for each shard of the gVCF, in the
order of the gVCF. A last batch of the second has no rows, and a summary of the gVCF as its metadata. ``NAME.json`` is
written after both and holds their SHA-256, so that ``is_whole`` notices half-written and damaged files: Arrow itself
does not notice a changed byte of a column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from baekman.arrow import empty_batch
from baekman.cohort.schema import CALLS, REFERENCE
from baekman.errors import DamagedFile
from baekman.files.atomic import atomic_file
from baekman.files.digests import digests_of, read_digests, write_digests

SUMMARY = b"summary"
WRITING = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)  # tasks run in parallel already
WRITE_BYTES = 1 << 18  # at a time: Arrow writes each of the small columns of a part by itself


class WorkFile:
    """The work files of one participant; ``stem`` is their path without the endings."""

    def __init__(self, stem: Path) -> None:
        self.calls = stem.with_name(f"{stem.name}.calls.arrow")
        self.reference = stem.with_name(f"{stem.name}.reference.arrow")
        self.digests = stem.with_name(f"{stem.name}.json")

    def write(
        self, parts: Iterable[tuple[pa.RecordBatch, pa.RecordBatch]], *, summary: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Write ``parts`` (call rows of schema CALLS, segments of schema REFERENCE) as they come, then ``summary()``.

        Each file appears whole or not at all, unless the machine itself stops: see ``is_whole``.
        """
        with (
            atomic_file(self.calls, durable=False) as calls_path,
            atomic_file(self.reference, durable=False) as reference_path,
            _writer(calls_path, CALLS) as calls,
            _writer(reference_path, REFERENCE) as reference,
        ):
            for rows, segments in parts:
                calls.write_batch(rows)
                reference.write_batch(segments)
            reference.write_batch(empty_batch(REFERENCE), custom_metadata={SUMMARY: json.dumps(summary())})
        write_digests(self.digests, self._digests(), durable=False)

    def is_whole(self) -> bool:
        """Return whether all files are there with the bytes that were written; reads each byte."""
        try:
            return read_digests(self.digests) == self._digests()
        except (OSError, ValueError):
            return False

    def read_summary(self) -> dict[str, Any]:
        """Return the summary; raises OSError or ValueError when there is none."""
        with _reader(self.reference) as file:
            _, metadata = file.get_batch_with_custom_metadata(file.num_record_batches - 1)
        summary: dict[str, Any] = json.loads(metadata[SUMMARY])
        return summary

    def read_calls(self, number: int, *, columns: Sequence[str] = CALLS.names) -> pa.RecordBatch:
        """Return the call rows (schema CALLS) of part ``number``, from 0, or some of their ``columns``."""
        with _reader(self.calls, fields=[CALLS.get_field_index(name) for name in columns]) as file:
            return file.get_batch(number)

    def read_reference(self, number: int) -> pa.RecordBatch:
        """Return the reference segments (schema REFERENCE) of part ``number``, from 0."""
        with _reader(self.reference) as file:
            return file.get_batch(number)

    def _digests(self) -> dict[str, str]:
        return digests_of(self.calls.parent, (self.calls, self.reference))


def digests_of_shard(folder: Path, name: str, *kinds: str) -> dict[str, str]:
    """Return the digests of a shard's files of these ``kinds``, by path within the batch's ``folder``."""
    return digests_of(folder, (folder / kind / f"{name}.parquet" for kind in kinds))


def built_files(work: Path, name: str, *kinds: str) -> dict[str, str] | None:
    """Return the digests of a shard's files that an earlier run built; None when it did not, or one is damaged."""
    with suppress(FileNotFoundError, DamagedFile):
        noted = read_digests(work / "built" / f"{name}.{kinds[0]}.json")
        if noted == digests_of_shard(work / "batch", name, *kinds):
            return noted
    return None


def note_built(work: Path, name: str, *kinds: str) -> dict[str, str]:
    """Return the digests of a shard's files, and note them for a run that continues the ``work``."""
    digests = digests_of_shard(work / "batch", name, *kinds)
    write_digests(work / "built" / f"{name}.{kinds[0]}.json", digests, durable=False)
    return digests


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    with (
        pa.output_stream(path, buffer_size=WRITE_BYTES) as sink,
        pa.ipc.new_file(sink, schema, options=WRITING) as writer,
    ):
        yield writer


@contextmanager
def _reader(path: Path, *, fields: Sequence[int] = ()) -> Iterator[pa.ipc.RecordBatchFileReader]:
    """Open a file; ``fields`` are the numbers of the columns that are read, all of them if empty."""
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=list(fields))
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source, options=options) as file:
        yield file
