"""Operations on the cohort: add a batch, withdraw participants, compact batches, and commit what results."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import chain, count
from pathlib import Path

from baekman import __version__
from baekman.arrow import cast_table, with_metadata, write_parquet
from baekman.cohort import batch as batches
from baekman.cohort import snapshot as snapshots
from baekman.cohort.census import merge_alleles, merge_called
from baekman.cohort.garbage import clean, clear_work, remove_folder
from baekman.cohort.gvcf_list import Member
from baekman.cohort.hashes import seal
from baekman.cohort.index import find_batches, open_index
from baekman.cohort.rewrite import rewrite_batches
from baekman.cohort.schema import CENSUS, SCHEMA_VERSION, SITES
from baekman.cohort.sites import SiteFilters, describe_sites
from baekman.cohort.snapshot import BatchEntry, Snapshot
from baekman.cohort.store import BATCH_NAME, Store, check_names
from baekman.engine.local import Engine
from baekman.engine.tasks import MapTasks
from baekman.errors import InputRefused, Reason
from baekman.files.atomic import fsync_folder


def _refuse_known(store: Store, planned: batches.BatchPlan) -> Snapshot:
    """The latest snapshot; refuses members of other batches, and other members of a batch that is there."""
    latest = snapshots.read_snapshot(store)
    known = find_batches(store, [member.participant_id for member in planned.members], at=latest)
    reasons = [
        Reason(
            file="list of gVCFs",
            place=f"participant {participant}",
            expected="participants who are not in the cohort yet",
            found=f"one who is in batch {other}",
            action="withdraw first what is to be replaced",
        )
        for participant, other in known.items()
        if other != planned.batch
    ]
    if latest.entry(planned.batch) is not None and not batches.is_same(store, planned):
        reasons.append(
            Reason(
                file="--batch",
                expected="a new name, or the batch's own members",
                found=f"the name {planned.batch} with other members",
                action="a batch is immutable: choose another name",
            )
        )
    if reasons:
        raise InputRefused(reasons)
    return latest


def add(
    store: Store,
    *,
    batch: str,
    members: Sequence[Member],
    engine: Engine | None = None,
    filters: SiteFilters | None = None,
) -> Snapshot:
    """Add a batch and commit the snapshot that has it; touches no file of an older batch.

    Run again after a kill it takes up where it stopped; run again when done it changes nothing. Raises
    InputRefused for a bad gVCF (nothing is added), a participant who is in the cohort already, or a batch
    name that is taken by other members.
    """
    check_names([batch], kind="--batch", pattern=BATCH_NAME)
    with store.work_lock(batch):
        planned = batches.plan(store, batch=batch, members=members)
        try:
            committed = _add(store, planned, engine=engine or Engine(), filters=filters)
        except InputRefused:
            # what is mended has other inputs: nobody would ever take this work up again
            clear_work(store, batch)
            raise
        except FileNotFoundError:
            if (planned.folder(store) / "plan.json").exists():
                raise
            remove_folder(planned.folder(store))
            raise InputRefused(
                Reason(
                    file="list of gVCFs",
                    expected="participants who stay",
                    found="one who was withdrawn while their gVCF was read",
                    action="leave them out",
                )
            ) from None
        clear_work(store, batch)
        return committed


def _add(store: Store, planned: batches.BatchPlan, *, engine: Engine, filters: SiteFilters | None) -> Snapshot:
    batch = planned.batch
    inputs = planned.folder(store).name
    made = store.batch(batch) / "inputs"
    latest = _refuse_known(store, planned)
    if latest.entry(batch) is not None:
        return latest
    with engine.open() as map_tasks:
        if not (made.exists() and made.read_text() == inputs):
            map_tasks("reading gVCFs", partial(_read, store, planned), len(planned.members))
            batches.collect(store, planned)
            built = map_tasks("building shards", partial(_build, store, planned), 2 * len(store.shards))
            seal(planned.folder(store) / "batch", built, inputs=inputs)
        with store.lock():
            latest = _refuse_known(store, planned)
            if store.batch(batch).exists() and (planned.folder(store) / "batch").exists():
                clean(store, latest)  # of a withdrawal or another add that died
            batches.finish(store, planned)
            committed = commit(
                store,
                Snapshot(
                    number=latest.number + 1,
                    batches=(*latest.batches, entry_of(store, batch)),
                    filters=filters or latest.filters,
                ),
                previous=latest,
                added=[batch],
                map_tasks=map_tasks,
            )
            with open_index(store, live=[batch]):
                pass
    return committed


def _read(store: Store, planned: batches.BatchPlan, index: int) -> None:
    batches.read_participant(store, planned, index)


def _build(store: Store, planned: batches.BatchPlan, task: int) -> dict[str, str]:
    shard, of_reference = divmod(task, 2)
    return (batches.build_reference if of_reference else batches.build_calls)(store, planned, shard)


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
    with _committing(store, snapshot) as working:
        (working / "called").mkdir(parents=True)
        map_tasks(
            "merging sites",
            partial(_merge_shard, store, snapshot, previous, tuple(added), working.name),
            len(store.shards),
        )
    return snapshot


@contextmanager
def _committing(store: Store, snapshot: Snapshot) -> Iterator[Path]:
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

    ``baekman.cohort.settings`` stands for the reference's bases, shards, PARs and thresholds and the site filters.
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
            (cast_table(batches.read_shard(store, name, "census", shard), CENSUS) for name in added),
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


def withdraw(store: Store, participants: Sequence[str], *, engine: Engine | None = None) -> Snapshot:
    """Take participants out of the cohort so that no byte of theirs is left, in older snapshots neither.

    The batches that hold them are written anew without them, a snapshot is made from these, and every older
    snapshot that counts them is deleted. Participants who are not in the cohort change nothing.
    """
    with (engine or Engine()).open() as map_tasks, store.lock():
        latest = snapshots.read_snapshot(store)
        found = find_batches(store, participants, at=latest)
        affected = sorted(set(found.values()))
        if affected:
            names = _names_taken(store)
            entries = []
            for entry in latest.batches:
                if entry.name not in affected:
                    entries.append(entry)
                    continue
                new = _next_name(entry.name, taken=names)
                names.add(new)
                if rewrite_batches(store, [entry.name], new=new, without=participants, map_tasks=map_tasks):
                    entries.append(entry_of(store, new))
            latest = remerge(
                store,
                Snapshot(
                    number=latest.number + 1,
                    batches=tuple(entries),
                    tombstones=tuple(affected),
                    filters=latest.filters,
                ),
                map_tasks=map_tasks,
            )
        clean(store, latest, without=participants)
        with store.tables_lock(exclusive=True):
            pass  # from here on no table of a snapshot that is gone appears
        return latest


def _names_taken(store: Store) -> set[str]:
    """The batches that snapshots name: a batch that is written anew must not take the place of one of them."""
    return {
        entry.name for number in snapshots.numbers(store) for entry in snapshots.read_snapshot(store, number).batches
    }


def _next_name(batch: str, *, taken: Collection[str]) -> str:
    """The name of a batch that is written anew: the first of ``name.r1``, ``name.r2`` … that is not ``taken``."""
    stem, dot, number = batch.rpartition(".r")
    if not (dot and number.isdecimal()):
        stem, number = batch, "0"
    return next(name for n in count(int(number) + 1) if (name := f"{stem}.r{n}") not in taken)


def compact(store: Store, *, below: int = 1000, keep: int | None = None, engine: Engine | None = None) -> Snapshot:
    """Merge batches of fewer than ``below`` participants into larger ones; sites and freeze tables stay the same.

    In the order of the snapshot, so many at a time that ``below`` participants are reached: what a worker holds of a
    shard does not grow with the cohort. Snapshots from before are deleted with the small batches that they name, and
    of the others all but the last ``keep``, if that is given.
    """
    with (engine or Engine()).open() as map_tasks, store.lock():
        latest = snapshots.read_snapshot(store)
        groups = _groups([entry for entry in latest.batches if entry.participants < below], enough=below)
        base, names = f"compact-{latest.number + 1:08d}", _names_taken(store)
        entries = list(latest.batches)
        for group in groups:
            new = base if base not in names else _next_name(base, taken=names)
            names.add(new)
            rewrite_batches(store, [entry.name for entry in group], new=new, without=(), map_tasks=map_tasks)
            entries = [entry for entry in entries if entry not in group] + [entry_of(store, new)]
        if groups:
            compacted = Snapshot(
                number=latest.number + 1,
                batches=tuple(entries),
                tombstones=tuple(entry.name for group in groups for entry in group),
                filters=latest.filters,
            )
            with _committing(store, compacted) as working:  # of the same people: with the same sites
                shutil.copytree(store.sites(latest.number), working, copy_function=_link)
            latest = compacted
        clean(store, latest, keep=keep)  # also what a compaction that was killed here has left
        return latest


def _link(source: str, target: str) -> None:
    """The same file under another name; a copy of it where the file system has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _groups(small: Sequence[BatchEntry], *, enough: int) -> list[list[BatchEntry]]:
    """Batches that become one: one after the other until there are ``enough`` participants; a last one may stay."""
    groups: list[list[BatchEntry]] = [[]]
    for entry in small:
        if sum(one.participants for one in groups[-1]) >= enough:
            groups.append([])
        groups[-1].append(entry)
    return [group for group in groups if len(group) > 1]
