"""The check on linkage by content: the share of members that another project's release gives away."""

from __future__ import annotations

from collections.abc import Iterator

from baekman.releases.checks.proposal import Proposal
from baekman.releases.linkage import OtherRecords, joined
from baekman.releases.plan import Check, CheckVerdict
from baekman.releases.transform import generalise


def linkage(proposal: Proposal) -> Iterator[Check]:
    """Yield the largest share of members that can be joined with a release of another project.

    Rows of events are compared by code and days since the first event. In ``low_risk`` a member can be joined whose
    row no other row equals. Reviewers see the share, and in ``low_risk`` any share fails. ``open`` has no rows.
    """
    members = proposal.written.count
    share = 0.0
    if proposal.tier == "low_risk":
        share = (proposal.unique or 0) / members if members else 0.0
    elif proposal.tier != "open":
        rows, project = proposal.source.rows, proposal.project.id
        packages = (home.package for home in proposal.others.values() if home.read_plan().project != project)
        others = [other for other in map(OtherRecords.of, packages) if other is not None]
        if others and members:
            tables = (generalise(rows.events(*bucket), proposal.rules)[0] for bucket in rows.buckets())
            share = max(joined(tables, others, codes=proposal.rules.people)) / members
    verdict: CheckVerdict = "fail" if proposal.tier == "low_risk" else "told"
    yield Check(code="linkage", observed=round(share, 4), limit=0, verdict=verdict if share else "pass")
