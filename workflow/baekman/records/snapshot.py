"""Snapshots of the records: numbered files, created atomically, that list the batches at one moment."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from baekman.errors import DamagedFile
from baekman.files.snapshots import (
    create_numbered,
    existing_numbers,
    load_numbered,
    refuse_damaged,
    refuse_unknown,
)
from baekman.records.store import RecordStore


@dataclass(frozen=True, kw_only=True)
class RecordBatchEntry:
    """A batch as a snapshot lists it.

    ``as_of``: date and time of the extraction, ISO 8601; "" for a compacted batch, which has several. ``digest``:
    SHA-256 of the batch's content. ``rows``: number of events. ``participants``: number of participants with coverage.
    ``hashes``: SHA-256 of the batch's ``hashes.json``.
    """

    name: str
    as_of: str
    digest: str
    rows: int
    participants: int
    hashes: str


@dataclass(frozen=True, kw_only=True)
class RecordSnapshot:
    """The records at one moment.

    ``tombstones``: the batches that a withdrawal or a compaction drops with this snapshot; the older snapshots that
    name them are deleted.
    """

    number: int
    batches: tuple[RecordBatchEntry, ...] = ()
    tombstones: tuple[str, ...] = ()

    def entry(self, name: str) -> RecordBatchEntry | None:
        """Return the batch of that name, also after a withdrawal changed it; None if it is not in the snapshot."""
        return next((batch for batch in self.batches if batch.name.partition("~")[0] == name), None)


def numbers(store: RecordStore) -> list[int]:
    """Return the numbers of the existing snapshots, ascending."""
    return existing_numbers(store.snapshots)


def read_snapshot(store: RecordStore, number: int | None = None) -> RecordSnapshot:
    """Return the snapshot ``number``, by default the latest; number 0 has no batch.

    Raises InputRefused when the snapshot is absent or damaged.
    """
    existing = numbers(store)
    if number is None:
        number = existing[-1] if existing else 0
    if number == 0:
        return RecordSnapshot(number=0)
    if number not in existing:
        raise refuse_unknown(existing, number, of="record store")
    try:
        return load_snapshot(store, number)
    except (DamagedFile, ValueError, KeyError, TypeError) as error:
        raise refuse_damaged(number) from error


def load_snapshot(store: RecordStore, number: int) -> RecordSnapshot:
    """Return a snapshot from its file; raise DamagedFile, ValueError, KeyError or TypeError for other content."""
    body = load_numbered(store.snapshots, number)
    return RecordSnapshot(
        number=number,
        batches=tuple(RecordBatchEntry(**entry) for entry in body["batches"]),
        tombstones=tuple(body["tombstones"]),
    )


def create_snapshot(store: RecordStore, snapshot: RecordSnapshot) -> None:
    """Create the snapshot's file; raise FileExistsError when another writer has that number already."""
    body = {"batches": [asdict(batch) for batch in snapshot.batches], "tombstones": list(snapshot.tombstones)}
    create_numbered(store.snapshots, snapshot.number, body)
