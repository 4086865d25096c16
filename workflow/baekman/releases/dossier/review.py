"""The page ``review.html``: who, why, what, each check, the change since the last plan, and small cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from baekman.files.atomic import write_text
from baekman.releases.checks.order import NUMBERS
from baekman.releases.dossier import wording
from baekman.releases.plan import Check, Plan
from baekman.releases.request import PUBLIC_TIERS
from baekman.report.wording import render

if TYPE_CHECKING:
    from baekman.projects.project import Project
    from baekman.releases.home import ReleaseHome

TEMPLATE = "review.html.j2"
CLASSES = {"pass": "accept", "told": "hold", "fail": "reject"}  # of report.css


@dataclass(frozen=True, kw_only=True)
class Change:
    """A part of the plan that differs from the last plan of the project."""

    name: wording.Words
    before: str
    now: str


def write_review(home: ReleaseHome, plan: Plan, *, project: Project, last: Plan | None) -> None:
    """Write the dossier of ``plan``; ``last`` is the plan that was proposed before it for the project, if any."""
    write_text(home.review, review_page(home.id, plan, project=project, last=last))


def review_page(release: str, plan: Plan, *, project: Project, last: Plan | None) -> str:
    """Return the text of the dossier: one page that needs no other file and names no participant."""
    return render(
        TEMPLATE,
        release=release,
        plan=plan,
        project=project,
        tier=wording.TIERS[plan.tier],
        is_public=plan.tier in PUBLIC_TIERS,
        checks=[_shown(check) for check in plan.checks],
        verdicts={name: sum(check.verdict == name for check in plan.checks) for name in wording.VERDICTS},
        words=wording.VERDICTS,
        classes=CLASSES,
        counts=[(wording.count(name), wording.number(value)) for name, value in plan.counts.items() if value],
        changes=list(changes(plan, last)) if last is not None else None,
        last=last,
        threshold=plan.request["generalise"]["threshold"],
        thousands=wording.number,
    )


def _shown(check: Check) -> dict[str, Any]:
    return {
        "number": NUMBERS.get(check.code, ""),
        "name": wording.check(check.code),
        "observed": wording.observed(check.code, check.observed),
        "limit": wording.limit(check.code, check.limit),
        "verdict": check.verdict,
    }


def changes(plan: Plan, last: Plan) -> Iterator[Change]:
    """Yield each part of ``plan`` that differs from ``last``."""
    earlier_request, request = _shown_request(last), _shown_request(plan)
    for key in sorted({*request, *earlier_request}):
        before, now = earlier_request.get(key), request.get(key)
        if before != now:
            yield Change(name=_key(key), before=_text(before), now=_text(now))
    yield from _numbers(("참여자 수", "members"), last.members, plan.members)
    if plan.members_hash != last.members_hash and plan.members == last.members:
        people = ("참여자 구성 또는 동의 범위", "who the members are, or their consent")
        yield Change(name=people, before=last.members_hash[:12], now=plan.members_hash[:12])
    for name in sorted({*plan.counts, *last.counts}):
        yield from _numbers(wording.count(name), last.counts.get(name, 0), plan.counts.get(name, 0))
    before_codes, now_codes = ({column.name for column in each.columns} for each in (last, plan))
    for code in sorted(before_codes ^ now_codes):
        yes, no = "released", "—"
        yield Change(
            name=(f"코드 {code}", f"code {code}"),
            before=yes if code in before_codes else no,
            now=yes if code in now_codes else no,
        )
    earlier_ends, ends = ({column.name: column.ends for column in each.columns} for each in (last, plan))
    for code in sorted(earlier_ends.keys() & ends):
        if earlier_ends[code] != ends[code]:
            words = (f"수치의 하한과 상한: {code}", f"lowest and highest shown value of {code}")
            yield Change(name=words, before=earlier_ends[code], now=ends[code])
    before_checks = {check.code: check for check in last.checks}
    for check in plan.checks:
        earlier = before_checks.get(check.code)
        if earlier is not None and (earlier.verdict, earlier.observed) != (check.verdict, check.observed):
            yield Change(name=wording.check(check.code), before=_verdict(earlier), now=_verdict(check))


def _shown_request(plan: Plan) -> dict[str, Any]:
    """Return the request of ``plan`` with the fingerprint of the recipient's key in place of the key."""
    recipient = {"recipient": f"{plan.recipient} ({plan.recipient_key})"} if plan.recipient_key else {}
    return {**plan.request, **recipient}


def _numbers(name: wording.Words, before: int, now: int) -> Iterator[Change]:
    if before != now:
        yield Change(name=name, before=wording.number(before), now=wording.number(now))


def _verdict(check: Check) -> str:
    return f"{wording.VERDICTS[check.verdict][1]} ({wording.observed(check.code, check.observed)[1]})"


def _key(key: str) -> wording.Words:
    names = {"who": "대상 조건", "codes": "코드", "regions": "유전체 영역", "tier": "등급", "snapshots": "시점"}
    names["recipient"] = "수신자"
    return names.get(key, key), key


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
