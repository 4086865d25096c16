"""The annotation of a snapshot: alleles that an older snapshot has are taken over, new ones are annotated.

An annotation depends on the allele and the sources alone. Therefore annotating only the new alleles gives the bytes of
annotating all of them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from baekman.annotation.consequences import consequences_of, parsed
from baekman.annotation.copies import KEY, rows_of
from baekman.annotation.known import TAGS, known_alleles
from baekman.annotation.schema import ANNOTATIONS, SCHEMA_VERSION
from baekman.annotation.sources import GFF_COLUMNS, Sources, contig_lengths, features, names_in_cohort, require_usable
from baekman.annotation.stored import NOTE, has_annotations, read_annotations
from baekman.arrow import numpy_of, with_metadata, write_parquet
from baekman.cohort.garbage import living
from baekman.cohort.snapshot import Snapshot, no_snapshot, numbers, read_sites, read_snapshot, reading, refuse_gone
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.engine.tasks import MapTasks
from baekman.errors import InputRefused, Problem
from baekman.files import locks
from baekman.files.atomic import fsync_folder
from baekman.files.digests import LIST, digests_of, write_digests, write_sealed
from baekman.files.snapshots import SnapshotGone
from baekman.genome.chromosomes import chromosome_kind
from baekman.tools.programs import version

ATTEMPTS = 10
PARTS = ".parts"  # the reference and the genes of each contig, while a snapshot is annotated


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """The result of ``annotate``: the snapshot, its number of alleles, and how many were not taken over."""

    snapshot: Snapshot
    alleles: int
    new: int


@dataclass(frozen=True, kw_only=True)
class _Work:
    """The annotation of one snapshot: ``base`` is the snapshot to take over from.

    ``names``: for each file, the names of its contigs with the cohort's names of them.
    """

    store: Store
    snapshot: Snapshot
    base: Snapshot | None
    sources: Sources
    names: Mapping[str, Mapping[str, str]]
    note: str
    folder: Path

    def fasta(self, contig: int) -> Path:
        """Return the path of the sequence of a contig."""
        return self.folder / PARTS / f"{contig}.fa"

    def genes(self, contig: int) -> Path:
        """Return the path of the features of a contig; the file exists where there are any."""
        return self.folder / PARTS / f"{contig}.gff3"

    def renaming(self, contig: int) -> Path:
        """Return the path of the list of a contig's names in the files."""
        return self.folder / PARTS / f"{contig}.names"


def annotate(store: Store, sources: Sources, *, number: int | None = None, engine: Engine | None = None) -> Annotated:
    """Annotate the alleles of a snapshot, by default the latest; a snapshot that is annotated already stays.

    Raises InputRefused without sources, for a source that does not fit, and for an absent snapshot.
    """
    if not sources:
        raise InputRefused(
            Problem(
                file="config.yaml",
                place="annotate",
                expected="genes, rsids or clinvar",
                found="none of them",
                action="name at least one file (config/README.md)",
            )
        )
    require_usable(sources, store.contigs)
    digests = sources.digests()
    for _ in range(ATTEMPTS):
        snapshot = read_snapshot(store, number)
        if snapshot.number == 0:
            break
        try:
            with (
                locks.exclusive(store.annotations_lock, waits_for="another command that annotates this cohort"),
                reading(store, snapshot),
            ):
                return _annotate(store, snapshot, sources, digests, engine or Engine())
        except SnapshotGone:
            if number is not None:
                raise
    raise no_snapshot()


def _annotate(
    store: Store, snapshot: Snapshot, sources: Sources, digests: Mapping[str, str], engine: Engine
) -> Annotated:
    """Annotate ``snapshot`` in a new folder, which then gets its place; the caller holds the lock of annotations."""
    note = {
        "schema": SCHEMA_VERSION,
        "bcftools": version("bcftools"),
        "sources": {kind: {"file": path.name, "sha256": digests[kind]} for kind, path in sources.files.items()},
    }
    target = store.annotations(snapshot.sites)
    if has_annotations(store, snapshot, note):
        alleles = sum(read_annotations(store, snapshot, shard, columns=["pos"]).num_rows for shard in _shards(store))
        return Annotated(snapshot=snapshot, alleles=alleles, new=0)
    older = (each for each in reversed(living(store)) if each.sites != snapshot.sites)
    base = next((each for each in older if has_annotations(store, each, note)), None)
    working = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(working, ignore_errors=True)
    (working / PARTS).mkdir(parents=True)
    own = [contig.name for contig in store.contigs]
    names = {
        kind: names_in_cohort(contig_lengths(path, kind=kind), own, aliases=dict(sources.aliases))
        for kind, path in sources.files.items()
    }
    work = _Work(
        store=store,
        snapshot=snapshot,
        base=base,
        sources=sources,
        names=names,
        note=json.dumps(note, sort_keys=True),
        folder=working,
    )
    with engine.open() as map_tasks:
        digests_by_file, counts = _run(work, map_tasks)
    shutil.rmtree(working / PARTS)
    write_digests(working / LIST, digests_by_file)
    write_sealed(working / NOTE, note)
    with store.lock():  # a withdrawal deletes annotations under this lock
        if snapshot.number not in numbers(store):
            shutil.rmtree(working)
            refuse_gone(store, [snapshot.number])
        shutil.rmtree(target, ignore_errors=True)
        working.rename(target)
        fsync_folder(target.parent)
    return Annotated(snapshot=snapshot, alleles=int(counts[:, 0].sum()), new=int(counts[:, 1].sum()))


def _shards(store: Store) -> range:
    return range(len(store.shards))


def _run(work: _Work, map_tasks: MapTasks) -> tuple[dict[str, str], npt.NDArray[np.int64]]:
    """Run the tasks; return the digests of the files, and for each shard its number of alleles and of new ones."""
    if work.sources.genes is not None:
        map_tasks("reading genes", partial(_split_genes, work), 1)
    map_tasks("preparing contigs", partial(_prepare_contig, work), len(work.store.contigs))
    results = map_tasks("annotating alleles", partial(_annotate_shard, work), len(work.store.shards))
    digests = dict(chain.from_iterable(digests.items() for digests, _, _ in results))
    return digests, np.array([counts for _, *counts in results], np.int64).reshape(-1, 2)


def _split_genes(work: _Work, _task: int) -> None:
    """Write the features of each contig of the cohort to a file of their own, with the cohort's name."""
    assert work.sources.genes is not None
    index = {contig.name: number for number, contig in enumerate(work.store.contigs)}
    options = pacsv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    for batch in features(work.sources.genes):
        for name in batch.column("seqid").unique().to_pylist():
            contig = work.names["genes"].get(name)
            if contig is None:
                continue
            some = batch.filter(pc.equal(batch.column("seqid"), name))
            some = some.set_column(0, "seqid", pa.array([contig] * some.num_rows, pa.string()))
            with work.genes(index[contig]).open("ab") as out:
                pacsv.write_csv(pa.Table.from_batches([some]).select(list(GFF_COLUMNS)), out, options)


def _prepare_contig(work: _Work, contig: int) -> None:
    """Write the sequence of a contig as an indexed FASTA, and its names in the files."""
    name, length = work.store.contigs[contig].name, work.store.contigs[contig].length
    start = int(work.store.genome.starts[contig])
    head = f">{name}\n".encode()
    with work.fasta(contig).open("wb") as out:
        out.write(head)
        out.write(work.store.genome.sequence[start : start + length].data)
        out.write(b"\n")
    Path(f"{work.fasta(contig)}.fai").write_text(f"{name}\t{length}\t{len(head)}\t{length}\t{length + 1}\n")
    others = {other for names in work.names.values() for other, own in names.items() if own == name}
    work.renaming(contig).write_text("".join(f"{other} {name}\n" for other in sorted(others - {name})))


def _annotate_shard(work: _Work, shard: int) -> tuple[dict[str, str], int, int]:
    """Write the annotations of one shard; return their digest, the number of alleles and that of new ones."""
    store, tile = work.store, work.store.shards[shard]
    sites = read_sites(store, work.snapshot, shard, columns=["contig", *KEY])
    older = read_annotations(store, work.base, shard) if work.base else ANNOTATIONS.empty_table()
    row_of = rows_of(sites, older)
    is_new = row_of < 0
    new = sites.filter(pa.array(is_new))
    row_of[is_new] = older.num_rows + np.arange(new.num_rows)
    # a list that was read from Parquet has another name for its items
    both = [older.replace_schema_metadata(None).cast(ANNOTATIONS), _annotations(work, new, shard)]
    table = pa.concat_tables(both).take(row_of)
    described = with_metadata(ANNOTATIONS, {"baekman.annotation": work.note})
    path = work.folder / f"{tile.name}.parquet"
    write_parquet(table.combine_chunks().replace_schema_metadata(described.metadata), path)
    return digests_of(work.folder, [path]), sites.num_rows, new.num_rows


def _annotations(work: _Work, alleles: pa.Table, shard: int) -> pa.Table:
    """Return the annotations (schema ANNOTATIONS) of ``alleles``, in their order."""
    tile = work.store.shards[shard]
    contig = next(index for index, each in enumerate(work.store.contigs) if each.name == tile.contig)
    columns = {name: alleles.column(name) for name in ("contig", *KEY)}
    if alleles.num_rows:
        if work.genes(contig).is_file():
            columns |= _of_genes(work, alleles, contig)
        for kind in set(TAGS) & set(work.sources.files):
            known = known_alleles(
                work.sources.files[kind],
                kind=kind,
                names=[other for other, own in work.names[kind].items() if own == tile.contig],
                renaming=work.renaming(contig),
                reference=work.fasta(contig),
                start=tile.start,
                end=tile.end,
            )
            columns |= _taken(known, rows_of(alleles, known), names=list(TAGS[kind]))
    nothing = {field.name: pa.nulls(alleles.num_rows, field.type) for field in ANNOTATIONS if field.name not in columns}
    return pa.table({**columns, **nothing}).select(ANNOTATIONS.names).cast(ANNOTATIONS)


def _of_genes(work: _Work, alleles: pa.Table, contig: int) -> dict[str, pa.ChunkedArray]:
    own = work.store.contigs[contig]
    texts = consequences_of(
        alleles.select(KEY),
        contig=own.name,
        length=own.length,
        reference=work.fasta(contig),
        genes=work.genes(contig),
        is_mitochondrial=chromosome_kind(own.name) == "MT",
    )
    values = parsed(texts)
    rows = np.full(alleles.num_rows, -1, np.int64)
    rows[numpy_of(values, "row")] = np.arange(values.num_rows)
    return _taken(values, rows, names=[name for name in values.column_names if name != "row"])


def _taken(table: pa.Table, rows: npt.NDArray[np.int64], *, names: list[str]) -> dict[str, pa.ChunkedArray]:
    """Return columns of ``table`` at ``rows``; null where a row is -1."""
    chosen = pa.array(rows, mask=rows < 0)
    return {name: table.column(name).take(chosen) for name in names}
