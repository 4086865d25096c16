"""Matrices of dosages, one for each region of a release: a row per allele, with a value for each sample.

The values are the joint copies of the allele, -1 where there is no joint genotype. The columns of the matrix are all
samples with genotypes, in order: those with ``has_genotypes`` in participants.parquet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from baekman.arrow import filtered, numpy_of, open_parquet, read_parquet
from baekman.genome.regions import Region
from baekman.releases.package.files import PackageFolder

FOLDER = "dosages"
CELLS = 1 << 24  # of the rows that are made at once
MISSING = -1


def matrix_schema(samples: int) -> pa.Schema:
    """Return the schema of the matrices of a release with that number of samples."""
    return pa.schema(
        [
            ("contig", pa.string()),
            ("pos", pa.int32()),
            ("ref", pa.string()),
            ("alt", pa.string()),
            ("joint_copies", pa.list_(pa.int8(), samples)),
        ]
    )


def matrix_name(number: int, region: Region) -> str:
    """Return the name of the file for the region ``number`` of the request."""
    return f"{FOLDER}/{region_name(number, region)}.parquet"


def region_name(number: int, region: Region) -> str:
    """Return the name of files of the region ``number`` of the request, without an ending."""
    contig = re.sub(r"[^A-Za-z0-9_.-]", "_", region.contig)
    return f"{number:04d}_{contig}_{region.start}_{region.end}"


def matrix_rows(folder: PackageFolder, region: Region, *, shards: list[str], samples: int) -> Iterator[pa.Table]:
    """Yield the rows of a region from the files of its ``shards``, which have a row for each sample and site.

    Rows of a site follow each other in ``variants``, in the order of samples, so a matrix is a view of the column.
    Memory holds about 16 million values at a time.
    """
    step = max(CELLS // max(samples, 1), 1)
    for shard in shards:
        file = folder.content / "sites" / f"{shard}.parquet"
        if not file.is_file():
            continue
        sites = read_parquet(file, columns=["contig", "pos", "ref", "alt"])
        first = 0
        for values in _columns(folder.content / "variants" / f"{shard}.parquet", size=step * samples):
            chosen = sites.slice(first, len(values) // samples)
            first += chosen.num_rows
            matrix = pa.FixedSizeListArray.from_arrays(values, samples)
            rows = pa.table([*chosen.columns, matrix], schema=matrix_schema(samples))
            pos = numpy_of(rows, "pos")
            yield filtered(rows, (pos >= region.start) & (pos <= region.end))


def _columns(path: Path, *, size: int) -> Iterator[pa.Array]:
    """Yield the joint copies in ``path`` as int8, ``size`` at a time, the last of them fewer."""
    held: list[pa.Array] = []
    with open_parquet(path) as file:
        for batch in file.iter_batches(batch_size=1 << 20, columns=["joint_copies"]):
            copies = batch.column(0).cast(pa.int8())
            held.append(pc.fill_null(copies, pa.scalar(MISSING, pa.int8())))
            values = pa.concat_arrays(held)
            whole = len(values) // size * size
            for first in range(0, whole, size):
                yield values.slice(first, size)
            held = [values.slice(whole)]
    if held and len(held[0]):
        yield held[0]
