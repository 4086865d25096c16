"""Reading of the records at a snapshot, bucket by bucket: corrections are applied, and consent.

Rows of participants without consent are left out before corrections are applied: they were never there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from baekman.arrow import filtered
from baekman.consent import RECORD_SCOPES
from baekman.files.snapshots import reading_numbered
from baekman.records.batch import Systems, buckets_in, files_of, merged_systems, read_description
from baekman.records.rows.allowed import NOBODY, RowFilter, is_in
from baekman.records.rows.corrections import resolved
from baekman.records.rows.covered_days import covered_days
from baekman.records.rows.firsts import firsts_of, merged_firsts, read_firsts
from baekman.records.rows.order import read_person, read_rows, sorted_rows
from baekman.records.schema import COVERAGE, DATED_COVERAGE, EVENTS
from baekman.records.snapshot import RecordSnapshot, read_snapshot
from baekman.records.store import RecordStore
from baekman.workspace.denied import RecordAdmission

Scopes = RecordAdmission | Mapping[str, Iterable[str]] | None


def buckets(store: RecordStore, snapshot: RecordSnapshot | None = None) -> tuple[str, ...]:
    """Return the buckets of ``snapshot`` (default: the latest) that have rows or coverage, sorted."""
    snapshot = snapshot or read_snapshot(store)
    with reading_numbered(store.snapshots, snapshot.number):
        return tuple(sorted({bucket for entry in snapshot.batches for bucket in buckets_in(files_of(store, entry))}))


def events(
    store: RecordStore,
    snapshot: RecordSnapshot,
    bucket: str,
    *,
    without: frozenset[str] = NOBODY,
    scopes: Scopes = None,
) -> pa.Table:
    """Return the events of a bucket that count (schema EVENTS), sorted.

    ``without``: participants who are left out. ``scopes``: the admission (``workspace.denied.record_admission``), or
    the denied scopes of each participant; None denies nothing. Raises SnapshotGone when the snapshot was deleted, and
    DamagedFile for a file with other bytes than were written.
    """
    with reading_numbered(store.snapshots, snapshot.number):
        return _Reader(store, snapshot, without=without, scopes=scopes).events(bucket)


def coverage(
    store: RecordStore,
    snapshot: RecordSnapshot,
    bucket: str,
    *,
    without: frozenset[str] = NOBODY,
    scopes: Scopes = None,
) -> pa.Table:
    """Return the covered days of a bucket (schema COVERAGE) as the fewest intervals, sorted; as ``events``."""
    with reading_numbered(store.snapshots, snapshot.number):
        return _Reader(store, snapshot, without=without, scopes=scopes).coverage(bucket)


def firsts(
    store: RecordStore,
    snapshot: RecordSnapshot,
    bucket: str,
    *,
    without: frozenset[str] = NOBODY,
    scopes: Scopes = None,
) -> pa.Table:
    """Return the firsts of a bucket (schema FIRSTS), sorted; as ``events``.

    Events are read only where batches correct each other.
    """
    with reading_numbered(store.snapshots, snapshot.number):
        return _Reader(store, snapshot, without=without, scopes=scopes).firsts(bucket)


def life(
    store: RecordStore,
    snapshot: RecordSnapshot,
    participant: str,
    *,
    without: frozenset[str] = NOBODY,
    scopes: Scopes = None,
) -> tuple[pa.Table, pa.Table]:
    """Return the events and the coverage of one participant; only their part of the bucket's files is read."""
    with reading_numbered(store.snapshots, snapshot.number):
        reader = _Reader(store, snapshot, without=without, scopes=scopes, participant=participant)
        bucket = store.bucket_of(participant)
        return reader.events(bucket), reader.coverage(bucket)


def systems(store: RecordStore, snapshot: RecordSnapshot) -> Systems:
    """Return the code systems of each source: it would have recorded a code of these."""
    with reading_numbered(store.snapshots, snapshot.number):
        summaries = [read_description(store, entry)["buckets"].values() for entry in snapshot.batches]
    return merged_systems(summary["systems"] for some in summaries for summary in some)


class _Reader:
    """The files of a snapshot, read as if people and scopes without consent were never there."""

    def __init__(
        self,
        store: RecordStore,
        snapshot: RecordSnapshot,
        *,
        without: frozenset[str],
        scopes: Scopes,
        participant: str | None = None,
    ) -> None:
        self.store = store
        self.folders = [store.batch(entry.name) for entry in snapshot.batches]
        self.filter = RowFilter(store, without=without, admission=_admission(scopes))
        self.participant = participant

    def events(self, bucket: str) -> pa.Table:
        rows = [self.filter.events(self._read(folder, "events", bucket, EVENTS)) for folder in self.folders]
        return resolved(rows, self._coverages(bucket))

    def coverage(self, bucket: str) -> pa.Table:
        coverages = self._coverages(bucket)
        return covered_days(coverages).table(dated=False) if coverages else COVERAGE.empty_table()

    def firsts(self, bucket: str) -> pa.Table:
        coverages = self._coverages(bucket)
        corrected = covered_days(coverages).overlapping() if len(coverages) > 1 else pa.array([], pa.string())
        tables = [self.filter.events(read_firsts(self.store, folder, bucket)) for folder in self.folders]
        tables = [filtered(table, ~is_in(table.column("participant_id"), corrected)) for table in tables]
        merged = merged_firsts(tables)
        if not len(corrected):
            return merged
        rows = [self.filter.events(self._read(folder, "events", bucket, EVENTS)) for folder in self.folders]
        rows = [filtered(table, is_in(table.column("participant_id"), corrected)) for table in rows]
        return sorted_rows(pa.concat_tables([merged, firsts_of(resolved(rows, coverages))]))

    def _coverages(self, bucket: str) -> list[pa.Table]:
        return [self.filter.people(self._read(folder, "coverage", bucket, DATED_COVERAGE)) for folder in self.folders]

    def _read(self, folder: Path, kind: str, bucket: str, schema: pa.Schema) -> pa.Table:
        if self.participant is not None:
            return read_person(folder, kind, bucket, self.participant, schema=schema)
        return read_rows(folder, kind, bucket, schema=schema)


def _admission(scopes: Scopes) -> RecordAdmission:
    if scopes is None:
        return RecordAdmission()
    if isinstance(scopes, RecordAdmission):
        return scopes
    denied = {str(scope): frozenset(p for p, some in scopes.items() if scope in some) for scope in RECORD_SCOPES}
    return RecordAdmission(denied=denied)
