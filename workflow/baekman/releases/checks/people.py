"""Checks on the members: consent, purpose, their number, and their difference to earlier releases."""

from __future__ import annotations

from collections.abc import Iterator

from baekman.releases.admission import NOT_COVERED
from baekman.releases.checks.proposal import Proposal
from baekman.releases.members import Members, difference
from baekman.releases.plan import Check, CheckVerdict
from baekman.releases.request import PUBLIC_TIERS

COVERED = "DUO:0000006"


def consent(proposal: Proposal) -> Iterator[Check]:
    """Yield the checks of consent: no member lacks it, the purpose is covered, and there are enough members.

    Members are chosen by consent (``releases.admission``), so that the first fails only where the choice is broken.
    """
    scopes = len(proposal.project.scopes)
    without_any = sum(
        len(member.denied) >= scopes for _, members in proposal.source.rows.buckets() for member in members
    )
    yield Check(code="consent", observed=without_any, limit=0, verdict="fail" if without_any else "pass")
    outside = sorted(NOT_COVERED.intersection(proposal.project.purpose))
    yield Check(
        code="purpose",
        observed=", ".join(outside or proposal.project.purpose),
        limit=COVERED,
        verdict="fail" if outside else "pass",
    )
    members = proposal.written.count
    too_few: CheckVerdict = "fail" if not members or proposal.tier in PUBLIC_TIERS else "told"
    yield Check(
        code="members",
        observed=members,
        limit=proposal.threshold,
        verdict="pass" if members >= proposal.threshold else too_few,
    )


def difference_to_earlier(proposal: Proposal) -> Iterator[Check]:
    """Yield the smallest difference in members to an earlier public release with members in common; it fails below 11.

    Two counts that differ by fewer people are the data of these. Releases in the room are not compared.
    """
    smallest = None
    if proposal.tier in PUBLIC_TIERS:
        for home in proposal.others.values():
            if home.read_plan().tier in PUBLIC_TIERS:
                earlier = Members(home.members, home.id, proposal.ring)
                apart, both = difference(proposal.source.rows.members.ids(), earlier.ids())
                if both and apart and (smallest is None or apart < smallest):
                    smallest = apart
    fails = smallest is not None and smallest < proposal.threshold
    yield Check(code="difference", observed=smallest, limit=proposal.threshold, verdict="fail" if fails else "pass")
