"""The comparison of the registry's rows with their seals, and of the seals with the head."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, func, select

from baekman.errors import InputRefused, Problem
from baekman.key_ring import KeyRing
from baekman.registry import database
from baekman.registry.database import seals
from baekman.registry.seal.head import Head, Shelf, shelf_of
from baekman.registry.seal.owner import (
    ALL_TABLES,
    Seal,
    actual_seals,
    seals_of_shelves,
    stored_seals,
    term_of,
)

ACTION = "restore the registry from a back-up, then run `baekman restore check`: its database was changed by hand"
_NOUNS = {"specimens": "specimen", "consent_events": "consent event", "verdicts": "verdict"}


def problem(place: str, *, expected: str, found: str) -> Problem:
    """Return a problem of the registry at ``place``, a pseudonym or a kind of rows."""
    return Problem(file="registry", place=place, expected=expected, found=found, action=ACTION)


def verified_seals(connection: Connection, owner_ids: Sequence[str], *, ring: KeyRing) -> dict[str, Seal]:
    """Return the stored seals of ``owner_ids``; InputRefused when rows of theirs do not match them."""
    stored = stored_seals(connection, owner_ids, ring=ring)
    problems = owner_problems(stored, actual_seals(connection, owner_ids, ring=ring))
    if problems:
        raise InputRefused(problems)
    return stored


def owner_problems(stored: dict[str, Seal], actual: dict[str, Seal]) -> list[Problem]:
    """Return every difference between the rows of owners and their seals, by ID."""
    problems: list[Problem] = []
    for owner_id in sorted(stored.keys() | actual.keys()):
        if owner_id not in stored:
            problems.append(problem(owner_id, expected="a record that the registry's key sealed", found="none"))
        else:
            problems += _differences(stored[owner_id], actual.get(owner_id, Seal(owner_id)))
    return problems


def _differences(sealed: Seal, found: Seal) -> Iterable[Problem]:
    if found.row and (found.row, found.withdrawn_at, found.rows) == (sealed.row, sealed.withdrawn_at, sealed.rows):
        return  # nearly always
    if not found.row:
        yield problem(sealed.owner_id, expected="its record", found="none: it was deleted")
    elif found.withdrawn_at != sealed.withdrawn_at:
        yield problem(sealed.owner_id, expected=_withdrawal(sealed), found=_withdrawal(found))
    elif found.row != sealed.row:
        yield problem(sealed.owner_id, expected="its newest record", found="another: changed, or an older copy")
    for table, noun in _NOUNS.items():
        expected, rows = sealed.rows.get(table, {}), found.rows.get(table, {})
        for key in sorted(expected.keys() - rows.keys(), key=_order):
            yield problem(sealed.owner_id, expected=f"its {noun} {key}", found="none: deleted, or moved to another")
        for key in sorted(rows.keys() - expected.keys(), key=_order):
            yield problem(sealed.owner_id, expected=f"{len(expected)} {noun}s", found=f"{noun} {key} more, not sealed")
        for key in sorted(expected.keys() & rows.keys(), key=_order):
            if expected[key] != rows[key]:
                yield problem(sealed.owner_id, expected=f"its {noun} {key}", found="another: changed or swapped")


def _withdrawal(seal: Seal) -> str:
    return f"a withdrawal of {seal.withdrawn_at}" if seal.withdrawn_at else "no withdrawal"


def _order(key: str) -> tuple[int, str]:
    return len(key), key


def shelf_problems(connection: Connection, shelves: Collection[str], *, head: Head, ring: KeyRing) -> list[Problem]:
    """Return the shelves with seals that are missing, too many or old."""
    problems = {}
    for name, found in seals_of_shelves(connection, shelves, of=len(head.shelves)):
        expected = head.shelves.get(name, Shelf())
        terms = [term_of(owner_id, sealed, ring=ring) for owner_id, sealed in found]
        if (len(terms), sum(terms) % (1 << 128)) != (expected.count, expected.terms):
            problems[name] = _shelf_problem(name, expected, found, ring=ring)
    return [problems[name] for name in sorted(problems)]


def _shelf_problem(name: str, expected: Shelf, found: list[tuple[str, bytes]], *, ring: KeyRing) -> Problem:
    sums = Shelf()
    for owner_id, sealed in found:
        number = ring.unseal(sealed, identity=f"seal {owner_id}")["number"]
        sums.add(owner_id, number=number, term=term_of(owner_id, sealed, ring=ring))
    place = expected.odd_one(sums) or f"IDs that begin with {name}"
    if sums.count < expected.count:
        missing = expected.count - sums.count
        return problem(place, expected="a sealed record", found="none" if missing == 1 else f"{missing} deleted")
    if sums.count > expected.count:
        return problem(place, expected=f"{expected.count} sealed records", found=f"{sums.count}")
    return problem(place, expected="the newest record", found="an older copy")


def count_problems(connection: Connection, *, head: Head) -> list[Problem]:
    """Return the tables with other numbers of rows than the head has."""
    expected = {table: head.rows.get(table.name, 0) for table in ALL_TABLES}
    expected[seals] = sum(shelf.count for shelf in head.shelves.values())
    counts = {table: connection.scalar(select(func.count()).select_from(table)) or 0 for table in expected}
    return [
        problem(table.name, expected=f"{expected[table]} rows", found=f"{count}")
        for table, count in counts.items()
        if count != expected[table]
    ]


def all_problems(connection: Connection, *, head: Head, ring: KeyRing) -> list[Problem]:
    """Return every difference between rows, seals and head; the caller's transaction keeps writers out."""
    problems: list[Problem] = []
    shelves = set(head.shelves)
    for page in database.pages(connection, seals.c.owner_id):
        ids = [row.owner_id for row in page]
        shelves.update(map(shelf_of, ids))
        stored = stored_seals(connection, ids, ring=ring)
        problems += owner_problems(stored, actual_seals(connection, ids, ring=ring))
    problems += shelf_problems(connection, shelves, head=head, ring=ring)
    return problems + count_problems(connection, head=head)
