"""The record store on disk, ``W/records``: its fixed description, its paths, its locks and its buckets."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files import locks
from baekman.files.atomic import atomic_folder
from baekman.files.digests import read_sealed, write_sealed
from baekman.pseudonyms import ALPHABET
from baekman.records.schema import READABLE, SCHEMA_VERSION
from baekman.workspace import identity
from baekman.workspace.paths import Workspace

BUCKETS = 256
BATCH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VALUES = [ALPHABET.find(chr(code)) if chr(code) in ALPHABET else code % 32 for code in range(256)]


@dataclass(frozen=True)
class RecordStore:
    """An existing record store. Open it with ``open_store``, create it with ``create_store``.

    ``buckets``: the number of buckets that participants are spread over, a power of two from 1 to 256, fixed for the
    life of the store. ``owner``: the ID of its workspace, ``workspace`` the folder of it.
    """

    path: Path
    buckets: int
    owner: str
    workspace: Path

    @property
    def snapshots(self) -> Path:
        """Return the folder of the snapshots."""
        return self.path / "snapshots"

    @property
    def batches(self) -> Path:
        """Return the folder of the batches."""
        return self.path / "batches"

    @property
    def work(self) -> Path:
        """Return the folder of unfinished work."""
        return self.path / "work"

    @property
    def dictionary(self) -> Path:
        """Return the path of the dictionary of codes, which only grows."""
        return self.path / "dictionary.tsv"

    def require_schema(self) -> None:
        """Note the present schema in the description of an older store, before it gets files of this schema.

        The caller holds the store's lock. Older versions of baekman refuse the store from then on.
        """
        path = self.path / identity.STORE_FILE
        description = read_sealed(path)
        if description["schema"] != SCHEMA_VERSION:
            write_sealed(path, {**description, "schema": SCHEMA_VERSION})

    def batch(self, name: str) -> Path:
        """Return the folder of the batch ``name``."""
        return self.batches / name

    def lock(self) -> AbstractContextManager[int]:
        """Hold the store's commit lock; wait for another writer to finish."""
        return locks.exclusive(self.path / ".lock", waits_for="another command that writes to these records")

    def work_lock(self, batch: str) -> AbstractContextManager[int]:
        """Hold the work on ``batch`` alone; wait for another command that works on it."""
        return locks.exclusive_and_removed(
            self.work / f"{batch}.lock", waits_for="another command that works on the same batch"
        )

    @property
    def bucket_names(self) -> tuple[str, ...]:
        """Return the names of all buckets: two hex digits."""
        return tuple(f"{bucket:02x}" for bucket in range(self.buckets))

    def bucket_of(self, participant: str) -> str:
        """Return the bucket of a participant, by the first two characters of the ID after its kind letter."""
        first, second = participant.encode().ljust(3, b"0")[1:3]
        return f"{(_VALUES[first] * 32 + _VALUES[second]) * self.buckets // 1024:02x}"

    def buckets_of(self, pairs: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Return the number of the bucket for each pair of bytes: the second and the third character of an ID."""
        values = np.array(_VALUES, np.int64)
        return np.asarray((values[pairs[:, 0]] * 32 + values[pairs[:, 1]]) * self.buckets // 1024)


def create_store(workspace: Path, *, dictionary: str, buckets: int = BUCKETS) -> RecordStore:
    """Create the empty record store of ``workspace``; a store that is there already is opened.

    ``dictionary`` is the text of ``dictionary.tsv``. Raises InputRefused when ``workspace`` is no workspace, or
    ``buckets`` is no power of two from 1 to 256.
    """
    identity.require_workspace(workspace)
    if not 1 <= buckets <= BUCKETS or buckets & (buckets - 1):
        raise InputRefused(
            Problem(file="--buckets", expected=f"a power of two from 1 to {BUCKETS}", found=str(buckets))
        )
    place = Workspace(workspace)
    if not place.records.exists():
        owner = identity.identify(place)
        with atomic_folder(place.records) as folder:
            for name in ("snapshots", "batches", "work"):
                (folder / name).mkdir()
            (folder / "dictionary.tsv").write_text(dictionary, encoding="utf-8")
            write_sealed(
                folder / identity.STORE_FILE, {"schema": SCHEMA_VERSION, "buckets": buckets, identity.KEY: owner}
            )
    return open_store(workspace)


def open_store(workspace: Path) -> RecordStore:
    """Open the record store of ``workspace``.

    Raises InputRefused when there is none, it is of another version or workspace, or its description is damaged.
    """
    path = Workspace(workspace.absolute()).records  # a cluster's workers have other working directories
    try:
        description = read_sealed(path / identity.STORE_FILE)
        schema, buckets, owner = description["schema"], int(description["buckets"]), str(description[identity.KEY])
    except (FileNotFoundError, NotADirectoryError):
        raise InputRefused(
            Problem(
                file=path.name,
                expected="a record store",
                found="no store.json",
                action="create one with: baekman records init --workspace W",
            )
        ) from None
    except (DamagedFile, KeyError, ValueError) as error:
        problem = Problem(
            file=f"{path.name}/store.json",
            expected="the description of a record store",
            found="something else",
            action="restore it from a copy",
        )
        raise InputRefused(problem) from error
    if schema not in READABLE:
        raise InputRefused(
            Problem(
                file=f"{path.name}/store.json",
                expected=f"schema {SCHEMA_VERSION}",
                found=f"schema {schema}",
                action="use the version of baekman that made this store",
            )
        )
    if identity.id_of(workspace) != owner:
        raise InputRefused(
            Problem(
                file=f"{path.name}/store.json",
                expected="the ID of this workspace",
                found="that of another workspace",
                action="use the records in their own workspace; if workspace.json is lost, run `baekman restore check`",
            )
        )
    return RecordStore(path=path, buckets=buckets, owner=owner, workspace=workspace.absolute())
