"""The genotypes of a release: for each shard the alleles that members carry, and the rows of the members at them.

Rows are in long form. ``site`` is the number of the allele's row in the file of sites of the shard, and ``sample`` the
number of the member's row in ``participants.parquet``; both count from 0. Counts of sites are of the members alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import arrow, column, filtered, numpy_of, table_of
from baekman.cohort import dense_genotypes as dense
from baekman.cohort.dense_genotypes import Evidence, Genotypes
from baekman.cohort.schema import MISSING
from baekman.cohort.snapshot import Snapshot, read_sites
from baekman.cohort.store import Store
from baekman.genome.regions import Region
from baekman.genotyping.joint import joint_rows
from baekman.kernels import layout

SITES = pa.schema(
    [
        ("contig", pa.string()),
        ("pos", pa.int32()),  # 1-based
        ("ref", pa.string()),
        ("alt", pa.string()),
        ("ac", pa.int64()),  # of called genotypes of the members
        ("an", pa.int64()),
        ("af", pa.float64()),
        ("ac_raw", pa.int64()),  # of all genotypes of the members
        ("an_raw", pa.int64()),
        ("af_raw", pa.float64()),
        ("ac_joint", pa.int64()),  # of the joint genotypes of the members
        ("an_joint", pa.int64()),
        ("af_joint", pa.float64()),
        ("call_rate", pa.float64()),  # called members / members with genotypes
    ]
)

VARIANTS = pa.schema(
    [
        ("site", pa.uint32()),
        ("sample", pa.uint32()),
        ("state", pa.uint8()),  # 0 no coverage, 1 uncalled, 2 reference, 3 other allele, 4 carrier
        ("called", pa.bool_()),  # the genotype meets the thresholds of the cohort
        ("copies", pa.uint8()),  # of the raw genotype; null where there is none
        ("ploidy", pa.uint8()),
        ("gq", pa.int16()),  # phred
        ("dp", pa.int32()),
        ("ad_ref", pa.int32()),
        ("ad_alt", pa.int32()),
        ("pl", pa.list_(pa.int32())),  # of 0, 1 (and 2) copies
        ("phase", pa.uint8()),  # bit 0: the first haplotype carries the allele, bit 1: the second; 0: unphased
        ("phase_set", pa.int32()),
        ("joint_copies", pa.uint8()),
        ("joint_gq", pa.int16()),  # phred; null where records of other alleles decide
        ("joint_ploidy", pa.uint8()),  # the member's own, by sex and PARs
    ]
)

NONE = -1  # no row


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The members with genotypes: participant IDs, sorted, and the sample number of each."""

    ids: pa.StringArray
    numbers: npt.NDArray[np.uint32]

    def without(self, store: Store, snapshot: Snapshot) -> frozenset[str]:
        """Return the participants of ``snapshot`` who have no genotypes in the release; found once per process."""
        cache: dict[str, frozenset[str]] = self.__dict__.setdefault("_without", {})
        if snapshot.content not in cache:
            everyone = dense.participants_of(store, snapshot).ids
            cache[snapshot.content] = frozenset(everyone.to_pylist()) - frozenset(self.ids.to_pylist())
        return cache[snapshot.content]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The genotypes of a release: of the ``samples``, in the ``regions`` (1-based, inclusive), dense or of carriers."""

    samples: Samples
    regions: tuple[Region, ...]
    is_dense: bool = False

    def shards(self, store: Store) -> list[int]:
        """Return the indices of the shards with a region, ascending."""
        return sorted({shard for region in self.regions for shard in store.shards_in(region)})

    def within(self, sites: pa.Table, contig: str) -> pa.Table:
        """Return the ``sites`` of a shard on ``contig`` with their POS in a region."""
        pos = numpy_of(sites, "pos")
        inside = np.zeros(len(pos), np.bool_)
        for region in self.regions:
            if region.contig == contig:
                inside |= (pos >= region.start) & (pos <= region.end)
        return filtered(sites, inside).combine_chunks()


def read_genotypes(
    store: Store, snapshot: Snapshot, shard: int, *, wanted: Wanted
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield the sites (schema SITES) and rows (schema VARIANTS) of a shard, in pieces of whole positions.

    Alleles that no member carries, raw or jointly, are left out. Sites are sorted as the cohort's; rows by site, then
    sample. Memory holds about 16 million genotypes and one shard of one batch at a time.
    """
    without = wanted.samples.without(store, snapshot)
    everyone = len(dense.participants_of(store, snapshot, without=without).male)
    sites = wanted.within(read_sites(store, snapshot, shard), store.shards[shard].contig)
    first = 0
    for alleles in dense.chunks(sites, wanted=np.ones(sites.num_rows, np.bool_), participants=everyone):
        evidence = dense.read_evidence(store, snapshot, shard, alleles=alleles, without=without)
        matrix = Matrix(evidence=evidence, samples=wanted.samples)
        carried = matrix.carriers.any(axis=1)
        kept = np.flatnonzero(carried)
        if len(kept):
            yield matrix.sites(kept), matrix.rows(kept, first=first, is_dense=wanted.is_dense)
        first += len(kept)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The genotypes of the members at some alleles; columns are in the order of participant IDs."""

    evidence: Evidence
    samples: Samples

    @cached_property
    def called(self) -> Genotypes:
        """The genotypes that meet the thresholds."""
        return dense.genotypes(self.evidence, mode=dense.CALLED)

    @cached_property
    def raw(self) -> Genotypes:
        """All genotypes of the callers."""
        return dense.genotypes(self.evidence, mode=dense.RAW)

    @cached_property
    def joint(self) -> Genotypes:
        """The joint genotypes."""
        return dense.genotypes(self.evidence, mode=dense.JOINT)

    @property
    def carriers(self) -> npt.NDArray[np.bool_]:
        """Whether each member carries each allele, raw or jointly."""
        carries: npt.NDArray[np.bool_] = (self.raw.copies > 0) | (self.joint.copies > 0)
        return carries

    def sites(self, kept: npt.NDArray[np.int64]) -> pa.Table:
        """Return the sites of the alleles ``kept``."""
        alleles = self.evidence.alleles
        columns: dict[str, Any] = {name: alleles.column(name).take(arrow(kept)) for name in SITES.names[:4]}
        for ending, genotypes in (("", self.called), ("_raw", self.raw), ("_joint", self.joint)):
            ac, an = (counts[kept] for counts in dense.count(genotypes))
            columns |= {f"ac{ending}": ac, f"an{ending}": an}
            columns[f"af{ending}"] = arrow(ac / np.maximum(an, 1), missing=an == 0)
        columns["call_rate"] = (self.called.copies[kept] >= 0).sum(axis=1) / self.called.copies.shape[1]
        return table_of(SITES, columns)

    def rows(self, kept: npt.NDArray[np.int64], *, first: int, is_dense: bool) -> pa.Table:
        """Return the rows at the alleles ``kept``, the first of them the site ``first`` of the shard."""
        order = np.argsort(self.samples.numbers, kind="stable")
        chosen = self.carriers[kept][:, order]
        site, place = np.nonzero(np.ones_like(chosen) if is_dense else chosen)
        cells = _Cells(self, allele=kept[site], member=order[place])
        columns = {"site": (site + first).astype(np.uint32), "sample": self.samples.numbers[cells.member]}
        return table_of(VARIANTS, {**columns, **cells.columns()})


class _Cells:
    """Some cells of a matrix: an allele and a member each, with the call row or the segment that decides it."""

    def __init__(self, matrix: Matrix, *, allele: npt.NDArray[np.int64], member: npt.NDArray[np.int64]) -> None:
        evidence = matrix.evidence
        self.matrix, self.allele, self.member = matrix, allele, member
        self.position = np.searchsorted(evidence.first_allele, allele, side="right") - 1
        people = evidence.cells.shape[1]
        rows = evidence.rows
        holder = rows[:, dense.COLUMN].astype(np.int64)
        self.own = _find(rows[:, dense.ALLELE] * np.int64(people) + holder, allele * people + member)
        at = np.repeat(np.arange(len(evidence.positions)), np.diff(evidence.first_row))
        self.beside = _find(at * np.int64(people) + holder, self.position * people + member)
        self.segment = evidence.cells[self.position, member].astype(np.int64)

    def _field(self, number: int, *, otherwise: npt.NDArray[np.int64] | int = MISSING, beside: bool = False) -> Any:
        """Return a field of each cell's own row, else of a row ``beside`` it at the position, else ``otherwise``."""
        rows = self.matrix.evidence.rows
        values = np.broadcast_to(np.asarray(otherwise, np.int64), self.own.shape).copy()
        for row in (self.beside, self.own) if beside else (self.own,):
            values[row != NONE] = rows[row[row != NONE], number]
        return values

    def columns(self) -> dict[str, Any]:
        """Return the columns of VARIANTS apart from ``site`` and ``sample``."""
        cell = (self.allele, self.member)
        raw, joint = self.matrix.raw, self.matrix.joint
        covered = (self.segment != 0) | (self.beside != NONE)
        missing = (self.segment & layout.CELL_STATE) == layout.STATE_MISSING
        segment_gq = np.where((self.segment == 0) | missing, MISSING, self._segment_gq)
        segment_dp = (self.segment >> layout.CELL_DP) - 1
        columns: dict[str, Any] = {
            "state": raw.state[cell],
            "called": self.matrix.called.copies[cell] >= 0,
            "copies": _nullable(raw.copies[cell], VARIANTS.field("copies").type),
            "ploidy": arrow(raw.ploidy[cell], missing=~covered),
            "gq": self._field(dense.GQ, otherwise=segment_gq, beside=True),
            "dp": self._field(dense.DP, otherwise=segment_dp, beside=True),
            "ad_ref": self._field(dense.AD_REF),
            "ad_alt": self._field(dense.AD_ALT),
            "phase": self._field(_PHASE, otherwise=0),
            "phase_set": self._field(_PHASE_SET),
            "joint_copies": _nullable(joint.copies[cell], VARIANTS.field("joint_copies").type),
            "joint_gq": np.where(joint.copies[cell] < 0, MISSING, self._joint_gq()),
            "joint_ploidy": arrow(joint.ploidy[cell], missing=~covered),
            "pl": self._likelihoods(),
        }
        for name in ("gq", "dp", "ad_ref", "ad_alt", "phase_set", "joint_gq"):
            columns[name] = _nullable(columns[name], VARIANTS.field(name).type)
        return columns

    def _likelihoods(self) -> pa.Array:
        """Return the PL of each cell's own row; null where it has none."""
        pl = np.stack([self._field(number) for number in (dense.PL_0, dense.PL_1, dense.PL_2)], axis=1)
        count = np.where(pl[:, 0] < 0, 0, self._field(dense.PLOIDY, otherwise=0) + 1)
        kept = np.arange(3)[None, :] < count[:, None]
        offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
        offsets = arrow(offsets, missing=np.append(count == 0, False))
        return pa.ListArray.from_arrays(offsets, arrow(pl[kept].astype(np.int32)))

    @property
    def _segment_gq(self) -> npt.NDArray[np.int64]:
        values: npt.NDArray[np.int64] = (self.segment >> layout.CELL_GQ) & 127
        return values

    def _joint_gq(self) -> npt.NDArray[np.int64]:
        """Return the GQ of the joint genotype of each cell; MISSING where records of other alleles decide.

        A segment has the likelihoods of ``genotyping.joint.joint_reference``, for haplotypes that may have the allele.
        """
        gq = self._segment_gq
        free = np.where(self.segment & layout.CELL_HAPLOID, 1, 2) - ((self.segment >> layout.CELL_OTHER) & 3)
        free = np.where(self.segment & layout.CELL_ONE_COPY, (free + 1) >> 1, free)
        ploidy = np.maximum(free, 1).astype(np.uint8)
        pl = np.stack([np.zeros_like(gq), gq, np.where(ploidy == 2, 2 * gq, MISSING)], axis=1).astype(np.int32)
        frequency = self.matrix.evidence.frequency[self.allele]
        _, of_segment = joint_rows(pl, ploidy, np.zeros(len(gq), np.uint8), gq.astype(np.int16), frequency)
        values = np.where(free > 0, of_segment, gq)
        values[self.beside != NONE] = MISSING
        own: npt.NDArray[np.int64] = self._field(dense.JOINT_GQ, otherwise=values)
        return own


_PHASE, _PHASE_SET = dense.ROW_FIELDS.index("phase"), dense.ROW_FIELDS.index("phase_set")


def _find(keys: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the first place of each of ``wanted`` in ``keys``, NONE where it is not there."""
    order = np.argsort(keys, kind="stable")
    places = np.searchsorted(keys, wanted, sorter=order)
    rows = np.append(order, NONE)[np.minimum(places, len(order))]
    found: npt.NDArray[np.int64] = np.where(np.append(keys, NONE)[rows] == wanted, rows, NONE)
    return found


def _nullable(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return numbers as an Arrow array, null where they are negative."""
    return arrow(np.maximum(values, 0), missing=values < 0).cast(kind)


def samples_of(participants: Sequence[str], numbers: npt.NDArray[np.uint32]) -> Samples:
    """Return the samples of ``participants`` with their ``numbers``."""
    order = np.array(sorted(range(len(participants)), key=participants.__getitem__), np.int64)
    return Samples(ids=column([participants[place] for place in order]), numbers=numbers[order])
