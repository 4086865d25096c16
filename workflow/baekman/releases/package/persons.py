"""The participants of a release: one row each, in the order of project IDs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baekman.releases.counting import Source
from baekman.releases.package.files import PackageFolder
from baekman.releases.package.people import People
from baekman.releases.package.spill import read_spilled, write_spill
from baekman.releases.rows import person_table
from baekman.releases.transform import RELEASED_PERSONS, Rules, person_rows

KIND = "participants"
_SPILLED = RELEASED_PERSONS.append(pa.field("has_genotypes", pa.bool_(), nullable=False))
PARTICIPANTS = pa.schema([pa.field("sample", pa.uint32(), nullable=False), *_SPILLED])


def spill_persons(source: Source, rules: Rules, people: People, folder: PackageFolder, *, count: int) -> None:
    """Spill the released rows of the members of each bucket of the record store."""
    for bucket, members in source.rows.buckets():
        known = people.of_bucket(bucket)
        rows = person_rows(person_table(source.registry, members), rules, known)
        place = pc.index_in(rows["project_id"], value_set=known["project_id"].combine_chunks())
        genotyped = known["has_genotypes"].combine_chunks().take(place.combine_chunks())
        rows = pa.table([*rows.columns, genotyped], schema=_SPILLED)
        write_spill(rows, folder.spilled / KIND / bucket, count=count)


def participants_of_bucket(folder: PackageFolder, buckets: Sequence[str], bucket: int, *, order: pa.Array) -> pa.Table:
    """Return the participants (schema PARTICIPANTS) of a bucket of the release; ``order``: all project IDs, sorted."""
    paths = [folder.spilled / KIND / name for name in buckets]
    rows = read_spilled(paths, bucket, schema=_SPILLED).sort_by("project_id")
    samples = pc.index_in(rows["project_id"].combine_chunks(), value_set=order).cast(pa.uint32())
    return pa.table([samples, *rows.columns], schema=PARTICIPANTS)


def participant_tables(folder: PackageFolder, buckets: Sequence[str], *, count: int) -> Iterator[pa.Table]:
    """Yield the participants (schema PARTICIPANTS) of each bucket of the release; samples count from 0."""
    paths = [folder.spilled / KIND / bucket for bucket in buckets]
    first = 0
    for bucket in range(count):
        rows = read_spilled(paths, bucket, schema=_SPILLED).sort_by("project_id")
        samples = pa.array(np.arange(first, first + rows.num_rows, dtype=np.uint32))
        yield pa.table([samples, *rows.columns], schema=PARTICIPANTS)
        first += rows.num_rows
