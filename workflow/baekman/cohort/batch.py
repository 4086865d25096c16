"""A batch: the participants of one delivery, read into columns together; immutable once it is committed.

``plan`` writes what the tasks are, ``read_participant`` reads one gVCF, ``build_calls`` and ``build_reference`` put one
shard of the batch together, ``finish`` turns the work into the batch's folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import (
    allele_ranks,
    arrow,
    concat,
    empty_batch,
    numpy_of,
    read_parquet,
    strings,
    table_of,
    take,
    write_parquet,
)
from baekman.cohort.census import CALLED_BY, Males, count_alleles, count_called
from baekman.cohort.gvcf_list import Member
from baekman.cohort.schema import CALLS, REFERENCE, ROSTER
from baekman.cohort.store import Store
from baekman.cohort.work_file import WorkFile
from baekman.files.atomic import fsync_folder, write_text
from baekman.files.digests import digests_of, read_digests, sha256_of, write_digests
from baekman.gvcf.piece import ROW_COLUMNS, Piece
from baekman.gvcf.reader import GvcfReader, read_in_pieces

HASHES = "hashes.json"


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """What the tasks of a batch are: one per member, then one per shard. Members are sorted by ID."""

    batch: str
    members: tuple[Member, ...]
    inputs: str  # digest of the members and of their files' sizes and times

    def folder(self, store: Store) -> Path:
        """Where the work lies, named by its inputs: other inputs never meet this work."""
        return store.work / f"{self.batch}.{self.inputs}"

    def work_file(self, store: Store, index: int) -> WorkFile:
        """Return the work files of the member ``index``."""
        return WorkFile(self.folder(store) / "read" / f"{index:06d}")


def plan(store: Store, *, batch: str, members: Sequence[Member]) -> BatchPlan:
    """Plan a batch and write ``plan.json``; the same inputs find the work that was done before."""
    ordered = tuple(sorted(members, key=lambda member: member.participant_id))
    digest = hashlib.sha256()
    for member in ordered:
        status = Path(member.gvcf).stat()
        digest.update(f"{json.dumps(asdict(member))}\t{status.st_size}\t{status.st_mtime_ns}\n".encode())
    made = BatchPlan(batch=batch, members=ordered, inputs=digest.hexdigest()[:16])
    folder = made.folder(store)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "plan.json").exists():
        write_text(folder / "plan.json", json.dumps({"batch": batch, "members": [asdict(m) for m in made.members]}))
    return made


def read_participant(store: Store, planned: BatchPlan, index: int) -> None:
    """Read one member's gVCF into its work files: a part per shard, as they come.

    Holds a piece of a contig at a time. Raises InputRefused (naming the participant and the line) and leaves nothing
    behind.
    """
    work = planned.work_file(store, index)
    if not work.is_whole():
        read_in_pieces(partial(_read, store, planned.members[index], index, work))


def _read(store: Store, member: Member, sample: int, work: WorkFile, whole_contigs: bool) -> None:
    reader = open_gvcf(store, member, whole_contigs=whole_contigs)
    counts = {"call_rows": 0, "reference_rows": 0}
    shards = []

    def parts() -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        for shard, rows, segments in shards_of(store, reader, sample=sample):
            shards.append(shard)
            counts["call_rows"] += rows.num_rows
            counts["reference_rows"] += segments.num_rows
            yield rows, segments

    work.write(
        parts(),
        summary=lambda: {
            **counts,
            "gvcf_sha256": reader.counts.sha256,
            "records": reader.counts.records,
            "contradicting_fields": reader.counts.contradicting,
            "duplicate_alleles": reader.counts.duplicates,
            "filters": reader.counts.filters,
            "shards": shards,
        },
    )


def open_gvcf(store: Store, member: Member, *, whole_contigs: bool) -> GvcfReader:
    """The reader of a member's gVCF (``read_in_pieces``); its errors name the participant."""
    return GvcfReader(
        Path(member.gvcf),
        label=f"gVCF of {member.participant_id}",
        genome=store.genome,
        thresholds=store.thresholds,
        shard_ends=store.shard_ends,
        whole_contigs=whole_contigs,
    )


def shards_of(store: Store, reader: GvcfReader, *, sample: int) -> Iterator[tuple[int, pa.RecordBatch, pa.RecordBatch]]:
    """Shard, call rows (schema CALLS, ``filter`` by the gVCF's own codes) and reference segments (REFERENCE) of a gVCF.

    In the order of its contigs; those of which it says nothing are left out.
    """
    for piece in reader.pieces():
        # columns are made once a piece: of these a shard's part is a slice
        calls, reference = _calls_of(piece, sample), _reference_of(piece, sample)
        shards = store.shards_of[store.contigs[piece.contig].name][piece.first : piece.last + 1]
        borders = [store.shards[shards[0]].start, *(store.shards[index].end + 1 for index in shards)]
        of_calls = np.searchsorted(piece.rows[:, ROW_COLUMNS.index("pos")], borders).tolist()
        of_reference = np.searchsorted(piece.segments[:, 0], borders).tolist()
        for number, index in enumerate(shards):
            row, segment = of_calls[number], of_reference[number]
            yield (
                index,
                calls.slice(row, of_calls[number + 1] - row),
                reference.slice(segment, of_reference[number + 1] - segment),
            )


def _calls_of(piece: Piece, sample: int) -> pa.RecordBatch:
    columns: dict[str, Any] = {
        name: piece.rows[:, number]
        for number, name in enumerate(ROW_COLUMNS)
        if name not in ("quality", "ref_end", "alt_end")
    }
    columns["sample"] = np.full(len(piece.rows), sample, np.uint32)
    columns["ref"] = strings(*piece.ref)
    columns["alt"] = strings(*piece.alt)
    return _record_batch(CALLS, columns, len(piece.rows))


def _reference_of(piece: Piece, sample: int) -> pa.RecordBatch:
    segments = piece.segments
    columns = {
        "sample": np.full(len(segments), sample, np.uint32),
        "start": segments[:, 0],
        "length": segments[:, 1] - segments[:, 0] + 1,
        **{
            name: segments[:, number]
            for number, name in ((2, "gq"), (3, "dp"), (4, "ploidy"), (5, "other"), (6, "state"))
        },
    }
    return _record_batch(REFERENCE, columns, len(segments))


def _record_batch(schema: pa.Schema, columns: dict[str, Any], rows: int) -> pa.RecordBatch:
    if rows == 0:
        return empty_batch(schema)
    arrays = [
        columns[f.name]
        if isinstance(columns[f.name], pa.Array)
        else arrow(columns[f.name].astype(f.type.to_pandas_dtype()))
        for f in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def build_calls(store: Store, planned: BatchPlan, shard: int) -> dict[str, str]:
    """Put the calls of one shard of the batch together, and their census: two files, whose hashes it returns."""
    folder = planned.folder(store)
    name = store.shards[shard].name
    # the last of the two that is written says that both are
    if (folder / "batch" / "census" / f"{name}.parquet").exists():
        return digests_of_shard(folder / "batch", name, "calls", "census")
    collected = _collected(folder)
    calls = concat(
        [pa.Table.from_batches(_of_members(store, planned, collected, shard, WorkFile.read_calls), CALLS)], CALLS
    )
    # from the codes of each member's gVCF to those of the batch
    codes = np.zeros((len(planned.members), 1 + max(map(len, collected["filters"]))), np.uint16)
    for index, filters in enumerate(collected["filters"]):
        codes[index, 1 : 1 + len(filters)] = filters
    column = CALLS.get_field_index("filter")
    renumbered = codes[numpy_of(calls, "sample"), numpy_of(calls, "filter")]
    calls = sort_calls(calls.set_column(column, CALLS.field(column), arrow(renumbered)))
    males = males_of(store, [member.sex for member in planned.members], shard)
    write_calls(folder / "batch", name, calls, males=males)
    return digests_of_shard(folder / "batch", name, "calls", "census")


def build_reference(store: Store, planned: BatchPlan, shard: int) -> dict[str, str]:
    """Put the reference segments of one shard together, and who is called where: two files, and their hashes, too."""
    folder = planned.folder(store)
    name = store.shards[shard].name
    if (folder / "batch" / "called" / f"{name}.parquet").exists():
        return digests_of_shard(folder / "batch", name, "reference", "called")
    collected = _collected(folder)
    called = pa.schema([CALLS.field(name) for name in CALLED_BY])
    reference, calls = (
        concat([pa.Table.from_batches(_of_members(store, planned, collected, shard, read), schema)], schema)
        for read, schema in (
            (WorkFile.read_reference, REFERENCE),
            (partial(WorkFile.read_calls, columns=CALLED_BY), called),
        )
    )
    males = males_of(store, [member.sex for member in planned.members], shard)
    write_reference(folder / "batch", name, calls, reference, males=males)
    return digests_of_shard(folder / "batch", name, "reference", "called")


def _collected(folder: Path) -> dict[str, Any]:
    collected: dict[str, Any] = json.loads((folder / "collected.json").read_text())
    return collected


def _of_members(
    store: Store,
    planned: BatchPlan,
    collected: dict[str, Any],
    shard: int,
    read: Callable[[WorkFile, int], pa.RecordBatch],
) -> list[pa.RecordBatch]:
    """What ``read`` finds of a shard in the work file of each member who has something there."""
    return [
        read(planned.work_file(store, index), number)
        for index, order in enumerate(collected["orders"])
        if (number := collected["order"][order].get(str(shard))) is not None
    ]


def sort_calls(calls: pa.Table) -> pa.Table:
    """Call rows in the store's order: pos, ref, alt, sample."""
    if calls.num_rows == 0:
        return calls
    rank = allele_ranks(calls.column("ref"), calls.column("alt"))
    order = np.lexsort((numpy_of(calls, "sample"), rank, numpy_of(calls, "pos")))
    return take(calls, order).combine_chunks()


def males_of(store: Store, sexes: Sequence[str], shard: int) -> Males:
    """Who has one copy of what in a shard, from the ``sexes`` of a batch's samples."""
    return Males(male=np.array(sexes) == "male", contig=store.shards[shard].contig, par=store.par_regions)


def digests_of_shard(folder: Path, name: str, *kinds: str) -> dict[str, str]:
    """Return the SHA-256 of a shard's files of these ``kinds``, by path within the batch's ``folder``."""
    return digests_of(folder, (folder / kind / f"{name}.parquet" for kind in kinds))


def seal(folder: Path, of_shards: Iterable[Mapping[str, str]], *, inputs: str) -> None:
    """Write ``hashes.json`` of a batch's Parquet files, then ``inputs``: a batch with that file is complete.

    ``of_shards``: the result of ``digests_of_shard`` for each shard. The roster's digest is added here.
    """
    digests = digests_of(folder, [folder / "roster.parquet"])
    for of_shard in of_shards:
        digests |= of_shard
    write_digests(folder / HASHES, digests)
    write_text(folder / "inputs", inputs)


def sealed_digests(store: Store, batch: str) -> dict[str, str] | None:
    """Return the SHA-256 of a batch's files when they were written, by path; None when the batch is not sealed."""
    return read_digests(store.batch(batch) / HASHES)


def write_calls(folder: Path, name: str, calls: pa.Table, *, males: Males) -> None:
    """Write a shard's calls, sorted as the store has them, and then their census."""
    write_parquet(calls, folder / "calls" / f"{name}.parquet")
    write_parquet(count_alleles(calls, males=males), folder / "census" / f"{name}.parquet")


def write_reference(folder: Path, name: str, calls: pa.Table, reference: pa.Table, *, males: Males) -> None:
    """Write a shard's reference segments and then, with its ``calls`` in any order, who is called."""
    write_parquet(reference, folder / "reference" / f"{name}.parquet")
    write_parquet(count_called(calls, reference, males=males), folder / "called" / f"{name}.parquet")


def collect(store: Store, planned: BatchPlan) -> None:
    """Between the two kinds of tasks: the roster, one numbering of the caller's filters, and where each shard is."""
    folder = planned.folder(store)
    if (folder / "collected.json").exists() and (folder / "batch" / "roster.parquet").exists():
        return
    counts = [planned.work_file(store, index).read_summary() for index in range(len(planned.members))]
    names = sorted({name for count in counts for name in count["filters"]})
    codes = {name: number for number, name in enumerate(names, start=1)}
    roster: dict[str, Any] = {
        "sample": np.arange(len(counts)),
        "participant_id": [member.participant_id for member in planned.members],
        "sex": [member.sex for member in planned.members],
    }
    for name in ROSTER.names[3:]:
        roster[name] = [count[name] for count in counts]
    write_roster(folder / "batch", table_of(ROSTER, roster), filters=names)
    orders = {tuple(count["shards"]): None for count in counts}
    write_text(
        folder / "collected.json",
        json.dumps(
            {
                "filters": [[codes[name] for name in count["filters"]] for count in counts],
                # shard -> number of its part: the few orders that there are, and each member's
                "order": [{shard: number for number, shard in enumerate(order)} for order in orders],
                "orders": [list(orders).index(tuple(count["shards"])) for count in counts],
            }
        ),
    )


def write_roster(folder: Path, roster: pa.Table, *, filters: Sequence[str]) -> None:
    """Write a batch's roster; its metadata names the caller filters by code."""
    schema = roster.schema.with_metadata({"filters": json.dumps(list(filters))})
    write_parquet(roster.cast(schema), folder / "roster.parquet")


def read_roster(store: Store, batch: str) -> tuple[pa.Table, list[str]]:
    """A batch's roster (schema ROSTER) and the names of its caller filters by code - 1."""
    roster = read_parquet(store.batch(batch) / "roster.parquet")
    return roster.replace_schema_metadata(None), json.loads(roster.schema.metadata[b"filters"])


def finish(store: Store, planned: BatchPlan) -> None:
    """Move the finished work to ``batches/<batch>``; it is no part of the cohort before a snapshot names it."""
    folder = planned.folder(store) / "batch"
    target = store.batch(planned.batch)
    if folder.exists():
        for stale in folder.rglob(".*.tmp"):  # what a killed run left
            stale.unlink()
        if target.exists():
            # left by a run that died between this and its snapshot: same inputs would have found no work left
            shutil.rmtree(target)
        folder.rename(target)
        fsync_folder(target.parent)


def read_shard(
    store: Store, batch: str, kind: str, shard: int, *, filters: list[tuple[str, str, int]] | None = None
) -> pa.Table:
    """One shard of a batch, or its rows that pass ``filters``; ``kind`` is calls, reference, census or called."""
    path = shard_path(store, batch, kind, shard)
    return pq.read_table(path, filters=filters) if filters else read_parquet(path)


def shard_path(store: Store, batch: str, kind: str, shard: int) -> Path:
    """Where one shard of a batch is."""
    return store.batch(batch) / kind / f"{store.shards[shard].name}.parquet"


def digest_members(ids: npt.NDArray[Any] | Sequence[str], hashes: Sequence[str], sexes: Sequence[str]) -> str:
    """An order-free digest of who is in a batch: the sum of each member's SHA-256 modulo 2^256, in hex.

    Sums of digests add up over batches, so a cohort's digest needs no list of its participants.
    """
    total = 0
    for participant, content, sex in zip(ids, hashes, sexes, strict=True):
        member = hashlib.sha256(f"{participant}\t{content}\t{sex}".encode()).digest()
        total += int.from_bytes(member, "big")
    return f"{total % (1 << 256):064x}"


def is_same(store: Store, planned: BatchPlan) -> bool:
    """Whether the batch of that name was made of the members of ``planned``: same people, gVCFs and sexes."""
    made = store.batch(planned.batch) / "inputs"
    if made.exists() and made.read_text() == planned.folder(store).name:
        return True
    roster, _ = read_roster(store, planned.batch)
    columns = (roster.column(name).to_pylist() for name in ("participant_id", "sex", "gvcf_sha256"))
    return list(zip(*columns, strict=True)) == [
        (member.participant_id, member.sex, sha256_of(Path(member.gvcf))) for member in planned.members
    ]
