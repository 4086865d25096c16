"""Every participant at every allele of a region: what each says of it, from call rows and reference segments.

Where a participant has call rows at a position the rows decide, whatever their alleles; else the reference
segment that covers the position; else nobody knows: no coverage. ``Evidence`` holds a chunk of alleles for the
whole cohort at once, so its size is alleles x participants and never the cohort's calls.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from baekman.columns import arrow, numpy_of, string_parts, values_of
from baekman.genotypes import GQ_LIMITS, LIKELIHOOD, joint_reference, joint_rows
from baekman.kernels import compiled
from baekman.schema import (
    FLAG_CALLED,
    FLAG_GENOTYPED,
    POSITION_FLAGS,
    STATE_CALLED,
    STATE_MISSING,
    STATE_WEAK,
)
from baekman.schema import (
    REFERENCE as REFERENCE_SCHEMA,
)
from baekman.snapshot import Snapshot
from baekman.store import Store

Array = Any  # a NumPy array inside compiled code

# The five states.
NO_COVERAGE, UNCALLED, REFERENCE, OTHER_ALLELE, CARRIER = range(5)
STATE_NAMES = ("no coverage", "uncalled", "reference", "other allele", "carrier")

# Which genotypes are shown: those that meet the store's thresholds, all that a caller gave, the joint ones.
CALLED, RAW, JOINT = range(3)
MODES = {"called": CALLED, "raw": RAW, "joint": JOINT}

ROW_FIELDS = (
    "column", "allele", "copies", "ploidy", "other", "gq", "dp", "ad_ref", "ad_alt", "pl_0", "pl_1", "pl_2",
    "phase", "phase_set", "flags", "joint_copies", "joint_gq",
)  # fmt: skip
(
    COLUMN, ALLELE, COPIES, PLOIDY, OTHER, GQ, DP, AD_REF, AD_ALT, PL_0, PL_1, PL_2, PHASE, PHASE_SET, FLAGS,
    JOINT_COPIES, JOINT_GQ,
) = range(17)  # fmt: skip

# A cell says what the reference segment of a participant says of a position, in one number; 0 is no coverage.
CELL_STATE = 3  # bits 0 and 1: STATE_*
CELL_HAPLOID = 4
CELL_OTHER = 3  # bits 3 and 4
CELL_GQ = 5  # bits 5 to 11
CELL_DP = 12  # from bit 12: depth + 1, 0 when it is not given
CELL_KINDS = 1 << CELL_DP  # cells without their depth
MAX_CELL_DP = (1 << 20) - 2

CHUNK_CELLS = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Participants:
    """Who is in a snapshot: ``ids`` sorted; ``columns`` maps each batch's sample numbers to places in ``ids``."""

    ids: pa.StringArray
    columns: dict[str, npt.NDArray[np.int32]]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What everyone says of some alleles of a shard.

    ``alleles``: sites (schema SITES) of all alleles at ``positions``, in order; ``first_allele[p]`` is the first
    of position p (one more entry than positions). ``cells``: (positions, participants), the reference segments.
    ``rows``: (call rows, len(ROW_FIELDS)) sorted by position, participant, allele; ``first_row`` as above.
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
        """The prior of the joint genotypes, per allele."""
        values: npt.NDArray[np.float64] = numpy_of(self.alleles, "af_joint")
        return values


@dataclass(frozen=True, kw_only=True)
class Genotypes:
    """Dense genotypes, each (alleles, participants).

    ``state`` is one of the five states (``uncalled`` is what the mode does not show though there is coverage);
    ``copies`` and ``ploidy`` hold where a genotype is shown, and ``copies`` is -1 elsewhere.
    """

    state: npt.NDArray[np.uint8]
    copies: npt.NDArray[np.int8]
    ploidy: npt.NDArray[np.uint8]


def participants_of(store: Store, snapshot: Snapshot) -> Participants:
    """The participants of a snapshot; rosters are read once per process."""
    return _participants(store.path, tuple(entry.name for entry in snapshot.batches), snapshot.content)


@functools.lru_cache(maxsize=1)
def _participants(store: Path, batches: tuple[str, ...], content: str) -> Participants:
    rosters = [
        pq.read_table(store / "batches" / name / "roster.parquet", columns=["participant_id"])
        .column(0)
        .combine_chunks()
        for name in batches
    ]
    everyone = pa.concat_arrays(rosters) if rosters else pa.array([], pa.string())
    order = pc.array_sort_indices(everyone)
    place = np.empty(len(everyone), np.int32)
    place[values_of(order)] = np.arange(len(everyone), dtype=np.int32)
    ends = np.cumsum([len(roster) for roster in rosters], dtype=np.int64)
    return Participants(
        ids=everyone.take(order), columns=dict(zip(batches, np.split(place, ends[:-1]), strict=True)) if rosters else {}
    )


def chunks(sites: pa.Table, wanted: npt.NDArray[np.bool_], participants: int) -> Iterator[pa.Table]:
    """Cut the sites of a shard into chunks of whole positions that fit in memory for so many participants.

    Only positions with an allele in ``wanted`` are there, with all of their alleles.
    """
    pos = numpy_of(sites, "pos")
    positions = np.unique(pos[wanted])
    step = max(1, CHUNK_CELLS // max(participants, 1))
    for first in range(0, len(positions), step):
        part = positions[first : first + step]
        yield sites.filter(arrow(np.isin(pos, part)))


def read_evidence(store: Store, snapshot: Snapshot, shard: int, *, alleles: pa.Table) -> Evidence:
    """Read what everyone says of ``alleles``: all sites (schema SITES, sorted) of some positions of one shard."""
    participants = participants_of(store, snapshot)
    pos = numpy_of(alleles, "pos")
    positions, first = np.unique(pos, return_index=True)
    first_allele = np.append(first, len(pos)).astype(np.int64)
    ref = string_parts(alleles.column("ref").combine_chunks())
    alt = string_parts(alleles.column("alt").combine_chunks())
    frequency = numpy_of(alleles, "af_joint")
    cells = np.zeros((len(positions), len(participants.ids)), np.uint32)
    parts: list[npt.NDArray[np.int32]] = []
    for entry in snapshot.batches:
        columns = participants.columns[entry.name]
        parts.append(_read_rows(store, entry.name, shard, columns, positions, first_allele, ref, alt, frequency))
        reference = pq.read_table(_path(store, entry.name, "reference", shard))
        _fill_cells(
            positions,
            columns,
            tuple(numpy_of(reference, name) for name in REFERENCE_SCHEMA.names),
            cells,
        )
    rows = np.concatenate(parts) if parts else np.zeros((0, len(ROW_FIELDS)), np.int32)
    row_position = np.searchsorted(positions, pos[rows[:, ALLELE]])
    order = np.lexsort((rows[:, ALLELE], rows[:, COLUMN], row_position))
    return Evidence(
        participants=participants,
        alleles=alleles,
        positions=positions,
        first_allele=first_allele,
        cells=cells,
        rows=np.ascontiguousarray(rows[order]),
        first_row=np.searchsorted(row_position[order], np.arange(len(positions) + 1)).astype(np.int64),
    )


def _path(store: Store, batch: str, kind: str, shard: int) -> Path:
    return store.batch(batch) / kind / f"{store.shards[shard].name}.parquet"


def _read_rows(
    store: Store,
    batch: str,
    shard: int,
    columns: npt.NDArray[np.int32],
    positions: npt.NDArray[np.int32],
    first_allele: npt.NDArray[np.int64],
    ref: tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]],
    alt: tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]],
    frequency: npt.NDArray[np.float64],
) -> npt.NDArray[np.int32]:
    if len(positions) == 0:
        return np.zeros((0, len(ROW_FIELDS)), np.int32)
    within = [("pos", ">=", int(positions[0])), ("pos", "<=", int(positions[-1]))]
    calls = pq.read_table(_path(store, batch, "calls", shard), filters=within).combine_chunks()
    rows = np.empty((calls.num_rows, len(ROW_FIELDS)), np.int32)
    if calls.num_rows == 0:
        return rows
    _match_alleles(
        numpy_of(calls, "pos"),
        *string_parts(calls.column("ref").chunk(0)),
        *string_parts(calls.column("alt").chunk(0)),
        positions,
        first_allele,
        *ref,
        *alt,
        rows,
    )
    for number, name in enumerate(ROW_FIELDS[COPIES:JOINT_COPIES], start=COPIES):
        rows[:, number] = numpy_of(calls, name)
    rows[:, COLUMN] = columns[numpy_of(calls, "sample")]
    rows = rows[rows[:, ALLELE] >= 0]
    rows[:, JOINT_COPIES], rows[:, JOINT_GQ] = joint_rows(
        np.ascontiguousarray(rows[:, PL_0 : PL_2 + 1]),
        rows[:, PLOIDY].astype(np.uint8),
        rows[:, COPIES].astype(np.uint8),
        rows[:, GQ].astype(np.int16),
        frequency[rows[:, ALLELE]],
    )
    return rows


@compiled
def _equal(offsets: Array, data: Array, at: int, other_offsets: Array, other_data: Array, other: int) -> bool:
    size = offsets[at + 1] - offsets[at]
    if other_offsets[other + 1] - other_offsets[other] != size:
        return False
    same = 0
    while same < size and data[offsets[at] + same] == other_data[other_offsets[other] + same]:
        same += 1
    return bool(same == size)


@compiled
def _match_alleles(
    pos: Array, ref_offsets: Array, ref: Array, alt_offsets: Array, alt: Array, positions: Array, first_allele: Array,
    site_ref_offsets: Array, site_ref: Array, site_alt_offsets: Array, site_alt: Array, rows: Array,
) -> None:  # fmt: skip
    """Write each call row's allele to ``rows``; -1 where its position is not wanted."""
    at = 0
    last = -1
    for row in range(len(pos)):
        rows[row, ALLELE] = -1
        while at < len(positions) and positions[at] < pos[row]:
            at += 1
        if at == len(positions):
            continue
        if positions[at] != pos[row]:
            continue
        # rows are sorted by allele, so the allele of the row before is the likeliest
        first = last if first_allele[at] <= last < first_allele[at + 1] else first_allele[at]
        for candidate in range(first, first_allele[at + 1]):
            if _equal(ref_offsets, ref, row, site_ref_offsets, site_ref, candidate) and _equal(
                alt_offsets, alt, row, site_alt_offsets, site_alt, candidate
            ):
                rows[row, ALLELE] = candidate
                last = candidate
                break


@compiled
def _fill_cells(positions: Array, columns: Array, segments: tuple[Array, ...], cells: Array) -> None:
    """Lay one batch's reference segments (columns of REFERENCE, sorted by sample, start) over ``positions``."""
    sample, start, length, gq, dp, ploidy, other, state = segments
    at = 0
    before = -1
    for segment in range(len(sample)):
        if sample[segment] != before:
            before = sample[segment]
            at = 0
        while at < len(positions) and positions[at] < start[segment]:
            at += 1
        end = start[segment] + length[segment]
        if at == len(positions) or positions[at] >= end:
            continue
        cell = np.uint32(state[segment])
        if ploidy[segment] == 1:
            cell |= np.uint32(CELL_HAPLOID)
        cell |= np.uint32(min(other[segment], 3)) << np.uint32(CELL_OTHER)
        cell |= np.uint32(min(max(gq[segment], 0), 99)) << np.uint32(CELL_GQ)
        cell |= np.uint32(min(dp[segment], MAX_CELL_DP) + 1) << np.uint32(CELL_DP)
        column = columns[sample[segment]]
        while at < len(positions) and positions[at] < end:
            cells[at, column] = cell
            at += 1


@compiled
def cell_copies(cell: int, mode: int, frequency: float, likelihood: Array, limits: Array) -> tuple[int, int]:
    """Copies of an allele and GQ that a cell shows in a mode; copies -1 where no genotype is shown."""
    state = cell & CELL_STATE
    gq = (cell >> CELL_GQ) & 127
    if state == 0:
        return -1, -1
    if mode != JOINT:
        copies = 0 if state == STATE_CALLED or (mode == RAW and state == STATE_WEAK) else -1
        return copies, gq if state != STATE_MISSING else -1
    if state == STATE_MISSING and gq == 0:
        return -1, -1
    # what is deleted here, or another allele, cannot be this one
    free = (1 if cell & CELL_HAPLOID else 2) - ((cell >> CELL_OTHER) & 3)
    if free <= 0:
        return 0, gq
    return joint_reference(gq, free, frequency, likelihood, limits)


@compiled
def row_shown(flags: int, mode: int, pl_0: int) -> bool:
    """Whether a call row shows a genotype; ``flags >> POSITION_FLAGS`` asks of an allele that no row names."""
    if mode == CALLED:
        return flags & FLAG_CALLED != 0
    return flags & FLAG_GENOTYPED != 0 or (mode == JOINT and pl_0 >= 0)


@compiled
def _genotypes(
    mode: int, first_allele: Array, cells: Array, rows: Array, first_row: Array, frequency: Array, likelihood: Array,
    limits: Array, state: Array, copies: Array, ploidy: Array,
) -> None:  # fmt: skip
    for position in range(len(cells)):
        for allele in range(first_allele[position], first_allele[position + 1]):
            for column in range(cells.shape[1]):
                cell = cells[position, column]
                shown, _gq = cell_copies(cell, mode, frequency[allele], likelihood, limits)
                copies[allele, column] = shown
                if cell:
                    ploidy[allele, column] = 1 if cell & CELL_HAPLOID else 2
                state[allele, column] = NO_COVERAGE if cell == 0 else UNCALLED
                if shown > 0:
                    state[allele, column] = CARRIER
                elif shown == 0:
                    state[allele, column] = OTHER_ALLELE if (cell >> CELL_OTHER) & 3 else REFERENCE
            row = first_row[position]
            while row < first_row[position + 1]:
                column = rows[row, COLUMN]
                carried = 0
                other = 0
                pl_0 = -1
                flags = rows[row, FLAGS] >> POSITION_FLAGS
                last = row
                while last < first_row[position + 1] and rows[last, COLUMN] == column:
                    if rows[last, ALLELE] == allele:
                        carried = rows[last, JOINT_COPIES if mode == JOINT else COPIES]
                        pl_0 = rows[last, PL_0]
                        flags = rows[last, FLAGS]
                    elif row_shown(rows[last, FLAGS], mode, -1):
                        other += rows[last, COPIES]
                    if row_shown(rows[last, FLAGS], mode, -1):
                        other = max(other, rows[last, OTHER])
                    last += 1
                ploidy[allele, column] = rows[row, PLOIDY]
                if not row_shown(flags, mode, pl_0):
                    copies[allele, column] = -1
                    state[allele, column] = UNCALLED
                else:
                    copies[allele, column] = carried
                    if carried:
                        state[allele, column] = CARRIER
                    else:
                        state[allele, column] = OTHER_ALLELE if other else REFERENCE
                row = last


def genotypes(evidence: Evidence, *, mode: int = CALLED) -> Genotypes:
    """States and genotypes of all participants at all alleles of ``evidence``."""
    shape = (evidence.alleles.num_rows, evidence.cells.shape[1])
    dense = Genotypes(
        state=np.zeros(shape, np.uint8), copies=np.full(shape, -1, np.int8), ploidy=np.zeros(shape, np.uint8)
    )
    _genotypes(
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
    """AC and AN of the genotypes shown, per allele."""
    shown = dense.copies >= 0
    ac = np.where(shown, dense.copies, 0).sum(axis=1, dtype=np.int64)
    an = np.where(shown, dense.ploidy, 0).sum(axis=1, dtype=np.int64)
    return ac, an
