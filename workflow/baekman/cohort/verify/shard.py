"""Proof that one shard of a cohort store is whole: its rows, their sums, and the genotypes of all participants."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import allele_ranks, empty, numpy_of, read_parquet, string_parts, write_parquet
from baekman.cohort import snapshot as snapshots
from baekman.cohort.batch import males_of, read_shard, sealed_digests
from baekman.cohort.census import count_alleles, count_called, merge_alleles, merge_called
from baekman.cohort.commit import sites_metadata
from baekman.cohort.dense_genotypes import (
    CALLED,
    NO_COVERAGE,
    RAW,
    UNCALLED,
    Genotypes,
    chunks,
    count,
    genotypes,
    read_evidence,
)
from baekman.cohort.roster import read_roster
from baekman.cohort.schema import CALLED as CALLED_SCHEMA
from baekman.cohort.schema import (
    CALLS,
    CENSUS,
    FLAG_CALLED,
    FLAG_GENOTYPED,
    MISSING,
    POSITION_FLAGS,
    REFERENCE,
    SITES,
    STATE_CALLED,
    TIE_FIRST,
    TIE_RECORD,
)
from baekman.cohort.sites import describe_sites
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.files.digests import digest_of, listed_digest, sha256_of

KINDS = {"calls": CALLS, "reference": REFERENCE, "census": CENSUS, "called": CALLED_SCHEMA}


def verify_shard(store: Store, known: tuple[Snapshot, ...], names: tuple[str, ...], folder: Path, shard: int) -> None:
    """Verify one shard of the batches ``names`` and of the snapshots ``known``.

    Writes the findings to ``<shard>.json`` in ``folder``, and the number of rows of each sample to ``<shard>.npz``
    (``call_rows.<n>`` and ``reference_rows.<n>`` of the n-th batch).
    """
    findings: list[str] = []
    counts: dict[str, npt.NDArray[np.int64]] = {}
    for number, name in enumerate(names):
        try:
            findings += _batch_shard(store, name, shard, number, counts)
        except MemoryError:  # pyarrow has a subclass of its own: no damage
            raise
        except (OSError, pa.ArrowException, ValueError, IndexError) as error:
            findings.append(f"batches/{name}: shard {store.shards[shard].name} is broken ({type(error).__name__})")
    # a broken batch would only break the sites too
    if not findings:
        try:
            findings += _sites(store, known, shard)
            if known and not findings:
                findings += _dense(store, known[-1], shard)
        except MemoryError:  # pyarrow has a subclass of its own: no damage
            raise
        except (OSError, pa.ArrowException, ValueError, IndexError, KeyError) as error:
            findings.append(f"sites: shard {store.shards[shard].name} is broken ({type(error).__name__})")
    np.savez(folder / f"{store.shards[shard].name}.npz", **counts)  # type: ignore[arg-type]
    (folder / f"{store.shards[shard].name}.json").write_text(json.dumps(findings))


def _batch_shard(
    store: Store, name: str, shard: int, number: int, counts: dict[str, npt.NDArray[np.int64]]
) -> Iterable[str]:
    tile = store.shards[shard]
    folder = store.batch(name)
    digests = sealed_digests(store, name) or {}
    tables: dict[str, pa.Table] = {}
    for kind, schema in KINDS.items():
        place = f"{kind}/{tile.name}.parquet"
        if place in digests and digest_of(folder / place) != digests[place]:
            yield f"batches/{name}/{place}: another SHA-256 than when it was written"
            continue
        tables[kind] = read_parquet(folder / place)
        if tables[kind].schema != schema:
            yield f"batches/{name}/{place}: another schema"
            return
    if len(tables) < len(KINDS):
        return
    roster, filters = read_roster(store, name)
    samples = roster.num_rows
    males = males_of(store, roster["sex"].to_pylist(), shard)
    calls, reference = tables["calls"], tables["reference"]
    for kind, check in (("calls", _calls), ("reference", _segments)):
        table = tables[kind]
        if table.num_rows and numpy_of(table, "sample").max() >= samples:
            yield f"batches/{name}/{kind}/{tile.name}.parquet: a sample that is not in the roster"
            return
        for problem in check(store, shard, table):
            yield f"batches/{name}/{kind}/{tile.name}.parquet: {problem}"
    if calls.num_rows and numpy_of(calls, "filter").max() > len(filters):
        yield f"batches/{name}/calls/{tile.name}.parquet: a filter that is not in the roster"
    if _overlapping(calls, reference):
        yield f"batches/{name}: shard {tile.name}: a call row inside a reference segment of its participant"
    if not count_alleles(calls, males=males).equals(tables["census"]):
        yield f"batches/{name}/census/{tile.name}.parquet: not the sum of the call rows"
    if not count_called(calls, reference, males=males).equals(tables["called"]):
        yield f"batches/{name}/called/{tile.name}.parquet: not the sum of call rows and segments"
    counts[f"call_rows.{number}"] = np.bincount(numpy_of(calls, "sample"), minlength=samples)
    counts[f"reference_rows.{number}"] = np.bincount(numpy_of(reference, "sample"), minlength=samples)


def _increasing(*keys: npt.NDArray[np.generic]) -> bool:
    """Return whether rows are strictly increasing by the keys, the first key first."""
    equal = np.ones(max(len(keys[0]) - 1, 0), np.bool_)
    for key in keys:
        wide = key.astype(np.int64)
        step = np.diff(wide)
        if (step[equal] < 0).any():
            return False
        equal &= step == 0
    return not equal.any()


def _calls(store: Store, shard: int, calls: pa.Table) -> Iterable[str]:
    tile = store.shards[shard]
    pos = numpy_of(calls, "pos")
    if len(pos) == 0:
        return

    def column(name: str) -> npt.NDArray[np.int64]:
        return numpy_of(calls, name).astype(np.int64)

    if not _increasing(pos, allele_ranks(calls["ref"], calls["alt"]), column("sample")):
        yield "rows out of order or twice"
    if pos.min() < tile.start or pos.max() > tile.end:
        yield "a row outside of the shard"
        return
    copies, ploidy, flags = column("copies"), column("ploidy"), column("flags")
    if not np.isin(ploidy, (1, 2)).all() or (copies + column("other") > ploidy).any():
        yield "a row with more copies than its ploidy, or a ploidy other than 1 and 2"
    own = flags & (FLAG_GENOTYPED | FLAG_CALLED)
    tied = flags // TIE_FIRST & 3
    if (own == FLAG_CALLED).any() or (tied == 3).any() or (flags >> TIE_RECORD)[tied == 0].any():
        yield "a row that is called without a genotype, or with unknown flags"
    if ((copies != 1) | (ploidy != 2) | (column("phase") != 0))[tied > 0].any():
        yield "a tie of a row that is not an unphased heterozygote"
    place = (pos.astype(np.int64) << 32) + column("sample")
    places, at = np.unique(place, return_inverse=True)
    best = np.zeros(len(places), np.int64)
    np.bitwise_or.at(best, at, own)
    if (best[at] != flags % TIE_FIRST >> POSITION_FLAGS).any():
        yield "a row without the best flags of its position"
    numbers = np.stack([column(name) for name in ("gq", "dp", "ad_ref", "ad_alt", "pl_0", "pl_1", "pl_2", "phase_set")])
    if numbers.min() < MISSING or column("gq").max() > 99 or column("phase").max() > 3:
        yield "a value out of range"
    likelihoods = np.stack([column(f"pl_{k}") for k in range(3)], axis=1)
    present = likelihoods[:, 0] >= 0
    if ((likelihoods[:, 1] >= 0) != present).any() or (likelihoods[:, 2] >= 0)[(ploidy == 1) | ~present].any():
        yield "a row with some of its likelihoods"
    offsets, bases = string_parts(calls["ref"].combine_chunks())
    sizes = np.diff(offsets)
    contig = [contig.name for contig in store.contigs].index(tile.contig)
    places = np.repeat(store.genome.starts[contig] + pos - 1 - offsets[:-1], sizes) + np.arange(len(bases))
    real = store.genome.sequence[places]
    known = np.isin(real, np.frombuffer(b"ACGT", np.uint8)) & np.isin(bases, np.frombuffer(b"ACGT", np.uint8))
    if (real[known] != bases[known]).any():
        yield "a REF that differs from the reference"


def _segments(store: Store, shard: int, reference: pa.Table) -> Iterable[str]:
    tile = store.shards[shard]
    if reference.num_rows == 0:
        return
    sample, start = numpy_of(reference, "sample").astype(np.int64), numpy_of(reference, "start").astype(np.int64)
    end = start + numpy_of(reference, "length") - 1
    if not _increasing(sample, start):
        yield "segments out of order"
    if (end < start).any() or start.min() < tile.start or end.max() > tile.end:
        yield "a segment outside of the shard or without a length"
    if ((end[:-1] >= start[1:]) & (sample[:-1] == sample[1:])).any():
        yield "segments of a participant overlap"
    state, gq = numpy_of(reference, "state"), numpy_of(reference, "gq")
    ploidy = numpy_of(reference, "ploidy")
    known = np.isin(ploidy, (1, 2)) & (numpy_of(reference, "other") <= ploidy) & (state >= 1) & (state <= STATE_CALLED)
    if not known.all():
        yield "a segment of an unknown state or ploidy"
    if not np.isin(gq, store.thresholds.gq_bands).all():
        yield "a segment with a GQ that is not the floor of a band"


def _overlapping(calls: pa.Table, reference: pa.Table) -> bool:
    if calls.num_rows == 0 or reference.num_rows == 0:
        return False
    start = numpy_of(reference, "start").astype(np.int64)
    end = start + numpy_of(reference, "length") - 1
    sample = numpy_of(reference, "sample").astype(np.int64) << 32
    row = (numpy_of(calls, "sample").astype(np.int64) << 32) + numpy_of(calls, "pos")
    at = np.searchsorted(sample + start, row, side="right") - 1
    return bool(((at >= 0) & (row <= (sample + end)[at])).any())


def _sites(store: Store, known: Iterable[Snapshot], shard: int) -> Iterable[str]:
    """Merge the batches' censuses again, snapshot by snapshot; a snapshot that contains the one before adds to it."""
    tile = store.shards[shard]
    census, called = empty(CENSUS), empty(CALLED_SCHEMA)
    merged: set[str] = set()
    for snapshot in known:
        names = {entry.name for entry in snapshot.batches}
        if not merged <= names:
            census, called, merged = empty(CENSUS), empty(CALLED_SCHEMA), set()
        new = sorted(names - merged)
        of_new = (read_shard(store, name, "census", shard).cast(CENSUS) for name in new)
        census = merge_alleles(chain([census], of_new))
        called = merge_called(chain([called], (read_shard(store, name, "called", shard) for name in new)))
        merged = names
        expected = describe_sites(
            census,
            called,
            contig=tile.contig,
            participants=snapshot.participants,
            females=snapshot.females,
            filters=snapshot.filters,
        )
        folder = f"sites/{snapshot.number:08d}"
        damaged = [
            name for name in (f"{tile.name}.parquet", f"called/{tile.name}.parquet") if _is_damaged(store, folder, name)
        ]
        if damaged:
            yield from (f"{folder}/{name}: another SHA-256 than when it was written" for name in damaged)
            continue
        place = f"{folder}/{tile.name}.parquet"
        sites = snapshots.read_sites(store, snapshot, shard)
        says, is_so = sites.schema.metadata or {}, sites_metadata(store, snapshot)
        # an earlier version may have made them: its metadata has another version, and maybe fewer keys
        if any(is_so.get(key.decode()) != value.decode() for key, value in says.items() if key != b"baekman.software"):
            yield f"{place}: metadata of another snapshot or store"
        elif not sites.schema.equals(SITES):
            yield f"{place}: another schema"
        elif not sites.equals(expected):
            yield f"{place}: not the sum of its batches"
        elif not _as_written(store.path / place):
            yield f"{place}: other bytes than were written"
        place = f"sites/{snapshot.number:08d}/called/{tile.name}.parquet"
        if not snapshots.read_called(store, snapshot, shard).equals(called):
            yield f"{place}: not the sum of its batches"
        elif not _as_written(store.path / place):
            yield f"{place}: other bytes than were written"


def _is_damaged(store: Store, folder: str, name: str) -> bool:
    return digest_of(store.path / folder / name) != listed_digest(store.path / folder, name)


def _as_written(path: Path) -> bool:
    """Return whether a file has the bytes in which its table is written; True if another version of Arrow wrote it."""
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / path.name
        write_parquet(read_parquet(path).combine_chunks(), again)
        if pq.read_metadata(path).created_by != pq.read_metadata(again).created_by:
            return True
        return sha256_of(path) == sha256_of(again)


def _dense(store: Store, snapshot: Snapshot, shard: int) -> Iterable[str]:
    """Count AC, AN and the numbers of the five states over the genotypes of all participants."""
    sites = snapshots.read_sites(store, snapshot, shard)
    place = f"sites/{snapshot.number:08d}/{store.shards[shard].name}.parquet"
    people = max(snapshot.participants, 1)
    for alleles in chunks(sites, wanted=np.ones(sites.num_rows, np.bool_), participants=people):
        evidence = read_evidence(store, snapshot, shard, alleles=alleles)
        for mode, suffix in ((CALLED, ""), (RAW, "_raw")):
            dense = genotypes(evidence, mode=mode)
            counted = dict(zip((f"ac{suffix}", f"an{suffix}"), count(dense), strict=True))
            if mode == CALLED:
                counted |= _states(dense)
            for name, values in counted.items():
                wrong = np.flatnonzero(values != numpy_of(alleles, name))
                if len(wrong):
                    pos = numpy_of(alleles, "pos")[wrong[0]]
                    yield f"{place}: {name} of {len(wrong)} alleles is not a count of genotypes, first at {pos}"


def _states(dense: Genotypes) -> dict[str, npt.NDArray[np.int64]]:
    uncalled = (dense.state == UNCALLED).sum(axis=1)
    no_coverage = (dense.state == NO_COVERAGE).sum(axis=1)
    return {
        "uncalled": uncalled,
        "no_coverage": no_coverage,
        "called": dense.state.shape[1] - uncalled - no_coverage,
    }
