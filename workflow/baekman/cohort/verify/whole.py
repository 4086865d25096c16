"""Proof that a cohort store is whole: every file is read again, and every count is made again.

Everything that can be recomputed is proved: hashes, order, ranges, censuses, step functions, merged sites of every
snapshot, and AC and AN from the genotypes of all participants. A finding is one line; a sound store has none.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from baekman.cohort import index
from baekman.cohort import snapshot as snapshots
from baekman.cohort.batch import INPUTS, sealed_digests
from baekman.cohort.roster import ROSTER_FILE, digest_members, read_roster
from baekman.cohort.schema import ROSTER
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.cohort.verify.shard import verify_shard
from baekman.engine.local import Engine
from baekman.errors import DamagedFile
from baekman.files.digests import LIST, digest_of, read_digests, read_sealed, sha256_of
from baekman.files.snapshots import standing


def verify(store: Store, *, engine: Engine | None = None) -> list[str]:
    """Return every finding about ``store``, a line each that begins with the name of its file; none for a sound store.

    Other commands may add batches at the same time. Raises SnapshotGone when a withdrawal or compaction deletes files
    that are read.
    """
    existing = snapshots.numbers(store)
    try:
        findings = _findings(store, existing, engine or Engine())
    except FileNotFoundError:
        snapshots.refuse_gone(store, existing)
        raise
    if findings:
        snapshots.refuse_gone(store, existing)
    return findings


def _findings(store: Store, existing: Sequence[int], engine: Engine) -> list[str]:
    if not (store.path / "reference.seq").exists():
        return ["reference.seq: absent"]
    findings = [*_reference(store), *_renamed(store), *_waiting(store)]
    known: dict[int, Snapshot] = {}
    for number in existing:
        try:
            snapshot = snapshots.load_snapshot(store, number)
            if snapshot.content:  # raises ValueError for a digest that is no number
                known[number] = snapshot
        except (DamagedFile, ValueError, KeyError, TypeError) as error:
            findings.append(f"snapshots/{number:08d}.json: cannot be read ({type(error).__name__})")
    names = sorted({entry.name for snapshot in known.values() for entry in snapshot.batches})
    unreadable = [finding for name in names for finding in _unreadable(store, name)]
    if unreadable:
        return findings + unreadable
    for name in names:
        findings += _batch(store, name)
    for snapshot in known.values():
        findings += _snapshot(store, snapshot)
    if known:
        findings += _index(store, list(known.values()), seen=existing[-1])
    with tempfile.TemporaryDirectory() as folder, engine.open() as map_tasks:
        task = partial(verify_shard, store, tuple(known.values()), tuple(names), Path(folder))
        map_tasks("verifying shards", task, len(store.shards))
        findings += _gather(store, names, Path(folder))
    return findings


def _reference(store: Store) -> Iterable[str]:
    size = (store.path / "reference.seq").stat().st_size
    if size != sum(contig.length for contig in store.contigs):
        yield "reference.seq: not as long as its contigs"
        return
    for contig, start in zip(store.contigs, store.genome.starts, strict=True):
        md5 = hashlib.md5(store.genome.sequence[start : start + contig.length].data).hexdigest()
        if md5 != (contig.stored_md5 or contig.m5):
            yield f"reference.seq: contig {contig.name} does not have its M5"


def _unreadable(store: Store, name: str) -> Iterable[str]:
    """Yield the files of a batch that are absent or unreadable and without which nothing else can be proved."""
    if not (store.batch(name) / ROSTER_FILE).is_file():
        yield f"batches/{name}: named by a snapshot, and absent or without a roster"
        return
    if not (store.batch(name) / LIST).is_file():
        yield f"batches/{name}/{LIST}: absent"
        return
    readers: dict[str, Callable[[], object]] = {
        LIST: lambda: sealed_digests(store, name),
        ROSTER_FILE: lambda: read_roster(store, name),
    }
    for file, read in readers.items():
        try:
            read()
        except MemoryError:  # pyarrow has a subclass of its own: no damage
            raise
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            yield f"batches/{name}/{file}: cannot be read ({type(error).__name__})"
            return


def _batch(store: Store, name: str) -> Iterable[str]:
    place = f"batches/{name}"
    roster, _ = read_roster(store, name)
    if roster.schema != ROSTER:
        yield f"{place}/roster.parquet: another schema"
        return
    ids = roster["participant_id"].to_pylist()
    if roster["sample"].to_pylist() != list(range(len(ids))):
        yield f"{place}/roster.parquet: samples are not numbered from 0"
    if ids != sorted(set(ids)):
        yield f"{place}/roster.parquet: participants out of order or twice"
    digests = sealed_digests(store, name) or {}
    yield from _unlisted(store, place, digests)
    for file in (ROSTER_FILE, INPUTS):
        path = store.batch(name) / file
        if path.is_file() and digests.get(file) != digest_of(path):
            yield f"{place}/{file}: another SHA-256 than when it was written"


def _unlisted(store: Store, place: str, digests: Mapping[str, str]) -> Iterable[str]:
    """Yield the files of a folder that are absent, and those that its ``hashes.json`` does not list."""
    folder = store.path / place
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    present = {path.relative_to(folder).as_posix() for path in files} - {LIST}
    for path in sorted(present ^ set(digests)):
        yield f"{place}/{path}: {'absent' if path in digests else 'not in hashes.json'}"


def _renamed(store: Store) -> Iterable[str]:
    """Yield the files in the folder of snapshots that have no snapshot's name."""
    for path in sorted(store.snapshots.iterdir()):
        if not re.fullmatch(r"\d{8}\.json|\..*\.tmp", path.name):
            yield f"snapshots/{path.name}: not the name of a snapshot"


def _waiting(store: Store) -> Iterable[str]:
    """Yield the files of batches that wait and cannot be read."""
    for path in sorted(store.waiting.glob("*.json")):
        try:
            read_sealed(path)
        except DamagedFile:
            yield f"waiting/{path.name}: cannot be read; delete it, and add batch {path.stem} again"
        except FileNotFoundError:  # a withdrawal, or an add
            pass


def _snapshot(store: Store, snapshot: Snapshot) -> Iterable[str]:
    place = f"snapshots/{snapshot.number:08d}.json"
    written = read_sealed(store.path / place)
    if written["participants"] != snapshot.participants or written["content"] != snapshot.content:
        yield f"{place}: participants or content do not follow from its batches"
    ids: list[pa.Array] = []
    for entry in snapshot.batches:
        roster, _ = read_roster(store, entry.name)
        columns = [roster[name].to_pylist() for name in ("participant_id", "gvcf_sha256", "sex")]
        counts = (roster.num_rows, columns[2].count("female"))
        if (entry.participants, entry.females) != counts or entry.digest != digest_members(*columns):
            yield f"{place}: batch {entry.name} has other members than its roster"
        if entry.hashes != sha256_of(store.batch(entry.name) / LIST):
            yield f"{place}: batch {entry.name} has another hashes.json"
        ids += roster["participant_id"].chunks
    everyone = pa.chunked_array(ids, pa.string())
    if pc.count_distinct(everyone).as_py() != len(everyone):
        yield f"{place}: a participant is in two batches"
    yield from _sites(store, snapshot)


def _sites(store: Store, snapshot: Snapshot) -> Iterable[str]:
    """Yield findings about the list of a snapshot's sites, and about each file by this list."""
    place = f"sites/{snapshot.number:08d}"
    try:
        digests = read_digests(store.path / place / LIST) or {}
    except DamagedFile:
        yield f"{place}/{LIST}: cannot be read (DamagedFile)"
        return
    if snapshot.sites != (sha256_of(store.path / place / LIST) if digests else ""):
        yield f"{place}/{LIST}: absent, or not that of its snapshot"
    yield from _unlisted(store, place, digests)


def _index(store: Store, known: list[Snapshot], *, seen: int) -> Iterable[str]:
    """Yield findings about the index; ``known``: the readable snapshots up to number ``seen``, oldest first."""
    if not store.participants.exists():
        return
    while True:
        try:
            missing, unknown = _compare_index(store, standing(known))
        except sqlite3.DatabaseError as error:
            yield f"participants.sqlite: damaged ({type(error).__name__}); the next command makes it again"
            return
        newest = snapshots.numbers(store)[-1]
        if newest == seen or not (missing or unknown):
            break
        # another command added a batch, and indexed it
        seen, known = newest, [*known, snapshots.load_snapshot(store, newest)]
    if missing:
        yield f"participants.sqlite: {missing} participants missing or in another batch"
    if unknown:
        yield f"participants.sqlite: {unknown} participants who are not in the cohort"


def _compare_index(store: Store, known: Sequence[Snapshot]) -> tuple[int, int]:
    """Return the number of missing participants of the indexed batches, and the number of participants in no batch."""
    live = {entry.name for snapshot in known for entry in snapshot.batches}
    # opened for writing, so that SQLite can undo a transaction that was killed
    uri = f"{store.participants.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return 0, 0  # of a command that was killed before it made the tables
        if index.is_damaged(connection, size=store.participants.stat().st_size):
            raise sqlite3.DatabaseError("another content than was written")
        indexed = live.intersection(name for (name,) in connection.execute("SELECT name FROM batches"))
        missing = unknown = 0
        for name in indexed:
            expected = set(read_roster(store, name)[0]["participant_id"].to_pylist())
            rows = connection.execute("SELECT participant_id FROM participants WHERE batch = ?", (name,))
            present = {participant for (participant,) in rows}
            missing += len(expected - present)
            unknown += len(present - expected)
        marks = ", ".join("?" * len(indexed))
        outside = connection.execute(
            f"SELECT count(*) FROM participants WHERE batch NOT IN ({marks})", sorted(indexed)
        ).fetchone()
    return missing, unknown + outside[0]


def _gather(store: Store, names: Iterable[str], folder: Path) -> list[str]:
    findings: list[str] = []
    sums: dict[str, npt.NDArray[np.int64]] = {}
    counted: Counter[str] = Counter()
    for shard in store.shards:
        findings += json.loads((folder / f"{shard.name}.json").read_text())
        with np.load(folder / f"{shard.name}.npz") as of_shard:
            for key in of_shard.files:
                sums[key] = sums.get(key, 0) + of_shard[key]
                counted[key] += 1
    for number, name in enumerate(names):
        roster, _ = read_roster(store, name)
        for column in ("call_rows", "reference_rows"):
            key = f"{column}.{number}"
            # a broken shard has no count, and a finding already
            if counted[key] == len(store.shards) and sums[key].tolist() != roster[column].to_pylist():
                findings.append(f"batches/{name}/roster.parquet: {column} are not those of the shards")
    return findings
