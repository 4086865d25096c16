"""The variants that relatedness is computed from: common, well-called SNVs of the autosomes, far from each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baekman.arrow import numpy_of
from baekman.cohort.snapshot import Snapshot, read_sites
from baekman.cohort.store import Store
from baekman.genome.chromosomes import NUMBERED, chromosome_kind, chromosome_of
from baekman.genome.contigs import Contig
from baekman.genome.regions import Region
from baekman.relatedness.schema import LEAST_AF, LEAST_CALL_RATE, MOST_VARIANTS

COLUMNS = ("pos", "ref", "alt", "af", "call_rate", "filter")
MOST_AUTOSOMES = 95  # plink2 numbers no more
LEAST_LENGTH = 0.1  # of the longest contig: shorter ones are no chromosomes, where none has the name of one


def autosomes(store: Store) -> tuple[Contig, ...]:
    """Return the contigs of the autosomes: those named as human ones, else the long ones that are not X, Y or MT."""
    named = [contig for contig in store.contigs if chromosome_of(contig.name) in NUMBERED]
    if named:
        return tuple(named)
    others = [contig for contig in store.contigs if chromosome_kind(contig.name) == "autosome"]
    least = LEAST_LENGTH * max((contig.length for contig in others), default=0)
    return tuple([contig for contig in others if contig.length >= least][:MOST_AUTOSOMES])


def spacing(contigs: Sequence[Contig]) -> int:
    """Return the length (bp) of the windows that one variant each is chosen from."""
    return max(1, sum(contig.length for contig in contigs) // MOST_VARIANTS)


def chosen_regions(store: Store, snapshot: Snapshot, shard: int, *, window: int) -> tuple[Region, ...]:
    """Return the positions of the variants of one shard, sorted, each a region of one base.

    A variant is the only allele of its position, an SNV that passes the filters, with ``LEAST_AF`` or more of both
    alleles and ``LEAST_CALL_RATE``. Of each window of the contig the most frequent one is taken, the first of equals.
    """
    rows = chosen_rows(read_sites(store, snapshot, shard, columns=COLUMNS), window=window)
    contig = store.shards[shard].contig
    return tuple(Region(contig, position, position) for position in numpy_of(rows, "pos").tolist())


def chosen_rows(sites: pa.Table, *, window: int) -> pa.Table:
    """Return the rows of ``sites`` (columns ``COLUMNS``, of one contig, sorted) that ``chosen_regions`` takes."""
    pos = numpy_of(sites, "pos").astype(np.int64)
    frequency = np.asarray(pc.fill_null(sites.column("af"), 0.0))
    minor = np.minimum(frequency, 1 - frequency)
    is_snv = [np.asarray(pc.is_in(sites.column(name), value_set=pa.array(list("ACGT")))) for name in ("ref", "alt")]
    differs = np.concatenate([[True], pos[1:] != pos[:-1], [True]])
    is_only = differs[:-1] & differs[1:]
    is_called = np.asarray(pc.fill_null(sites.column("call_rate"), 0.0)) >= LEAST_CALL_RATE
    passes = np.asarray(pc.equal(sites.column("filter"), "PASS"))
    rows = np.flatnonzero(is_snv[0] & is_snv[1] & is_only & is_called & passes & (minor >= LEAST_AF))
    best = rows[np.lexsort((pos[rows], -minor[rows], pos[rows] // window))]
    _, first = np.unique(pos[best] // window, return_index=True)
    return sites.take(pa.array(np.sort(best[first])))
