"""The sealed head of a registry: the number of its last change, row counts, and sums over all seals by shelf.

A shelf has the owners (participants, deliveries) whose IDs share the first three characters. Its sums change with every
seal that is added, deleted or replaced by an older copy. They are updated without reading the other seals.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, update

from baekman.key_ring import MAC_BYTES, KeyRing
from baekman.registry.database import heads

REGISTRY_HEAD = "registry"
SHELF_CHARACTERS = 3
KEPT_CHANGES = 1024  # a note of an older change cannot be compared any more
_ROUND = 1 << (8 * MAC_BYTES)
_ID_BYTES = 14


@dataclass
class Shelf:
    """Sums over the seals of a shelf.

    ``ids``, ``numbers`` and ``products`` (ID times number) name the one seal that is missing or old; ``terms`` (modulo
    2^128) shows any difference.
    """

    count: int = 0
    ids: int = 0
    numbers: int = 0
    products: int = 0
    terms: int = 0

    def add(self, owner_id: str, *, number: int, term: int, sign: int = 1) -> None:
        """Add a seal, or with ``sign`` -1 take it out: ``number`` of its last change and ``term`` of its bytes."""
        own = id_number(owner_id)
        self.count += sign
        self.ids += sign * own
        self.numbers += sign * number
        self.products += sign * own * number
        self.terms = (self.terms + sign * term) % _ROUND

    def odd_one(self, found: Shelf) -> str:
        """Return the ID of the one seal by which ``found`` differs; "" when there are several."""
        if found.count != self.count:
            number, steps = self.ids - found.ids, self.count - found.count
        else:
            number, steps = self.products - found.products, self.numbers - found.numbers
        if not steps or number % steps or not 0 < (own := number // steps) < 1 << (8 * _ID_BYTES):
            return ""
        name = own.to_bytes(_ID_BYTES, "big")
        return name.decode() if name.isalnum() else ""


def id_number(owner_id: str) -> int:
    """Return an ID as a number, from which it can be read again."""
    return int.from_bytes(owner_id.encode(), "big")


def shelf_of(owner_id: str) -> str:
    """Return the name of an owner's shelf."""
    return owner_id[:SHELF_CHARACTERS]


@dataclass
class Head:
    """The knowledge of the registry about all of its rows.

    Attributes:
        sequence: Number of the last change of the registry, from 1.
        changed: Time of the last change, UTC, ISO 8601.
        recent: Random token of each of the last changes, by number; a branch of history has others.
        last: Highest sequence number of a table's rows, by table.
        rows: Number of rows by table.
        shelves: Sums of the seals by shelf.
        notes: What other parts of the program keep here, such as the head of the audit log.
    """

    sequence: int = 0
    changed: str = ""
    recent: dict[int, str] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    shelves: dict[str, Shelf] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """The token of the last change."""
        return self.recent.get(self.sequence, "")

    def count_change(self) -> None:
        """Count one more change, made now."""
        self.sequence += 1
        self.changed = datetime.now(UTC).isoformat(timespec="seconds")
        self.recent[self.sequence] = secrets.token_hex(4)
        self.recent = {number: token for number, token in self.recent.items() if number > self.sequence - KEPT_CHANGES}

    def to_json(self) -> dict[str, Any]:
        """Return the head as JSON values."""
        shelves = {name: list(vars(shelf).values()) for name, shelf in self.shelves.items()}
        return {**vars(self), "recent": {str(number): token for number, token in self.recent.items()}} | {
            "shelves": shelves
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Head:
        """Return the head that ``to_json`` took."""
        recent = {int(number): token for number, token in values["recent"].items()}
        shelves = {name: Shelf(*sums) for name, sums in values["shelves"].items()}
        return cls(**{**values, "recent": recent, "shelves": shelves})


def read_head(connection: Connection, *, ring: KeyRing) -> Head | None:
    """Return the registry's head, None without one; InputRefused when it was changed by hand."""
    sealed = connection.scalar(select(heads.c.sealed).where(heads.c.name == REGISTRY_HEAD))
    return None if sealed is None else Head.from_json(ring.unseal(sealed, identity=f"head {REGISTRY_HEAD}"))


def write_head(connection: Connection, head: Head, *, ring: KeyRing) -> None:
    """Write ``head`` in the caller's transaction."""
    sealed = ring.seal(head.to_json(), identity=f"head {REGISTRY_HEAD}")
    if not connection.execute(update(heads).where(heads.c.name == REGISTRY_HEAD).values(sealed=sealed)).rowcount:
        connection.execute(heads.insert().values(name=REGISTRY_HEAD, sealed=sealed))
