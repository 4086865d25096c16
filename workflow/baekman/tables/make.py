"""Writing the per-participant tables: for each participant a file of call rows and one of reference blocks.

Rows are in the order of the genome, a row group per shard, and every row has the pseudonymous ID. Where the workspace
has keys (``table_keys``) the files are encrypted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from baekman import pseudonyms
from baekman.arrow import column, numpy_of
from baekman.cohort.batch import read_shard
from baekman.cohort.commit import sites_metadata
from baekman.cohort.index import find_batches
from baekman.cohort.roster import participants_of, read_roster
from baekman.cohort.schema import FROZEN_TABLES, TABLES
from baekman.cohort.snapshot import Snapshot, numbers, read_sites, read_snapshot, reading, refuse_gone
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.files.snapshots import SnapshotGone
from baekman.genome.ploidy import one_copy_in_males
from baekman.pseudonyms import PARTICIPANT_ID
from baekman.tables.files import (
    TableWriters,
    convert_layout,
    is_done,
    metadata_of,
    open_table,
    reference_path,
    remove_tables,
    remove_unfinished,
    table_path,
)
from baekman.tables.keys import folder_of, open_keys
from baekman.tables.owner import note_owner, require_keys_if_encrypted
from baekman.tables.rows import SITE_COLUMNS, by_sample, of_participants, reference_rows, variant_rows
from baekman.tables.seals import DATASETS
from baekman.workspace.paths import Workspace

PARTICIPANTS_PER_TASK = 200
ROW_COUNTS = ("call_rows", "reference_rows")  # of the roster, in the order of the two tables
LEAST_PER_TASK = 25  # a task reads all of a shard, and holds the rows of its participants


def read_participants(text: str) -> list[str]:
    """Return participant IDs from a text with commas, or from ``@FILE`` with an ID per line.

    The file may be the answer to a query for ``participant_id`` as TSV or CSV: a header and quotes are no part of IDs.

    Raises:
        InputRefused: the file cannot be read as UTF-8 text.
    """
    if text.startswith("@"):
        path = Path(text[1:])
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError):
            raise InputRefused(
                Problem(
                    file=path.name, expected="a file with an ID per line", found="none that can be read as UTF-8 text"
                )
            ) from None
        header, _, rows = text.partition("\n")
        text = rows if header.strip().strip('"') == "participant_id" else text
    words = (word.strip().strip('"') for word in text.replace(",", "\n").splitlines())
    return [word for word in words if word]


@dataclass(frozen=True, kw_only=True)
class TablesTask:
    """The samples ``[first, last)`` of a batch; with ``only`` those of them, by number in the roster.

    ``is_frozen``: the tables are those of a freeze (schemas FROZEN_TABLES).
    """

    batch: str
    first: int
    last: int
    only: frozenset[int] | None = None
    is_frozen: bool = False

    @property
    def schemas(self) -> tuple[pa.Schema, pa.Schema]:
        """Return the schemas of the two tables of a participant."""
        return FROZEN_TABLES if self.is_frozen else TABLES


def plan_tables(
    store: Store, snapshot: Snapshot, *, participants: Sequence[str] | None = None, workers: int = 1
) -> list[TablesTask]:
    """Return the tasks that write the tables of ``participants`` (default: everyone), shared out among ``workers``.

    Raises:
        InputRefused: a participant is not in the snapshot.
    """
    wanted: dict[str, set[int]] | None = None
    if participants is not None:
        batch_of = find_batches(store, participants, at=snapshot)
        unknown = [participant for participant in participants if participant not in batch_of]
        if unknown:
            raise InputRefused(
                Problem(
                    file="--participants",
                    place=participant,
                    expected="a participant of the cohort",
                    found=pseudonyms.slip(participant, "P")
                    or f"no participant of that ID in snapshot {snapshot.number}",
                )
                for participant in unknown
            )
        wanted = {}
        for name in sorted(set(batch_of.values())):
            sample_of = {participant: sample for sample, participant in enumerate(participants_of(store, name))}
            wanted[name] = {sample_of[participant] for participant, batch in batch_of.items() if batch == name}
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
    """Run one task: write the tables of its participants and verify each before it appears.

    Finished tables of this snapshot with the same settings stay as they are.

    Raises:
        SnapshotGone: the snapshot was deleted. No table of it appears, since it counts withdrawn participants.
    """
    task = tasks[number]
    ids = participants_of(store, task.batch)
    roster, filters = read_roster(store, task.batch)
    male = np.array(roster.column("sex").to_pylist()) == "male"
    # each process opens them: keys are not sent to workers
    keys = open_keys(store.workspace)
    chosen = sorted(task.only) if task.only is not None else list(range(task.first, task.last))
    metadata = sites_metadata(store, snapshot)
    chosen = [sample for sample in chosen if not is_done(output, ids[sample], metadata, keys, schemas=task.schemas)]
    if not chosen:
        return
    caller_filters = column(["PASS", *filters])
    with ExitStack() as stack:
        writers = {}
        for sample in chosen:
            writers[sample] = TableWriters(output, ids[sample], metadata, keys, schemas=task.schemas)
            stack.callback(writers[sample].discard)
        wanted = [("sample", ">=", chosen[0]), ("sample", "<=", chosen[-1])]
        for shard, tile in enumerate(store.shards):
            calls, where = by_sample(read_shard(store, task.batch, "calls", shard, filters=wanted), chosen)
            if where:
                sites = read_sites(store, snapshot, shard, columns=SITE_COLUMNS)
                one_copy = one_copy_in_males(tile.contig, numpy_of(calls, "pos"), store.par_regions)
                one_copy &= male[numpy_of(calls, "sample")]
                rows = variant_rows(calls, sites, caller_filters, one_copy=one_copy)
                for sample, table in of_participants(rows, where, task.schemas[0], contig=tile.contig, ids=ids):
                    writers[sample].write(0, table)
            reference = read_shard(store, task.batch, "reference", shard, filters=wanted)
            reference, where = by_sample(reference, chosen)
            rows = reference_rows(reference)
            for sample, table in of_participants(rows, where, task.schemas[1], contig=tile.contig, ids=ids):
                writers[sample].write(1, table)
        for sample, writer in writers.items():
            require_rows(writer.participant, writer.rows, [roster[name][sample].as_py() for name in ROW_COUNTS])
            writer.close()
            with store.tables_lock(exclusive=False):
                refuse_gone(store, [snapshot.number])
                writer.show()


def require_rows(participant: str, rows: Sequence[int], expected: Sequence[int]) -> None:
    """Raise InputRefused unless both tables of a participant have the ``rows`` that the roster counts."""
    if list(rows) != list(expected):
        raise InputRefused(
            Problem(
                file="tables",
                place=f"participant {participant}",
                expected=f"{expected[0]} rows and {expected[1]} reference blocks, as the cohort has",
                found=f"{rows[0]} and {rows[1]}",
                action="run `baekman cohort verify`; no table of this participant was written",
            )
        )


def row_counts(store: Store, output: Path, participants: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return, for each participant, the number of rows of the table and of the reference blocks in the files."""
    keys = open_keys(store.workspace)

    def count(path: Path, participant: str) -> int:
        with open_table(path, participant=participant, keys=keys) as file:
            return int(file.metadata.num_rows)

    return {
        participant: (
            count(table_path(output, participant), participant),
            count(reference_path(output, participant), participant),
        )
        for participant in participants
    }


def make_tables(
    store: Store,
    *,
    output: Path,
    snapshot: Snapshot | None = None,
    participants: Sequence[str] | None = None,
    is_frozen: bool = False,
    engine: Engine | None = None,
) -> int:
    """Write the tables of ``participants`` (default: everyone) at ``snapshot`` (default: the latest).

    Tables of a freeze (``is_frozen``) have all of the evidence: schemas FROZEN_TABLES in place of TABLES.

    Returns:
        The number of participants.

    Raises:
        InputRefused: The tables in ``output`` are encrypted, and the keys of the workspace are gone.
    """
    output = output.absolute()  # a cluster's workers have folders of their own
    if folder_of(store.workspace) is None:
        require_keys_if_encrypted(output)
    at = snapshot or read_snapshot(store)
    with reading(store, at):
        engine = engine or Engine()
        tasks = plan_tables(store, at, participants=participants, workers=max(engine.workers, 1))
        tasks = [replace(task, is_frozen=is_frozen) for task in tasks]
        output.mkdir(parents=True, exist_ok=True)
        convert_layout(output)
        with store.writing_tables(partial(remove_unfinished, output)), engine.open() as map_tasks:
            map_tasks("writing tables", partial(write_tables, store, at, tasks, output), len(tasks))
    return sum(len(task.only) if task.only is not None else task.last - task.first for task in tasks)


def make_admitted_tables(
    store: Store,
    snapshot: Snapshot,
    *,
    output: Path,
    chosen: Sequence[str] | None,
    left_out: Callable[[], frozenset[str]],
    engine: Engine,
) -> int:
    """Write the tables of the participants ``chosen`` (None: everyone) at ``snapshot``, except those ``left_out``.

    ``left_out`` is asked again after the tables are written. Tables of participants who are left out are deleted in
    ``output``, unless it is the workspace's own folder. ``output`` notes the workspace that its tables belong to.

    Returns:
        The number of participants with tables.
    """
    before = left_out()
    if chosen is None and before:
        everyone = chain.from_iterable(participants_of(store, entry.name) for entry in snapshot.batches)
        chosen = sorted(set(everyone) - before)
    note_owner(output, store.owner, encrypted=folder_of(store.workspace) is not None)
    count = make_tables(store, output=output, snapshot=snapshot, participants=chosen, engine=engine)
    after = left_out()
    if output.resolve() != Workspace(store.workspace).tables.resolve():
        for participant in before | after:
            remove_tables(output, participant)
    ended = after - before
    return count - len(ended if chosen is None else ended.intersection(chosen))


def make_latest_tables(
    store: Store, *, output: Path, participants: Sequence[str], engine: Engine | None = None
) -> tuple[list[str], Snapshot]:
    """Write the tables of the ``participants`` that are in the latest snapshot.

    When a withdrawal deletes the snapshot during the work, the tables of the next one are written.

    Returns:
        The participants with tables, sorted, and the snapshot.
    """
    while True:
        latest = read_snapshot(store)
        present = sorted(find_batches(store, participants, at=latest))
        try:
            make_tables(store, output=output, snapshot=latest, participants=present, engine=engine)
        except SnapshotGone:
            continue
        if not present or latest.number in numbers(store):
            return present, latest


def stale_tables(store: Store, output: Path) -> list[str]:
    """Return the participants with tables of a deleted snapshot in ``output``: these count a withdrawn participant."""
    existing = {read_snapshot(store, number).content for number in numbers(store)}
    keys = open_keys(store.workspace)
    stale = set()
    for path in chain.from_iterable(output.glob(f"{dataset}/*/*.parquet") for dataset in DATASETS):
        participant = path.name.removesuffix(".parquet")
        with suppress(FileNotFoundError):  # another withdrawal deleted it
            metadata = metadata_of(path, participant=participant, keys=keys)
            if metadata.get("baekman.snapshot") not in existing:
                stale.add(participant)
    return sorted(find_batches(store, sorted(stale), at=read_snapshot(store)))


def withdraw_tables(store: Store, participants: Sequence[str], *, engine: Engine | None = None) -> None:
    """Delete the tables of ``participants`` next to the cohort, and write again those of others that counted them.

    Call it when the participants have left the cohort. Only the tables of a workspace are known: ``tables`` next to
    ``cohort``. A store of another name has none.
    """
    workspace = Workspace(store.workspace)
    output = workspace.tables
    if workspace.cohort.resolve() != store.path.resolve() or not output.is_dir():
        return
    convert_layout(output)
    for participant in participants:
        if PARTICIPANT_ID.fullmatch(participant):
            remove_tables(output, participant)
    if stale := stale_tables(store, output):
        make_latest_tables(store, output=output, participants=stale, engine=engine)
