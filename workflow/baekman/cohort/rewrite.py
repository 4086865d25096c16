"""Batches of members of older batches: after withdrawals and replacements, and when small ones become one."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import arrow, concat, filtered, numpy_of, take
from baekman.cohort.add import Change, commit_batch, name_problems
from baekman.cohort.batch import (
    BatchPlan,
    males_of,
    read_shard,
    seal,
    sort_calls,
    write_calls,
    write_reference,
)
from baekman.cohort.commit import committing, entry_of, remerge
from baekman.cohort.garbage import clean, living
from baekman.cohort.gvcf_list import Member, read_waiting
from baekman.cohort.index import batches_with, find_batches
from baekman.cohort.roster import participants_of, read_origins, read_roster, write_roster
from baekman.cohort.schema import CALLS, REFERENCE, ROSTER
from baekman.cohort.settings import BatchSettings
from baekman.cohort.sites import SiteFilters
from baekman.cohort.snapshot import BatchEntry, Snapshot, numbers, read_snapshot
from baekman.cohort.store import Store
from baekman.cohort.work_file import digests_of_shard
from baekman.engine.local import Engine
from baekman.engine.tasks import MapTasks
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import fsync_folder


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """The origin of a new batch's samples.

    ``old``: the names of the old batches. ``source`` and ``sample``: for each new sample, the index of its old batch
    and its number there. ``sexes``: of the new samples. ``sizes``: the number of samples of each old batch.
    ``names``: the caller filters of each old batch, by code - 1.
    """

    old: tuple[str, ...]
    source: npt.NDArray[np.int64]
    sample: npt.NDArray[np.int64]
    sexes: tuple[str, ...]
    sizes: tuple[int, ...]
    names: tuple[tuple[str, ...], ...]

    def new_samples(self, source: int) -> npt.NDArray[np.int64]:
        """Return the new number of each sample of an old batch, -1 for a sample that is left out."""
        numbers = np.full(self.sizes[source], -1, np.int64)
        here = np.flatnonzero(self.source == source)
        numbers[self.sample[here]] = here
        return numbers


def rewrite_batches(
    store: Store, old: Sequence[str], *, new: str, without: Collection[str], map_tasks: MapTasks
) -> bool:
    """Write one batch ``new`` with the members of ``old`` less ``without``; return False, without one, if none stay."""
    rosters = [read_roster(store, name) for name in old]
    everyone = pa.concat_tables([roster for roster, _ in rosters]).combine_chunks()
    gone = set(without)
    ids = everyone.column("participant_id").to_pylist()
    staying = (row for row, participant in enumerate(ids) if participant not in gone)
    rows = np.array(sorted(staying, key=ids.__getitem__), np.int64)
    if len(rows) == 0:
        return False
    sizes = tuple(roster.num_rows for roster, _ in rosters)
    members = take(everyone, rows)
    rewriting = Rewriting(
        old=tuple(old),
        source=np.repeat(np.arange(len(old)), sizes)[rows],
        sample=numpy_of(everyone, "sample").astype(np.int64)[rows],
        sexes=tuple(members.column("sex").to_pylist()),
        sizes=sizes,
        names=tuple(tuple(names) for _, names in rosters),
    )
    working = store.work / f"rewrite.{new}"
    shutil.rmtree(working, ignore_errors=True)
    # the new batch does not name a filter that only left-out participants had
    used = map_tasks(f"reading filters for {new}", partial(_filters_in, store, rewriting), len(store.shards))
    filters = sorted(set[str]().union(*used))
    written = map_tasks(
        f"writing {new}", partial(_rewrite_shard, store, rewriting, filters, working), len(store.shards)
    )
    numbered = members.set_column(0, ROSTER.field(0), arrow(np.arange(len(rows), dtype=np.uint32)))
    origins = [origin for name in old for origin in read_origins(store, name)]
    write_roster(working, numbered.cast(ROSTER), filters=filters, origins=[origins[row] for row in rows.tolist()])
    seal(working, written, inputs=f"rewritten from {' '.join(old)}")
    target = store.batch(new)
    shutil.rmtree(target, ignore_errors=True)
    working.rename(target)
    fsync_folder(target.parent)
    return True


def _filters_in(store: Store, rewriting: Rewriting, shard: int) -> set[str]:
    """Return the caller filters that the rows of the remaining participants have in a shard."""
    used: set[str] = set()
    for source, (name, names) in enumerate(zip(rewriting.old, rewriting.names, strict=True)):
        if names:
            stays = rewriting.new_samples(source) >= 0
            calls = read_shard(store, name, "calls", shard, columns=["sample", "filter"])
            codes = np.unique(numpy_of(calls, "filter")[stays[numpy_of(calls, "sample")]])
            used.update(names[code - 1] for code in codes.tolist() if code)
    return used


def _rewrite_shard(
    store: Store, rewriting: Rewriting, filters: Sequence[str], folder: Path, shard: int
) -> dict[str, str]:
    """Write one shard of the new batch, and return its files' digests; ``filters``: its caller filters by code - 1."""
    parts: dict[str, list[pa.Table]] = {"calls": [], "reference": []}
    code_of = {text: code for code, text in enumerate(filters, start=1)}
    for source, (name, names) in enumerate(zip(rewriting.old, rewriting.names, strict=True)):
        numbers = rewriting.new_samples(source)
        # a filter without a code is of rows that are not kept
        codes = np.array([0, *(code_of.get(text, 0) for text in names)], np.uint16)
        for kind, tables in parts.items():
            table = read_shard(store, name, kind, shard)
            sample = numbers[numpy_of(table, "sample")]
            table = table.set_column(0, table.schema.field(0), arrow(sample.astype(np.uint32)))
            if kind == "calls":
                column = table.schema.get_field_index("filter")
                filter_codes = arrow(codes[numpy_of(table, "filter")])
                table = table.set_column(column, table.schema.field(column), filter_codes)
            tables.append(filtered(table, sample >= 0))
    calls, reference = sort_calls(concat(parts["calls"], CALLS)), concat(parts["reference"], REFERENCE)
    order = np.lexsort((numpy_of(reference, "start"), numpy_of(reference, "sample")))
    shard_name, males = store.shards[shard].name, males_of(store, rewriting.sexes, shard)
    write_calls(folder, shard_name, calls, males=males)
    write_reference(folder, shard_name, calls, take(reference, order), males=males)
    return digests_of_shard(folder, shard_name, "calls", "census", "reference", "called")


def withdraw(store: Store, participants: Sequence[str], *, engine: Engine | None = None) -> Snapshot:
    """Take participants out of the cohort so that no byte of theirs is left, in older snapshots neither.

    Their batches are written again without them, a snapshot is made from these, and each older snapshot that counts the
    participants is deleted. Participants who are not in the cohort change nothing.
    """
    with (engine or Engine()).open() as map_tasks, store.lock():
        latest = read_snapshot(store)
        affected = set(find_batches(store, participants, at=latest).values())
        if affected:
            dropped = affected | batches_with(store, participants, of=living(store))  # older versions are replaced ones
            entries = _entries_without(store, latest, participants, affected=affected, map_tasks=map_tasks)
            latest = remerge(
                store,
                Snapshot(
                    number=latest.number + 1,
                    batches=tuple(entries),
                    tombstones=tuple(sorted(dropped)),
                    filters=latest.filters,
                ),
                map_tasks=map_tasks,
            )
        clean(store, latest, without=participants)
        with store.tables_lock(exclusive=True):
            pass  # from here on no table of a snapshot that is gone appears
        return latest


def _entries_without(
    store: Store,
    latest: Snapshot,
    participants: Collection[str],
    *,
    affected: Collection[str],
    map_tasks: MapTasks,
    also_taken: str = "",
) -> list[BatchEntry]:
    """Write the batches ``affected`` again without ``participants``; return the entries of all batches, in order.

    ``also_taken``: a name that no rewritten batch may have, next to those that snapshots name.
    """
    taken = {*_names_taken(store), also_taken}
    entries = []
    for entry in latest.batches:
        if entry.name not in affected:
            entries.append(entry)
            continue
        new = _next_name(entry.name, taken=taken)
        taken.add(new)
        if rewrite_batches(store, [entry.name], new=new, without=participants, map_tasks=map_tasks):
            entries.append(entry_of(store, new))
    return entries


def replace_batch(
    store: Store,
    *,
    batch: str,
    members: Sequence[Member],
    engine: Engine | None = None,
    settings: BatchSettings | None = None,
) -> Snapshot:
    """Replace the gVCFs of participants of the cohort: one snapshot in which they have only their new ones.

    The members become the new batch ``batch``, at the end of the snapshot's batches; their old batches are written
    again without them. A member of unknown sex keeps that of the cohort. The older snapshots and their batches stay, so
    that they can be read as before. A replacement never waits for others. After a kill, the same call continues the
    work; when it is committed, it changes nothing.

    Raises:
        InputRefused: As ``add_batch``, but a participant must be in the latest snapshot.
    """
    return commit_batch(
        store,
        batch=batch,
        members=_with_sexes(store, members),
        engine=engine,
        settings=settings,
        change=Change(require=_require_members, commit=_commit_replacement),
    )


def _with_sexes(store: Store, members: Sequence[Member]) -> list[Member]:
    """Return ``members``; those of unknown sex have the sex of the latest snapshot."""
    unknown = [member.participant_id for member in members if member.sex == "unknown"]
    sexes: dict[str, str] = {}
    for name in sorted(set(find_batches(store, unknown, at=read_snapshot(store)).values())):
        roster, _ = read_roster(store, name)
        sexes |= dict(zip(roster["participant_id"].to_pylist(), roster["sex"].to_pylist(), strict=True))
    return [
        replace(member, sex=sexes.get(member.participant_id, "unknown")) if member.sex == "unknown" else member
        for member in members
    ]


def _require_members(store: Store, plan: BatchPlan) -> Snapshot:
    """Return the latest snapshot; refuse members who are not in it, and a name that another batch has."""
    latest = read_snapshot(store)
    ids = [member.participant_id for member in plan.members]
    known = find_batches(store, ids, at=latest)
    waiting = {each.member.participant_id: each.batch for each in read_waiting(store.waiting)}
    problems = [
        Problem(
            file="list of gVCFs",
            place=f"participant {participant}",
            expected="participants of the latest snapshot",
            found=f"one who waits in batch {waiting[participant]}"
            if participant in waiting
            else "one who is not in it",
            action=(
                "add those who wait with `baekman cohort add --now` first"
                if participant in waiting
                else "leave them out, and add them with `baekman cohort add`"
            ),
        )
        for participant in ids
        if participant not in known
    ]
    if problems := [*problems, *name_problems(store, plan, latest=latest)]:
        raise InputRefused(problems)
    return latest


def _commit_replacement(
    store: Store, latest: Snapshot, entry: BatchEntry, filters: SiteFilters, map_tasks: MapTasks
) -> Snapshot:
    """Commit the snapshot in which the participants of ``entry`` have no other data; the caller holds the lock."""
    ids = participants_of(store, entry.name)
    affected = set(find_batches(store, ids, at=latest).values())
    entries = _entries_without(store, latest, ids, affected=affected, map_tasks=map_tasks, also_taken=entry.name)
    snapshot = Snapshot(number=latest.number + 1, batches=(*entries, entry), filters=filters)
    return remerge(store, snapshot, map_tasks=map_tasks)


@contextmanager
def subset(
    store: Store, snapshot: Snapshot, *, without: frozenset[str], engine: Engine | None = None
) -> Iterator[tuple[Store, Snapshot]]:
    """Yield a temporary store with the participants of ``snapshot`` except those ``without``, and its only snapshot.

    Batches without such a participant are links to those of ``store``; the others are written again. The sites count
    the participants that are there. The folder is deleted at the end; after a kill, the next withdrawal deletes it.
    """
    folder = store.work / f"rewrite.subset.{uuid.uuid4().hex}"
    part = replace(store, path=folder)
    try:
        for place in (part.snapshots, folder / "batches", folder / "sites", part.work):
            place.mkdir(parents=True)
        for name in ("store.json", "shards.tsv", "reference.seq"):
            (folder / name).symlink_to(store.path / name)
        affected = set(find_batches(store, sorted(without), at=snapshot).values())
        entries = []
        with (engine or Engine()).open() as map_tasks:
            for entry in snapshot.batches:
                part.batch(entry.name).symlink_to(store.batch(entry.name))
                if entry.name not in affected:
                    entries.append(entry)
                    continue
                new = _next_name(entry.name, taken={other.name for other in snapshot.batches})
                if rewrite_batches(part, [entry.name], new=new, without=without, map_tasks=map_tasks):
                    entries.append(entry_of(part, new))
            smaller = Snapshot(number=snapshot.number, batches=tuple(entries), filters=snapshot.filters)
            yield part, remerge(part, smaller, map_tasks=map_tasks)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def leave_batch(store: Store, participants: Iterable[str], *, batch: str, engine: Engine) -> Snapshot | None:
    """Take ``participants`` out of ``batch``, as ``withdraw`` does; return the new snapshot, None when none was in it.

    Batches with a suffix (``<batch>.2``, ``<batch>.r1``) count as ``batch``.
    """
    leaving = in_batch(store, participants, batch=batch)
    return withdraw(store, leaving, engine=engine) if leaving else None


def in_batch(store: Store, participants: Iterable[str], *, batch: str) -> list[str]:
    """Return those of ``participants`` who are in ``batch``, or in one of its name with a suffix, sorted."""
    if not (wanted := sorted(participants)):
        return []
    batches = find_batches(store, wanted, at=read_snapshot(store))
    return sorted(participant for participant, name in batches.items() if name == batch or name.startswith(f"{batch}."))


def _names_taken(store: Store) -> set[str]:
    """Return the batches that snapshots name: a new batch must not take the place of one of them."""
    return {entry.name for number in numbers(store) for entry in read_snapshot(store, number).batches}


def _next_name(batch: str, *, taken: Collection[str]) -> str:
    """Return the name of the rewritten batch: the first of ``name.r1``, ``name.r2`` … that is not ``taken``."""
    stem, dot, number = batch.rpartition(".r")
    if not (dot and number.isdecimal()):
        stem, number = batch, "0"
    return next(name for n in count(int(number) + 1) if (name := f"{stem}.r{n}") not in taken)


def compact(store: Store, *, below: int = 1000, keep: int | None = None, engine: Engine | None = None) -> Snapshot:
    """Merge batches of fewer than ``below`` participants into larger ones; sites and freeze tables stay the same.

    Batches are merged in the order of the snapshot until ``below`` participants are reached, so the memory of a worker
    does not grow with the cohort. Older snapshots that name the small batches are deleted with them. Of the others all
    but the last ``keep`` are deleted, if it is given.
    """
    with (engine or Engine()).open() as map_tasks, store.lock():
        latest = read_snapshot(store)
        groups = _groups([entry for entry in latest.batches if entry.participants < below], enough=below)
        base, taken = f"compact-{latest.number + 1:08d}", _names_taken(store)
        entries = list(latest.batches)
        for group in groups:
            new = base if base not in taken else _next_name(base, taken=taken)
            taken.add(new)
            rewrite_batches(store, [entry.name for entry in group], new=new, without=(), map_tasks=map_tasks)
            entries = [entry for entry in entries if entry not in group] + [entry_of(store, new)]
        if groups:
            compacted = Snapshot(
                number=latest.number + 1,
                batches=tuple(entries),
                tombstones=tuple(entry.name for group in groups for entry in group),
                filters=latest.filters,
            )
            with committing(store, compacted) as working:  # the same participants have the same sites
                shutil.copytree(store.sites(latest.number), working, copy_function=_link)
            latest = read_snapshot(store, compacted.number)
        clean(store, latest, keep=keep)  # also after a compaction that was killed here
        return latest


def _link(source: str, target: str) -> None:
    """Give a file another name; copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _groups(small: Sequence[BatchEntry], *, enough: int) -> list[list[BatchEntry]]:
    """Return groups of batches to merge, in order, each of ``enough`` participants or more; a last batch may stay."""
    groups: list[list[BatchEntry]] = [[]]
    for entry in small:
        if sum(batch.participants for batch in groups[-1]) >= enough:
            groups.append([])
        groups[-1].append(entry)
    return [group for group in groups if len(group) > 1]
