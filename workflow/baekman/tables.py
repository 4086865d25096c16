"""The per-participant variant tables: one Parquet file of call rows and one of reference blocks each.

Rows are in the order of the genome, a row group per shard; the pseudonymous ID stands in every row. Where the
workspace has keys (``table_keys``) the files are encrypted.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from baekman import batch as batches
from baekman import snapshot as snapshots
from baekman import standing, table_keys
from baekman.atomic import atomic_folder
from baekman.cohort import sites_metadata
from baekman.columns import allele_ranks, arrow, group_starts, numpy_of, parquet_options, with_metadata
from baekman.engine import Engine
from baekman.errors import InputRefused, Reason
from baekman.genotypes import joint_rows
from baekman.participant_index import find_batches, participants_of
from baekman.ploidy import one_copy_in_males, own_ploidy
from baekman.schema import FLAG_CALLED, REFERENCE_TABLE, STATE_CALLED, TABLE
from baekman.snapshot import Snapshot
from baekman.store import PARTICIPANT_ID, Store
from baekman.table_keys import TableKeys

PARTICIPANTS_PER_TASK = 200


def table_path(output: Path, participant: str) -> Path:
    """Where a participant's table lies, in its bucket."""
    return output / table_keys.bucket_of(participant) / f"{participant}.parquet"


def reference_path(output: Path, participant: str) -> Path:
    """Where a participant's reference blocks lie: beside the table."""
    return table_path(output, participant).with_suffix(".reference.parquet")


def read_participants(text: str) -> list[str]:
    """Participants from IDs separated by commas, or from ``@FILE`` with one a line; InputRefused when it is no text."""
    if text.startswith("@"):
        path = Path(text[1:])
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError):
            raise InputRefused(
                Reason(file=path.name, expected="a file with an ID a line", found="none that can be read as UTF-8 text")
            ) from None
    return [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]


@dataclass(frozen=True, kw_only=True)
class TablesTask:
    """The participants ``[first, last)`` of one batch, or those of them that were asked for."""

    batch: str
    first: int
    last: int
    only: frozenset[int] | None = None


def plan_tables(store: Store, snapshot: Snapshot, *, participants: Sequence[str] | None = None) -> list[TablesTask]:
    """Which tasks write the tables of ``participants``, or of everyone. Raises InputRefused for a stranger."""
    wanted: dict[str, set[int]] | None = None
    if participants is not None:
        found = find_batches(store, participants, at=snapshot)
        strangers = [participant for participant in participants if participant not in found]
        if strangers:
            raise InputRefused(
                Reason(
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
        for first in range(0, entry.participants, PARTICIPANTS_PER_TASK):
            last = min(first + PARTICIPANTS_PER_TASK, entry.participants)
            only = None if wanted is None else frozenset(s for s in wanted[entry.name] if first <= s < last)
            if only is None or only:
                tasks.append(TablesTask(batch=entry.name, first=first, last=last, only=only))
    return tasks


def site_of_rows(calls: pa.Table, sites: pa.Table) -> npt.NDArray[np.int64]:
    """For each call row the number of its site; both sorted by pos, ref, alt, and every row has a site."""
    ranks = allele_ranks(
        pa.chunked_array([*sites.column("ref").chunks, *calls.column("ref").chunks], pa.string()),
        pa.chunked_array([*sites.column("alt").chunks, *calls.column("alt").chunks], pa.string()),
    )
    site_pos = numpy_of(sites, "pos").astype(np.int64)
    pos = numpy_of(calls, "pos").astype(np.int64)
    width = int(ranks.max(initial=0)) + 1
    found: npt.NDArray[np.int64] = np.searchsorted(
        site_pos * width + ranks[: len(site_pos)], pos * width + ranks[len(site_pos) :]
    )
    return found


class _Writers:
    """The two open files of one participant; they appear under their names when ``close`` has verified them."""

    def __init__(self, output: Path, participant: str, metadata: dict[str, str], keys: TableKeys | None) -> None:
        self.participant = participant
        self.keys = keys
        encryption = keys.encryption(participant) if keys is not None else None
        self.targets = (table_path(output, participant), reference_path(output, participant))
        self.targets[0].parent.mkdir(parents=True, exist_ok=True)
        for target in self.targets:
            _remove_unfinished(target)
        self.temporary = [target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp" for target in self.targets]
        self.schemas = (with_metadata(TABLE, metadata), with_metadata(REFERENCE_TABLE, metadata))
        self.files = [
            pq.ParquetWriter(path, schema, encryption_properties=encryption, **parquet_options(schema))
            for path, schema in zip(self.temporary, self.schemas, strict=True)
        ]
        self.rows = [0, 0]

    def write(self, number: int, table: pa.Table) -> None:
        if table.num_rows:
            self.files[number].write_table(table.cast(self.schemas[number]), row_group_size=table.num_rows)
            self.rows[number] += table.num_rows

    def close(self) -> None:
        for number, (file, path, target) in enumerate(zip(self.files, self.temporary, self.targets, strict=True)):
            file.close()
            _verify(path, self.schemas[number], participant=self.participant, rows=self.rows[number], keys=self.keys)
            path.replace(target)

    def discard(self) -> None:
        for file, path in zip(self.files, self.temporary, strict=True):
            if path.exists():
                with suppress(OSError):  # of a full disk: what is not written has not to be
                    file.close()
                path.unlink(missing_ok=True)


def _remove_unfinished(target: Path) -> None:
    """Delete what a killed run left of a file."""
    for stale in target.parent.glob(f".{target.name}.*.tmp"):
        stale.unlink(missing_ok=True)


def open_table(path: Path, *, participant: str, keys: TableKeys | None) -> pq.ParquetFile:
    """A participant's table or reference blocks, encrypted or not; InputRefused when its key is not at hand."""
    if not table_keys.is_encrypted(path):
        return pq.ParquetFile(path)
    if keys is None:
        raise InputRefused(
            Reason(
                file=path.name,
                expected="a table that can be read without a key, or the keys of its workspace",
                found=f"an encrypted table and no {table_keys.FOLDER} beside the cohort",
                action="put the workspace's keys back in their place",
            )
        )
    return pq.ParquetFile(path, decryption_properties=keys.decryption(participant))


def _verify(path: Path, schema: pa.Schema, *, participant: str, rows: int, keys: TableKeys | None) -> None:
    """Read a finished file again: schema, number of rows, one ID, positions in order within each row group."""
    with open_table(path, participant=participant, keys=keys) as file:
        position = "pos" if "pos" in schema.names else "start"
        if not file.schema_arrow.equals(schema) or file.metadata.num_rows != rows:
            raise OSError("a table does not read back as it was written")
        for group in range(file.metadata.num_row_groups):
            table = file.read_row_group(group, columns=["participant_id", position])
            positions = numpy_of(table, position)
            ids = table.column("participant_id").unique().to_pylist()
            if ids != [participant] or (positions[1:] < positions[:-1]).any():
                raise OSError("a table does not read back as it was written")


def _is_done(output: Path, participant: str, metadata: dict[str, str], keys: TableKeys | None) -> bool:
    both = (table_path(output, participant), reference_path(output, participant))
    if not all(path.exists() for path in both):
        return False
    if keys is not None and not all(table_keys.is_encrypted(path) for path in both):
        return False
    return all(_metadata_of(path, participant=participant, keys=keys) == metadata for path in both)


def _metadata_of(table: Path, *, participant: str = "", keys: TableKeys | None = None) -> dict[str, str]:
    """What a participant's table, or a file of sites, says of itself (``sites_metadata``).

    Nothing for a table whose key is gone: nobody will ever read it.
    """
    if keys is not None and table_keys.is_encrypted(table) and not keys.has(participant):
        return {}
    with open_table(table, participant=participant, keys=keys) as file:
        metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}


def write_tables(store: Store, snapshot: Snapshot, tasks: Sequence[TablesTask], output: Path, number: int) -> None:
    """Run one task: write the tables of its participants, each verified before it appears.

    Participants whose tables are of this snapshot and made with these settings already are left as they are.
    """
    task = tasks[number]
    ids = participants_of(store, task.batch)
    roster, filters = batches.read_roster(store, task.batch)
    sexes = roster.column("sex").to_pylist()
    # opened in each process anew: keys are not sent to workers
    keys = table_keys.open_keys(store.workspace)
    chosen = sorted(task.only) if task.only is not None else list(range(task.first, task.last))
    metadata = sites_metadata(store, snapshot)
    chosen = [sample for sample in chosen if not _is_done(output, ids[sample], metadata, keys)]
    if not chosen:
        return
    caller_filters = pa.array(["PASS", *filters])
    with ExitStack() as stack:
        writers = {}
        for sample in chosen:
            writers[sample] = _Writers(output, ids[sample], metadata, keys)
            stack.callback(writers[sample].discard)
        wanted = [("sample", ">=", chosen[0]), ("sample", "<=", chosen[-1])]
        for shard in range(len(store.shards)):
            calls = batches.read_shard(store, task.batch, "calls", shard, filters=wanted)
            reference = batches.read_shard(store, task.batch, "reference", shard, filters=wanted)
            contig = store.shards[shard].contig
            if calls.num_rows:
                sites = snapshots.read_sites(store, snapshot, shard)
                one_copy = one_copy_in_males(contig, numpy_of(calls, "pos"), store.par_regions)
                for sample, rows in _by_sample(calls):
                    if sample in writers:
                        part = calls.take(arrow(rows)).combine_chunks()
                        halved = one_copy[rows] & (sexes[sample] == "male")
                        table = _variant_rows(part, sites, ids[sample], contig, caller_filters, one_copy=halved)
                        writers[sample].write(0, table)
            for sample, rows in _by_sample(reference):
                if sample in writers:
                    part = reference.take(arrow(rows)).combine_chunks()
                    writers[sample].write(1, _reference_rows(part, ids[sample], contig))
        for writer in writers.values():
            writer.close()


def _by_sample(table: pa.Table) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    sample = numpy_of(table, "sample")
    order = np.argsort(sample, kind="stable")
    starts = group_starts(sample[order])
    for start, end in pairwise([*starts, len(sample)]):
        yield int(sample[order[start]]), order[start:end]


def _dictionary(values: pa.Array) -> pa.Array:
    encoded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.cast(pa.int32()), encoded.dictionary)


def _nullable(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    return arrow(values, missing=values < 0).cast(kind)


def _variant_rows(
    calls: pa.Table,
    sites: pa.Table,
    participant: str,
    contig: str,
    filters: pa.Array,
    *,
    one_copy: npt.NDArray[np.bool_],
) -> pa.Table:
    """One participant's call rows of one shard (schema TABLE); ``one_copy``: at which of them they have one copy."""
    count = calls.num_rows
    site = site_of_rows(calls, sites)
    copies, ploidy, gq = (numpy_of(calls, name) for name in ("copies", "ploidy", "gq"))
    pl = np.stack([numpy_of(calls, f"pl_{k}") for k in range(3)], axis=1)
    frequency = numpy_of(sites, "af_joint")[site]
    joint_ploidy = own_ploidy(ploidy, one_copy=one_copy)
    joint_copies, joint_gq = joint_rows(pl, ploidy, copies, gq, frequency, joint_ploidy=joint_ploidy)
    values = np.where(pl[:, 0] < 0, 0, ploidy.astype(np.int64) + 1)
    kept = np.arange(3)[None, :] < values[:, None]
    offsets = np.concatenate([[0], np.cumsum(values)]).astype(np.int32)
    no_pl = np.append(values == 0, False)
    columns: dict[str, Any] = {
        "participant_id": _dictionary(pa.repeat(participant, count)),
        "contig": _dictionary(pa.repeat(contig, count)),
        "called": (numpy_of(calls, "flags") & FLAG_CALLED) > 0,
        "pl": pa.ListArray.from_arrays(arrow(offsets, missing=no_pl), arrow(pl[kept].astype(np.int32))),
        "joint_copies": _nullable(joint_copies, pa.uint8()),
        "joint_gq": _nullable(joint_gq, pa.int16()),
        "joint_ploidy": joint_ploidy,
        "af": sites.column("af").take(arrow(site)),
        "filter": _dictionary(sites.column("filter").take(arrow(site)).combine_chunks()),
        "caller_filter": _dictionary(filters.take(arrow(numpy_of(calls, "filter")))),
    }
    for name in ("gq", "dp", "ad_ref", "ad_alt", "phase_set"):
        columns[name] = _nullable(numpy_of(calls, name), TABLE.field(name).type)
    return pa.table([columns[f.name] if f.name in columns else calls.column(f.name) for f in TABLE], schema=TABLE)


def _reference_rows(reference: pa.Table, participant: str, contig: str) -> pa.Table:
    """One participant's reference blocks of one shard (schema REFERENCE_TABLE)."""
    start = numpy_of(reference, "start")
    columns: dict[str, Any] = {
        "participant_id": _dictionary(pa.repeat(participant, reference.num_rows)),
        "contig": _dictionary(pa.repeat(contig, reference.num_rows)),
        "end": start + numpy_of(reference, "length") - 1,
        "dp": _nullable(numpy_of(reference, "dp"), pa.int32()),
        "called": numpy_of(reference, "state") == STATE_CALLED,
    }
    return pa.table(
        [columns[f.name] if f.name in columns else reference.column(f.name) for f in REFERENCE_TABLE],
        schema=REFERENCE_TABLE,
    )


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
        tasks = plan_tables(store, at, participants=participants)
        output.mkdir(parents=True, exist_ok=True)
        with (engine or Engine()).open() as map_tasks:
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
    for path in output.glob("*/*.parquet"):
        participant = path.name.removesuffix(".parquet").removesuffix(".reference")
        metadata = _metadata_of(path, participant=participant, keys=keys)
        if metadata.get("baekman.snapshot") not in existing:
            stale.add(participant)
    return sorted(find_batches(store, sorted(stale), at=snapshots.read_snapshot(store)))


def withdraw_tables(store: Store, participants: Sequence[str], *, engine: Engine | None = None) -> None:
    """Delete the tables of ``participants`` beside the cohort, and write anew those of others that counted them.

    To be called when they have left the cohort. Only the tables of a workspace are known, ``tables`` beside
    ``cohort``; a store of another name has none.
    """
    output = store.workspace / "tables"
    if store.path.absolute().name != "cohort" or not output.is_dir():
        return
    for participant in participants:
        if PARTICIPANT_ID.fullmatch(participant):
            for path in (table_path(output, participant), reference_path(output, participant)):
                path.unlink(missing_ok=True)
                _remove_unfinished(path)
    if stale := stale_tables(store, output):
        make_latest_tables(store, output=output, participants=stale, engine=engine)


def freeze(store: Store, *, output: Path, engine: Engine | None = None) -> Snapshot:
    """Write ``sites/`` and ``tables/`` of everyone at the current snapshot below ``output``.

    Run again after a kill it takes up where it stopped. A freeze of another snapshot is never written over.
    InputRefused when somebody's consent is not in force: nobody is released without.
    """
    snapshot = snapshots.read_snapshot(store)
    denied = sorted(standing.denied(store.workspace))
    standing.require_consent(store.workspace, find_batches(store, denied, at=snapshot), file="cohort")
    existing = output / "sites"
    if existing.is_dir():
        if _metadata_of(existing / f"{store.shards[0].name}.parquet") != sites_metadata(store, snapshot):
            raise InputRefused(
                Reason(
                    file="--output",
                    expected="a new folder, or one with a freeze of this snapshot",
                    found="a freeze of another one, or with other settings",
                    action="choose another folder: a freeze is never written over",
                )
            )
    elif snapshot.number:
        for stale in output.glob(".sites.*.tmp"):  # what a killed run left
            shutil.rmtree(stale)
        with snapshots.reading(store, snapshot), atomic_folder(existing) as folder:
            for shard in store.shards:
                name = f"{shard.name}.parquet"
                shutil.copyfile(store.sites(snapshot.number) / name, folder / name)
    make_tables(store, output=output / "tables", snapshot=snapshot, engine=engine)
    return snapshot
