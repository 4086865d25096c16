"""The index participant -> batch, and content of a gVCF -> participant: an SQLite file in the store, of its rosters.

SQLite does not notice a changed byte, and a participant that a lookup misses would be added twice or not withdrawn. So
the rows lie in buckets, and each bucket has a seal: the sum of the hashes of its rows. A lookup compares the whole
bucket with its seal. A damaged index is deleted and made again from the rosters. ``PRAGMA user_version`` holds the
CRC-32 of the file's pages, which ``baekman cohort verify`` compares; 0 means that a command was changing the file.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any, TypeVar

from isal import isal_zlib

from baekman.cohort.roster import read_contents
from baekman.cohort.snapshot import BatchEntry, Snapshot
from baekman.cohort.store import Store
from baekman.workspace.denied import Admission

Result = TypeVar("Result")

PAGE = 1024  # bytes; each of the tables takes at least one page of the smallest cohort
BUCKETS = 1 << 16
OF_BATCHES = -1  # the bucket number of the seal of the table of batches
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH")
_MOVED = "SQLITE_READONLY_DBMOVED"  # another process deleted a damaged index
_MODULUS = 1 << 63
# SQLite itself sets these parts of the header at a commit: change counter, user_version, version-valid-for, version
_OWN = ((24, 28), (60, 64), (92, 100))
_TABLES = (
    "CREATE TABLE IF NOT EXISTS participants"
    # after a rewrite a participant is in two batches, until no reader of an older snapshot needs the old one
    " (bucket INTEGER, participant_id TEXT, batch TEXT, PRIMARY KEY (bucket, participant_id, batch)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS contents"
    " (bucket INTEGER, digest TEXT, participant_id TEXT, batch TEXT,"
    " PRIMARY KEY (bucket, digest, participant_id, batch)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS batches (name TEXT PRIMARY KEY, digest TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS seals (bucket INTEGER PRIMARY KEY, total INTEGER)",
)


class IndexDamaged(Exception):
    """The index has other rows than were written."""


def update_index(store: Store, entries: Sequence[BatchEntry]) -> None:
    """Put the batches of ``entries`` into the index; a roster is read only when its batch is not in it yet."""
    _using(store, entries, lambda connection: None)


def find_batches(store: Store, participants: Sequence[str], *, at: Snapshot) -> dict[str, str]:
    """Return the snapshot's batch of each of ``participants``; participants without a batch are left out."""
    live = {entry.name for entry in at.batches}
    wanted: dict[int, set[str]] = defaultdict(set)
    for participant in participants:
        wanted[_bucket(participant)].add(participant)

    def look_up(connection: sqlite3.Connection) -> dict[str, str]:
        return {
            participant: batch
            for bucket, some in wanted.items()
            for participant, batch in _rows(connection, bucket)
            if batch in live and participant in some
        }

    batch_of = _using(store, at.batches, look_up)
    return {participant: batch_of[participant] for participant in participants if participant in batch_of}


def others_with_contents(
    store: Store, contents: Iterable[tuple[str, Iterable[str]]], *, at: Snapshot
) -> list[tuple[str, str, str]]:
    """Return (participant, another participant, batch of the other) where a batch of the snapshot has the same content.

    ``contents``: participant and digests of the gVCF's content, as ``read_contents`` has them. The cost depends on
    their number, not on that of the cohort.
    """
    live = {entry.name for entry in at.batches}
    members = [(participant, digest) for participant, digests in contents for digest in sorted(digests) if digest]

    def look_up(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
        found = {
            (participant, other, batch): None
            for participant, digest in members
            for known, other, batch in _content_rows(connection, _content_bucket(digest))
            if known == digest and other != participant and batch in live
        }
        return list(found)

    return _using(store, at.batches, look_up)


def batches_with(store: Store, participants: Sequence[str], *, of: Sequence[Snapshot]) -> set[str]:
    """Return the names of the batches of the snapshots ``of`` that hold one of ``participants``."""
    entries = {entry.name: entry for snapshot in of for entry in snapshot.batches}

    def look_up(connection: sqlite3.Connection) -> set[str]:
        return {
            batch
            for participant in participants
            for known, batch in _rows(connection, _bucket(participant))
            if known == participant and batch in entries
        }

    return _using(store, list(entries.values()), look_up)


def excluded(store: Store, admission: Admission, *, at: Snapshot) -> frozenset[str]:
    """Return the participants of a snapshot whose data ``admission`` does not admit."""
    if admission.granted is None:
        return frozenset(find_batches(store, sorted(admission.denied), at=at)) if admission.denied else frozenset()
    live = {entry.name for entry in at.batches}

    def look_up(connection: sqlite3.Connection) -> frozenset[str]:
        rows = _all_rows(connection)
        return frozenset(known for known, batch in rows if batch in live and not admission.admits(known))

    return _using(store, at.batches, look_up)


def forget(store: Store, participants: Sequence[str], *, at: Snapshot) -> None:
    """Delete participants, and the batches that the snapshot does not have; leave no trace of either."""
    live = {entry.name for entry in at.batches}

    def delete(connection: sqlite3.Connection) -> None:
        gone = [name for (name,) in connection.execute("SELECT name FROM batches") if name not in live]
        rows = [
            (_bucket(participant), participant, batch)
            for participant in participants
            for known, batch in _rows(connection, _bucket(participant))
            if known == participant
        ]
        for name in gone:
            rows += connection.execute(
                "SELECT bucket, participant_id, batch FROM participants WHERE batch = ?", (name,)
            ).fetchall()
        _change(connection, sorted(set(rows)), delete=True)
        contents = [
            row
            for column, values in (("participant_id", participants), ("batch", gone))
            for value in values
            for row in connection.execute(f"SELECT * FROM contents WHERE {column} = ?", (value,))
        ]
        _change_contents(connection, sorted(set(contents)), delete=True)
        _change_batches(connection, [(name,) for name in gone], delete=True)
        connection.execute("PRAGMA user_version = 0")  # until the file is packed

    _using(store, at.batches, delete, packs=True)
    with closing(sqlite3.connect(store.participants, timeout=600, isolation_level=None)) as connection:
        connection.execute("VACUUM")
    _using(store, at.batches, lambda connection: connection.execute("BEGIN IMMEDIATE"))


def is_damaged(connection: sqlite3.Connection, *, size: int) -> bool:
    """Return whether a row, or any other byte of the file of ``size`` bytes, differs from what was written.

    A command that is changing the file, or was killed then, leaves no CRC-32 to compare.
    """
    version = _user_version(connection)
    data = connection.serialize()
    header_differs = data[24:28] != data[92:96]
    if version and (header_differs or size != len(data) or _checksum(data) != version):
        return True
    try:
        _check_batches(connection)
        _all_rows(connection)
        contents = connection.execute("SELECT digest, participant_id, batch, bucket FROM contents")
        _require_seals(connection, contents, first=BUCKETS)
    except IndexDamaged:
        return True
    return False


def _using(
    store: Store, entries: Sequence[BatchEntry], work: Callable[[sqlite3.Connection], Result], *, packs: bool = False
) -> Result:
    """Return the result of ``work`` on the index with the batches of ``entries``; make a damaged index again.

    ``packs``: the caller packs the file next, so its CRC-32 is not noted.
    """
    try:
        return _attempt(store, entries, work, packs=packs)
    except (IndexDamaged, sqlite3.DatabaseError) as error:
        code = str(getattr(error, "sqlite_errorname", ""))
        if isinstance(error, sqlite3.Error) and not code.startswith((*_DAMAGE, _MOVED)):
            raise
    for ending in ("-journal", "") if code != _MOVED else ():
        store.participants.with_name(f"{store.participants.name}{ending}").unlink(missing_ok=True)
    return _attempt(store, entries, work, packs=packs)


def _attempt(
    store: Store, entries: Sequence[BatchEntry], work: Callable[[sqlite3.Connection], Result], *, packs: bool
) -> Result:
    with closing(sqlite3.connect(store.participants, timeout=600)) as connection, connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")  # of a new file
        connection.execute("PRAGMA secure_delete = ON")
        if not _has_tables(connection):
            connection.execute("BEGIN IMMEDIATE")  # another process sees all tables or none
            _has_tables(connection)
            for table in _TABLES:
                connection.execute(table)
            connection.commit()
        if _missing(connection, entries):
            # from here on no other process adds a batch to the index or removes one
            connection.execute("BEGIN IMMEDIATE")
            for entry in _missing(connection, entries):
                members = read_contents(store, entry.name)
                _change(connection, [(_bucket(known), known, entry.name) for known, _, _ in members])
                contents = [(digest, known) for known, _, digests in members for digest in sorted(digests) if digest]
                rows = [(_content_bucket(digest), digest, known, entry.name) for digest, known in contents]
                _change_contents(connection, rows)
                _change_batches(connection, [(entry.name, entry.digest)])
        result = work(connection)
        if connection.in_transaction and not packs:
            # of the pages with the changes of this transaction
            connection.execute(f"PRAGMA user_version = {_checksum(connection.serialize())}")
        return result


def _has_tables(connection: sqlite3.Connection) -> bool:
    """Return whether all tables are there; raise IndexDamaged for an index of an earlier version."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "participants" in names and "contents" not in names:
        raise IndexDamaged
    return {"participants", "contents", "batches", "seals"} <= names


def _checksum(data: bytes) -> int:
    """Return the CRC-32 of the pages without the parts of the header that a commit sets; never 0."""
    plain = bytearray(data)
    for first, last in _OWN:
        plain[first:last] = bytes(last - first)
    crc: int = isal_zlib.crc32(plain) & 0x7FFFFFFF
    return crc or 1


def _user_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _missing(connection: sqlite3.Connection, entries: Sequence[BatchEntry]) -> list[BatchEntry]:
    """Return the batches that are not in the index; raise IndexDamaged when one has other members there."""
    indexed = _check_batches(connection)
    if any(indexed.get(entry.name, entry.digest) != entry.digest for entry in entries):
        raise IndexDamaged
    return [entry for entry in entries if entry.name not in indexed]


def _check_batches(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, digest FROM batches").fetchall()
    if _total(rows) != _seal(connection, OF_BATCHES):
        raise IndexDamaged
    return dict(rows)


def _rows(connection: sqlite3.Connection, bucket: int) -> list[tuple[str, str]]:
    """Return participant and batch of all rows of a bucket; raise IndexDamaged unless they have its seal."""
    rows = connection.execute("SELECT participant_id, batch FROM participants WHERE bucket = ?", (bucket,)).fetchall()
    if _total(rows) != _seal(connection, bucket):
        raise IndexDamaged
    return rows


def _all_rows(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return participant and batch of all rows; raise IndexDamaged unless each bucket has its seal."""
    rows = connection.execute("SELECT participant_id, batch, bucket FROM participants").fetchall()
    _require_seals(connection, rows, first=0)
    return [(participant, batch) for participant, batch, _ in rows]


def _require_seals(connection: sqlite3.Connection, rows: Iterable[Sequence[Any]], *, first: int) -> None:
    """Raise IndexDamaged unless ``rows``, with their bucket last, have the seals of the buckets from ``first`` on."""
    totals: dict[int, int] = defaultdict(int)
    for *row, bucket in rows:
        totals[bucket] = (totals[bucket] + _total([row])) % _MODULUS
    between = (first, first + BUCKETS - 1)
    seals = dict(connection.execute("SELECT bucket, total FROM seals WHERE bucket BETWEEN ? AND ?", between))
    if {bucket: total for bucket, total in totals.items() if total} != seals:
        raise IndexDamaged


def _change(connection: sqlite3.Connection, rows: Sequence[tuple[int, str, str]], *, delete: bool = False) -> None:
    """Add rows to the table of participants and to the seals, or delete them from both."""
    if delete:
        connection.executemany("DELETE FROM participants WHERE bucket = ? AND participant_id = ? AND batch = ?", rows)
    else:
        connection.executemany("INSERT INTO participants VALUES (?, ?, ?)", rows)
    totals: dict[int, int] = defaultdict(int)
    for bucket, participant, batch in rows:
        totals[bucket] += _total([(participant, batch)])
    _add_to_seals(connection, totals, sign=-1 if delete else 1)


def _content_rows(connection: sqlite3.Connection, bucket: int) -> list[tuple[str, str, str]]:
    """Return digest, participant and batch of all rows of a bucket; raise IndexDamaged unless they have its seal."""
    query = "SELECT digest, participant_id, batch FROM contents WHERE bucket = ?"
    rows = connection.execute(query, (bucket,)).fetchall()
    if _total(rows) != _seal(connection, bucket):
        raise IndexDamaged
    return rows


def _change_contents(
    connection: sqlite3.Connection, rows: Sequence[tuple[int, str, str, str]], *, delete: bool = False
) -> None:
    """Add rows to the table of contents and to the seals, or delete them from both."""
    if delete:
        where = "bucket = ? AND digest = ? AND participant_id = ? AND batch = ?"
        connection.executemany(f"DELETE FROM contents WHERE {where}", rows)
    else:
        connection.executemany("INSERT INTO contents VALUES (?, ?, ?, ?)", rows)
    totals: dict[int, int] = defaultdict(int)
    for bucket, *row in rows:
        totals[bucket] += _total([row])
    _add_to_seals(connection, totals, sign=-1 if delete else 1)


def _change_batches(connection: sqlite3.Connection, rows: Sequence[tuple[str, ...]], *, delete: bool = False) -> None:
    """Add rows (name, digest) to the table of batches and to its seal, or delete the named rows from both."""
    if delete:
        known = dict(connection.execute("SELECT name, digest FROM batches"))
        connection.executemany("DELETE FROM batches WHERE name = ?", rows)
        rows = [(name, known[name]) for (name,) in rows]
    else:
        connection.executemany("INSERT INTO batches VALUES (?, ?)", rows)
    _add_to_seals(connection, {OF_BATCHES: _total(rows)}, sign=-1 if delete else 1)


def _add_to_seals(connection: sqlite3.Connection, totals: dict[int, int], *, sign: int) -> None:
    sums = [(bucket, (_seal(connection, bucket) + sign * total) % _MODULUS) for bucket, total in totals.items()]
    connection.executemany("REPLACE INTO seals VALUES (?, ?)", [row for row in sums if row[1]])
    connection.executemany("DELETE FROM seals WHERE bucket = ?", [(bucket,) for bucket, total in sums if not total])


def _seal(connection: sqlite3.Connection, bucket: int) -> int:
    row = connection.execute("SELECT total FROM seals WHERE bucket = ?", (bucket,)).fetchone()
    return int(row[0]) if row else 0


def _total(rows: Iterable[Sequence[str]]) -> int:
    """Return the sum of the hashes of rows, which does not depend on their order."""
    hashes = (hashlib.sha256("\t".join(map(str, row)).encode()).digest()[:8] for row in rows)
    return sum(int.from_bytes(digest, "big") for digest in hashes) % _MODULUS


def _bucket(participant: str) -> int:
    return int(isal_zlib.crc32(participant.encode())) % BUCKETS


def _content_bucket(digest: str) -> int:
    return BUCKETS + int(isal_zlib.crc32(digest.encode())) % BUCKETS
