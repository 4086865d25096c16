"""A batch that is made of members of older ones: when somebody withdraws, and when small batches become one."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import arrow, cast_table, concat, filtered, numpy_of, read_parquet, take
from baekman.cohort.batch import (
    hashes_of_shard,
    males_of,
    read_roster,
    read_shard,
    shard_path,
    sort_calls,
    write_calls,
    write_reference,
    write_roster,
)
from baekman.cohort.hashes import seal
from baekman.cohort.schema import CALLS, REFERENCE, ROSTER
from baekman.cohort.store import Store
from baekman.engine.tasks import MapTasks
from baekman.files.atomic import fsync_folder


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """Where the samples of the new batch come from; ``source`` and ``sample`` are by new sample.

    ``old``: the batches. ``source``: which of them. ``sample``: the number there. ``sizes``: samples of each old batch.
    ``names``: its caller filters by code - 1. ``sexes``: of the new samples.
    """

    old: tuple[str, ...]
    source: npt.NDArray[np.int64]
    sample: npt.NDArray[np.int64]
    sexes: tuple[str, ...]
    sizes: tuple[int, ...]
    names: tuple[tuple[str, ...], ...]

    def new_samples(self, source: int) -> npt.NDArray[np.int64]:
        """The new number of each sample of an old batch, -1 for who is left out."""
        numbers = np.full(self.sizes[source], -1, np.int64)
        here = np.flatnonzero(self.source == source)
        numbers[self.sample[here]] = here
        return numbers


def rewrite_batches(
    store: Store, old: Sequence[str], *, new: str, without: Collection[str], map_tasks: MapTasks
) -> bool:
    """Write one batch ``new`` with the members of ``old`` less ``without``; False, and nothing, when nobody remains."""
    rosters = [read_roster(store, name) for name in old]
    everyone = pa.concat_tables([roster for roster, _ in rosters]).combine_chunks()
    gone = set(without)
    ids = everyone.column("participant_id").to_pylist()
    rows = np.array(sorted((row for row, one in enumerate(ids) if one not in gone), key=ids.__getitem__), np.int64)
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
    # none of the filters that only others had is named again
    used = map_tasks(f"reading filters for {new}", partial(_filters_in, store, rewriting), len(store.shards))
    filters = sorted(set[str]().union(*used))
    written = map_tasks(
        f"writing {new}", partial(_rewrite_shard, store, rewriting, filters, working), len(store.shards)
    )
    numbered = members.set_column(0, ROSTER.field(0), arrow(np.arange(len(rows), dtype=np.uint32)))
    write_roster(working, cast_table(numbered, ROSTER), filters=filters)
    seal(working, written, inputs=f"rewritten from {' '.join(old)}")
    target = store.batch(new)
    shutil.rmtree(target, ignore_errors=True)
    working.rename(target)
    fsync_folder(target.parent)
    return True


def _filters_in(store: Store, rewriting: Rewriting, shard: int) -> set[str]:
    """The caller filters that rows of those who stay have in a shard."""
    used: set[str] = set()
    for source, (name, names) in enumerate(zip(rewriting.old, rewriting.names, strict=True)):
        if names:
            stays = rewriting.new_samples(source) >= 0
            calls = read_parquet(shard_path(store, name, "calls", shard), columns=["sample", "filter"])
            codes = np.unique(numpy_of(calls, "filter")[stays[numpy_of(calls, "sample")]])
            used.update(names[code - 1] for code in codes.tolist() if code)
    return used


def _rewrite_shard(
    store: Store, rewriting: Rewriting, filters: Sequence[str], folder: Path, shard: int
) -> dict[str, str]:
    """Write one shard, with ``filters`` as its numbering of them; returns the hashes of its files."""
    parts: dict[str, list[pa.Table]] = {"calls": [], "reference": []}
    code_of = {text: code for code, text in enumerate(filters, start=1)}
    for source, (name, names) in enumerate(zip(rewriting.old, rewriting.names, strict=True)):
        numbers = rewriting.new_samples(source)
        # a filter that nobody has any more has no code; rows that had it are not kept
        codes = np.array([0, *(code_of.get(text, 0) for text in names)], np.uint16)
        for kind, found in parts.items():
            table = read_shard(store, name, kind, shard)
            sample = numbers[numpy_of(table, "sample")]
            table = table.set_column(0, table.schema.field(0), arrow(sample.astype(np.uint32)))
            if kind == "calls":
                column = table.schema.get_field_index("filter")
                filter_codes = arrow(codes[numpy_of(table, "filter")])
                table = table.set_column(column, table.schema.field(column), filter_codes)
            found.append(filtered(table, sample >= 0))
    calls, reference = sort_calls(concat(parts["calls"], CALLS)), concat(parts["reference"], REFERENCE)
    order = np.lexsort((numpy_of(reference, "start"), numpy_of(reference, "sample")))
    shard_name, males = store.shards[shard].name, males_of(store, rewriting.sexes, shard)
    write_calls(folder, shard_name, calls, males=males)
    write_reference(folder, shard_name, calls, take(reference, order), males=males)
    return hashes_of_shard(folder, shard_name, "calls", "census", "reference", "called")
