"""Checks on the released rows: columns, k, rare codes, dates."""

from __future__ import annotations

from collections.abc import Iterator

from baekman.releases.checks.proposal import Proposal
from baekman.releases.plan import Check
from baekman.releases.request import BIRTH_YEARS


def columns(proposal: Proposal) -> Iterator[Check]:
    """Yield the number of requested codes that are not in the dictionary, or of another tier or scope."""
    choice = proposal.source.choice
    refused = len(choice.unknown) + len(choice.beyond)
    yield Check(code="columns", observed=refused, limit=0, verdict="fail" if refused else "pass")


def anonymity(proposal: Proposal) -> Iterator[Check]:
    """Yield the size of the smallest group of equal rows of ``low_risk``."""
    smallest, limit = proposal.smallest, proposal.threshold
    if smallest is None:
        yield Check(code="k", observed=None, limit=limit)
    else:
        yield Check(code="k", observed=smallest, limit=limit, verdict="pass" if smallest >= limit else "fail")


def rare_codes(proposal: Proposal) -> Iterator[Check]:
    """Yield the number of members of the rarest released code."""
    fewest = min(proposal.rules.people.values(), default=None)
    fails = fewest is not None and fewest < proposal.threshold
    yield Check(code="rare_codes", observed=fewest, limit=proposal.threshold, verdict="fail" if fails else "pass")


def dates(proposal: Proposal) -> Iterator[Check]:
    """Yield the width of the bands of birth years, and the smallest band: reviewers see a small one.

    One offset per person and project moves all dates, and the book has it. The build refuses a book without one.
    """
    years = proposal.rules.birth_years
    yield Check(
        code="birth_years", observed=years, limit=BIRTH_YEARS, verdict="fail" if years < BIRTH_YEARS else "pass"
    )
    if proposal.smallest is None and proposal.totals.births and proposal.tier != "open":
        fewest = min(proposal.totals.births.values())
        is_small = fewest < proposal.threshold
        yield Check(
            code="birth_band", observed=fewest, limit=proposal.threshold, verdict="told" if is_small else "pass"
        )
