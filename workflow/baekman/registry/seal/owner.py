"""The seal of an owner (a participant or a delivery): a code of each of its rows, so that none can be changed alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select, update

from baekman.key_ring import KeyRing
from baekman.registry import database
from baekman.registry.database import (
    chunks,
    consent_events,
    deliveries,
    participants,
    seals,
    specimens,
    verdicts,
)
from baekman.registry.seal.head import shelf_of

# kind letter of the owner -> the table of the owner, and the tables of its rows
TABLES: dict[str, tuple[Table, tuple[Table, ...]]] = {
    "P": (participants, (specimens, consent_events)),
    "D": (deliveries, (verdicts,)),
}
ALL_TABLES = (participants, specimens, consent_events, deliveries, verdicts)
KEY = {table.name: next(iter(table.primary_key)).name for table in ALL_TABLES}
_COLUMNS = {table.name: tuple(column.name for column in table.columns) for table in ALL_TABLES}  # the key first
_OWN = {own.name for own, _ in TABLES.values()}
_WITHDRAWN_AT = _COLUMNS[participants.name].index("withdrawn_at")


@dataclass
class Seal:
    """The codes of all rows of an owner.

    Attributes:
        owner_id: Pseudonym of the participant or delivery.
        number: The change of the registry that wrote the seal.
        row: Code of the owner's own row; "" when there is none.
        rows: Table -> key of the row -> code.
        withdrawn_at: Day of a participant's withdrawal, ISO 8601; None without one.
        stored: The seal as it is stored; empty when it is not.
    """

    owner_id: str
    number: int = 0
    row: str = ""
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    withdrawn_at: str | None = None
    stored: bytes = b""

    def sealed(self, ring: KeyRing) -> bytes:
        """Return the seal as it is to be stored, and set ``stored``."""
        values = {"number": self.number, "row": self.row, "rows": self.rows, "withdrawn_at": self.withdrawn_at}
        self.stored = ring.seal(values, identity=f"seal {self.owner_id}")
        return self.stored

    def term(self, ring: KeyRing) -> int:
        """Return the term of the stored seal in the sums of its shelf; 0 when it is not stored."""
        return term_of(self.owner_id, self.stored, ring=ring) if self.stored else 0

    def note(self, table: Table, row: Sequence[Any], *, ring: KeyRing) -> None:
        """Note a row of the owner, its columns in the order of the table, as it is or will be in the database."""
        code = ring.mac(table.name, *row)
        if table.name in _OWN:
            self.row = code
            self.withdrawn_at = row[_WITHDRAWN_AT] if table is participants else None
        else:
            self.rows.setdefault(table.name, {})[str(row[0])] = code


def row_of(table: Table, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return ``values`` in the order of the columns of ``table``; None where there is none."""
    return tuple([values.get(name) for name in _COLUMNS[table.name]])


def term_of(owner_id: str, sealed: bytes, *, ring: KeyRing) -> int:
    """Return the term of a stored seal in the sums of its shelf."""
    return int(ring.mac("term", owner_id, sealed), 16)


def stored_seals(connection: Connection, owner_ids: Sequence[str], *, ring: KeyRing) -> dict[str, Seal]:
    """Return the stored seals of ``owner_ids``; InputRefused for one that was changed by hand."""
    return {
        owner_id: _opened(owner_id, sealed, ring=ring)
        for some in chunks(owner_ids)
        for owner_id, sealed in connection.execute(select(seals).where(seals.c.owner_id.in_(some)))
    }


def seals_of_shelves(
    connection: Connection, shelves: Collection[str], *, of: int
) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Yield each of ``shelves`` with the (owner ID, stored bytes) of its seals.

    ``of``: the number of all shelves. Where most are asked for, one pass over the table costs less than a query each.
    """
    wanted = set(shelves)
    if 2 * len(wanted) < of:
        yield from ((name, _seals_of_shelf(connection, name)) for name in wanted)
        return
    pages = database.pages(connection, seals.c.owner_id, seals.c.sealed)
    rows = ((owner_id, sealed) for page in pages for owner_id, sealed in page)
    for name, found in groupby(rows, key=lambda row: shelf_of(row[0])):
        if name in wanted:
            wanted.remove(name)
            yield name, list(found)
    yield from ((name, []) for name in wanted)


def _seals_of_shelf(connection: Connection, shelf: str) -> list[tuple[str, bytes]]:
    # IDs are capitals and digits of one length: the order of every collation is that of bytes
    column = seals.c.owner_id
    first, last = shelf.ljust(14, "0"), shelf.ljust(14, "Z")
    rows = connection.execute(select(seals).where(column >= first, column <= last))
    return [(row.owner_id, row.sealed) for row in rows]


def _opened(owner_id: str, sealed: bytes, *, ring: KeyRing) -> Seal:
    values = ring.unseal(sealed, identity=f"seal {owner_id}")
    return Seal(owner_id, stored=sealed, **values)


def write_seals(connection: Connection, written: Sequence[Seal], *, is_new: bool, ring: KeyRing) -> None:
    """Insert or update the seals of owners in the caller's transaction."""
    if not written:
        return
    if is_new:
        connection.execute(
            seals.insert(), [{"owner_id": seal.owner_id, "sealed": seal.sealed(ring)} for seal in written]
        )
        return
    statement = update(seals).where(seals.c.owner_id == bindparam("key")).values(sealed=bindparam("value"))
    connection.execute(statement, [{"key": seal.owner_id, "value": seal.sealed(ring)} for seal in written])


def actual_seals(connection: Connection, owner_ids: Sequence[str], *, ring: KeyRing) -> dict[str, Seal]:
    """Return the seals that the rows in the database would have; nothing for an ID without any row."""
    actual: dict[str, Seal] = {}
    for kind, (own_table, others) in TABLES.items():
        ids = [owner_id for owner_id in owner_ids if owner_id.startswith(kind)]
        for table in (own_table, *others):
            owner = table.c[KEY[own_table.name]]
            place = _COLUMNS[table.name].index(owner.name)
            for some in chunks(ids):
                for row in connection.execute(select(table).where(owner.in_(some))).all():
                    seal = actual.get(row[place])
                    if seal is None:
                        seal = actual[row[place]] = Seal(row[place])
                    seal.note(table, tuple(row), ring=ring)
    return actual
