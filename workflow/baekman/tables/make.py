"""The per-participant variant tables: one Parquet file of call rows and one of reference blocks each.

Rows are in the order of the genome, a row group per shard; the pseudonymous ID stands in every row. Where the
workspace has keys (``table_keys``) the files are encrypted.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from baekman.arrow import numpy_of
from baekman.cohort import batch as batches
from baekman.cohort import snapshot as snapshots
from baekman.cohort.commit import sites_metadata
from baekman.cohort.index import find_batches, participants_of
from baekman.cohort.schema import REFERENCE_TABLE, TABLE
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.genome.ploidy import one_copy_in_males
from baekman.pseudonyms import PARTICIPANT_ID
from baekman.tables import keys as table_keys
from baekman.tables.files import (
    DATASETS,
    TableWriters,
    convert_layout,
    is_done,
    metadata_of,
    open_table,
    reference_path,
    remove_unfinished,
    table_path,
)
from baekman.tables.rows import SITE_COLUMNS, by_sample, of_participants, reference_rows, variant_rows
from baekman.workspace.paths import Workspace

PARTICIPANTS_PER_TASK = 200
LEAST_PER_TASK = 25  # a task reads all of a shard, and holds the rows of its participants


def read_participants(text: str) -> list[str]:
    """Participants from IDs separated by commas, or from ``@FILE`` with one a line; InputRefused when it is no text."""
    if text.startswith("@"):
        path = Path(text[1:])
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError):
            raise InputRefused(
                Problem(
                    file=path.name, expected="a file with an ID a line", found="none that can be read as UTF-8 text"
                )
            ) from None
    return [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]


@dataclass(frozen=True, kw_only=True)
class TablesTask:
    """The participants ``[first, last)`` of one batch, or those of them that were asked for."""

    batch: str
    first: int
    last: int
    only: frozenset[int] | None = None


def plan_tables(
    store: Store, snapshot: Snapshot, *, participants: Sequence[str] | None = None, workers: int = 1
) -> list[TablesTask]:
    """Which tasks write the tables of ``participants``, or of everyone; so many that ``workers`` have the same to do.

    Raises InputRefused for a stranger.
    """
    wanted: dict[str, set[int]] | None = None
    if participants is not None:
        found = find_batches(store, participants, at=snapshot)
        strangers = [participant for participant in participants if participant not in found]
        if strangers:
            raise InputRefused(
                Problem(
                    file="--participants",
                    place=participant,
                    expected="a participant of the cohort",
                    found=f"nobody of that ID in snapshot {snapshot.number}",
                )
                for participant in strangers
            )
        wanted = {}
        for name in sorted(set(found.values())):
            sample_of = {participant: sample for sample, participant in enumerate(participants_of(store, name))}
            wanted[name] = {sample_of[participant] for participant, batch in found.items() if batch == name}
    tasks = []
    for entry in snapshot.batches:
        if wanted is not None and entry.name not in wanted:
            continue
        rounds = -(-entry.participants // (PARTICIPANTS_PER_TASK * workers))
        size = max(-(-entry.participants // (rounds * workers)), LEAST_PER_TASK)
        for first in range(0, entry.participants, size):
            last = min(first + size, entry.participants)
            only = None if wanted is None else frozenset(s for s in wanted[entry.name] if first <= s < last)
            if only is None or only:
                tasks.append(TablesTask(batch=entry.name, first=first, last=last, only=only))
    return tasks


def write_tables(store: Store, snapshot: Snapshot, tasks: Sequence[TablesTask], output: Path, number: int) -> None:
    """Run one task: write the tables of its participants, each verified before it appears.

    None appears, and SnapshotGone is raised, when the snapshot is no more: they would count who has withdrawn.
    Participants whose tables are of this snapshot and made with these settings already are left as they are.
    """
    task = tasks[number]
    ids = participants_of(store, task.batch)
    roster, filters = batches.read_roster(store, task.batch)
    male = np.array(roster.column("sex").to_pylist()) == "male"
    # opened in each process anew: keys are not sent to workers
    keys = table_keys.open_keys(store.workspace)
    chosen = sorted(task.only) if task.only is not None else list(range(task.first, task.last))
    metadata = sites_metadata(store, snapshot)
    chosen = [sample for sample in chosen if not is_done(output, ids[sample], metadata, keys)]
    if not chosen:
        return
    caller_filters = pa.array(["PASS", *filters])
    with ExitStack() as stack:
        writers = {}
        for sample in chosen:
            writers[sample] = TableWriters(output, ids[sample], metadata, keys)
            stack.callback(writers[sample].discard)
        wanted = [("sample", ">=", chosen[0]), ("sample", "<=", chosen[-1])]
        for shard, tile in enumerate(store.shards):
            calls, where = by_sample(batches.read_shard(store, task.batch, "calls", shard, filters=wanted), chosen)
            if where:
                sites = snapshots.read_sites(store, snapshot, shard, columns=SITE_COLUMNS)
                one_copy = one_copy_in_males(tile.contig, numpy_of(calls, "pos"), store.par_regions)
                one_copy &= male[numpy_of(calls, "sample")]
                rows = variant_rows(calls, sites, caller_filters, one_copy=one_copy)
                for sample, table in of_participants(rows, where, TABLE, contig=tile.contig, ids=ids):
                    writers[sample].write(0, table)
            reference = batches.read_shard(store, task.batch, "reference", shard, filters=wanted)
            reference, where = by_sample(reference, chosen)
            rows = reference_rows(reference)
            for sample, table in of_participants(rows, where, REFERENCE_TABLE, contig=tile.contig, ids=ids):
                writers[sample].write(1, table)
        for writer in writers.values():
            writer.close()
            with store.tables_lock(exclusive=False):
                snapshots.refuse_gone(store, [snapshot.number])
                writer.show()


def row_counts(store: Store, output: Path, participants: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Participant -> rows of the table and of the reference blocks, as the finished files tell them."""
    keys = table_keys.open_keys(store.workspace)

    def rows(path: Path, participant: str) -> int:
        with open_table(path, participant=participant, keys=keys) as file:
            return int(file.metadata.num_rows)

    return {one: (rows(table_path(output, one), one), rows(reference_path(output, one), one)) for one in participants}


def make_tables(
    store: Store,
    *,
    output: Path,
    snapshot: Snapshot | None = None,
    participants: Sequence[str] | None = None,
    engine: Engine | None = None,
) -> int:
    """Write the tables of ``participants`` (else of everyone) at a snapshot (else the latest); how many."""
    output = output.absolute()  # a cluster's workers have folders of their own
    at = snapshot or snapshots.read_snapshot(store)
    with snapshots.reading(store, at):
        engine = engine or Engine()
        tasks = plan_tables(store, at, participants=participants, workers=max(engine.workers, 1))
        output.mkdir(parents=True, exist_ok=True)
        convert_layout(output)
        with store.writing_tables(partial(remove_unfinished, output)), engine.open() as map_tasks:
            map_tasks("writing tables", partial(write_tables, store, at, tasks, output), len(tasks))
    return sum(len(task.only) if task.only is not None else task.last - task.first for task in tasks)


def make_latest_tables(
    store: Store, *, output: Path, participants: Sequence[str], engine: Engine | None = None
) -> tuple[list[str], Snapshot]:
    """Write the tables of those of ``participants`` who are in the latest snapshot; who they are, and it.

    A withdrawal meanwhile takes the snapshot away: then they are written again, of the next.
    """
    while True:
        latest = snapshots.read_snapshot(store)
        present = sorted(find_batches(store, participants, at=latest))
        try:
            make_tables(store, output=output, snapshot=latest, participants=present, engine=engine)
        except snapshots.SnapshotGone:
            continue
        if not present or latest.number in snapshots.numbers(store):
            return present, latest


def stale_tables(store: Store, output: Path) -> list[str]:
    """Whose tables in ``output`` are of a snapshot that is no more: they count somebody who has withdrawn."""
    existing = {snapshots.read_snapshot(store, number).content for number in snapshots.numbers(store)}
    keys = table_keys.open_keys(store.workspace)
    stale = set()
    for path in chain.from_iterable(output.glob(f"{dataset}/*/*.parquet") for dataset in DATASETS):
        participant = path.name.removesuffix(".parquet")
        with suppress(FileNotFoundError):  # another withdrawal deleted it
            metadata = metadata_of(path, participant=participant, keys=keys)
            if metadata.get("baekman.snapshot") not in existing:
                stale.add(participant)
    return sorted(find_batches(store, sorted(stale), at=snapshots.read_snapshot(store)))


def withdraw_tables(store: Store, participants: Sequence[str], *, engine: Engine | None = None) -> None:
    """Delete the tables of ``participants`` beside the cohort, and write anew those of others that counted them.

    To be called when they have left the cohort. Only the tables of a workspace are known, ``tables`` beside
    ``cohort``; a store of another name has none.
    """
    output = Workspace(store.workspace).tables
    if store.path.absolute().name != "cohort" or not output.is_dir():
        return
    convert_layout(output)
    for participant in participants:
        if PARTICIPANT_ID.fullmatch(participant):
            for path in (table_path(output, participant), reference_path(output, participant)):
                path.unlink(missing_ok=True)
            remove_unfinished(output, participant)
    if stale := stale_tables(store, output):
        make_latest_tables(store, output=output, participants=stale, engine=engine)
