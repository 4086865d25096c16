"""Committing a snapshot: its sites are merged, then its file appears."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path

from baekman import __version__
from baekman.arrow import with_metadata, write_parquet
from baekman.cohort import batch as batches
from baekman.cohort import snapshot as snapshots
from baekman.cohort.census import merge_alleles, merge_called
from baekman.cohort.schema import CENSUS, SCHEMA_VERSION, SITES
from baekman.cohort.sites import describe_sites
from baekman.cohort.snapshot import BatchEntry, Snapshot
from baekman.cohort.store import Store
from baekman.engine.tasks import MapTasks
from baekman.files.atomic import fsync_folder


def entry_of(store: Store, batch: str) -> BatchEntry:
    """A batch's entry for a snapshot, from its roster."""
    roster, _ = batches.read_roster(store, batch)
    columns = [roster.column(name).to_pylist() for name in ("participant_id", "gvcf_sha256", "sex")]
    return BatchEntry(
        name=batch,
        participants=roster.num_rows,
        digest=batches.digest_members(*columns),
        females=columns[2].count("female"),
    )


def commit(
    store: Store, snapshot: Snapshot, *, previous: Snapshot, added: Sequence[str], map_tasks: MapTasks
) -> Snapshot:
    """Write the sites of ``snapshot`` and create its file; the caller holds the store's lock.

    ``previous`` is the snapshot whose merged census is added to (number 0: begin from nothing) and ``added``
    the batches that come on top.
    """
    with committing(store, snapshot) as working:
        (working / "called").mkdir(parents=True)
        map_tasks(
            "merging sites",
            partial(_merge_shard, store, snapshot, previous, tuple(added), working.name),
            len(store.shards),
        )
    return snapshot


@contextmanager
def committing(store: Store, snapshot: Snapshot) -> Iterator[Path]:
    """Yield the path of a folder to be made, with the sites of ``snapshot``; when the block ends both are there."""
    target = store.sites(snapshot.number)
    # without a snapshot of this number it was left by a writer that died
    shutil.rmtree(target, ignore_errors=True)
    working = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(working, ignore_errors=True)
    for stale in store.snapshots.glob(".*.tmp"):
        stale.unlink()
    yield working
    working.rename(target)
    fsync_folder(target.parent)
    snapshots.create_snapshot(store, snapshot)


def sites_metadata(store: Store, snapshot: Snapshot) -> dict[str, str]:
    """What a sites or table file says of itself; the same however the cohort came together.

    ``baekman.settings`` stands for the reference's bases, shards, PARs and thresholds and the site filters.
    """
    fixed = (store.path / "store.json").read_text() + json.dumps(asdict(snapshot.filters))
    return {
        "baekman.schema": SCHEMA_VERSION,
        "baekman.snapshot": snapshot.content,
        "baekman.participants": str(snapshot.participants),
        "baekman.reference": store.reference,
        "baekman.settings": hashlib.sha256(fixed.encode()).hexdigest(),
        "baekman.software": f"baekman {__version__}",
    }


def _merge_shard(
    store: Store, snapshot: Snapshot, previous: Snapshot, added: tuple[str, ...], working: str, shard: int
) -> None:
    before = [previous] if previous.number else []
    # one file after the other: what is merged is the largest part of what a worker holds
    census = merge_alleles(
        chain(
            (snapshots.read_census(store, one, shard) for one in before),
            (batches.read_shard(store, name, "census", shard).cast(CENSUS) for name in added),
        )
    )
    steps = merge_called(
        chain(
            (snapshots.read_called(store, one, shard) for one in before),
            (batches.read_shard(store, name, "called", shard) for name in added),
        )
    )
    sites = describe_sites(
        census,
        steps,
        contig=store.shards[shard].contig,
        participants=snapshot.participants,
        females=snapshot.females,
        filters=snapshot.filters,
    )
    folder = store.path / "sites" / working
    name = store.shards[shard].name
    write_parquet(steps, folder / "called" / f"{name}.parquet")
    described = with_metadata(SITES, sites_metadata(store, snapshot))
    write_parquet(sites.replace_schema_metadata(described.metadata), folder / f"{name}.parquet")


def remerge(store: Store, snapshot: Snapshot, *, map_tasks: MapTasks) -> Snapshot:
    """Commit ``snapshot`` with sites merged from all of its batches anew; the caller holds the lock."""
    return commit(
        store,
        snapshot,
        previous=Snapshot(number=0),
        added=[entry.name for entry in snapshot.batches],
        map_tasks=map_tasks,
    )
