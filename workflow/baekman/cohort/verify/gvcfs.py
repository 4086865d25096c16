"""Proof that the store agrees with the gVCFs that went in: each gVCF is read again and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from baekman.arrow import concat
from baekman.cohort.batch import open_gvcf, read_shard, shards_of, sort_calls
from baekman.cohort.gvcf_list import Member
from baekman.cohort.index import find_batches
from baekman.cohort.roster import read_roster
from baekman.cohort.schema import CALLS, REFERENCE
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from baekman.files.digests import sha256_of
from baekman.gvcf.reader import GvcfReader, read_in_pieces
from baekman.gvcf.thresholds import GvcfRules

UNKNOWN_FILTER = 0xFFFF


def compare_gvcfs(
    store: Store, members: Sequence[Member], *, rules: GvcfRules | None = None, engine: Engine | None = None
) -> list[str]:
    """Return every difference between the latest snapshot and the gVCFs of ``members``, a line each.

    ``rules``: those that the gVCFs are read by, by default the store's.
    """
    at = read_snapshot(store)
    batch_of = find_batches(store, [member.participant_id for member in members], at=at)
    with (engine or Engine()).open() as map_tasks:
        differences = map_tasks(
            "comparing gVCFs", partial(_compare, store, tuple(members), batch_of, rules), len(members)
        )
    return [
        f"participant {member.participant_id}: {difference}"
        for member, of_member in zip(members, differences, strict=True)
        for difference in of_member
    ]


def _compare(
    store: Store, members: Sequence[Member], batch_of: dict[str, str], rules: GvcfRules | None, index: int
) -> list[str]:
    member = members[index]
    if member.participant_id not in batch_of:
        return ["not in the cohort"]
    name = batch_of[member.participant_id]
    roster, filters = read_roster(store, name)
    (row,) = roster.filter(pc.equal(roster["participant_id"], member.participant_id)).to_pylist()
    if sha256_of(Path(member.gvcf)) != row["gvcf_sha256"]:
        return ["another gVCF than the one that went in"]
    try:
        opened = partial(open_gvcf, store, member, rules=rules)
        return read_in_pieces(partial(_of_shards, store, opened, name, row, filters))
    except InputRefused as refused:
        return [str(problem) for problem in refused.problems]


def _of_shards(
    store: Store,
    opened: Callable[..., GvcfReader],
    name: str,
    row: Mapping[str, Any],
    filters: Sequence[str],
    whole_contigs: bool,
) -> list[str]:
    sample = row["sample"]
    reader = opened(whole_contigs=whole_contigs)
    differences = []
    uncovered = dict(enumerate(store.shards))
    for shard, calls, reference in shards_of(store, reader, sample=sample):
        del uncovered[shard]
        names = reader.filters  # of the rows so far
        # a filter without a code in the store makes a difference, unless its rows are not in this shard
        code_of = {text: code for code, text in enumerate(filters, start=1)}
        codes = pa.array([0, *(code_of.get(text, UNKNOWN_FILTER) for text in names)], pa.uint16())
        column = CALLS.get_field_index("filter")
        calls = calls.set_column(column, CALLS.field(column), codes.take(calls["filter"]))
        of_gvcf = {"calls": sort_calls(pa.Table.from_batches([calls])), "reference": reference}
        differences += [
            f"{kind} of shard {store.shards[shard].name} differ from the gVCF"
            for kind, stored in _stored(store, name, shard, sample)
            if not stored.equals(concat([pa.table(of_gvcf[kind])], stored.schema))
        ]
    differences += [
        f"{kind} of shard {tile.name}, which the gVCF does not cover"
        for shard, tile in uncovered.items()
        for kind, stored in _stored(store, name, shard, sample)
        if stored.num_rows
    ]
    if dict(row["remarks"]) != reader.counts.remarks:
        differences.append("the roster's remarks differ from the gVCF")
    return differences


def _stored(store: Store, batch: str, shard: int, sample: int) -> Iterator[tuple[str, pa.Table]]:
    for kind, schema in (("calls", CALLS), ("reference", REFERENCE)):
        table = read_shard(store, batch, kind, shard, filters=[("sample", "==", sample)])
        yield kind, concat([table.cast(schema)], schema)
