"""The tasks that write a release for machine learning: MEDS by bucket and split, a matrix for each region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from baekman.genome.regions import Region
from baekman.records.dictionary import Dictionary
from baekman.releases.counting import Source
from baekman.releases.learning import meds
from baekman.releases.learning.dosages import matrix_name, matrix_rows, matrix_schema
from baekman.releases.learning.splits import OTHER, family_numbers, institution_numbers, split_table
from baekman.releases.package.files import PackageFolder
from baekman.releases.package.linked_rows import BucketTasks
from baekman.releases.package.people import People, sample_numbers
from baekman.releases.package.persons import participants_of_bucket
from baekman.releases.package.spill import bucket_name
from baekman.releases.rows import person_table

SPLIT_FILE = "splits.parquet"


@dataclass(frozen=True, kw_only=True)
class MedsTasks:
    """The tasks of MEDS: one for each bucket of the release. ``splits``: the rows of ``splits.split_table``."""

    buckets: BucketTasks
    splits: pa.Table

    def __len__(self) -> int:
        return len(self.buckets)

    @property
    def names(self) -> list[str]:
        """The name of each task."""
        return [f"meds-{bucket_name(index)}" for index in range(len(self))]

    def __call__(self, index: int) -> None:
        """Write ``meds/data/<split>/<hex>.parquet`` for each split with a member in the bucket, unless done."""
        folder, name = self.buckets.folder, bucket_name(index)
        if folder.is_done(f"meds-{name}"):
            return
        order = self.splits["project_id"].combine_chunks()
        persons = participants_of_bucket(folder, self.buckets.buckets, index, order=order)
        rows = meds.data_rows(self.buckets.rows("records", index), persons)
        written: dict[str, int] = {}
        for split, part in meds.by_split(rows, self.splits["split"].combine_chunks()):
            file = f"{meds.FOLDER}/data/{split}/{name}.parquet"
            written[file] = folder.write(file, [part], schema=meds.DATA)
        folder.note(f"meds-{name}", written)


@dataclass(frozen=True, kw_only=True)
class MatrixTasks:
    """The tasks of matrices: one for each region; ``shards`` are the names of the shards of each."""

    folder: PackageFolder
    regions: tuple[Region, ...]
    shards: tuple[tuple[str, ...], ...]
    samples: int

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def names(self) -> list[str]:
        """The name of each task."""
        return [f"matrix-{index:04d}" for index in range(len(self))]

    def __call__(self, index: int) -> None:
        """Write the matrix of a region, unless it is there; none for a region without an allele."""
        if self.folder.is_done(f"matrix-{index:04d}"):
            return
        region, file = self.regions[index], matrix_name(index, self.regions[index])
        rows = matrix_rows(self.folder, region, shards=list(self.shards[index]), samples=self.samples)
        written = {file: self.folder.write(file, rows, schema=matrix_schema(self.samples))}
        self.folder.note(f"matrix-{index:04d}", written)


def make_splits(source: Source, people: People, *, families: Mapping[str, str]) -> pa.Table:
    """Return the splits of the members; ``families``: participant ID -> family, of those with relatives."""
    order = sample_numbers(table["project_id"].combine_chunks() for table in people.tables())
    institutions = np.full(len(order), "", object)
    related: dict[int, str] = {}
    for bucket, members in source.rows.buckets():
        table = people.of_bucket(bucket)
        samples = table["sample"].to_numpy()
        institutions[samples] = person_table(source.registry, members)["institution"].to_pylist()
        related |= {
            int(sample): families[participant]
            for participant, sample in zip(table["participant_id"].to_pylist(), samples, strict=True)
            if participant in families
        }
    numbers = institution_numbers(institutions.tolist(), threshold=source.request.threshold)
    labels = [numbers.get(name, OTHER) for name in institutions.tolist()]
    return split_table(order, family=family_numbers(related, members=len(order)), institution=labels)


def write_metadata(folder: PackageFolder, splits: pa.Table, dictionary: Dictionary, *, day: str) -> None:
    """Write ``splits.parquet`` and the metadata of MEDS; ``dictionary`` has the released codes."""
    tables = {
        SPLIT_FILE: splits,
        f"{meds.FOLDER}/metadata/subject_splits.parquet": meds.split_rows(splits),
        f"{meds.FOLDER}/metadata/codes.parquet": meds.code_rows(dictionary),
    }
    folder.note("splits", {name: folder.write(name, [table], schema=table.schema) for name, table in tables.items()})
    meds.write_dataset(folder.content / meds.FOLDER, release=folder.release, day=day)
