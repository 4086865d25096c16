"""The releases that a plan is compared with: by their members (check 7) and by their rows (check 9)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from baekman.releases.home import ReleaseHome, releases
from baekman.releases.plan import Plan
from baekman.releases.request import PUBLIC_TIERS

BY_MEMBERS, BY_ROWS = "difference", "linkage"  # codes of the checks


def others_of(workspace: Path, *, tier: str, project: str, without: Collection[str]) -> dict[str, ReleaseHome]:
    """Return the releases that may be outside and that a release of ``tier`` to ``project`` is compared with, by ID.

    Public ones are compared with public ones. All others are compared with the packages of other projects that are
    here. Releases in ``without`` are left out.
    """
    others: dict[str, ReleaseHome] = {}
    for home in releases(workspace):
        if home.id in without or not home.is_released:
            continue
        plan = home.read_plan()
        is_compared = plan.tier in PUBLIC_TIERS if tier in PUBLIC_TIERS else plan.project != project
        if is_compared and (tier in PUBLIC_TIERS or home.package.is_dir()):
            others[home.id] = home
    return others


def as_decided(plan: Plan, decided: Plan) -> Plan:
    """Return ``plan`` with the comparisons of ``decided``: those with what was there when it was proposed.

    Packages that were built or revoked since do not change a plan. A build compares with them itself.
    """
    codes = {BY_MEMBERS} if plan.tier == "low_risk" else {BY_MEMBERS, BY_ROWS}  # low_risk is compared within itself
    earlier = {check.code: check for check in decided.checks if check.code in codes}
    checks = tuple(earlier.get(check.code, check) for check in plan.checks)
    return replace(plan, checks=checks, compared=decided.compared)
