"""The commit of a snapshot: its sites are merged, then its file appears."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path

from baekman import __version__
from baekman.arrow import with_metadata, with_schema, write_parquet
from baekman.cohort.batch import read_shard
from baekman.cohort.census import merge_alleles, merge_called
from baekman.cohort.roster import digest_members, read_roster
from baekman.cohort.schema import CENSUS, SCHEMA_VERSION, SITES
from baekman.cohort.sites import describe_sites
from baekman.cohort.snapshot import (
    BatchEntry,
    Snapshot,
    create_snapshot,
    numbers,
    read_called,
    read_census,
    read_snapshot,
)
from baekman.cohort.store import Store
from baekman.cohort.verify.handover import MergedRows
from baekman.engine.tasks import MapTasks
from baekman.errors import DamagedFile
from baekman.files.atomic import fsync_folder
from baekman.files.digests import LIST, digests_of, read_digests, read_sealed, sha256_of, write_digests
from baekman.workspace import identity


def entry_of(store: Store, batch: str) -> BatchEntry:
    """Return the entry of a batch for a snapshot, made from its roster."""
    roster, _ = read_roster(store, batch)
    columns = [roster.column(name).to_pylist() for name in ("participant_id", "gvcf_sha256", "sex")]
    return BatchEntry(
        name=batch,
        participants=roster.num_rows,
        digest=digest_members(*columns),
        females=columns[2].count("female"),
        hashes=sha256_of(store.batch(batch) / LIST),
    )


def commit(
    store: Store, snapshot: Snapshot, *, previous: Snapshot, added: Sequence[str], map_tasks: MapTasks
) -> Snapshot:
    """Write the sites of ``snapshot`` and create its file; the caller holds the store's lock.

    ``previous``: the snapshot with the merged census to begin from (number 0: from nothing). ``added``: the batches
    that are added to it.
    """
    with committing(store, snapshot) as working:
        _merge(store, snapshot, previous, added, working, map_tasks)
    return read_snapshot(store, snapshot.number)


def _merge(
    store: Store, snapshot: Snapshot, previous: Snapshot, added: Sequence[str], working: Path, map_tasks: MapTasks
) -> None:
    """Write the sites of ``snapshot`` and the list of their digests into the new folder ``working``."""
    (working / "called").mkdir(parents=True)
    task = partial(_merge_shard, store, snapshot, previous, tuple(added), working.name)
    digests = map_tasks("merging sites", task, len(store.shards))
    write_digests(working / LIST, dict(chain.from_iterable(of_shard.items() for of_shard in digests)))


@contextmanager
def committing(store: Store, snapshot: Snapshot) -> Iterator[Path]:
    """Yield the path of a folder that the block creates with the sites of ``snapshot``; then create the snapshot.

    The block writes the list of the folder's digests too; the snapshot names its SHA-256.
    """
    target = store.sites(snapshot.number)
    # without a snapshot of this number the folder is of a writer that died
    shutil.rmtree(target, ignore_errors=True)
    working = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(working, ignore_errors=True)
    for stale in store.snapshots.glob(".*.tmp"):
        stale.unlink()
    yield working
    working.rename(target)
    fsync_folder(target.parent)
    create_snapshot(store, replace(snapshot, sites=sha256_of(target / LIST)))


def settings_text(store: Store, snapshot: Snapshot) -> tuple[str, str]:
    """Return the description of the store and the site filters as JSON: the settings that sites depend on."""
    description = read_sealed(store.path / "store.json")
    description.pop(identity.KEY, None)  # equal cohorts of two workspaces have equal sites and tables
    return json.dumps(description, indent=1), json.dumps(asdict(snapshot.filters))


def sites_metadata(store: Store, snapshot: Snapshot) -> dict[str, str]:
    """Return the metadata of a sites or table file; it does not depend on the division into batches.

    ``baekman.settings`` is a digest of the reference's bases, shards and PARs, the thresholds and the site filters.
    """
    fixed = "\n".join(settings_text(store, snapshot))
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
) -> dict[str, str]:
    """Write the sites of one shard, and return the digests of both files."""
    earlier = [previous] if previous.number else []
    # generators: one file after the other is read, since these tables are most of a worker's memory
    rows = MergedRows()
    censuses = chain(
        (read_census(store, older, shard) for older in earlier),
        (with_schema(read_shard(store, name, "census", shard), CENSUS) for name in added),
    )
    census = merge_alleles(rows.of(censuses))
    steps = merge_called(
        chain(
            (read_called(store, older, shard) for older in earlier),
            (read_shard(store, name, "called", shard) for name in added),
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
    rows.require(sites, shard=name)
    write_parquet(steps, folder / "called" / f"{name}.parquet")
    described = with_metadata(SITES, sites_metadata(store, snapshot))
    write_parquet(sites.replace_schema_metadata(described.metadata), folder / f"{name}.parquet")
    return digests_of(folder, (folder / "called" / f"{name}.parquet", folder / f"{name}.parquet"))


def repair(store: Store, *, map_tasks: MapTasks) -> list[int]:
    """Merge the sites of each snapshot again where a file is damaged or absent; return the snapshots' numbers.

    Raises DamagedFile when the result is not what the snapshot names, as with a damaged batch.
    """
    repaired = []
    with store.lock():
        for number in numbers(store):
            snapshot, folder = read_snapshot(store, number), store.sites(number)
            if _is_whole(folder, snapshot):
                continue
            working = folder.with_name(f".{folder.name}.tmp")
            shutil.rmtree(working, ignore_errors=True)
            _merge(store, snapshot, Snapshot(number=0), [entry.name for entry in snapshot.batches], working, map_tasks)
            if sha256_of(working / LIST) != snapshot.sites:
                raise DamagedFile(folder / LIST)
            shutil.rmtree(folder, ignore_errors=True)
            working.rename(folder)
            fsync_folder(folder.parent)
            repaired.append(number)
    return repaired


def _is_whole(folder: Path, snapshot: Snapshot) -> bool:
    """Return whether the sites of a snapshot are all there with the digests of their list, which it names."""
    try:
        listed = read_digests(folder / LIST) or {}
        return sha256_of(folder / LIST) == snapshot.sites and listed == digests_of(folder, folder.rglob("*.parquet"))
    except (DamagedFile, FileNotFoundError):
        return False


def remerge(store: Store, snapshot: Snapshot, *, map_tasks: MapTasks) -> Snapshot:
    """Commit ``snapshot`` with sites that are merged again from all of its batches; the caller holds the lock."""
    return commit(
        store,
        snapshot,
        previous=Snapshot(number=0),
        added=[entry.name for entry in snapshot.batches],
        map_tasks=map_tasks,
    )
