"""Snapshots: numbered, atomically created files that list the batches that make up the cohort at one moment."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import pyarrow as pa

from baekman.arrow import empty, read_parquet
from baekman.cohort.schema import CALLED, CENSUS
from baekman.cohort.sites import SiteFilters
from baekman.cohort.store import Store
from baekman.errors import InputRefused, Problem

ZERO = "0" * 64


@dataclass(frozen=True, kw_only=True)
class BatchEntry:
    """A batch as a snapshot lists it; ``digest`` is its members' order-free digest (``batch.digest_members``).

    ``females``: how many of its participants are registered as female, of whom nothing is expected on Y.
    """

    name: str
    participants: int
    digest: str
    females: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The cohort at one moment. ``tombstones`` names the batches that an operation took out since the last one."""

    number: int
    batches: tuple[BatchEntry, ...] = ()
    tombstones: tuple[str, ...] = ()
    filters: SiteFilters = field(default_factory=SiteFilters)

    @property
    def participants(self) -> int:
        """How many participants the cohort has."""
        return sum(batch.participants for batch in self.batches)

    @property
    def females(self) -> int:
        """How many of them are registered as female."""
        return sum(batch.females for batch in self.batches)

    @property
    def content(self) -> str:
        """SHA-256-like name of who is in the cohort, whatever the batches: equal cohorts have equal names."""
        total = sum(int(batch.digest, 16) for batch in self.batches)
        return f"{total % (1 << 256):064x}"

    def entry(self, name: str) -> BatchEntry | None:
        """The batch of that name, if it is in the cohort."""
        return next((batch for batch in self.batches if batch.name == name), None)


def numbers(store: Store) -> list[int]:
    """Numbers of the snapshots that exist, ascending."""
    names = (entry.name for entry in store.snapshots.iterdir())
    return sorted(int(name[:8]) for name in names if re.fullmatch(r"\d{8}\.json", name))


def read_snapshot(store: Store, number: int | None = None) -> Snapshot:
    """Snapshot ``number``, else the latest; number 0 is the empty cohort. InputRefused when absent or broken."""
    existing = numbers(store)
    if number is None:
        number = existing[-1] if existing else 0
    if number == 0:
        return Snapshot(number=0)
    if number not in existing:
        raise InputRefused(
            Problem(
                file="--snapshot",
                expected=f"one of the cohort's snapshots ({', '.join(map(str, existing)) or 'there are none'})",
                found=str(number),
            )
        )
    try:
        return load_snapshot(store, number)
    except (ValueError, KeyError, TypeError) as error:
        raise InputRefused(
            Problem(
                file=f"snapshots/{number:08d}.json",
                expected="the description of a snapshot",
                found="something else",
                action="restore it from a copy",
            )
        ) from error


def load_snapshot(store: Store, number: int) -> Snapshot:
    """A snapshot from its file; ValueError, KeyError or TypeError when that is none."""
    data = json.loads((store.snapshots / f"{number:08d}.json").read_text())
    return Snapshot(
        number=number,
        batches=tuple(BatchEntry(**entry) for entry in data["batches"]),
        tombstones=tuple(data["tombstones"]),
        filters=SiteFilters(**data["filters"]),
    )


class SnapshotGone(InputRefused):
    """A withdrawal or a compaction took a snapshot away while it was read."""


@contextmanager
def reading(store: Store, snapshot: Snapshot, *, missing: type[Exception] = FileNotFoundError) -> Iterator[None]:
    """Raise SnapshotGone for the missing file of a snapshot that is no more; ``missing`` is what else says so."""
    try:
        yield
    except (FileNotFoundError, missing):
        if snapshot.number:
            refuse_gone(store, [snapshot.number])
        raise


def refuse_gone(store: Store, existed: Sequence[int]) -> None:
    """Raise SnapshotGone when one of the snapshots that ``existed`` is no more."""
    gone = set(existed).difference(numbers(store))
    if gone:
        raise SnapshotGone(
            Problem(
                file=f"snapshot {min(gone)}",
                expected="one that stays while it is read",
                found="one that a withdrawal or compaction took away",
                action="run the same command again",
            )
        )


def create_snapshot(store: Store, snapshot: Snapshot) -> None:
    """Create the snapshot's file; raises FileExistsError when another writer has that number already."""
    body = {
        "number": snapshot.number,
        "participants": snapshot.participants,
        "content": snapshot.content,
        "batches": [asdict(batch) for batch in snapshot.batches],
        "tombstones": list(snapshot.tombstones),
        "filters": asdict(snapshot.filters),
    }
    temporary = store.snapshots / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("w") as out:
            out.write(json.dumps(body, indent=1) + "\n")
            out.flush()
            os.fsync(out.fileno())
        os.link(temporary, store.snapshots / f"{snapshot.number:08d}.json")
    finally:
        temporary.unlink(missing_ok=True)
    descriptor = os.open(store.snapshots, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def read_sites(store: Store, snapshot: Snapshot, shard: int, *, columns: Sequence[str] | None = None) -> pa.Table:
    """The sites (schema SITES) of one shard at a snapshot, or some of their columns."""
    return read_parquet(store.sites(snapshot.number) / f"{store.shards[shard].name}.parquet", columns=columns)


def read_census(store: Store, snapshot: Snapshot, shard: int) -> pa.Table:
    """The census (schema CENSUS) inside the sites of one shard: what the next snapshot adds to."""
    return read_sites(store, snapshot, shard, columns=CENSUS.names).cast(CENSUS)


def read_called(store: Store, snapshot: Snapshot, shard: int) -> pa.Table:
    """The merged step function (schema CALLED) of one shard at a snapshot."""
    if snapshot.number == 0:
        return empty(CALLED)
    return read_parquet(store.sites(snapshot.number) / "called" / f"{store.shards[shard].name}.parquet")
