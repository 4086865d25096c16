"""Relatives among participants: pairs that a tool for kinship found in the genotypes of the cohort.

``<workspace>/releases/relatedness.kin0`` is the table that ``plink2 --make-king-table`` or KING writes of an export of
the cohort, with participant IDs. It need not exist.
"""

from __future__ import annotations

from pathlib import Path

from baekman.errors import InputRefused, Problem
from baekman.workspace.paths import Workspace

FILE = "relatedness.kin0"
# Third degree or closer: Manichaikul et al., Bioinformatics 26:2867 (2010), table 1.
KINSHIP = 0.0442
_COLUMNS = (("#IID1", "IID1", "ID1"), ("IID2", "ID2"), ("KINSHIP", "Kinship"))


def has_relatedness(workspace: Path) -> bool:
    """Return whether relatives are known in ``workspace``."""
    return _file(workspace).is_file()


def family_of(workspace: Path) -> dict[str, str]:
    """Return participant ID -> family, for participants with a relative: the smallest ID of all that are connected.

    Only pairs of relatives are in the table, so memory grows with them alone. Raises InputRefused for another table.
    """
    file = _file(workspace)
    if not file.is_file():
        return {}
    parents: dict[str, str] = {}

    def root(member: str) -> str:
        while parents.setdefault(member, member) != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

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
            if value >= KINSHIP:
                one, other = sorted(map(root, pair))
                parents[other] = one
    return {member: root(member) for member in sorted(parents)}


def _file(workspace: Path) -> Path:
    return Workspace(workspace).releases / FILE


def _refused(place: str, expected: str, found: str) -> InputRefused:
    action = "write it again with plink2 --make-king-table, or remove it"
    return InputRefused(Problem(file=FILE, place=place, expected=expected, found=found, action=action))
