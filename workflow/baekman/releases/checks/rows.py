"""Checks on the released rows: columns, k, rare codes, dates."""

from __future__ import annotations

from collections.abc import Iterator

from baekman.releases.checks.proposal import Proposal
from baekman.releases.plan import Check
from baekman.releases.request import BIRTH_YEARS, PUBLIC_TIERS
from baekman.releases.transform import fewest_alike


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
    """Yield the number of members of the rarest released code, and at the bounds that the request states."""
    fewest = min(proposal.rules.people.values(), default=None)
    fails = fewest is not None and fewest < proposal.threshold
    yield Check(code="rare_codes", observed=fewest, limit=proposal.threshold, verdict="fail" if fails else "pass")
    fewest = min(proposal.rules.ends.values(), default=None)  # counted bounds are held by enough members
    fails = fewest is not None and fewest < proposal.threshold
    yield Check(code="ends", observed=fewest, limit=proposal.threshold, verdict="fail" if fails else "pass")


def dates(proposal: Proposal) -> Iterator[Check]:
    """Yield the width of the bands of birth years, the smallest band, and how many offsets fit a person's coverage.

    One offset per person and project moves all dates. Where many people are covered from or to one day, as in an
    extraction of claims, who knows this day knows the offset to be one of so many (``transform.fewest_alike``).
    """
    years = proposal.rules.birth_years
    yield Check(
        code="birth_years", observed=years, limit=BIRTH_YEARS, verdict="fail" if years < BIRTH_YEARS else "pass"
    )
    if proposal.tier in PUBLIC_TIERS:
        return
    births, limit = proposal.totals.births, proposal.threshold
    if births:
        fewest = min(births.values())
        yield Check(code="birth_band", observed=fewest, limit=limit, verdict="told" if fewest < limit else "pass")
    alike = fewest_alike()
    yield Check(code="offsets", observed=alike, limit=limit, verdict="pass" if alike >= limit else "fail")
