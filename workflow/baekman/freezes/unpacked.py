"""The evidence of a freeze's participants as a temporary cohort store: exports and dense genotypes read it.

The tables of a freeze (schemas FROZEN_TABLES) have a file per participant, and a dense row needs everyone. Each table
is opened once, and its rows go to files of groups of participants, as the batches of a store have them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import (
    allele_ranks,
    arrow,
    concat,
    noticing_damage,
    numpy_of,
    read_parquet,
    take,
    with_schema,
    write_parquet,
)
from baekman.cohort.roster import write_roster
from baekman.cohort.schema import CALLS, MISSING
from baekman.cohort.schema import REFERENCE as SEGMENTS
from baekman.cohort.sites import SiteFilters
from baekman.cohort.snapshot import BatchEntry, Snapshot, create_snapshot
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.files.atomic import atomic_folder
from baekman.files.digests import LIST, digests_of, read_sealed, write_digests, write_sealed
from baekman.freezes.files import SETTINGS_FILE, SHARDS_FILE
from baekman.freezes.folder import SITES
from baekman.freezes.reading import Freeze
from baekman.tables.dataset import BOUNDS
from baekman.tables.files import REFERENCE, VARIANTS, open_table, table_path
from baekman.tables.keys import open_keys

GROUP = 200  # participants, with two open files each
NUMBER = 1  # of the only snapshot
# a table needs neither for genotypes: the filter of the caller, and QUAL, which only a census counts
_CALLS = pa.schema([field for field in CALLS if field.name not in ("filter", "qual")])
KINDS = {"calls": VARIANTS, "reference": REFERENCE}
# the columns of both tables that are read
COLUMNS = {
    "calls": (*(name for name in _CALLS.names if name != "sample" and not name.startswith("pl_")), "pl"),
    "reference": (*(name for name in SEGMENTS.names if name not in ("sample", "length")), "end"),
}


@dataclass(frozen=True, kw_only=True)
class _Work:
    """The unpacking of ``tables`` into ``store``: ``shards`` by their numbers; ``home`` is the workspace with keys."""

    store: Store
    tables: Path
    home: Path | None
    shards: tuple[int, ...]
    groups: tuple[str, ...]

    def roster(self, group: str) -> Path:
        """Return the file with the participants of a group."""
        return self.store.path / "groups" / f"{group}.parquet"


@contextmanager
def unpacked(
    freeze: Freeze, *, people: pa.Table, shards: Sequence[int], folder: Path, engine: Engine | None = None
) -> Iterator[tuple[Store, Snapshot]]:
    """Yield a store in ``folder`` with the evidence of ``people`` in ``shards``, and its only snapshot.

    ``people``: rows of ``freeze.participants()``. The sites are those of the freeze and count all of its participants.
    The folder is deleted at the end. After a kill, the same call goes on with the groups that are missing.

    Raises:
        InputRefused: The freeze is of an earlier version, without all of the evidence, or the keys are missing.
        DamagedFile: A file has other bytes than were written.
    """
    require_evidence(freeze)
    try:
        settings = json.loads((freeze.path / SETTINGS_FILE).read_bytes())
        groups = [people.slice(first, GROUP) for first in range(0, people.num_rows, GROUP)]
        names = [f"group-{number:06d}" for number in range(1, len(groups) + 1)]
        work = _Work(
            store=replace(freeze.store, path=folder.absolute(), home=None),
            tables=freeze.tables,
            home=freeze.store.home,
            shards=tuple(shards),
            groups=tuple(names),
        )
        _prepare(freeze, work, description=settings["store"])
        entries = []
        for name, group in zip(names, groups, strict=True):
            entries.append(_write_group(work, name, group, identity=freeze.identity))
        with (engine or Engine()).open() as map_tasks:
            map_tasks("reading the tables of the freeze", partial(_unpack, work), len(names))
        filters = SiteFilters(**settings["site_filters"])
        number = NUMBER if freeze.frozen else 0  # of an empty cohort, which has no sites
        snapshot = Snapshot(number=number, batches=tuple(entries), filters=filters)
        if number and not (work.store.snapshots / f"{NUMBER:08d}.json").exists():
            create_snapshot(work.store, snapshot)
        yield work.store, snapshot
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_evidence(freeze: Freeze) -> None:
    """Raise InputRefused for a freeze of an earlier version: its tables lack a part of the evidence."""
    if not freeze.has_evidence:
        raise InputRefused(
            Problem(
                file=freeze.path.name,
                expected="a freeze with all evidence in its tables (`flags` and `state`)",
                found="a freeze of an earlier version",
                action="`baekman cohort freeze --output` with its folder adds it while the cohort has the same "
                "participants; else write a new freeze",
            )
        )


def _prepare(freeze: Freeze, work: _Work, *, description: Mapping[str, Any]) -> None:
    """Make the folders of the store, its description, and links to the sites with the digests of the freeze."""
    store, sites = work.store, work.store.sites(NUMBER)
    for place in (store.snapshots, store.path / "batches", store.path / "groups", sites):
        place.mkdir(parents=True, exist_ok=True)
    write_sealed(store.path / "store.json", description)
    shutil.copyfile(freeze.path / SHARDS_FILE, store.path / "shards.tsv")
    listed = read_sealed(freeze.path / LIST)["files"]
    names = [f"{store.shards[shard].name}.parquet" for shard in work.shards if freeze.frozen]
    for name in names:
        if not (sites / name).is_symlink():
            (sites / name).symlink_to(freeze.path / SITES / name)
    write_digests(sites / LIST, {name: listed[f"{SITES}/{name}"] for name in names}, durable=False)


def _write_group(work: _Work, name: str, people: pa.Table, *, identity: Mapping[str, str]) -> BatchEntry:
    """Write the roster of a group, for its task; return its entry in the snapshot."""
    roster = pa.table(
        {
            "sample": arrow(np.arange(people.num_rows, dtype=np.uint32)),
            "participant_id": people.column("participant_id").combine_chunks(),
            "sex": people.column("sex").combine_chunks(),
        }
    )
    write_parquet(roster, work.roster(name))
    content = json.dumps([dict(identity), roster.to_pydict()])
    digest = hashlib.sha256(content.encode()).hexdigest()
    females = roster.column("sex").to_pylist().count("female")
    return BatchEntry(name=name, participants=people.num_rows, digest=digest, females=females)


def _unpack(work: _Work, number: int) -> None:
    """Write the batch of one group; a finished one stays."""
    store, name = work.store, work.groups[number]
    if store.batch(name).is_dir():
        return
    roster = read_parquet(work.roster(name))
    keys = open_keys(work.home) if work.home is not None else None
    ids: list[str] = roster.column("participant_id").to_pylist()
    with atomic_folder(store.batch(name)) as folder:
        write_roster(folder, roster, filters=[])
        for kind, dataset in KINDS.items():
            (folder / kind).mkdir()
            with ExitStack() as stack:
                tables = []
                for participant in ids:
                    path = table_path(work.tables, participant, dataset=dataset)
                    file = stack.enter_context(open_table(path, participant=participant, keys=keys))
                    groups = _groups_of(file, store, BOUNDS[dataset][0])
                    tables.append(_Table(path=path, file=file, groups=groups))
                for shard in work.shards:
                    rows = _rows(tables, shard, kind=kind)
                    write_parquet(rows, folder / kind / f"{store.shards[shard].name}.parquet")
        write_digests(folder / LIST, digests_of(folder, folder.rglob("*.parquet")), durable=False)


@dataclass(frozen=True, kw_only=True)
class _Table:
    """An open table of a participant: ``groups`` has the row group of each shard that has rows."""

    path: Path
    file: pq.ParquetFile
    groups: Mapping[int, int]


def _groups_of(file: pq.ParquetFile, store: Store, position: str) -> dict[int, int]:
    """Return the row group of each shard, by the statistics of ``contig`` and ``position``."""
    metadata = file.metadata
    contig, at = (metadata.schema.names.index(name) for name in ("contig", position))
    groups = {}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        name, first = (group.column(column).statistics.min for column in (contig, at))
        place = int(np.searchsorted(store.shard_ends[_contig_number(store, name)], first))
        groups[store.shards_of[name][place]] = number
    return groups


def _contig_number(store: Store, name: str) -> int:
    return next(number for number, contig in enumerate(store.contigs) if contig.name == name)


def _rows(tables: Sequence[_Table], shard: int, *, kind: str) -> pa.Table:
    """Return the rows of all ``tables`` in a shard, in the order of a batch: ``calls`` or ``reference``."""
    parts = []
    for sample, table in enumerate(tables):
        if shard in table.groups:
            with noticing_damage(table.path):
                rows = table.file.read_row_group(table.groups[shard], columns=list(COLUMNS[kind]), use_threads=False)
            part = _calls(rows) if kind == "calls" else _segments(rows)
            parts.append(part.add_column(0, "sample", arrow(np.full(rows.num_rows, sample, np.uint32))))
    schema = _CALLS if kind == "calls" else SEGMENTS
    together = concat([with_schema(part.select(schema.names), schema) for part in parts], schema)
    if kind == "reference" or not together.num_rows:
        return together
    ranks = allele_ranks(together.column("ref"), together.column("alt"))
    order = np.lexsort((numpy_of(together, "sample"), ranks, numpy_of(together, "pos")))
    return take(together, order)


def _calls(rows: pa.Table) -> pa.Table:
    """Return rows of a table of variants as call rows, with -1 for a null."""
    columns = {name: _filled(rows.column(name)) for name in rows.column_names if name != "pl"}
    lists = rows.column("pl").combine_chunks()
    offsets = lists.offsets.to_numpy()
    lengths = np.diff(offsets)
    pl = np.full((rows.num_rows, 3), MISSING, np.int32)
    row = np.repeat(np.arange(rows.num_rows), lengths)
    pl[row, np.arange(offsets[0], offsets[-1]) - np.repeat(offsets[:-1], lengths)] = lists.flatten().to_numpy()
    return pa.table(columns | {f"pl_{copies}": arrow(np.ascontiguousarray(pl[:, copies])) for copies in range(3)})


def _segments(rows: pa.Table) -> pa.Table:
    """Return rows of a table of reference blocks as segments, with -1 for a null."""
    columns = {name: _filled(rows.column(name)) for name in rows.column_names if name != "end"}
    return pa.table(columns | {"length": arrow(numpy_of(rows, "end") - numpy_of(rows, "start") + 1)})


def _filled(values: pa.ChunkedArray) -> pa.Array:
    array = values.combine_chunks()
    return array.fill_null(MISSING) if array.null_count else array
