"""The tasks that write persons, events and coverage of a release under project IDs.

A first task reads a bucket of the record store and spills its released rows; a second one writes a bucket of the
release from all spilled files.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from baekman.records.reading import coverage, events
from baekman.records.snapshot import RecordSnapshot
from baekman.records.store import RecordStore
from baekman.releases.package.files import PackageFolder
from baekman.releases.package.people import People
from baekman.releases.package.spill import bucket_name, read_spilled, write_spill
from baekman.releases.transform import (
    RELEASED_COVERAGE,
    RELEASED_EVENTS,
    Rules,
    coverage_rows,
    event_rows,
    granted_coverage,
)

KINDS = {"records": RELEASED_EVENTS, "coverage": RELEASED_COVERAGE}


@dataclass(frozen=True, kw_only=True)
class SpillTasks:
    """The first tasks: one for each bucket of the record store with members."""

    folder: PackageFolder
    store: RecordStore
    snapshot: RecordSnapshot
    people: People
    rules: Rules
    buckets: tuple[str, ...]
    count: int

    def __len__(self) -> int:
        return len(self.buckets)

    @property
    def names(self) -> list[str]:
        """The name of each task."""
        return [f"spill-{bucket}" for bucket in self.buckets]

    def __call__(self, index: int) -> None:
        """Spill the released events and coverage of a bucket, unless that is done."""
        bucket = self.buckets[index]
        if self.folder.is_done(f"spill-{bucket}"):
            return
        people = self.people.of_bucket(bucket)
        ids, denied = people["participant_id"].to_pylist(), people["denied"].to_pylist()
        scopes = {participant: some for participant, some in zip(ids, denied, strict=True) if some}
        book = people.select(["participant_id", "project_id", "date_shift_days"])
        rows = event_rows(events(self.store, self.snapshot, bucket, scopes=scopes), self.rules, book)
        write_spill(rows, self.folder.spilled / "records" / bucket, count=self.count)
        days = coverage(self.store, self.snapshot, bucket, scopes=scopes)
        rows = coverage_rows(granted_coverage(days, self.rules.sources, scopes), book)
        write_spill(rows, self.folder.spilled / "coverage" / bucket, count=self.count)
        self.folder.note(f"spill-{bucket}", {})


@dataclass(frozen=True, kw_only=True)
class BucketTasks:
    """The second tasks: one for each bucket of the release. ``is_meds``: events are written as MEDS instead."""

    folder: PackageFolder
    buckets: tuple[str, ...]
    count: int
    is_meds: bool = False

    def __len__(self) -> int:
        return self.count

    @property
    def names(self) -> list[str]:
        """The name of each task."""
        return [f"bucket-{bucket_name(index)}" for index in range(self.count)]

    def __call__(self, index: int) -> None:
        """Write ``records/<hex>.parquet`` and ``coverage/<hex>.parquet``; neither without a row."""
        name = bucket_name(index)
        if self.folder.is_done(f"bucket-{name}"):
            return
        rows: dict[str, int] = {}
        for kind, schema in KINDS.items():
            if self.is_meds and kind == "records":
                continue
            table = self.rows(kind, index)
            if table.num_rows:
                file = f"{kind}/{name}.parquet"
                rows[file] = self.folder.write(file, [table], schema=schema)
        self.folder.note(f"bucket-{name}", rows)

    def rows(self, kind: str, index: int) -> pa.Table:
        """Return the rows of a bucket of the release, sorted by all columns."""
        paths = [self.folder.spilled / kind / bucket for bucket in self.buckets]
        table = read_spilled(paths, index, schema=KINDS[kind])
        return table.sort_by([(name, "ascending") for name in KINDS[kind].names])
