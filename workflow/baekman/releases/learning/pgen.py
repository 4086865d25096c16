"""Joint genotypes of a release as plink2's pgen, one for each region, with samples by project ID.

``.pvar`` has chromosome, position, ID and alleles alone: quality and filters of the cohort come from people who are not
in the release too. ``.psam`` has the project ID and the sex of each sample.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from baekman.arrow import read_parquet
from baekman.cohort.roster import read_roster
from baekman.cohort.snapshot import Snapshot, reading
from baekman.cohort.store import Store
from baekman.export.pgen import FILES, SEX_CODE, convert
from baekman.export.write import Content, join_pieces, write_piece
from baekman.genome.regions import Region
from baekman.releases.learning.dosages import region_name
from baekman.releases.package.files import PackageFolder
from baekman.releases.package.genotypes import Wanted

FOLDER = "pgen"
PARTICIPANT_FILE = "participants.parquet"
# the order of project IDs, and no column or header that the whole cohort decides
OPTIONS = ("pvar-cols=maybecm", "--indiv-sort", "ascii")


@dataclass(frozen=True, kw_only=True)
class PgenTasks:
    """The tasks of a release: one for each region. Files with our order of samples lie in the folder of work alone."""

    folder: PackageFolder
    store: Store
    snapshot: Snapshot
    wanted: Wanted

    def __len__(self) -> int:
        return len(self.wanted.regions)

    @property
    def names(self) -> list[str]:
        """The name of each task."""
        return [f"pgen-{index:04d}" for index in range(len(self))]

    def __call__(self, index: int) -> None:
        """Write the three files of a region, unless they are there; none for a region without an allele."""
        if self.folder.is_done(f"pgen-{index:04d}"):
            return
        region, work = self.wanted.regions[index], self.folder.path / "work" / f"pgen-{index:04d}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        with reading(self.store, self.snapshot):
            self._write(region, work, self.folder.content / FOLDER / region_name(index, region))
        shutil.rmtree(work)
        self.folder.note(f"pgen-{index:04d}", {})

    def _write(self, region: Region, work: Path, output: Path) -> None:
        without = self.wanted.samples.without(self.store, self.snapshot)
        content = Content(regions=(region,) if region is not None else None, mode="joint", without=without)
        pieces = []
        for shard in self.store.shards_in(region):
            pieces.append(work / f"{self.store.shards[shard].name}.piece")
            write_piece(self.store, self.snapshot, content=content, shard=shard, piece=pieces[-1])
        if not any(piece.stat().st_size for piece in pieces):
            return
        names = self._project_ids()
        join_pieces(self.store, self.snapshot, pieces, work / "whole.bcf", names=names.to_pylist())
        self._write_sexes(names, work / "sex.tsv")
        convert(self.store, work / "whole.bcf", work / "pgen", sexes=work / "sex.tsv", options=OPTIONS)
        output.parent.mkdir(exist_ok=True)
        for suffix in FILES:
            (work / f"pgen{suffix}").replace(f"{output}{suffix}")

    def _project_ids(self) -> pa.Array:
        """Return the project ID of each sample, in the order of participant IDs."""
        participants = read_parquet(self.folder.content / PARTICIPANT_FILE, columns=["project_id"])
        return participants["project_id"].combine_chunks().take(pa.array(self.wanted.samples.numbers))

    def _write_sexes(self, names: pa.Array, path: Path) -> None:
        with path.open("w") as out:
            out.write("#IID\tSEX\n")
            for entry in self.snapshot.batches:
                roster, _ = read_roster(self.store, entry.name)
                place = pc.index_in(roster["participant_id"], value_set=self.wanted.samples.ids).combine_chunks()
                sexes = roster["sex"].filter(pc.is_valid(place)).to_pylist()
                for name, sex in zip(names.take(place.drop_null()).to_pylist(), sexes, strict=True):
                    out.write(f"{name}\t{SEX_CODE.get(sex, 'NA')}\n")
