"""The ground that the laws are tested on: real gVCFs, the reference that they imply, and stores on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import Store, create_store, open_store
from baekman.engine.local import Engine
from baekman.freezes.freeze import freeze
from baekman.gvcf.thresholds import GvcfRules
from support.store_tools import hashes, reference_from_gvcfs

SEED = int(os.environ.get("BAEKMAN_SEED", "1"))
BORDERS = (10_550_000, 10_600_000, 10_650_000)  # of the shards of the fifty


class Ground:
    """The participants of some gVCFs, their reference, and stores on it in ``folder``."""

    def __init__(
        self,
        folder: Path,
        members: Sequence[Member],
        *,
        reference: Path,
        shards_file: Path | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.members = list(members)
        self.reference = reference
        self.shards_file = shards_file
        self.rules = GvcfRules(aliases=dict(aliases or {}))
        self.made = 0

    @cached_property
    def _empty(self) -> Path:
        """The store that each new one is a copy of: to create one means to read the reference three times."""
        return create_store(
            self.folder / "empty", reference=self.reference, shards_file=self.shards_file, rules=self.rules
        ).path

    def store(self) -> Store:
        """Make an empty store."""
        self.made += 1
        path = self.folder / f"cohort-{self.made}"
        shutil.copytree(self._empty, path)
        return open_store(path)

    def frozen(self, store: Store, *, engine: Engine | None = None) -> dict[str, str]:
        """Return the hash of each file of a freeze that no division into batches changes; the freeze is deleted."""
        output = store.path.with_name(f"{store.path.name}.freeze")
        freeze(store, output=output, engine=engine)
        files = hashes_without_batches(output)
        shutil.rmtree(output)
        return files

    def from_scratch(self, members: Sequence[Member]) -> dict[str, str]:
        """Return the freeze of a new store to which ``members`` were added as one batch."""
        store = self.store()
        add_batch(store, batch="all", members=members)
        return self.frozen(store)


def hashes_without_batches(output: Path) -> dict[str, str]:
    """Return the hash of each file of a freeze but those that name batches; of these the other columns count."""
    files = hashes(output)
    del files["SHA256SUMS"], files["participants.parquet"]
    people = pq.read_table(output / "participants.parquet", columns=["participant_id", "sex", "type"])
    return {**files, "participants": repr(people.to_pydict())}


def ground_of_fifty(folder: Path, shared_data: Path) -> Ground:
    """Return the ground of fifty GATK gVCFs of GRCh38 chr22, in four shards."""
    gvcfs = fifty_gvcfs(shared_data)
    reference = reference_from_gvcfs(gvcfs, folder / "ref.fa")
    with reference.open() as bases:
        length = sum(len(row) - 1 for row in bases if not row.startswith(">"))
    starts, ends = (0, *BORDERS), (*BORDERS, length)
    shards_file = folder / "shards.tsv"
    shards_file.write_text(
        "shard\tcontig\tstart\tend\n"
        + "".join(f"{n:05d}\tchr22\t{a + 1}\t{b}\n" for n, (a, b) in enumerate(zip(starts, ends, strict=True)))
    )
    members = [Member(participant_id=path.name.split(".")[0], gvcf=str(path)) for path in gvcfs]
    return Ground(folder, members, reference=reference, shards_file=shards_file)


def fifty_gvcfs(shared_data: Path) -> list[Path]:
    """Return the fifty gVCFs, in the order of their names."""
    gvcfs = sorted((shared_data / "gvcf" / "gatk_1kg50_grch38_chr22").glob("*.g.vcf.gz"))
    assert len(gvcfs) == 50
    return gvcfs


def copy_of(store: Store, folder: Path) -> Store:
    """Copy a store to ``folder/cohort``."""
    shutil.copytree(store.path, folder / "cohort")
    return open_store(folder / "cohort")


def traces(store: Store, needles: Sequence[str]) -> list[str]:
    """Return the files of the store that hold one of ``needles`` in their bytes, names or decoded columns."""
    files = []
    for path in sorted(store.path.rglob("*")):
        raw = path.read_bytes() if path.is_file() else b""
        texts = [str(path.relative_to(store.path)).encode(), raw]
        if path.suffix == ".parquet":
            for column in pq.read_table(path).columns:
                if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
                    texts.append("\n".join(map(str, column.unique().to_pylist())).encode())
        if any(needle.encode() in text for needle in needles for text in texts):
            files.append(str(path.relative_to(store.path)))
    return files
