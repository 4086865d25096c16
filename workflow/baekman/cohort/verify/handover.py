"""Rows that are handed over: those read from the gVCFs, those in the files of a batch, and those in its census.

Each check counts what is on disk, not what was meant to be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import numpy_of, read_parquet
from baekman.cohort.schema import FLAG_GENOTYPED
from baekman.cohort.store import Store
from baekman.engine.tasks import MapTasks
from baekman.errors import InputRefused, Problem

KINDS = ("calls", "reference")
COLUMN_OF = {"calls": "call_rows", "reference": "reference_rows"}  # in the roster
COUNTED = ("named", "het_raw", "hom_raw", "hemi_raw")  # columns of a census that count each row once
AGAIN = "run the same command again; if it is refused again, report the fault: the last snapshot is as it was"


def require_rows(store: Store, folder: Path, *, batch: str, map_tasks: MapTasks) -> None:
    """Raise InputRefused unless the finished batch in ``folder`` has the rows that its roster counts.

    The roster has the rows of each participant as they were read from the gVCF. The census of each shard must count
    its call rows.
    """
    roster = read_parquet(folder / "roster.parquet")
    ids = roster.column("participant_id").to_pylist()
    counts = map_tasks("counting rows", _Count(store, folder, len(ids)), len(store.shards))
    problems = []
    for number, kind in enumerate(KINDS):
        expected = numpy_of(roster, COLUMN_OF[kind])
        observed = sum((rows[number] for rows, *_ in counts), start=np.zeros(len(ids), np.int64))
        problems += [
            Problem(
                file=f"batch {batch}",
                place=f"{kind} of {ids[sample]}",
                expected=f"{expected[sample]} rows, as read from the gVCF",
                found=str(observed[sample]),
                action=AGAIN,
            )
            for sample in np.flatnonzero(observed != expected)
        ]
    problems += [
        Problem(
            file=f"batch {batch}",
            place=f"census of shard {tile.name}",
            expected=f"{rows} call rows counted",
            found=str(counted),
            action=AGAIN,
        )
        for tile, (_, rows, counted) in zip(store.shards, counts, strict=True)
        if rows != counted
    ]
    if problems:
        raise InputRefused(problems)


class _Count:
    """The task that counts the rows of one shard of the batch in ``folder``."""

    def __init__(self, store: Store, folder: Path, participants: int) -> None:
        self._names = [tile.name for tile in store.shards]
        self._folder = folder
        self._participants = participants

    def __call__(self, shard: int) -> tuple[list[npt.NDArray[np.int64]], int, int]:
        """Return the rows of each kind by sample, the call rows to be counted, and those that the census counts.

        A carrier without a whole genotype is in none of the census's counts.
        """
        calls, reference = (
            read_parquet(self._folder / kind / f"{self._names[shard]}.parquet", columns=columns)
            for kind, columns in (("calls", ["sample", "copies", "flags"]), ("reference", ["sample"]))
        )
        rows = [np.bincount(numpy_of(table, "sample"), minlength=self._participants) for table in (calls, reference)]
        is_counted = (numpy_of(calls, "copies") == 0) | (numpy_of(calls, "flags") & FLAG_GENOTYPED > 0)
        census = read_parquet(self._folder / "census" / f"{self._names[shard]}.parquet", columns=COUNTED)
        return rows, int(is_counted.sum()), counted_rows(census)


class MergedRows:
    """The call rows that the censuses of a shard count, added up while they are merged."""

    def __init__(self) -> None:
        self._rows = 0

    def of(self, censuses: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yield ``censuses`` (schema CENSUS) as they are, and add up the rows that they count."""
        for census in censuses:
            self._rows += counted_rows(census)
            yield census

    def require(self, sites: pa.Table, *, shard: str) -> None:
        """Raise InputRefused unless the merged ``sites`` (schema SITES) count the same rows."""
        observed = counted_rows(sites)
        if observed != self._rows:
            raise InputRefused(
                Problem(
                    file="sites",
                    place=f"shard {shard}",
                    expected=f"{self._rows} call rows counted, as the batches have",
                    found=str(observed),
                    action=AGAIN,
                )
            )


def counted_rows(census: pa.Table) -> int:
    """Return the number of call rows that ``census`` (schema CENSUS or SITES) counts."""
    return sum(int(numpy_of(census, name).sum(dtype=np.int64)) for name in COUNTED)
