"""A batch: the participants of one delivery, read into columns together; immutable once it is committed.

``plan_batch`` lists the tasks. ``read_participant`` reads one gVCF. ``build_calls`` and ``build_reference`` put one
shard of the batch together. ``finish`` turns the work into the batch's folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from baekman.arrow import (
    Filter,
    allele_ranks,
    arrow,
    concat,
    empty_batch,
    numpy_of,
    read_listed,
    strings,
    table_of,
    take,
    write_parquet,
)
from baekman.cohort.census import CALLED_BY, Males, count_alleles, count_called
from baekman.cohort.gvcf_list import Member
from baekman.cohort.roster import ROSTER_FILE, read_roster, remark_counts, write_roster
from baekman.cohort.schema import CALLS, REFERENCE, ROSTER
from baekman.cohort.store import Store
from baekman.cohort.work_file import WorkFile, built_files, note_built
from baekman.errors import DamagedFile
from baekman.files.atomic import fsync_folder, write_text
from baekman.files.digests import (
    LIST,
    digest_of,
    digest_of_bytes,
    digests_of,
    read_digests,
    read_sealed,
    sha256_of,
    write_digests,
    write_sealed,
)
from baekman.gvcf.piece import ROW_COLUMNS, Piece
from baekman.gvcf.reader import GvcfReader, read_in_pieces
from baekman.gvcf.thresholds import GvcfRules

INPUTS = "inputs"


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """The tasks of a batch: one per member, then two per shard. Members are sorted by ID."""

    batch: str
    members: tuple[Member, ...]
    inputs: str  # digest of the members, of their files' sizes and times, and of the rules
    rules: GvcfRules

    def folder(self, store: Store) -> Path:
        """Return the folder of the work; its name has the digest of the inputs, so other inputs have other work."""
        return store.work / f"{self.batch}.{self.inputs}"

    def work_file(self, store: Store, index: int) -> WorkFile:
        """Return the work files of the member ``index``."""
        return WorkFile(self.folder(store) / "read" / f"{index:06d}")


def plan_batch(store: Store, *, batch: str, members: Sequence[Member], rules: GvcfRules | None = None) -> BatchPlan:
    """Plan a batch and write ``plan.json``; the same inputs find the work of an earlier run.

    ``rules``: those that the gVCFs are read by, by default the store's.
    """
    ordered = tuple(sorted(members, key=lambda member: member.participant_id))
    rules = rules or store.rules
    digest = hashlib.sha256(json.dumps(asdict(rules), sort_keys=True).encode())
    for member in ordered:
        status = Path(member.gvcf).stat()
        digest.update(f"{json.dumps(asdict(member))}\t{status.st_size}\t{status.st_mtime_ns}\n".encode())
    plan = BatchPlan(batch=batch, members=ordered, inputs=digest.hexdigest()[:16], rules=rules)
    folder = plan.folder(store)
    folder.mkdir(parents=True, exist_ok=True)
    description = {"batch": batch, "members": [asdict(member) for member in plan.members]}
    with suppress(FileNotFoundError, DamagedFile):
        if read_sealed(folder / "plan.json") == description:
            return plan
    write_sealed(folder / "plan.json", description)
    return plan


def read_participant(store: Store, plan: BatchPlan, index: int) -> None:
    """Read the gVCF of the member ``index`` into work files, shard by shard; nothing to do if they are whole.

    Holds a piece of a contig at a time. Raises InputRefused (naming the participant and the line), and leaves no file
    then.
    """
    work = plan.work_file(store, index)
    if not work.is_whole():
        opened = partial(open_gvcf, store, plan.members[index], rules=plan.rules)
        read_in_pieces(partial(_read, store, opened, index, work))


def _read(store: Store, opened: Callable[..., GvcfReader], sample: int, work: WorkFile, whole_contigs: bool) -> None:
    reader = opened(whole_contigs=whole_contigs)
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
            "evidence": f"{reader.counts.evidence:08x}",
            "records": reader.counts.records,
            "remarks": reader.counts.remarks,
            "contradicting_fields": reader.counts.contradicting,
            "duplicate_alleles": reader.counts.duplicates,
            "filters": reader.counts.filters,
            "shards": shards,
        },
    )


def open_gvcf(store: Store, member: Member, *, whole_contigs: bool, rules: GvcfRules | None = None) -> GvcfReader:
    """Return the reader of a member's gVCF (for ``read_in_pieces``); its errors name the participant.

    ``rules``: those that it is read by, by default the store's.
    """
    rules = rules or store.rules
    return GvcfReader(
        Path(member.gvcf),
        label=member.label,
        genome=store.genome_by(rules),
        thresholds=replace(store.thresholds, max_contradicting=rules.max_contradicting),
        shard_ends=store.shard_ends,
        whole_contigs=whole_contigs,
    )


def shards_of(store: Store, reader: GvcfReader, *, sample: int) -> Iterator[tuple[int, pa.RecordBatch, pa.RecordBatch]]:
    """Yield a shard's number, call rows and reference segments, in the order of the gVCF's contigs.

    The call rows have schema CALLS, with the gVCF's own codes in ``filter``; the segments have schema REFERENCE. Shards
    that the gVCF does not cover are left out.
    """
    for piece in reader.pieces():
        # columns are made once per piece; the part of a shard is a slice of them
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
    quality = piece.rows[:, ROW_COLUMNS.index("quality")]  # in hundredths
    columns["qual"] = np.where((columns["pl_0"] < 0) & (quality >= 0), quality // 100, -1)
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


def build_calls(store: Store, plan: BatchPlan, shard: int) -> dict[str, str]:
    """Write the calls of one shard of the batch, and their census; return the digests of both files."""
    folder = plan.folder(store)
    name = store.shards[shard].name
    if (built := built_files(folder, name, "calls", "census")) is not None:
        return built
    collected = _collected(folder)
    calls = concat(
        [pa.Table.from_batches(_of_members(store, plan, collected, shard, WorkFile.read_calls), CALLS)], CALLS
    )
    # the batch's code of each filter, by member and by the code in the member's gVCF
    codes = np.zeros((len(plan.members), 1 + max(map(len, collected["filters"]))), np.uint16)
    for index, filters in enumerate(collected["filters"]):
        codes[index, 1 : 1 + len(filters)] = filters
    column = CALLS.get_field_index("filter")
    renumbered = codes[numpy_of(calls, "sample"), numpy_of(calls, "filter")]
    calls = sort_calls(calls.set_column(column, CALLS.field(column), arrow(renumbered)))
    males = males_of(store, [member.sex for member in plan.members], shard)
    write_calls(folder / "batch", name, calls, males=males)
    return note_built(folder, name, "calls", "census")


def build_reference(store: Store, plan: BatchPlan, shard: int) -> dict[str, str]:
    """Write the reference segments of one shard, and the number of called participants; return both digests."""
    folder = plan.folder(store)
    name = store.shards[shard].name
    if (built := built_files(folder, name, "reference", "called")) is not None:
        return built
    collected = _collected(folder)
    called = pa.schema([CALLS.field(name) for name in CALLED_BY])
    reference, calls = (
        concat([pa.Table.from_batches(_of_members(store, plan, collected, shard, read), schema)], schema)
        for read, schema in (
            (WorkFile.read_reference, REFERENCE),
            (partial(WorkFile.read_calls, columns=CALLED_BY), called),
        )
    )
    males = males_of(store, [member.sex for member in plan.members], shard)
    write_reference(folder / "batch", name, calls, reference, males=males)
    return note_built(folder, name, "reference", "called")


def _collected(folder: Path) -> dict[str, Any]:
    return read_sealed(folder / "collected.json")


def _of_members(
    store: Store,
    plan: BatchPlan,
    collected: dict[str, Any],
    shard: int,
    read: Callable[[WorkFile, int], pa.RecordBatch],
) -> list[pa.RecordBatch]:
    """Return the result of ``read`` for each member with a part of the shard."""
    return [
        read(plan.work_file(store, index), number)
        for index, order in enumerate(collected["orders"])
        if (number := collected["order"][order].get(str(shard))) is not None
    ]


def sort_calls(calls: pa.Table) -> pa.Table:
    """Return call rows in the store's order: pos, ref, alt, sample."""
    if calls.num_rows == 0:
        return calls
    rank = allele_ranks(calls.column("ref"), calls.column("alt"))
    order = np.lexsort((numpy_of(calls, "sample"), rank, numpy_of(calls, "pos")))
    return take(calls, order).combine_chunks()


def males_of(store: Store, sexes: Sequence[str], shard: int) -> Males:
    """Return the males of a batch, from the ``sexes`` of its samples, for counting in a shard."""
    return Males(male=np.array(sexes) == "male", contig=store.shards[shard].contig, par=store.par_regions)


def seal(folder: Path, of_shards: Iterable[Mapping[str, str]], *, inputs: str) -> None:
    """Write ``hashes.json`` of a batch's files, then ``inputs``, which marks the batch as complete.

    ``of_shards``: the result of ``digests_of_shard`` for each shard. The digests of the roster and of ``inputs`` are
    added here.
    """
    digests = digests_of(folder, [folder / ROSTER_FILE])
    for of_shard in of_shards:
        digests |= of_shard
    write_digests(folder / LIST, digests | {INPUTS: digest_of_bytes(inputs.encode())})
    write_text(folder / INPUTS, inputs)


def sealed_digests(store: Store, batch: str) -> dict[str, str] | None:
    """Return the digests of a batch's files when they were written, by path; None when the batch is not sealed."""
    return read_digests(store.batch(batch) / LIST)


def write_calls(folder: Path, name: str, calls: pa.Table, *, males: Males) -> None:
    """Write a shard's calls (in the store's order), and then their census."""
    write_parquet(calls, folder / "calls" / f"{name}.parquet")
    write_parquet(count_alleles(calls, males=males), folder / "census" / f"{name}.parquet")


def write_reference(folder: Path, name: str, calls: pa.Table, reference: pa.Table, *, males: Males) -> None:
    """Write a shard's reference segments and then, with its ``calls`` in any order, the called participants."""
    write_parquet(reference, folder / "reference" / f"{name}.parquet")
    write_parquet(count_called(calls, reference, males=males), folder / "called" / f"{name}.parquet")


def collect(store: Store, plan: BatchPlan) -> None:
    """Write the roster and ``collected.json``, between the two kinds of tasks.

    The latter has one numbering of the callers' filters, and the place of each shard in the work files.
    """
    folder = plan.folder(store)
    with suppress(FileNotFoundError, DamagedFile):
        if _collected(folder)["roster"] == digest_of(folder / "batch" / ROSTER_FILE):
            return
    counts = [plan.work_file(store, index).read_summary() for index in range(len(plan.members))]
    names = sorted({name for count in counts for name in count["filters"]})
    codes = {name: number for number, name in enumerate(names, start=1)}
    roster: dict[str, Any] = {
        "sample": np.arange(len(counts)),
        "participant_id": [member.participant_id for member in plan.members],
        "sex": [member.sex for member in plan.members],
    }
    for name in ROSTER.names[3:-1]:
        roster[name] = [count[name] for count in counts]
    roster["remarks"] = remark_counts([count["remarks"] for count in counts])
    evidence = [count["evidence"] for count in counts]
    write_roster(folder / "batch", table_of(ROSTER, roster), filters=names, rules=plan.rules, evidence=evidence)
    orders = {tuple(count["shards"]): None for count in counts}
    write_sealed(
        folder / "collected.json",
        {
            "filters": [[codes[name] for name in count["filters"]] for count in counts],
            # each distinct order of shards as shard -> number of its part, and the order of each member
            "order": [{shard: number for number, shard in enumerate(order)} for order in orders],
            "orders": [list(orders).index(tuple(count["shards"])) for count in counts],
            "roster": digest_of(folder / "batch" / ROSTER_FILE),
        },
    )


def finish(store: Store, plan: BatchPlan) -> None:
    """Move the finished work to ``batches/<batch>``; it becomes part of the cohort when a snapshot names it."""
    folder = plan.folder(store) / "batch"
    target = store.batch(plan.batch)
    if folder.exists():
        for stale in folder.rglob(".*.tmp"):  # of a killed run
            stale.unlink()
        if target.exists():
            # of a run with other inputs that died before its snapshot: the same inputs leave no work here
            shutil.rmtree(target)
        folder.rename(target)
        fsync_folder(target.parent)


def read_shard(
    store: Store,
    batch: str,
    kind: str,
    shard: int,
    *,
    columns: Sequence[str] | None = None,
    filters: Sequence[Filter] | None = None,
) -> pa.Table:
    """Return one shard of a batch, or some columns, or the rows that pass ``filters`` (see ``arrow.read_listed``).

    ``kind``: calls, reference, census or called.
    """
    return read_listed(
        store.batch(batch), f"{kind}/{store.shards[shard].name}.parquet", columns=columns, filters=filters
    )


def is_same(store: Store, plan: BatchPlan) -> bool:
    """Return whether the batch of that name has the members of ``plan``: same participants, gVCFs and sexes."""
    made = store.batch(plan.batch) / INPUTS
    if made.exists() and made.read_text() == plan.folder(store).name:
        return True
    roster, _ = read_roster(store, plan.batch)
    columns = (roster.column(name).to_pylist() for name in ("participant_id", "sex", "gvcf_sha256"))
    return list(zip(*columns, strict=True)) == [
        (member.participant_id, member.sex, sha256_of(Path(member.gvcf))) for member in plan.members
    ]
