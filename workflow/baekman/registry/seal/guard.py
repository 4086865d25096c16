"""The check of the registry where it is used: its rows against their seals, the seals against the head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select

from baekman.errors import InputRefused, Problem
from baekman.key_ring import KeyRing
from baekman.registry import database
from baekman.registry.database import heads, seals
from baekman.registry.seal.change import require_head
from baekman.registry.seal.head import REGISTRY_HEAD, Head, Shelf, shelf_of, write_head
from baekman.registry.seal.owner import ALL_TABLES, KEY, TABLES, Seal, actual_seals, stored_seals, write_seals
from baekman.registry.seal.verification import all_problems, count_problems, owner_problems, shelf_problems

WHOLE_AT_MOST = 2_000  # owners; a larger registry is checked whole by `registry verify` only, else where it is used

_Comparison = Callable[[Connection, Head], list[Problem]]


class Guard:
    """The checks of one open registry. What is read while another process writes is compared again under its lock."""

    def __init__(self, engine: Engine, ring: KeyRing) -> None:
        self.engine = engine
        self.ring = ring
        self.own_change = 0  # number of the last change of this process: rows that it wrote match their seals
        self._head_bytes = b""
        self._head = Head()
        self._checked: set[str] = set()  # shelves, since the last change of the registry

    def head(self) -> Head:
        """Return the registry's head as it is now; InputRefused when it is gone or was changed by hand."""
        with database.reading(self.engine) as connection:
            return self._read_head(connection)

    def require_whole(self) -> None:
        """Raise InputRefused when any row, seal or sum does not match."""
        self._require(self._all_problems)

    def require_opened(self) -> None:
        """Raise InputRefused when the numbers of rows do not match; check a registry of few owners whole."""
        if sum(shelf.count for shelf in self.head().shelves.values()) <= WHOLE_AT_MOST:
            self.require_whole()
        else:
            self._require(lambda connection, head: count_problems(connection, head=head), then=self._all_problems)

    def require_totals(self) -> None:
        """Raise InputRefused when a record or seal of anybody is missing, too many or old; before a look at all."""

        def compare(connection: Connection, head: Head) -> list[Problem]:
            problems = shelf_problems(connection, head.shelves, head=head, ring=self.ring)
            if not problems:
                self._checked.update(head.shelves)
            return problems + count_problems(connection, head=head)

        self._require(compare, then=self._all_problems)

    def _all_problems(self, connection: Connection, head: Head) -> list[Problem]:
        return all_problems(connection, head=head, ring=self.ring)

    def require(self, owner_ids: Sequence[str]) -> None:
        """Raise InputRefused when rows of ``owner_ids`` do not match, or a seal of their shelves is missing or old."""
        self._require(lambda connection, head: self._problems(connection, head, sorted(set(owner_ids))))

    def _problems(self, connection: Connection, head: Head, owner_ids: Sequence[str]) -> list[Problem]:
        stored = stored_seals(connection, owner_ids, ring=self.ring)
        unknown = [name for name in owner_ids if name not in stored or stored[name].number != self.own_change]
        written = {name: stored[name] for name in unknown if name in stored}
        problems = owner_problems(written, actual_seals(connection, unknown, ring=self.ring))
        shelves = {shelf_of(owner_id) for owner_id in owner_ids} - self._checked
        problems += shelf_problems(connection, shelves, head=head, ring=self.ring)
        if not problems:
            self._checked |= shelves
        return problems

    def _require(self, compare: _Comparison, *, then: _Comparison | None = None) -> None:
        """Raise InputRefused when ``compare`` finds problems, also under the lock; ``then`` finds all there are."""
        with database.paging(self.engine) as connection:
            problems = compare(connection, self._read_head(connection))
        if problems:
            with database.writing(self.engine) as connection:
                problems = (then or compare)(connection, self._read_head(connection))
        if problems:
            raise InputRefused(problems)

    def _read_head(self, connection: Connection) -> Head:
        sealed = connection.scalar(select(heads.c.sealed).where(heads.c.name == REGISTRY_HEAD))
        if sealed is None or sealed != self._head_bytes:
            self._head = require_head(connection, ring=self.ring)
            self._head_bytes = sealed or b""
            self._checked = set()
        return self._head


def seal_everything(connection: Connection, *, ring: KeyRing, head: Head) -> None:
    """Seal all rows as they are, and write ``head`` with the sums over them: for an older registry, or a new key."""
    connection.execute(delete(seals))
    head.shelves = {}
    head.count_change()
    for table in ALL_TABLES:
        key = table.c[KEY[table.name]]
        last: Any = func.max(key) if key.name == "sequence" else func.count()
        count, highest = connection.execute(select(func.count(), last).select_from(table)).one()
        head.rows[table.name] = count
        if key.name == "sequence":
            head.last[table.name] = max(head.last.get(table.name, 0), highest or 0)
    for own_table, _ in TABLES.values():
        for page in database.pages(connection, own_table.c[KEY[own_table.name]]):
            made = list(actual_seals(connection, [row[0] for row in page], ring=ring).values())
            _number(made, head.sequence)
            write_seals(connection, made, is_new=True, ring=ring)
            for seal in made:
                shelf = head.shelves.setdefault(shelf_of(seal.owner_id), Shelf())
                shelf.add(seal.owner_id, number=seal.number, term=seal.term(ring))
    write_head(connection, head, ring=ring)


def _number(made: Sequence[Seal], number: int) -> None:
    for seal in made:
        seal.number = number
