"""What the checks of a plan look at: the request with everything that was counted for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from baekman.projects.project import Project
from baekman.releases.counting import Source, Totals
from baekman.releases.home import ReleaseHome
from baekman.releases.members import Written
from baekman.releases.transform import Rules

if TYPE_CHECKING:
    from baekman.key_ring import KeyRing


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A request with its counts.

    Attributes:
        workspace: Folder of the workspace.
        project: The project.
        source: Request, chosen codes, dictionary and rows.
        written: Number and hash of the members.
        rules: The rules of the released rows.
        totals: The numbers of the released rows.
        smallest: Size of the smallest group of equal rows of ``low_risk``; None in another tier.
        unique: Number of rows of ``low_risk`` that no other row equals; None in another tier.
        others: The other releases that may be outside, by ID.
        ring: The key of sealed members.
    """

    workspace: Path
    project: Project
    source: Source
    written: Written
    rules: Rules
    totals: Totals
    smallest: int | None
    unique: int | None
    others: Mapping[str, ReleaseHome]
    ring: KeyRing

    @property
    def tier(self) -> str:
        """The tier of the request."""
        return self.source.request.tier

    @property
    def threshold(self) -> int:
        """The fewest people that a released value stands for."""
        return self.source.request.threshold
