"""Erasure: the rows of participants, or of some scopes of theirs, leave every batch and every snapshot.

A batch with such rows is made again without them. Its other files are the same files by hard links. The older
snapshots that name the batch are deleted, and then the batch.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path

from baekman.engine.local import Engine
from baekman.engine.tasks import MapTasks
from baekman.errors import DamagedFile
from baekman.files import locks
from baekman.files.digests import read_sealed, write_sealed
from baekman.files.snapshots import snapshot_file, standing
from baekman.records.batch import (
    BucketNote,
    SpanNote,
    buckets_in,
    describe,
    files_of,
    placed,
    read_description,
    write_bucket,
)
from baekman.records.rows.allowed import Denials, allowed_rows
from baekman.records.rows.firsts import Span, spans_in, write_firsts_file
from baekman.records.rows.order import read_file, read_rows
from baekman.records.schema import DATED_COVERAGE, EVENTS, FIRSTS
from baekman.records.snapshot import RecordBatchEntry, RecordSnapshot, create_snapshot, numbers, read_snapshot
from baekman.records.store import RecordStore

SWEPT = "swept.json"


def holding(store: RecordStore, participants: Iterable[str]) -> list[str]:
    """Return those of ``participants`` with coverage in a batch of the latest snapshot, sorted."""
    by_bucket = _by_bucket(store, participants)
    present: set[str] = set()
    for entry in read_snapshot(store).batches:
        for bucket in buckets_in(files_of(store, entry)).intersection(by_bucket):
            people = read_rows(store.batch(entry.name), "coverage", bucket, schema=DATED_COVERAGE)["participant_id"]
            present.update(by_bucket[bucket].intersection(people.unique().to_pylist()))
    return sorted(present)


def erase(store: RecordStore, erased: Denials, *, engine: Engine, only: str = "") -> RecordSnapshot:
    """Erase the scopes of the participants in ``erased`` from all batches; return the latest snapshot after it.

    The result equals that of a store that never had the rows. Coverage leaves with the last scope of a participant.
    ``only``: the one batch to erase from. Unfinished work is deleted where no command works on it. A second call
    changes nothing.
    """
    with store.lock(), engine.open() as map_tasks:
        latest = read_snapshot(store)
        chosen = [entry for entry in latest.batches if only in ("", entry.name.partition("~")[0])]
        entries = [
            _rewritten(store, entry, erased, map_tasks=map_tasks) if entry in chosen else entry
            for entry in latest.batches
        ]
        dropped = tuple(entry.name for entry in latest.batches if entry not in entries)
        if dropped:
            latest = RecordSnapshot(number=latest.number + 1, batches=tuple(entries), tombstones=dropped)
            create_snapshot(store, latest)
        sweep_files(store, latest)
    return latest


def is_swept(store: RecordStore, marked: Collection[str]) -> bool:
    """Return whether the latest snapshot is known to have no row of the participants ``marked``."""
    try:
        return read_sealed(store.path / SWEPT) == _state(store, marked)
    except (FileNotFoundError, DamagedFile):
        return False


def note_swept(store: RecordStore, marked: Collection[str]) -> None:
    """Note that the latest snapshot has no row of the participants ``marked``."""
    write_sealed(store.path / SWEPT, _state(store, marked))


def _state(store: RecordStore, marked: Collection[str]) -> dict[str, object]:
    digest = hashlib.sha256("\n".join(sorted(marked)).encode()).hexdigest()
    return {"snapshot": max(numbers(store), default=0), "withdrawn": digest}


def _by_bucket(store: RecordStore, participants: Iterable[str]) -> dict[str, set[str]]:
    by_bucket: dict[str, set[str]] = {}
    for participant in participants:
        by_bucket.setdefault(store.bucket_of(participant), set()).add(participant)
    return by_bucket


def _rewritten(
    store: RecordStore, entry: RecordBatchEntry, erased: Denials, *, map_tasks: MapTasks
) -> RecordBatchEntry:
    """Return the entry of a batch without the rows to erase: the same where it has none of them."""
    files = files_of(store, entry)
    here = _by_bucket(store, erased)
    buckets = sorted(buckets_in(files).intersection(here))
    base, _, version = entry.name.partition("~")
    name = f"{base}~{int(version or 0) + 1}"
    working = store.work / f"rewrite.{name}"
    shutil.rmtree(working, ignore_errors=True)
    task = partial(_rewrite_bucket, store, entry, dict(erased), working.name, tuple(buckets))
    notes = {note.bucket: note for note in map_tasks("erasing records", task, len(buckets)) if note is not None}
    if not notes:
        return entry
    summaries = read_description(store, entry)["buckets"]
    plan = spans_in(files, summaries)
    changed = tuple(span for span in plan if span.file in files and notes.keys() & set(span.buckets))
    of_firsts = partial(_rewrite_firsts, store, entry, dict(erased), working.name, changed)
    firsts = dict(zip(changed, map_tasks("erasing firsts", of_firsts, len(changed)), strict=True))
    for bucket in summaries.keys() - notes.keys():
        kept = _linked(store, entry, working, [f"events/{bucket}.parquet", f"coverage/{bucket}.parquet"])
        notes[bucket] = BucketNote(bucket=bucket, digests=kept, **summaries[bucket])
    spans = [
        SpanNote(
            buckets=[notes[bucket] for bucket in span.buckets],
            firsts=firsts[span] if span in firsts else _linked(store, entry, working, [span.file]),
        )
        for span in plan
    ]
    result = describe(working, name=name, as_of=entry.as_of, notes=spans)
    with placed(store, working, name):
        return result


def _linked(store: RecordStore, entry: RecordBatchEntry, working: Path, names: Iterable[str]) -> dict[str, str]:
    """Link files of a batch that stay as they are, those of ``names`` that are there; return their digests."""
    files = files_of(store, entry)
    linked = {}
    for name in files.keys() & set(names):
        (working / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(store.batch(entry.name) / name, working / name)
        linked[name] = files[name]
    return linked


def _rewrite_firsts(
    store: RecordStore, entry: RecordBatchEntry, erased: Denials, working: str, plan: tuple[Span, ...], index: int
) -> dict[str, str]:
    """Write a file of firsts of a batch without the rows to erase; return its digest."""
    rows = read_file(store.batch(entry.name), plan[index].file, schema=FIRSTS)
    return write_firsts_file(store.work / working, plan[index], allowed_rows(store, erased).events(rows))


def _rewrite_bucket(
    store: RecordStore, entry: RecordBatchEntry, erased: Denials, working: str, buckets: tuple[str, ...], index: int
) -> BucketNote | None:
    """Write one bucket of a batch without the rows to erase; return None where it has none of them."""
    bucket, folder = buckets[index], store.batch(entry.name)
    events = read_rows(folder, "events", bucket, schema=EVENTS)
    coverage = read_rows(folder, "coverage", bucket, schema=DATED_COVERAGE)
    allowed = allowed_rows(store, erased)
    kept, days = allowed.events(events), allowed.people(coverage)
    if kept.num_rows == events.num_rows and days.num_rows == coverage.num_rows:
        return None
    return write_bucket(store.work / working, bucket, events=kept, coverage=days)


def sweep_files(store: RecordStore, latest: RecordSnapshot) -> None:
    """Delete snapshots with a batch that a later one dropped, batches that no snapshot has, and abandoned work.

    The caller holds the store's lock.
    """
    staying = {snapshot.number for snapshot in standing([read_snapshot(store, number) for number in numbers(store)])}
    staying.add(latest.number)
    named = {entry.name for number in staying for entry in read_snapshot(store, number).batches}
    for number in numbers(store):  # the oldest first: the snapshot that dropped their batches is there until the end
        if number not in staying:
            snapshot_file(store.snapshots, number).unlink()
    for folder in store.batches.iterdir():
        if folder.name not in named:
            shutil.rmtree(folder)
    for stale in store.snapshots.glob(".*.tmp"):
        stale.unlink()
    for folder in [path for path in store.work.iterdir() if path.is_dir()]:
        _remove_abandoned(store, folder.name)


def _remove_abandoned(store: RecordStore, name: str) -> None:
    """Delete the work on a batch unless a command works on it."""
    lock = store.work / f"{name}.lock"
    descriptor = locks.open_for_lock(lock)
    try:
        if locks.try_lock(descriptor):
            shutil.rmtree(store.work / name, ignore_errors=True)
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
