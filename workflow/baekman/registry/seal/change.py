"""A change of the registry: a transaction that keeps the seals of its owners and the registry's head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, update

from baekman.errors import InputRefused, Problem
from baekman.key_ring import KeyRing
from baekman.registry import database
from baekman.registry.seal import head as heads
from baekman.registry.seal.head import Head, Shelf
from baekman.registry.seal.owner import KEY, TABLES, Seal, row_of, write_seals
from baekman.registry.seal.verification import verified_seals


class SealedChange:
    """A change under way. ``insert`` and ``update`` write rows; the seals and the head follow by ``flush``."""

    def __init__(self, connection: Connection, ring: KeyRing, head: Head) -> None:
        self.connection = connection
        self.ring = ring
        self.head = head
        self.is_changed = False
        self._number = head.sequence + 1
        self._stored: dict[str, Seal] = {}
        self._new: dict[str, Seal] = {}
        self._dirty: set[str] = set()

    def open(self, owner_ids: Sequence[str]) -> None:
        """Read the seals of owners whose rows will change; InputRefused when their rows do not match them."""
        unread = [owner_id for owner_id in owner_ids if owner_id not in self._stored and owner_id not in self._new]
        self._stored |= verified_seals(self.connection, unread, ring=self.ring)

    def next_sequence(self, table: Table) -> int:
        """Return the number for a new row of ``table``, one more than that of the last."""
        self.head.last[table.name] = self.head.last.get(table.name, 0) + 1
        return self.head.last[table.name]

    def insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert ``rows``, each with all columns that are not empty; the owner's own row comes first."""
        if not rows:
            return
        self.connection.execute(table.insert(), list(rows))
        self.head.rows[table.name] = self.head.rows.get(table.name, 0) + len(rows)
        self._note(table, rows)

    def update(self, table: Table, records: Sequence[Mapping[str, Any]]) -> None:
        """Update ``sealed`` of ``records``, each with all columns; their owners are opened before."""
        if not records:
            return
        key = next(iter(table.primary_key))
        sealed = [{"key": record[key.name], "value": record["sealed"]} for record in records]
        self.connection.execute(update(table).where(key == bindparam("key")).values(sealed=bindparam("value")), sealed)
        self.note_updated(table, records)

    def note_updated(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note rows that the caller has updated, with all columns; their owners are opened before the update."""
        self._note(table, rows)

    def _note(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        own, owner = _owner_column(table)
        for row in rows:
            owner_id = row[owner]
            seal = self._stored.get(owner_id) or self._new.get(owner_id)
            if seal is None:
                if not own:
                    raise ValueError("the owner of a row was not opened")
                seal = self._new[owner_id] = Seal(owner_id)
            seal.note(table, row_of(table, row), ring=self.ring)
            self._dirty.add(owner_id)
        self.is_changed = True

    def flush(self) -> None:
        """Write the seals of all owners that changed, and forget them."""
        written = [self._stored[owner_id] for owner_id in sorted(self._dirty & set(self._stored))]
        before = {seal.owner_id: (seal.number, seal.term(self.ring)) for seal in written}
        new = [self._new[owner_id] for owner_id in sorted(self._dirty & set(self._new))]
        for seal in (*written, *new):
            seal.number = self._number
        write_seals(self.connection, written, is_new=False, ring=self.ring)
        write_seals(self.connection, new, is_new=True, ring=self.ring)
        for seal in (*written, *new):
            shelf = self.head.shelves.setdefault(heads.shelf_of(seal.owner_id), Shelf())
            if seal.owner_id in before:
                number, term = before[seal.owner_id]
                shelf.add(seal.owner_id, number=number, term=term, sign=-1)
            shelf.add(seal.owner_id, number=seal.number, term=seal.term(self.ring))
        self._stored, self._new, self._dirty = {}, {}, set()

    def close(self) -> None:
        """Write what is left to write; without a change the head stays."""
        self.flush()
        if self.is_changed:
            self.head.count_change()
            heads.write_head(self.connection, self.head, ring=self.ring)


def _owner_column(table: Table) -> tuple[bool, str]:
    """Return whether rows of ``table`` are owners, and the column with the owner's ID."""
    own_table = next(own for own, others in TABLES.values() if table is own or table in others)
    return table is own_table, KEY[own_table.name]


@contextmanager
def changing(engine: Engine, *, ring: KeyRing) -> Iterator[SealedChange]:
    """Yield a change of the registry in a transaction; no other writer runs at the same time."""
    with database.writing(engine) as connection:
        change = SealedChange(connection, ring, require_head(connection, ring=ring))
        yield change
        change.close()


def require_head(connection: Connection, *, ring: KeyRing) -> Head:
    """Return the registry's head; InputRefused when it is gone or was changed."""
    head = heads.read_head(connection, ring=ring)
    if head is None:
        raise InputRefused(
            Problem(
                file="registry",
                expected="the sealed head of the registry",
                found="none: it was deleted by hand",
                action="restore the registry from a back-up, then run `baekman restore check`",
            )
        )
    return head
