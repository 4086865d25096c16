"""The members for the tasks of a build: our IDs with those of the project, sealed with a key of this build.

The key is in memory only, so nothing on disk links the IDs after the command ends, or was killed. Jobs of Snakemake get
it from a file that is destroyed when they end (``releases.dag.tasks``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import numpy_of, string_parts
from baekman.files.secret_file import write_secret
from baekman.releases.package.genotypes import Samples

# ``sample``: the row of the member in participants.parquet, from 0. ``denied``: scopes that the member has not granted.
PEOPLE = pa.schema(
    [
        ("participant_id", pa.string()),
        ("project_id", pa.string()),
        ("date_shift_days", pa.int32()),
        ("sample", pa.uint32()),
        ("has_genotypes", pa.bool_()),
        ("denied", pa.list_(pa.string())),
    ]
)
NONCE_BYTES, KEY_BYTES = 12, 32


@dataclass(frozen=True, kw_only=True)
class People:
    """The members by bucket of the record store, in the folder ``path``; ``key`` opens the files."""

    path: Path
    key: bytes

    def __repr__(self) -> str:
        return f"People({self.path.name})"

    @classmethod
    def new(cls, path: Path) -> People:
        """Return the people in ``path`` under a new key; files under another key are deleted."""
        for stale in path.glob("*"):
            stale.unlink()
        return cls(path=path, key=os.urandom(KEY_BYTES))

    def write(self, bucket: str, people: pa.Table) -> None:
        """Write the members of a bucket (schema PEOPLE, sorted by participant ID)."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, PEOPLE) as stream:
            stream.write_table(people)
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self.key).encrypt(nonce, sink.getvalue().to_pybytes(), bucket.encode())
        write_secret(self.path / bucket, nonce + sealed)

    def number(self, bucket: str, order: npt.NDArray[np.bytes_]) -> None:
        """Write the sample numbers of a bucket: the places of its project IDs in ``order``, which is sorted."""
        people = self.of_bucket(bucket)
        samples = np.searchsorted(order, fixed_width(people["project_id"].combine_chunks())).astype(np.uint32)
        place = PEOPLE.get_field_index("sample")
        self.write(bucket, people.set_column(place, PEOPLE.field(place), pa.array(samples)))

    def buckets(self) -> tuple[str, ...]:
        """Return the buckets with members, sorted."""
        return tuple(sorted(path.name for path in self.path.glob("*") if not path.name.startswith(".")))

    def of_bucket(self, bucket: str) -> pa.Table:
        """Return the members of a bucket; a table without rows where there are none."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not (self.path / bucket).is_file():
            return PEOPLE.empty_table()
        data = (self.path / bucket).read_bytes()
        opened = AESGCM(self.key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bucket.encode())
        with pa.ipc.open_stream(opened) as stream:
            return stream.read_all()

    def tables(self) -> Iterator[pa.Table]:
        """Yield the members of each bucket."""
        for bucket in self.buckets():
            yield self.of_bucket(bucket)

    def samples(self) -> Samples:
        """Return the members with genotypes, sorted by participant ID; read once per process."""
        return _samples(self)


@lru_cache(maxsize=1)
def _samples(people: People) -> Samples:
    genotyped = [table.filter(table["has_genotypes"]) for table in people.tables()]
    everyone = pa.concat_tables([PEOPLE.empty_table(), *genotyped]).combine_chunks().sort_by("participant_id")
    ids = everyone["participant_id"].combine_chunks()
    return Samples(ids=ids, numbers=numpy_of(everyone, "sample"))


def fixed_width(project_ids: pa.Array) -> npt.NDArray[np.bytes_]:
    """Return IDs of one width as NumPy bytes."""
    if not len(project_ids):
        return np.zeros(0, "S1")
    _, data = string_parts(project_ids)
    return np.ascontiguousarray(data).view(f"S{len(data) // len(project_ids)}")


def sample_numbers(project_ids: Iterable[pa.Array]) -> npt.NDArray[np.bytes_]:
    """Return all ``project_ids``, sorted: the place of an ID is its sample number."""
    parts = [fixed_width(ids) for ids in project_ids if len(ids)]
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0, "S1")
