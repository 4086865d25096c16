"""Verification: all files of the records are read again, and everything that was promised of them is proved."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import concat
from baekman.engine.local import Engine
from baekman.errors import DamagedFile, InputRefused
from baekman.files.digests import LIST, digest_of, read_digests, sha256_of
from baekman.files.snapshots import refuse_gone_numbers, snapshot_file
from baekman.records.batch import DESCRIPTION, read_description, spans_of, systems_of
from baekman.records.dictionary import read_dictionary
from baekman.records.rows.covered_days import covered_days, days_of
from baekman.records.rows.firsts import Span, by_code, firsts_of, is_by_code, spans_in
from baekman.records.rows.order import is_sorted
from baekman.records.schema import FIRSTS, KINDS
from baekman.records.snapshot import RecordBatchEntry, RecordSnapshot, load_snapshot, numbers
from baekman.records.store import RecordStore


def verify(store: RecordStore, *, engine: Engine) -> list[str]:
    """Return a line for each finding: place, and the fault.

    Digests of every file, the schema, the order of rows, events on covered days, firsts that equal the events, the
    bucket of each participant, and the counts that snapshots and descriptions name. Other commands may add batches at
    the same time. Raises SnapshotGone when a withdrawal or a compaction deletes what is read.
    """
    existing = numbers(store)
    try:
        findings = list(_findings(store, existing, engine))
    except FileNotFoundError:
        refuse_gone_numbers(store.snapshots, existing)
        raise
    if findings:
        refuse_gone_numbers(store.snapshots, existing)
    return findings


def _findings(store: RecordStore, existing: list[int], engine: Engine) -> Iterator[str]:
    try:
        read_dictionary(store.dictionary)
    except (InputRefused, FileNotFoundError):
        yield "dictionary.tsv: damaged or absent"
    snapshots: list[RecordSnapshot] = []
    for number in existing:
        try:
            snapshots.append(load_snapshot(store, number))
        except (DamagedFile, ValueError, KeyError, TypeError):
            yield f"snapshots/{snapshot_file(store.snapshots, number).name}: damaged"
    entries = {entry.name: entry for snapshot in snapshots for entry in snapshot.batches}
    with engine.open() as map_tasks:
        for name, entry in sorted(entries.items()):
            place = f"batches/{name}"
            files, faults = _listed(store, entry)
            yield from (f"{place}/{fault}" for fault in faults)
            if files is None:
                continue
            summaries = read_description(store, entry)["buckets"]
            plan = spans_in(files, summaries)
            task = partial(_verify_span, store, name, files, summaries, plan)
            for lines in map_tasks("verifying records", task, len(plan)):
                yield from (f"{place}/{line}" for line in lines)
            if entry.rows != sum(summary["rows"] for summary in summaries.values()):
                yield f"{place}: another number of events than the snapshot names"


def _listed(store: RecordStore, entry: RecordBatchEntry) -> tuple[dict[str, str] | None, list[str]]:
    """Return the listed digests of a batch, None where they cannot be trusted, and lines on list and description."""
    folder = store.batch(entry.name)
    try:
        files = read_digests(folder / LIST)
        if files is None or sha256_of(folder / LIST) != entry.hashes:
            return None, [f"{LIST}: absent, or another than the snapshot names"]
        if digest_of(folder / DESCRIPTION) != files[DESCRIPTION]:
            return None, [f"{DESCRIPTION}: damaged"]
    except (DamagedFile, KeyError):
        return None, [f"{LIST}: damaged"]
    except FileNotFoundError:
        return None, [f"{DESCRIPTION}: absent"]
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {LIST}
    return files, [f"{name}: not listed" for name in sorted(present - set(files))]


def _verify_span(
    store: RecordStore,
    name: str,
    files: Mapping[str, str],
    summaries: Mapping[str, Mapping[str, Any]],
    plan: tuple[Span, ...],
    index: int,
) -> list[str]:
    """Return the faults of the buckets of one span of a batch, and of their file of firsts."""
    span = plan[index]
    lines: list[str] = []
    counted: list[pa.Table] = []
    for bucket in span.buckets:
        events, of_events = _rows(store, name, files, f"events/{bucket}.parquet", (bucket,))
        coverage, of_coverage = _rows(store, name, files, f"coverage/{bucket}.parquet", (bucket,))
        counted.append(firsts_of(events))
        lines += of_events + of_coverage or _contradictions(events, coverage, bucket, summaries[bucket])
    firsts, faults = _rows(store, name, files, span.file, span.buckets)
    expected = concat([table for table in counted if table.num_rows], FIRSTS)
    if not lines and not faults and not by_code(firsts).equals(by_code(expected)):
        faults = [f"{span.file}: others than those of the events"]
    return lines + faults


def _rows(
    store: RecordStore, batch: str, files: Mapping[str, str], file: str, buckets: Collection[str]
) -> tuple[pa.Table, list[str]]:
    """Return the rows of a listed file with participants of ``buckets``, and a line if it has a fault."""
    schema = KINDS[file.partition("/")[0]]
    if file not in files:
        return schema.empty_table(), []
    table, fault = _read(store.batch(batch) / file, files[file], schema)
    if table is not None:
        people = table.column("participant_id").unique().to_pylist()
        if not (is_sorted(table) if not is_by_code(file) else by_code(table).equals(table)):
            fault = "rows out of order"
        elif any(store.bucket_of(person) not in buckets for person in people):
            fault = "participants of another bucket"
    return schema.empty_table() if table is None else table, [f"{file}: {fault}"] if fault else []


def _read(path: Path, digest: str, schema: pa.Schema) -> tuple[pa.Table | None, str]:
    try:
        if digest_of(path) != digest:
            return None, "damaged"
        table = pq.read_table(path, use_threads=False, partitioning=None)
    except FileNotFoundError:
        return None, "absent"
    except (OSError, pa.ArrowException):
        return None, "damaged"
    if table.schema.names != schema.names or table.schema.types != schema.types:
        return None, "other columns or types than the schema"
    return table.cast(schema), ""


def _contradictions(events: pa.Table, coverage: pa.Table, bucket: str, summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield what events, coverage and the description of a bucket contradict each other in."""
    days = covered_days([coverage])
    segments = days.segments_of(events["participant_id"], events["source"], days_of(events["time"]))
    if (segments < 0).any():
        yield f"events/{bucket}.parquet: {int(np.sum(segments < 0))} events on days that the batch does not cover"
    if not days.table(dated=True).equals(coverage):
        yield f"coverage/{bucket}.parquet: intervals that overlap, or that touch"
    counts = {
        "rows": events.num_rows,
        "participants": len(coverage.column("participant_id").unique()),
        "systems": systems_of(events),
        "spans": spans_of(coverage),
    }
    if counts != summary:
        yield f"{DESCRIPTION}: bucket {bucket} is described otherwise"
