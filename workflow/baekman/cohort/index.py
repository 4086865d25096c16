"""Which batch holds each participant: an index beside the store, made of its rosters."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from baekman.cohort.batch import read_roster
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store


@contextmanager
def open_index(store: Store, *, live: Sequence[str]) -> Iterator[sqlite3.Connection]:
    """The index participant -> batch, brought up to date with the batches that are ``live``.

    It follows from the rosters; a roster is read only when its batch is not indexed yet.
    """
    with closing(sqlite3.connect(store.participants, timeout=600)) as connection, connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS participants"
            # in two batches is who was in one that is written anew, as long as a reader of an older snapshot needs it
            " (participant_id TEXT, batch TEXT, PRIMARY KEY (participant_id, batch)) WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE IF NOT EXISTS batches (name TEXT PRIMARY KEY) WITHOUT ROWID")
        if _missing(connection, live):
            # from here on nobody else adds a batch, and none is read that another has taken out of the index
            connection.execute("BEGIN IMMEDIATE")
            for name in _missing(connection, live):
                connection.executemany(
                    "INSERT INTO participants VALUES (?, ?)",
                    ((participant, name) for participant in participants_of(store, name)),
                )
                connection.execute("INSERT INTO batches VALUES (?)", (name,))
        yield connection


def _missing(connection: sqlite3.Connection, live: Sequence[str]) -> list[str]:
    indexed = {name for (name,) in connection.execute("SELECT name FROM batches")}
    return [name for name in live if name not in indexed]


def find_batches(store: Store, participants: Sequence[str], *, at: Snapshot) -> dict[str, str]:
    """Which batch of the snapshot holds each of ``participants``; those that are in none are left out."""
    live = {entry.name for entry in at.batches}
    found: dict[str, str] = {}
    with open_index(store, live=sorted(live)) as connection:
        for participant in participants:
            rows = connection.execute("SELECT batch FROM participants WHERE participant_id = ?", (participant,))
            for (batch,) in rows:
                if batch in live:
                    found[participant] = batch
    return found


def forget(store: Store, participants: Sequence[str], *, at: Snapshot) -> None:
    """Take participants out, and the batches that the snapshot does not have, leaving no trace of them."""
    live = [entry.name for entry in at.batches]
    with open_index(store, live=live) as connection:
        for (name,) in connection.execute("SELECT name FROM batches").fetchall():
            if name not in live:
                connection.execute("DELETE FROM batches WHERE name = ?", (name,))
                connection.execute("DELETE FROM participants WHERE batch = ?", (name,))
        for participant in participants:
            connection.execute("DELETE FROM participants WHERE participant_id = ?", (participant,))
    with closing(sqlite3.connect(store.participants, timeout=600, isolation_level=None)) as connection:
        connection.execute("VACUUM")


def participants_of(store: Store, batch: str) -> list[str]:
    """The participants of one batch, by sample number."""
    roster, _ = read_roster(store, batch)
    ids: list[str] = roster.column("participant_id").to_pylist()
    return ids
