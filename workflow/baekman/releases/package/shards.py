"""The tasks that write the genotypes of a release: one for each shard of the cohort with a region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from baekman.cohort.snapshot import Snapshot, reading
from baekman.cohort.store import Store
from baekman.releases.package.files import PackageFolder
from baekman.releases.package.genotypes import SITES, VARIANTS, Wanted, read_genotypes


@dataclass(frozen=True, kw_only=True)
class ShardTasks:
    """The tasks of a release; calling it with a number runs that task, unless it is done."""

    folder: PackageFolder
    store: Store
    snapshot: Snapshot
    wanted: Wanted
    shards: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.shards)

    @property
    def names(self) -> list[str]:
        """The name of each task."""
        return [f"shard-{self.store.shards[shard].name}" for shard in self.shards]

    def __call__(self, index: int) -> None:
        """Write ``variants/<shard>.parquet`` and ``sites/<shard>.parquet``; neither for a shard without an allele."""
        shard = self.shards[index]
        name = self.store.shards[shard].name
        if self.folder.is_done(f"shard-{name}"):
            return
        rows: dict[str, int] = {}
        with reading(self.store, self.snapshot):
            pieces = read_genotypes(self.store, self.snapshot, shard, wanted=self.wanted)
            first = next(pieces, None)
            if first is not None:
                sites: list[pa.Table] = []
                file = f"variants/{name}.parquet"
                rows[file] = self.folder.write(file, _rows(first, pieces, sites), schema=VARIANTS)
                file = f"sites/{name}.parquet"
                rows[file] = self.folder.write(file, sites, schema=SITES)
        self.folder.note(f"shard-{name}", rows)


def _rows(
    first: tuple[pa.Table, pa.Table], pieces: Iterator[tuple[pa.Table, pa.Table]], sites: list[pa.Table]
) -> Iterator[pa.Table]:
    """Yield the rows of all pieces; put their sites into ``sites``."""
    for of_sites, rows in chain([first], pieces):
        sites.append(of_sites)
        yield rows
