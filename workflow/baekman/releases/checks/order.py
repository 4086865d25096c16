"""The checks in their order, and the two that are no part of a plan.

2, the decisions, are evaluated when a release is built and each time it is shown: they are over the hash of the plan.
11, the leak scan, is of the finished package (``releases.package.scan``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from baekman.projects.decisions import require_approved
from baekman.projects.project import Project
from baekman.releases.checks.linkage import linkage
from baekman.releases.checks.people import consent, difference_to_earlier
from baekman.releases.checks.proposal import Proposal
from baekman.releases.checks.relatives import relatives
from baekman.releases.checks.rows import anonymity, columns, dates, rare_codes
from baekman.releases.checks.sequencing import sequencing
from baekman.releases.plan import Check, Plan
from baekman.releases.request import PUBLIC_TIERS

# numbers of the design; 2 and 11 are evaluated elsewhere
CHECKS: dict[int, Callable[[Proposal], Iterator[Check]]] = {
    1: consent,
    3: columns,
    4: anonymity,
    5: rare_codes,
    6: dates,
    7: difference_to_earlier,
    8: relatives,
    9: linkage,
    10: sequencing,
}
# code -> number of its check in the dossier
NUMBERS = {
    "consent": 1,
    "purpose": 1,
    "members": 1,
    "decisions": 2,
    "columns": 3,
    "k": 4,
    "rare_codes": 5,
    "ends": 5,
    "birth_years": 6,
    "birth_band": 6,
    "offsets": 6,
    "difference": 7,
    "relatives": 8,
    "linkage": 9,
    "sequencing": 10,
    "leak_scan": 11,
}

# checks that not each plan has: two are evaluated elsewhere, two need individual rows
_NOT_OF_EACH = frozenset({"decisions", "leak_scan", "birth_band", "offsets"})


def run_checks(proposal: Proposal) -> tuple[Check, ...]:
    """Return the checks of a plan, in their order."""
    return tuple(check for function in CHECKS.values() for check in function(proposal))


def leak_scan(*, is_built: bool) -> Check:
    """Return the check of a package for IDs of ours: one that is there has none, since it would not have been built."""
    return (
        Check(code="leak_scan", observed=0, limit=0) if is_built else Check(code="leak_scan", limit=0, verdict="told")
    )


def decisions(project: Project, plan: Plan, *, at: date) -> Check:
    """Return the check of the decisions on ``plan`` at a day: who must approve it has."""
    from baekman.errors import InputRefused

    try:
        require_approved(project, seen=plan.hash, at=at)
    except InputRefused as refusal:
        return Check(code="decisions", observed=f"{len(refusal.problems)} missing", limit="irb, drb", verdict="fail")
    return Check(code="decisions", observed="irb, drb", limit="irb, drb")


def foreign_parts(plan: Plan) -> list[str]:
    """Return the parts of ``plan`` in which another version of baekman made it; none for a plan of this version.

    A part is a check that one of the versions does not have, or the keys.
    """
    codes = {check.code for check in plan.checks}
    expected = NUMBERS.keys() - _NOT_OF_EACH | (set() if plan.tier in PUBLIC_TIERS else {"offsets"})
    parts = [f"without the check {code}" for code in sorted(expected - codes)]
    parts += [f"with the check {code}" for code in sorted(codes - NUMBERS.keys())]
    return [*parts, "with other keys"] if plan.stored else parts


def foreign_note(plan: Plan) -> str:
    """Return a note that ``plan`` cannot be built by this version of baekman; "" for a plan of this version."""
    parts = ", ".join(foreign_parts(plan))
    return parts and (
        f"note: another version of baekman made this plan ({parts}), and it cannot be built: run `baekman release "
        "propose` with the request again"
    )
