"""The genotypes of all participants at the alleles of a region, in blocks that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from baekman.arrow import filtered
from baekman.cohort import dense_genotypes
from baekman.cohort.snapshot import Snapshot, read_sites, reading
from baekman.cohort.store import Store
from baekman.genome.regions import Region
from baekman.genome.shards import Shard
from baekman.query.question import SITE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class GenotypeBlock:
    """The genotypes of all participants at some alleles: NumPy arrays of shape (alleles, participants).

    Attributes:
        sites: the alleles (columns of ``Cohort.sites``), in the order of ``pos``, ``ref``, ``alt``; all alleles of a
            position are in one block.
        participants: the participant IDs, in the order of the columns.
        state: uint8; 0 no coverage, 1 uncalled, 2 reference, 3 other allele, 4 carrier (``STATES``). A genotype that
            the mode does not show is uncalled.
        copies: int8; copies of the allele, -1 where no genotype is shown.
        ploidy: uint8; the caller's ploidy, in mode ``joint`` the participant's own; valid where ``copies`` is not -1.
    """

    STATES = dense_genotypes.STATE_NAMES

    sites: pa.Table
    participants: pa.StringArray
    state: npt.NDArray[np.uint8]
    copies: npt.NDArray[np.int8]
    ploidy: npt.NDArray[np.uint8]

    def to_pandas(self, values: Literal["copies", "ploidy", "state"] = "copies") -> pd.DataFrame:
        """Return one of the arrays as a data frame: index contig, pos, ref, alt; a column per participant ID.

        Example:
            >>> block = next(baekman.open_cohort("W/cohort").genotypes("chr20"))
            >>> block.to_pandas().iloc[0].to_dict()
            {'P000000000001K': 1, 'P000000000002N': 2}
        """
        import pandas as pd

        alleles = self.sites.select(["contig", "pos", "ref", "alt"]).to_pandas()
        columns = pd.Index(self.participants.to_pylist(), name="participant_id")
        return pd.DataFrame(getattr(self, values), index=pd.MultiIndex.from_frame(alleles), columns=columns)


def genotype_blocks(
    store: Store,
    snapshot: Snapshot,
    *,
    region: Region | None = None,
    mode: str = "called",
    without: frozenset[str] = frozenset(),
    alleles: pa.Table | None = None,
) -> Iterator[GenotypeBlock]:
    """Return the genotypes at the alleles with their POS in ``region``, else everywhere, in the order of the genome.

    The participants ``without`` are left out; ``GenotypeBlock.sites`` still count them. With ``alleles`` (columns
    ``contig pos ref alt``) those alleles only.
    ``mode`` is ``called``, ``raw`` or ``joint`` (see ``dense_genotypes``). Memory holds about 16 million genotypes
    and one shard of one batch at a time.

    Raises:
        InputRefused: ``mode`` is another, or the snapshot was deleted while it was read (SnapshotGone).
    """
    number = dense_genotypes.mode_number(mode)
    return _blocks(store, snapshot, region=region, mode=number, without=without, chosen=alleles)


def _blocks(
    store: Store,
    snapshot: Snapshot,
    *,
    region: Region | None,
    mode: int,
    without: frozenset[str],
    chosen: pa.Table | None,
) -> Iterator[GenotypeBlock]:
    if not snapshot.number:
        return
    with reading(store, snapshot):
        participants = dense_genotypes.participants_of(store, snapshot, without=without).ids
        for shard in store.shards_in(region):
            own = _on(chosen, store.shards[shard])
            if own is not None and not own.num_rows:
                continue
            sites = dense_genotypes.sites_within(
                read_sites(store, snapshot, shard), [region] if region is not None else None
            )
            wanted = _wanted(sites, own)
            for alleles in dense_genotypes.chunks(sites, wanted=wanted, participants=len(participants)):
                evidence = dense_genotypes.read_evidence(store, snapshot, shard, alleles=alleles, without=without)
                dense = dense_genotypes.genotypes(evidence, mode=mode)
                block = GenotypeBlock(
                    sites=alleles.select(SITE_COLUMNS).replace_schema_metadata(None),
                    participants=participants,
                    state=dense.state,
                    copies=dense.copies,
                    ploidy=dense.ploidy,
                )
                # the evidence at a position is that of all its alleles
                yield block if own is None else _part(block, _wanted(alleles, own))


def _part(block: GenotypeBlock, shown: npt.NDArray[np.bool_]) -> GenotypeBlock:
    """Return the alleles of a block that are ``shown``."""
    arrays = {name: getattr(block, name)[shown] for name in ("state", "copies", "ploidy")}
    return GenotypeBlock(sites=filtered(block.sites, shown), participants=block.participants, **arrays)


def _on(alleles: pa.Table | None, shard: Shard) -> pa.Table | None:
    """Return those of ``alleles`` that are in ``shard``; None for None."""
    if alleles is None:
        return None
    pos = pc.field("pos")
    return alleles.filter((pc.field("contig") == shard.contig) & (pos >= shard.start) & (pos <= shard.end))


def _wanted(sites: pa.Table, alleles: pa.Table | None) -> npt.NDArray[np.bool_]:
    """Return which ``sites`` of a contig are among ``alleles`` of it; without ``alleles`` all."""
    if alleles is None:
        return np.ones(sites.num_rows, np.bool_)
    is_wanted: npt.NDArray[np.bool_] = pc.is_in(_keys(sites), _keys(alleles)).to_numpy(zero_copy_only=False)
    return is_wanted


def _keys(alleles: pa.Table) -> pa.Array:
    """Return a text for each allele of a contig."""
    texts = [alleles["pos"].cast(pa.string()), *(alleles[name].cast(pa.string()) for name in ("ref", "alt"))]
    return pc.binary_join_element_wise(*texts, ":").combine_chunks()
