"""The check on relatives among the members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from baekman.releases.checks.proposal import Proposal
from baekman.releases.families import family_of, has_relatedness
from baekman.releases.plan import Check


def relatives(proposal: Proposal) -> Iterator[Check]:
    """Yield the number of families with several members, which is reported: splits keep a family together."""
    if not has_relatedness(proposal.workspace):
        yield Check(code="relatives", observed="not known", limit=0, verdict="told")
        return
    families = family_of(proposal.workspace)
    sizes = Counter(families[member] for member in proposal.source.rows.members.ids() if member in families)
    several = sum(size > 1 for size in sizes.values())
    yield Check(code="relatives", observed=several, limit=0, verdict="told" if several else "pass")
