"""AC and AN of a freeze, counted over the tables of its participants."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import group_starts, numpy_of, read_parquet
from baekman.freezes.folder import SITES
from baekman.freezes.reading import Freeze, each_id
from baekman.genome.regions import Region
from baekman.genome.shards import Shard
from baekman.tables.dataset import row_groups_in
from baekman.tables.files import REFERENCE, VARIANTS, open_table, table_path
from baekman.tables.keys import TableKeys
from baekman.tables.rows import site_of_rows

OPENINGS = 20_000  # of tables for the counts of one verification; with more, some shards stand for all
Counts = npt.NDArray[np.int64]


def counted_shards(freeze: Freeze) -> list[Shard]:
    """Return the shards that are counted: all, or some at even distances where there are many participants."""
    shards = freeze.store.shards
    most = max(1, OPENINGS // max(freeze.participants().num_rows, 1))
    if len(shards) <= most:
        return list(shards)
    return [shards[number * len(shards) // most] for number in range(most)]


def counting_sentence(freeze: Freeze) -> str:
    """Return the sentence on what was counted."""
    counted, everything = len(counted_shards(freeze)), len(freeze.store.shards)
    share = f"all {everything} shards" if counted == everything else f"{counted} of {everything} shards, a sample"
    return f"AC and AN were counted over the tables of all participants in {share}"


def count_findings(freeze: Freeze, *, keys: TableKeys | None, left: int = 0) -> Iterator[str]:
    """Yield a line for each counted shard with another AC or AN in its sites than in the tables of participants.

    ``left``: number of participants who have left the freeze; the sites may count two alleles more for each.
    """
    for shard in counted_shards(freeze):
        name = f"{SITES}/{shard.name}.parquet"
        sites = read_parquet(freeze.path / name, columns=["pos", "ref", "alt", "ac", "an"])
        ac, an = _counts(freeze, sites, shard, keys=keys)
        for column, counted in (("ac", ac), ("an", an)):
            more = numpy_of(sites, column) - counted
            differing = int(((more < 0) | (more > 2 * left)).sum())
            if differing:
                yield f"{name}: another {column} than the tables of the participants have, of {differing} alleles"


def _counts(freeze: Freeze, sites: pa.Table, shard: Shard, *, keys: TableKeys | None) -> tuple[Counts, Counts]:
    """Return AC and AN of the sites of a shard by the tables of all participants."""
    region = Region(shard.contig, shard.start, shard.end)
    positions, first = np.unique(numpy_of(sites, "pos"), return_index=True)
    size = np.diff(np.append(first, sites.num_rows))
    ac, an, an_here = (np.zeros(length, np.int64) for length in (sites.num_rows, sites.num_rows, len(positions)))
    for participant in each_id(freeze.participants()):
        rows = _rows(freeze, VARIANTS, participant, region, keys=keys)
        own, has_rows = np.zeros(len(positions), np.int64), np.zeros(len(positions), np.bool_)
        if rows.num_rows:
            site, at = site_of_rows(rows, sites), np.searchsorted(positions, numpy_of(rows, "pos"))
            called, copies = _called(rows), numpy_of(rows, "copies")
            ploidy = np.where(numpy_of(rows, "ploidy") == 1, 1, 2)
            np.add.at(ac, site[called], copies[called].astype(np.int64))
            # of several records at a position, that of the first row has the ploidy
            starts = group_starts(at)
            is_called = np.logical_or.reduceat(called, starts)
            own[at[starts]] = np.where(is_called, ploidy[starts], 0)
            has_rows[at[starts]] = True
            # an allele of a weaker record is not called where another record calls the position
            weaker = ~called & (own[at] > 0)
            np.subtract.at(an, site[weaker], ploidy[weaker])
        blocks = _rows(freeze, REFERENCE, participant, region, keys=keys)
        own += _by_blocks(blocks, positions) * ~has_rows
        an_here += own
    return ac, an + np.repeat(an_here, size)


def _by_blocks(blocks: pa.Table, positions: npt.NDArray[np.int32]) -> Counts:
    """Return the called ploidy of the block that covers each position, 0 without a called block."""
    own = np.zeros(len(positions), np.int64)
    if blocks.num_rows and len(positions):
        block = np.searchsorted(numpy_of(blocks, "start"), positions, side="right") - 1
        ends, called = numpy_of(blocks, "end"), _called(blocks)
        covers = (block >= 0) & (ends[block] >= positions) & called[block]
        own = np.where(covers, np.where(numpy_of(blocks, "ploidy")[block] == 1, 1, 2), 0)
    return own


def _called(rows: pa.Table) -> npt.NDArray[np.bool_]:
    values: npt.NDArray[np.bool_] = rows.column("called").combine_chunks().to_numpy(zero_copy_only=False)
    return values


COLUMNS = {
    VARIANTS: ("pos", "ref", "alt", "copies", "ploidy", "called"),
    REFERENCE: ("start", "end", "ploidy", "called"),
}


def _rows(freeze: Freeze, dataset: str, participant: str, region: Region, *, keys: TableKeys | None) -> pa.Table:
    """Return the rows of a participant's table in the row groups of ``region``, a shard."""
    path = table_path(freeze.tables, participant, dataset=dataset)
    with open_table(path, participant=participant, keys=keys) as file:
        groups = row_groups_in(file.metadata, dataset, region)
        return file.read_row_groups(groups, columns=list(COLUMNS[dataset]), use_threads=False)
