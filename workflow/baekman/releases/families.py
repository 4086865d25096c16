"""Relatives among participants, by the kinship of their genotypes.

They are those of ``baekman cohort relatedness``, of the newest snapshot that has it. A file
``<workspace>/releases/relatedness.kin0``, a table with participant IDs that ``plink2 --make-king-table`` or KING wrote,
counts instead. Neither need exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from baekman.cohort.snapshot import numbers, read_snapshot, reading
from baekman.cohort.store import open_store
from baekman.errors import InputRefused, Problem
from baekman.relatedness.schema import LEAST_KINSHIP
from baekman.relatedness.stored import noted, pairs
from baekman.workspace.paths import Workspace

FILE = "relatedness.kin0"
_COLUMNS = (("#IID1", "IID1", "ID1"), ("IID2", "ID2"), ("KINSHIP", "Kinship"))


def has_relatedness(workspace: Path) -> bool:
    """Return whether relatives are known in ``workspace``."""
    return _file(workspace).is_file() or _computed(workspace) is not None


def family_of(workspace: Path) -> dict[str, str]:
    """Return participant ID -> family, for participants with a relative: the smallest ID of all that are connected.

    Only pairs of relatives are in the tables, so memory grows with them alone. Raises InputRefused for another file.
    """
    file = _file(workspace)
    if file.is_file():
        return _connected(_pairs_of(file))
    table = _computed(workspace)
    if table is None:
        return {}
    first, second = (table.column(name).to_pylist() for name in ("participant_1", "participant_2"))
    return _connected(zip(first, second, strict=True))


def _connected(relatives: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return member -> the smallest of all that pairs of ``relatives`` connect."""
    parents: dict[str, str] = {}

    def root(member: str) -> str:
        while parents.setdefault(member, member) != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    for pair in relatives:
        one, other = sorted(map(root, pair))
        parents[other] = one
    return {member: root(member) for member in sorted(parents)}


def _pairs_of(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the pairs of relatives in a table of plink2 or KING."""
    with file.open(encoding="utf-8") as lines:
        header = next(lines, "").split()
        places = [next((header.index(name) for name in names if name in header), None) for names in _COLUMNS]
        if None in places:
            raise _refused("header", "the columns of a kinship table (IID1, IID2, KINSHIP)", "other columns")
        first, second, kinship = (place for place in places if place is not None)
        for number, line in enumerate(lines, start=2):
            fields = line.split()
            try:
                pair, value = (fields[first], fields[second]), float(fields[kinship])
            except (IndexError, ValueError):
                raise _refused(f"line {number}", "two IDs and a kinship", "another line") from None
            if value >= LEAST_KINSHIP:
                yield pair


def _computed(workspace: Path) -> pa.Table | None:
    """Return the pairs of the newest snapshot of the cohort with relatedness; None without one."""
    cohort = Workspace(workspace).cohort
    if not (cohort / "store.json").is_file():
        return None
    store = open_store(cohort)
    for number in sorted(numbers(store), reverse=True):
        snapshot = read_snapshot(store, number)
        if noted(store, snapshot) is not None:
            with reading(store, snapshot):
                return pairs(store, snapshot)
    return None


def _file(workspace: Path) -> Path:
    return Workspace(workspace).releases / FILE


def _refused(place: str, expected: str, found: str) -> InputRefused:
    action = "write it again with plink2 --make-king-table, or remove it"
    return InputRefused(Problem(file=FILE, place=place, expected=expected, found=found, action=action))
