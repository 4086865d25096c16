"""The evidence of every participant at every allele of a region, from call rows and reference segments.

Where a participant has call rows at a position the rows decide, whatever their alleles. Otherwise the reference
segment that covers the position decides. Without one there is no coverage. ``Evidence`` holds a chunk of alleles for
the whole cohort at once, so its size is alleles x participants, and never all calls of the cohort.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import allele_ranks, column, empty, equals, filtered, numpy_of, read_listed, string_parts, take
from baekman.cohort.batch import read_shard
from baekman.cohort.roster import ROSTER_FILE
from baekman.cohort.schema import REFERENCE as REFERENCE_SCHEMA
from baekman.cohort.schema import ROSTER as ROSTER_SCHEMA
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.errors import InputRefused, Problem
from baekman.genome.ploidy import one_copy_in_males, own_ploidy
from baekman.genome.regions import Region
from baekman.genotyping.joint import GQ_LIMITS, LIKELIHOOD, joint_rows
from baekman.kernels import dense as kernel
from baekman.kernels import layout

CALLED, RAW, JOINT = layout.CALLED, layout.RAW, layout.JOINT
NO_COVERAGE, UNCALLED = layout.NO_COVERAGE, layout.UNCALLED
STATE_NAMES = ("no coverage", "uncalled", "reference", "other allele", "carrier")
MODES = {"called": CALLED, "raw": RAW, "joint": JOINT}

ROW_FIELDS = (
    "column", "allele", "copies", "ploidy", "other", "gq", "dp", "ad_ref", "ad_alt", "pl_0", "pl_1", "pl_2",
    "phase", "phase_set", "flags", "joint_copies", "joint_gq", "joint_ploidy",
)  # fmt: skip
COLUMN, ALLELE, COPIES, PLOIDY, OTHER, GQ, DP, AD_REF, AD_ALT, PL_0, PL_1, PL_2 = range(12)
JOINT_COPIES, JOINT_GQ, JOINT_PLOIDY = 15, 16, 17

CHUNK_CELLS = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Participants:
    """The participants of a snapshot.

    ``ids``: those who are shown, sorted. ``columns``: for each batch, the column of each sample number: its place in
    ``ids``, or the column after these for everyone who is left out. ``male``: whether the participant of each column
    is registered as male.
    """

    ids: pa.StringArray
    male: npt.NDArray[np.bool_]
    columns: dict[str, npt.NDArray[np.int32]]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The evidence of all participants at some alleles of a shard.

    ``alleles``: sites (schema SITES) of all alleles at ``positions``, in order. ``first_allele[p]``: the first allele
    of position p (one more entry than positions). ``cells``: (positions, participants), the reference segments.
    ``rows``: (call rows, len(ROW_FIELDS)) sorted by position, participant, allele. ``first_row``: the same as
    ``first_allele`` for rows.
    """

    participants: Participants
    alleles: pa.Table
    positions: npt.NDArray[np.int32]
    first_allele: npt.NDArray[np.int64]
    cells: npt.NDArray[np.uint32]
    rows: npt.NDArray[np.int32]
    first_row: npt.NDArray[np.int64]

    @property
    def frequency(self) -> npt.NDArray[np.float64]:
        """Return the prior of the joint genotypes, per allele."""
        values: npt.NDArray[np.float64] = numpy_of(self.alleles, "af_joint")
        return values


@dataclass(frozen=True, kw_only=True)
class Genotypes:
    """Dense genotypes; each array is (alleles, participants).

    ``state``: one of the five states; ``uncalled`` is coverage without a genotype that the mode shows.
    ``copies`` and ``ploidy``: of the genotype, where one is shown; ``copies`` is -1 elsewhere. ``ploidy`` is that of
    the caller, or in a joint genotype the participant's own.
    """

    state: npt.NDArray[np.uint8]
    copies: npt.NDArray[np.int8]
    ploidy: npt.NDArray[np.uint8]


def participants_of(store: Store, snapshot: Snapshot, *, without: frozenset[str] = frozenset()) -> Participants:
    """Return the participants of a snapshot; rosters are read once per process. Those ``without`` are left out."""
    return _participants(store.path, tuple(entry.name for entry in snapshot.batches), snapshot.content, without)


@functools.lru_cache(maxsize=1)
def _participants(store: Path, batches: tuple[str, ...], content: str, without: frozenset[str]) -> Participants:
    rosters = [
        read_listed(store / "batches" / name, ROSTER_FILE, columns=["participant_id", "sex"]) for name in batches
    ]
    nobody = empty(ROSTER_SCHEMA).select(["participant_id", "sex"])
    everyone = pa.concat_tables(
        [*(roster.replace_schema_metadata(None) for roster in rosters), nobody]
    ).combine_chunks()
    ids = everyone.column("participant_id").combine_chunks()
    order = np.argsort(allele_ranks(ids, ids), kind="stable")
    if without:
        import pyarrow.compute as pc  # slow to import, and hardly anybody is left out

        is_left_out = pc.is_in(ids, column(sorted(without))).to_numpy(zero_copy_only=False)
        order = np.concatenate([order[~is_left_out[order]], order[is_left_out[order]]])
        shown = len(ids) - int(is_left_out.sum())
    else:
        shown = len(ids)
    place = np.empty(len(ids), np.int32)
    place[order] = np.arange(len(ids), dtype=np.int32)
    ends = np.cumsum([roster.num_rows for roster in rosters], dtype=np.int64)
    male = equals(everyone.column("sex").combine_chunks(), "male")[order]
    if shown < len(ids):  # one column for all of the others, so that the size of the cohort is not that of a selection
        place, male = np.minimum(place, np.int32(shown)), np.append(male[:shown], False)
    return Participants(
        ids=take(ids, order[:shown]),
        male=male,
        columns=dict(zip(batches, np.split(place, ends[:-1]), strict=True)) if rosters else {},
    )


def mode_number(mode: str) -> int:
    """Return the number of a mode: ``called``, ``raw`` or ``joint``; raises InputRefused for another text."""
    if mode not in MODES:
        raise InputRefused(Problem(file="mode", expected=f"one of {', '.join(MODES)}", found=repr(mode)))
    return MODES[mode]


def sites_within(sites: pa.Table, regions: Sequence[Region] | None) -> pa.Table:
    """Return the ``sites`` of a shard that have their POS in one of ``regions``, else all of them.

    The regions are on the contig of the shard, sorted and disjoint.
    """
    if regions is None:
        return sites
    pos = numpy_of(sites, "pos")
    if len(regions) == 1:
        first, last = np.searchsorted(pos, [regions[0].start, regions[0].end + 1])
        return sites.slice(first, last - first).combine_chunks()
    starts, ends = (np.array(values, np.int64) for values in zip(*((r.start, r.end) for r in regions), strict=True))
    region = np.searchsorted(starts, pos, side="right") - 1
    return filtered(sites, (region >= 0) & (pos <= ends[region])).combine_chunks()


def chunks(sites: pa.Table, *, wanted: npt.NDArray[np.bool_], participants: int) -> Iterator[pa.Table]:
    """Cut the sites of a shard into chunks of whole positions that fit in memory for that number of participants.

    Yields the positions with an allele in ``wanted``, each with all of its alleles.
    """
    pos = numpy_of(sites, "pos")
    positions = np.unique(pos[wanted])
    step = max(1, CHUNK_CELLS // max(participants, 1))
    for first in range(0, len(positions), step):
        yield filtered(sites, np.isin(pos, positions[first : first + step]))


@dataclass(frozen=True, kw_only=True)
class _Alleles:
    """Alleles of a shard as the kernel matches them: ``first_allele`` as in Evidence, REF and ALT as string parts."""

    positions: npt.NDArray[np.int32]
    first_allele: npt.NDArray[np.int64]
    ref: tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]
    alt: tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]


def read_evidence(
    store: Store, snapshot: Snapshot, shard: int, *, alleles: pa.Table, without: frozenset[str] = frozenset()
) -> Evidence:
    """Read the evidence of all participants at ``alleles``: all sites (schema SITES, sorted) of some positions.

    The participants ``without`` are left out. The frequencies of ``alleles`` count them.
    """
    participants = participants_of(store, snapshot, without=without)
    pos = numpy_of(alleles, "pos")
    positions, first = np.unique(pos, return_index=True)
    keys = _Alleles(
        positions=positions,
        first_allele=np.append(first, len(pos)).astype(np.int64),
        ref=string_parts(alleles.column("ref").combine_chunks()),
        alt=string_parts(alleles.column("alt").combine_chunks()),
    )
    shown = len(participants.ids)
    cells = np.zeros((len(positions), len(participants.male)), np.uint32)
    one_copy = one_copy_in_males(store.shards[shard].contig, positions, store.par_regions)
    parts: list[npt.NDArray[np.int32]] = []
    for entry in snapshot.batches:
        columns = participants.columns[entry.name]
        if len(columns) and columns.min() == shown:  # nobody of the batch is shown
            continue
        parts.append(_read_rows(store, entry.name, shard, columns=columns, alleles=keys))
        reference = read_shard(store, entry.name, "reference", shard)
        segments = [numpy_of(reference, name) for name in REFERENCE_SCHEMA.names]
        kernel.fill_cells(  # type: ignore[call-arg]
            positions, columns, *segments, participants.male.view(np.uint8), one_copy.view(np.uint8), cells
        )
    rows = np.concatenate(parts) if parts else np.zeros((0, len(ROW_FIELDS)), np.int32)
    if shown < len(participants.male):
        rows, cells = rows[rows[:, COLUMN] < shown], np.ascontiguousarray(cells[:, :shown])
    row_position = np.searchsorted(positions, pos[rows[:, ALLELE]])
    has_one_copy = one_copy[row_position] & participants.male[rows[:, COLUMN]]
    _add_joint(rows, numpy_of(alleles, "af_joint"), one_copy=has_one_copy)
    order = np.lexsort((rows[:, ALLELE], rows[:, COLUMN], row_position))
    return Evidence(
        participants=participants,
        alleles=alleles,
        positions=positions,
        first_allele=keys.first_allele,
        cells=cells,
        rows=np.ascontiguousarray(rows[order]),
        first_row=np.searchsorted(row_position[order], np.arange(len(positions) + 1)).astype(np.int64),
    )


def _read_rows(
    store: Store, batch: str, shard: int, *, columns: npt.NDArray[np.int32], alleles: _Alleles
) -> npt.NDArray[np.int32]:
    """Return the call rows of a batch at ``alleles`` (ROW_FIELDS); ``columns``: the place of each sample."""
    positions = alleles.positions
    if len(positions) == 0:
        return np.zeros((0, len(ROW_FIELDS)), np.int32)
    within = [("pos", ">=", int(positions[0])), ("pos", "<=", int(positions[-1]))]
    calls = read_shard(store, batch, "calls", shard, filters=within).combine_chunks()
    rows = np.empty((calls.num_rows, len(ROW_FIELDS)), np.int32)
    if calls.num_rows == 0:
        return rows
    allele = np.empty(calls.num_rows, np.int32)
    kernel.match_alleles(
        numpy_of(calls, "pos"),
        *string_parts(calls.column("ref").chunk(0)),
        *string_parts(calls.column("alt").chunk(0)),
        positions,
        alleles.first_allele,
        *alleles.ref,
        *alleles.alt,
        allele,
    )
    rows[:, ALLELE] = allele
    for number, name in enumerate(ROW_FIELDS[COPIES:JOINT_COPIES], start=COPIES):
        rows[:, number] = numpy_of(calls, name)
    rows[:, COLUMN] = columns[numpy_of(calls, "sample")]
    return rows[rows[:, ALLELE] >= 0]


def _add_joint(
    rows: npt.NDArray[np.int32], frequency: npt.NDArray[np.float64], *, one_copy: npt.NDArray[np.bool_]
) -> None:
    """Write the joint genotypes to ``rows``; ``frequency``: per allele; ``one_copy``: of the participant, per row."""
    ploidy = rows[:, PLOIDY].astype(np.uint8)
    joint_ploidy = own_ploidy(ploidy, one_copy=one_copy)
    rows[:, JOINT_PLOIDY] = joint_ploidy
    rows[:, JOINT_COPIES], rows[:, JOINT_GQ] = joint_rows(
        np.ascontiguousarray(rows[:, PL_0 : PL_2 + 1]),
        ploidy,
        rows[:, COPIES].astype(np.uint8),
        rows[:, GQ].astype(np.int16),
        frequency[rows[:, ALLELE]],
        joint_ploidy=joint_ploidy,
    )


def genotypes(evidence: Evidence, *, mode: int = CALLED) -> Genotypes:
    """Return states and genotypes of all participants at all alleles of ``evidence``; ``mode``: CALLED, RAW, JOINT."""
    shape = (evidence.alleles.num_rows, evidence.cells.shape[1])
    dense = Genotypes(
        state=np.zeros(shape, np.uint8), copies=np.full(shape, -1, np.int8), ploidy=np.zeros(shape, np.uint8)
    )
    kernel.fill_genotypes(
        mode,
        evidence.first_allele,
        evidence.cells,
        evidence.rows,
        evidence.first_row,
        evidence.frequency,
        LIKELIHOOD,
        GQ_LIMITS,
        dense.state,
        dense.copies,
        dense.ploidy,
    )
    return dense


def count(dense: Genotypes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return AC and AN of the genotypes shown, per allele."""
    shown = dense.copies >= 0
    ac = np.where(shown, dense.copies, 0).sum(axis=1, dtype=np.int64)
    an = np.where(shown, dense.ploidy, 0).sum(axis=1, dtype=np.int64)
    return ac, an
