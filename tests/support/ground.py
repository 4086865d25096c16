"""The ground that the laws are tested on: fifty real gVCFs, and stores of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import Store, create_store, open_store
from baekman.engine.local import Engine
from baekman.tables.freeze import freeze

from support.store_tools import hashes, reference_from_gvcfs

SEED = int(os.environ.get("BAEKMAN_SEED", "1"))
BORDERS = (10_550_000, 10_600_000, 10_650_000)


class Ground:
    """Fifty real gVCFs, the reference that they imply, and stores on it."""

    def __init__(self, folder: Path, gvcfs: Sequence[Path]) -> None:
        self.folder = folder
        self.members = [Member(participant_id=path.name.split(".")[0], gvcf=str(path)) for path in gvcfs]
        self.reference = reference_from_gvcfs(gvcfs, folder / "ref.fa")
        with self.reference.open() as bases:
            length = sum(len(row) - 1 for row in bases if not row.startswith(">"))
        starts, ends = (0, *BORDERS), (*BORDERS, length)
        (folder / "shards.tsv").write_text(
            "shard\tcontig\tstart\tend\n"
            + "".join(f"{n:05d}\tchr22\t{a + 1}\t{b}\n" for n, (a, b) in enumerate(zip(starts, ends, strict=True)))
        )
        self.made = 0

    def store(self) -> Store:
        self.made += 1
        return create_store(
            self.folder / f"cohort-{self.made}", reference=self.reference, shards_file=self.folder / "shards.tsv"
        )

    def frozen(self, store: Store, *, engine: Engine | None = None) -> dict[str, str]:
        """The hashes of every file of a freeze; the freeze itself is deleted."""
        output = store.path.with_name(f"{store.path.name}.freeze")
        freeze(store, output=output, engine=engine)
        found = hashes(output)
        shutil.rmtree(output)
        return found

    def from_scratch(self, members: Sequence[Member]) -> dict[str, str]:
        store = self.store()
        add_batch(store, batch="all", members=members)
        return self.frozen(store)


def fifty_gvcfs(shared_data: Path) -> list[Path]:
    gvcfs = sorted((shared_data / "gvcf" / "gatk_1kg50_grch38_chr22").glob("*.g.vcf.gz"))
    assert len(gvcfs) == 50
    return gvcfs


def copy_of(store: Store, folder: Path) -> Store:
    shutil.copytree(store.path, folder / "cohort")
    return open_store(folder / "cohort")


def traces(store: Store, needles: Sequence[str]) -> list[str]:
    """Files of the store that hold one of ``needles``, in their bytes, their names or their decoded columns."""
    found = []
    for path in sorted(store.path.rglob("*")):
        raw = path.read_bytes() if path.is_file() else b""
        texts = [str(path.relative_to(store.path)).encode(), raw]
        if path.suffix == ".parquet":
            for column in pq.read_table(path).columns:
                if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
                    texts.append("\n".join(map(str, column.unique().to_pylist())).encode())
        if any(needle.encode() in text for needle in needles for text in texts):
            found.append(str(path.relative_to(store.path)))
    return found
