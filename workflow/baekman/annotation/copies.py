"""Copies of annotations next to sites that lie elsewhere, as those of a freeze."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.annotation.schema import ANNOTATIONS
from baekman.annotation.stored import NOTE, noted, read_annotations
from baekman.arrow import numpy_of, read_parquet, write_parquet
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.files.digests import listed_digest, read_whole, write_sealed

KEY = ["pos", "ref", "alt"]


def copy_annotations(store: Store, snapshot: Snapshot, folder: Path, *, sites: Path) -> None:
    """Write the annotations of ``snapshot`` for the alleles of ``sites`` to ``folder``, and their sources.

    ``sites``: a folder with a file per shard; its alleles are among those of the snapshot. A file has the bytes that
    an annotation of these alleles gives.
    """
    for number, shard in enumerate(store.shards):
        name = f"{shard.name}.parquet"
        table = read_annotations(store, snapshot, number)
        alleles = read_parquet(sites / name, columns=KEY)
        if alleles.num_rows == table.num_rows:
            source = store.annotations(snapshot.sites)
            (folder / name).write_bytes(read_whole(source / name, digest=listed_digest(source, name)))
            continue
        metadata = table.schema.metadata
        # a list that was read from Parquet has another name for its items
        chosen = table.replace_schema_metadata(None).cast(ANNOTATIONS).take(pa.array(rows_of(alleles, table)))
        write_parquet(chosen.combine_chunks().replace_schema_metadata(metadata), folder / name)
    write_sealed(folder / NOTE, noted(store, snapshot) or {})


def rows_of(alleles: pa.Table, others: pa.Table) -> npt.NDArray[np.int64]:
    """Return for each of ``alleles`` the row of the same allele in ``others``; -1 where there is none."""
    left = alleles.select(KEY).append_column("row", pa.array(np.arange(alleles.num_rows)))
    right = others.select(KEY).append_column("other", pa.array(np.arange(others.num_rows)))
    joined = left.join(right, keys=KEY, join_type="left outer")
    rows = np.full(alleles.num_rows, -1, np.int64)
    rows[numpy_of(joined, "row")] = joined.column("other").fill_null(-1).to_numpy()
    return rows
