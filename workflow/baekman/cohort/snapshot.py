"""Snapshots: numbered files, created atomically, that list the batches of the cohort at one moment."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field

import pyarrow as pa

from baekman.arrow import empty, read_listed, with_schema
from baekman.cohort.schema import CALLED, CENSUS
from baekman.cohort.sites import SiteFilters
from baekman.cohort.store import Store
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.snapshots import (
    create_numbered,
    existing_numbers,
    load_numbered,
    reading_numbered,
    refuse_damaged,
    refuse_gone_numbers,
    refuse_unknown,
)

RELATEDNESS = "relatedness"  # the folder of the relatedness of snapshots, by ``Snapshot.state``


@dataclass(frozen=True, kw_only=True)
class BatchEntry:
    """A batch as a snapshot lists it.

    ``digest``: ``roster.digest_members`` of its members. ``females``: the number of its participants who are registered
    as female; they have no genotypes on Y. ``hashes``: SHA-256 of the batch's ``hashes.json``.
    """

    name: str
    participants: int
    digest: str
    females: int
    hashes: str = ""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The cohort at one moment.

    ``tombstones``: the batches that a withdrawal or a compaction drops with this snapshot; the older snapshots that
    name them are deleted. A replacement drops none. ``sites``: SHA-256 of the ``hashes.json`` of its sites; "" before
    they are written.
    """

    number: int
    batches: tuple[BatchEntry, ...] = ()
    tombstones: tuple[str, ...] = ()
    filters: SiteFilters = field(default_factory=SiteFilters)
    sites: str = ""

    @property
    def participants(self) -> int:
        """Return the number of participants of the cohort."""
        return sum(batch.participants for batch in self.batches)

    @property
    def females(self) -> int:
        """Return the number of participants who are registered as female."""
        return sum(batch.females for batch in self.batches)

    @property
    def content(self) -> str:
        """Return a digest of the participants, in hex; it does not depend on the division into batches."""
        total = sum(int(batch.digest, 16) for batch in self.batches)
        return f"{total % (1 << 256):064x}"

    @property
    def state(self) -> str:
        """Return a digest of participants and sites, 16 hex digits: equal states have the same people and genotypes."""
        return hashlib.sha256(f"{self.content}\n{self.sites}".encode()).hexdigest()[:16]

    def entry(self, name: str) -> BatchEntry | None:
        """Return the batch of that name; None if it is not in the cohort."""
        return next((batch for batch in self.batches if batch.name == name), None)


def numbers(store: Store) -> list[int]:
    """Return the numbers of the existing snapshots, ascending."""
    return existing_numbers(store.snapshots)


def read_snapshot(store: Store, number: int | None = None) -> Snapshot:
    """Return the snapshot ``number``, by default the latest; number 0 is the empty cohort.

    Raises InputRefused when the snapshot is absent or damaged.
    """
    existing = numbers(store)
    if number is None:
        number = existing[-1] if existing else 0
    if number == 0:
        return Snapshot(number=0)
    if number not in existing:
        raise refuse_unknown(existing, number, of="cohort")
    try:
        return load_snapshot(store, number)
    except (DamagedFile, ValueError, KeyError, TypeError) as error:
        raise refuse_damaged(number) from error


def no_snapshot() -> InputRefused:
    """Return the refusal of a command that needs a snapshot, for a cohort without a batch."""
    return InputRefused(
        Problem(file="cohort", expected="a snapshot", found="none", action="add a batch with `baekman cohort add`")
    )


def load_snapshot(store: Store, number: int) -> Snapshot:
    """Return a snapshot from its file; raise DamagedFile, ValueError, KeyError or TypeError for other content."""
    data = load_numbered(store.snapshots, number)
    return Snapshot(
        number=number,
        batches=tuple(BatchEntry(**entry) for entry in data["batches"]),
        tombstones=tuple(data["tombstones"]),
        filters=SiteFilters(**data["filters"]),
        sites=data["sites"],
    )


def reading(
    store: Store, snapshot: Snapshot, *, missing: type[Exception] = FileNotFoundError
) -> AbstractContextManager[None]:
    """Return a context that raises SnapshotGone if its block misses a file and the snapshot is deleted.

    ``missing``: another exception, next to FileNotFoundError, that means a missing file.
    """
    return reading_numbered(store.snapshots, snapshot.number, missing=missing)


def refuse_gone(store: Store, existed: Sequence[int]) -> None:
    """Raise SnapshotGone when one of the snapshots ``existed`` is deleted."""
    refuse_gone_numbers(store.snapshots, existed)


def create_snapshot(store: Store, snapshot: Snapshot) -> None:
    """Create the snapshot's file; raise FileExistsError when another writer has that number already."""
    body = {
        "participants": snapshot.participants,
        "content": snapshot.content,
        "batches": [asdict(batch) for batch in snapshot.batches],
        "tombstones": list(snapshot.tombstones),
        "filters": asdict(snapshot.filters),
        "sites": snapshot.sites,
    }
    create_numbered(store.snapshots, snapshot.number, body)


def read_sites(store: Store, snapshot: Snapshot, shard: int, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the sites (schema SITES) of one shard at a snapshot, or some of their columns."""
    return read_listed(store.sites(snapshot.number), f"{store.shards[shard].name}.parquet", columns=columns)


def read_census(store: Store, snapshot: Snapshot, shard: int) -> pa.Table:
    """Return the census (schema CENSUS) in the sites of one shard, to which the next snapshot adds."""
    return with_schema(read_sites(store, snapshot, shard, columns=CENSUS.names), CENSUS)


def read_called(store: Store, snapshot: Snapshot, shard: int) -> pa.Table:
    """Return the merged step function (schema CALLED) of one shard at a snapshot."""
    if snapshot.number == 0:
        return empty(CALLED)
    return read_listed(store.sites(snapshot.number), f"called/{store.shards[shard].name}.parquet")
