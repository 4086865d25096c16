"""The relatedness of a snapshot: kinship, principal components, heterozygosity and outliers."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from baekman.arrow import numpy_of, write_parquet
from baekman.cohort.dense_genotypes import participants_of
from baekman.cohort.snapshot import RELATEDNESS, Snapshot, no_snapshot, numbers, read_snapshot, reading, refuse_gone
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.export import counts
from baekman.export.pgen import convert
from baekman.export.write import Content, join_pieces, write_piece
from baekman.files import locks
from baekman.files.atomic import fsync_folder
from baekman.files.digests import LIST, digests_of, write_digests, write_sealed
from baekman.files.snapshots import SnapshotGone
from baekman.relatedness import schema
from baekman.relatedness.plink import Plink
from baekman.relatedness.schema import COMPONENTS, FILES, KINSHIP, PAIRS, PEOPLE, USED, VARIANTS
from baekman.relatedness.selection import autosomes, chosen_regions, spacing
from baekman.relatedness.stored import NOTE, folder_of, has_relatedness, noted
from baekman.relatedness.unrelated import related_to_others
from baekman.tools.programs import require, version

ATTEMPTS = 10
WORK = "work"  # genotypes and the files of plink2, while a snapshot is computed


@dataclass(frozen=True, kw_only=True)
class Related:
    """The result of ``compute``: the snapshot, the note on its relatedness, and whether it was there already."""

    snapshot: Snapshot
    note: Mapping[str, Any]
    was_there: bool


@dataclass(frozen=True, kw_only=True)
class _Work:
    """The computing for one snapshot, in ``folder``; the participants ``without`` are not in it."""

    store: Store
    snapshot: Snapshot
    without: frozenset[str]
    folder: Path

    def piece(self, shard: int) -> Path:
        """Return the path of the genotypes of a shard."""
        return self.folder / f"{self.store.shards[shard].name}.piece"


def compute(
    store: Store,
    *,
    left_out: Callable[[Snapshot], frozenset[str]],
    number: int | None = None,
    engine: Engine | None = None,
    memory_mb: int | None = None,
) -> Related:
    """Compute the relatedness of a snapshot, by default the latest, unless it is there.

    ``left_out`` returns the participants of a snapshot whose data may not be used: they are in no file and in no
    number. It is asked before the work and at its end. ``memory_mb``: of plink2; by default half of the machine's.

    Raises InputRefused for an absent snapshot, for too few participants or variants, without plink2, and when a
    consent ended while the work ran.
    """
    require("plink2")
    for _ in range(ATTEMPTS):
        snapshot = read_snapshot(store, number)
        if snapshot.number == 0:
            break
        (store.path / RELATEDNESS).mkdir(exist_ok=True)
        lock = store.path / RELATEDNESS / ".lock"
        try:
            with (
                locks.exclusive(lock, waits_for="another command that computes the relatedness of this cohort"),
                reading(store, snapshot),
            ):
                return _compute(store, snapshot, left_out, engine=engine or Engine(), memory_mb=memory_mb)
        except SnapshotGone:
            if number is not None:
                raise
    raise no_snapshot()


def settings_of(without: frozenset[str]) -> dict[str, Any]:
    """Return what the results depend on, next to the snapshot."""
    return {
        "schema": schema.SCHEMA_VERSION,
        "plink2": version("plink2"),
        "left_out": hashlib.sha256("\n".join(sorted(without)).encode()).hexdigest(),
        "rules": {
            "least_af": schema.LEAST_AF,
            "least_call_rate": schema.LEAST_CALL_RATE,
            "most_variants": schema.MOST_VARIANTS,
            "least_kinship": schema.LEAST_KINSHIP,
            "unrelated_below": schema.UNRELATED_BELOW,
            "outlier_sd": schema.OUTLIER_SD,
        },
    }


def _compute(
    store: Store,
    snapshot: Snapshot,
    left_out: Callable[[Snapshot], frozenset[str]],
    *,
    engine: Engine,
    memory_mb: int | None,
) -> Related:
    """Compute the relatedness of ``snapshot`` in a new folder, which then gets its place; the caller holds the lock."""
    without = left_out(snapshot)
    settings, target = settings_of(without), folder_of(store, snapshot)
    if has_relatedness(store, snapshot, settings):
        return Related(snapshot=snapshot, note=noted(store, snapshot) or {}, was_there=True)
    working = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(working, ignore_errors=True)
    (working / WORK).mkdir(parents=True)
    work = _Work(store=store, snapshot=snapshot, without=without, folder=working / WORK)
    try:
        note = _write(work, working, engine=engine, memory_mb=memory_mb)
        _require_consent(left_out(snapshot) - without)
    except (InputRefused, RuntimeError):
        shutil.rmtree(working, ignore_errors=True)
        raise
    shutil.rmtree(working / WORK)
    write_digests(working / LIST, digests_of(working, [working / name for name in FILES]))
    write_sealed(working / NOTE, {**settings, **note})
    with store.lock():  # a withdrawal deletes relatedness under this lock
        if snapshot.number not in numbers(store):
            shutil.rmtree(working)
            refuse_gone(store, [snapshot.number])
        shutil.rmtree(target, ignore_errors=True)
        working.rename(target)
        fsync_folder(target.parent)
    return Related(snapshot=snapshot, note={**settings, **note}, was_there=False)


def _write(work: _Work, output: Path, *, engine: Engine, memory_mb: int | None) -> dict[str, Any]:
    """Write the tables to ``output``; return the numbers and options for the note."""
    contigs = autosomes(work.store)
    names = participants_of(work.store, work.snapshot, without=work.without).ids.to_pylist()
    if len(names) < schema.LEAST_PEOPLE:
        raise _too_few("participants", schema.LEAST_PEOPLE, len(names))
    candidates = _write_genotypes(work, [contig.name for contig in contigs], engine=engine)
    if candidates < schema.LEAST_VARIANTS:
        raise _too_few("common SNVs of autosomes", schema.LEAST_VARIANTS, candidates)
    workers = max(1, engine.workers)
    plink = Plink(folder=work.folder, autosomes=max(1, len(contigs)), threads=workers, memory_mb=memory_mb)
    variants = plink.prune(people=len(names), of="genotypes")
    if variants < schema.LEAST_VARIANTS:
        raise _too_few("common SNVs that are not linked", schema.LEAST_VARIANTS, variants)
    write_parquet(_variants(plink, [contig.name for contig in contigs]), output / VARIANTS)
    pairs = _pairs(plink.kinship())
    write_parquet(pairs, output / KINSHIP)
    table, components = _people(plink, names, pairs)
    write_parquet(table, output / COMPONENTS)
    return {
        "snapshot": work.snapshot.number,
        "participants": len(names),
        "variants": {"candidates": candidates, "used": variants},
        "is_pruned_by_ld": len(names) >= schema.USUAL_PEOPLE,
        "components": components,
        "unrelated": len(names) - int(np.asarray(table.column("is_projected")).sum()),
        "doubts": [
            *(["variants"] if variants < schema.USUAL_VARIANTS else []),
            *(["participants"] if len(names) < schema.USUAL_PEOPLE else []),
        ],
        "options": plink.options,
    }


def _write_genotypes(work: _Work, contigs: list[str], *, engine: Engine) -> int:
    """Write the genotypes of the chosen variants as the pgen ``genotypes``; return their number."""
    store = work.store
    shards = [shard for name in contigs for shard in store.shards_of[name]]
    window = spacing([contig for contig in store.contigs if contig.name in contigs])
    with engine.open() as map_tasks:
        map_tasks("genotypes", partial(_write_shard, work, shards, window), len(shards))
    pieces = [work.piece(shard) for shard in shards]
    variants = sum(int(counts.note_of(piece).read_text()) for piece in pieces)
    if variants < schema.LEAST_VARIANTS:
        return variants
    join_pieces(store, work.snapshot, pieces, work.folder / "whole.bcf", without=work.without)
    for piece in pieces:
        piece.unlink()
    (work.folder / "sexes.tsv").write_text("#IID\tSEX\n")  # autosomes have no use for it
    prefix = work.folder / "genotypes"
    convert(store, work.folder / "whole.bcf", prefix, sexes=work.folder / "sexes.tsv", options=("pvar-cols=",))
    (work.folder / "whole.bcf").unlink()
    _number_chromosomes(prefix.with_suffix(".pvar"), contigs)
    return variants


def _write_shard(work: _Work, shards: list[int], window: int, task: int) -> None:
    """Write the genotypes of one shard at its chosen variants."""
    shard = shards[task]
    regions = chosen_regions(work.store, work.snapshot, shard, window=window)
    content = Content(regions=regions, without=work.without, min_ac=1)
    write_piece(work.store, work.snapshot, content=content, shard=shard, piece=work.piece(shard))


def _number_chromosomes(pvar: Path, contigs: list[str]) -> None:
    """Write the numbers of the autosomes for their names, of which plink2 knows only human ones."""
    numbers_of = {name: str(number) for number, name in enumerate(contigs, start=1)}
    renamed = pvar.with_name("numbered.pvar")
    with pvar.open() as lines, renamed.open("w") as out:  # at most MOST_VARIANTS lines
        for line in lines:
            if line.startswith("##"):
                continue
            _, tab, rest = line.partition("\t")
            identifier = rest.split("\t", 2)[1]
            out.write(line if line.startswith("#") else f"{numbers_of[identifier.rsplit(':', 3)[0]]}{tab}{rest}")
    renamed.replace(pvar)


def _variants(plink: Plink, contigs: list[str]) -> pa.Table:
    """Return the variants that are left after pruning (schema USED)."""
    table = plink.table("pruned.pvar")
    contig = pa.array(contigs).take(pc.subtract(table.column("#CHROM").combine_chunks(), 1))
    columns = [table.column(name) for name in ("POS", "REF", "ALT")]
    return pa.table([contig, columns[0].cast(pa.int32()), *columns[1:]], schema=USED)


def _pairs(table: pa.Table) -> pa.Table:
    """Return the pairs of plink2 (schema PAIRS), sorted by their IDs."""
    first, second = (table.column(name) for name in ("IID1", "IID2"))
    is_sorted = pc.less(first, second)
    kinship = numpy_of(table, "KINSHIP").astype(np.float64)
    degree = len(schema.DEGREES) - np.searchsorted(schema.DEGREES[::-1], kinship, side="right")
    return pa.table(
        [
            pc.if_else(is_sorted, first, second),
            pc.if_else(is_sorted, second, first),
            pa.array(kinship),
            pa.array(degree.astype(np.int8)),
            table.column("IBS0").cast(pa.float64()),
            table.column("HETHET").cast(pa.float64()),
            table.column("NSNP").cast(pa.int32()),
        ],
        schema=PAIRS,
    ).sort_by([("participant_1", "ascending"), ("participant_2", "ascending")])


def _people(plink: Plink, names: list[str], pairs: pa.Table) -> tuple[pa.Table, int]:
    """Return the table of participants (schema PEOPLE), and the number of its components."""
    ids = pa.array(names, pa.string())
    close = pairs.filter(pc.greater_equal(pairs.column("kinship"), schema.UNRELATED_BELOW))
    first, second = (
        numpy_of(close.append_column("place", pc.index_in(close.column(name), value_set=ids)), "place").astype(np.int64)
        for name in ("participant_1", "participant_2")
    )
    aside = related_to_others(first, second, people=len(names))
    plink.frequencies(ids.filter(pa.array(~aside)).to_pylist())
    places = plink.components(unrelated=~aside)
    inbreeding = np.asarray(plink.heterozygosity().column("F").cast(pa.float64()).to_numpy(), np.float64)
    values = {f"PC{number + 1}": places[:, number] for number in range(places.shape[1])}
    outlier = outliers({**values, "inbreeding": inbreeding}, basis=~aside)
    nothing = np.full(len(names), np.nan)
    columns = {
        "participant_id": ids,
        **{
            f"PC{number}": _known(values.get(f"PC{number}", nothing))
            for number in range(1, schema.NUMBER_OF_COMPONENTS + 1)
        },
        "is_projected": pa.array(aside),
        "inbreeding": _known(inbreeding),
        "outlier": outlier,
    }
    return pa.table(columns, schema=PEOPLE), places.shape[1]


def outliers(values: Mapping[str, npt.NDArray[np.float64]], *, basis: npt.NDArray[np.bool_]) -> pa.Array:
    """Return for each participant the names of the ``values`` that are outliers, joined by ``;``; null without any.

    An outlier is more than ``OUTLIER_SD`` standard deviations from the mean of the participants in ``basis``. With
    fewer than ``USUAL_PEOPLE`` in it nobody is one: so few cannot be so far from their own mean.
    """
    people = len(basis)
    if basis.sum() < schema.USUAL_PEOPLE:
        return pa.nulls(people, pa.string())
    texts = pa.array([""] * people, pa.string())
    for name, column in values.items():
        known = column[basis & ~np.isnan(column)]
        mean, deviation = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
        far = np.abs(column - mean) > schema.OUTLIER_SD * deviation  # NaN is not far
        texts = pc.if_else(pa.array(far), pc.binary_join_element_wise(texts, name, ";"), texts)
    texts = pc.utf8_ltrim(texts, ";")
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _known(values: npt.NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _too_few(noun: str, least: int, count: int) -> InputRefused:
    return InputRefused(
        Problem(
            file="cohort",
            place="relatedness",
            expected=f"at least {least} {noun}",
            found=str(count),
            action="add more participants, or a cohort of whole genomes" if noun != "participants" else "add more",
        )
    )


def _require_consent(ended: frozenset[str]) -> None:
    if ended:
        raise InputRefused(
            Problem(
                file="cohort",
                expected="consent that stays in force while data are written",
                found=f"{len(ended)} participants without it now; nothing was written",
                action="run the same command again",
            )
        )
