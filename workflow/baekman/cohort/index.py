"""The index participant -> batch: an SQLite file in the store, made of its rosters."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from baekman.cohort.roster import participants_of
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.workspace.denied import Admission


@contextmanager
def open_index(store: Store, *, live: Sequence[str]) -> Iterator[sqlite3.Connection]:
    """Yield a connection to the index after the batches that are ``live`` are in it.

    A roster is read only when its batch is not in the index yet.
    """
    with closing(sqlite3.connect(store.participants, timeout=600)) as connection, connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS participants"
            # after a rewrite a participant is in two batches, until no reader of an older snapshot needs the old one
            " (participant_id TEXT, batch TEXT, PRIMARY KEY (participant_id, batch)) WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE IF NOT EXISTS batches (name TEXT PRIMARY KEY) WITHOUT ROWID")
        if _missing(connection, live):
            # from here on no other process adds a batch to the index or removes one
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
    """Return the snapshot's batch of each of ``participants``; participants without a batch are left out."""
    live = {entry.name for entry in at.batches}
    batch_of: dict[str, str] = {}
    with open_index(store, live=sorted(live)) as connection:
        for participant in participants:
            rows = connection.execute("SELECT batch FROM participants WHERE participant_id = ?", (participant,))
            for (batch,) in rows:
                if batch in live:
                    batch_of[participant] = batch
    return batch_of


def excluded(store: Store, admission: Admission, *, at: Snapshot) -> frozenset[str]:
    """Return the participants of a snapshot whose data ``admission`` does not admit."""
    if admission.granted is None:
        return frozenset(find_batches(store, sorted(admission.denied), at=at)) if admission.denied else frozenset()
    live = {entry.name for entry in at.batches}
    with open_index(store, live=sorted(live)) as connection:
        return frozenset(
            participant
            for participant, batch in connection.execute("SELECT participant_id, batch FROM participants")
            if batch in live and not admission.admits(participant)
        )


def forget(store: Store, participants: Sequence[str], *, at: Snapshot) -> None:
    """Delete participants, and the batches that the snapshot does not have; leave no trace of either."""
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
