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
    from baekman.records.dictionary import Dictionary
    from baekman.releases.home import ReleaseHome

TEMPLATE = "review.html.j2"
SHOWN = 12  # characters of a hash
NOTHING = "—"
CLASSES = {"pass": "accept", "told": "hold", "fail": "reject"}  # of report.css


@dataclass(frozen=True, kw_only=True)
class Change:
    """A part of the plan that differs from the last plan of the project."""

    name: wording.Words
    before: wording.Words
    now: wording.Words


def write_review(
    home: ReleaseHome, plan: Plan, *, project: Project, last: Plan | None, dictionary: Dictionary | None
) -> None:
    """Write the dossier of ``plan``; ``last`` is the plan that was proposed before it for the project, if any.

    ``dictionary`` names the codes; None where there are no records.
    """
    write_text(home.review, review_page(home.id, plan, project=project, last=last, dictionary=dictionary))


def review_page(
    release: str, plan: Plan, *, project: Project, last: Plan | None, dictionary: Dictionary | None = None
) -> str:
    """Return the text of the dossier: one page that needs no other file and names no participant."""
    return render(
        TEMPLATE,
        release=release,
        plan=plan,
        project=project,
        people=[
            f"{person.name} ({person.institution})" if person.institution else person.name for person in project.people
        ],
        stores=wording.STORES,
        not_released=wording.NOT_RELEASED,
        tier=wording.TIERS[plan.tier],
        is_public=plan.tier in PUBLIC_TIERS,
        checks=_all_checks(plan),
        verdicts={name: sum(check.verdict == name for check in plan.checks) for name in wording.VERDICTS},
        words=wording.VERDICTS,
        names=_names(plan, dictionary) if dictionary else {},
        later=wording.LATER,
        classes=CLASSES,
        counts=[(wording.count(name), wording.number(value)) for name, value in plan.counts.items() if value],
        changes=list(changes(plan, last)) if last is not None else None,
        last=last,
        threshold=plan.request["generalise"]["threshold"],
        thousands=wording.number,
    )


def _names(plan: Plan, dictionary: Dictionary) -> dict[str, wording.Words]:
    """Return the Korean and English names of the released codes, the small cells and what they are released as."""
    codes = {*(column.name for column in plan.columns), *plan.small_cells, *plan.small_cells.values()}
    entries = ((code, dictionary.entry(code)) for code in sorted(codes))
    return {code: (entry.name_ko, entry.name_en) for code, entry in entries if entry is not None}


def _all_checks(plan: Plan) -> list[dict[str, Any]]:
    """Return the eleven checks by number; those that are no part of a plan have no verdict yet."""
    later = [
        {**_shown(Check(code=code)), "observed": wording.NOT_YET, "limit": limit, "verdict": ""}
        for code, limit in wording.LIMITS_LATER.items()
    ]
    return sorted([*map(_shown, plan.checks), *later], key=lambda check: check["number"])


def _shown(check: Check) -> dict[str, Any]:
    return {
        "number": NUMBERS.get(check.code, len(NUMBERS)),
        "name": wording.check(check.code),
        "observed": wording.observed(check.code, check.observed),
        "limit": wording.limit(check.code, check.limit),
        "verdict": check.verdict,
    }


def changes(plan: Plan, last: Plan) -> Iterator[Change]:
    """Yield each part of ``plan`` that differs from ``last``; numbers of members by code are left out.

    Who leaves takes one from each of their codes: the differences would be the codes of this person.
    """
    earlier_request, request = _shown_request(last), _shown_request(plan)
    for key in sorted({*request, *earlier_request}):
        yield from _change(_key(key), _text(earlier_request.get(key)), _text(request.get(key)))
    yield from _numbers(("참여자 수", "members"), last.members, plan.members)
    if plan.members == last.members:
        people = ("참여자 구성 또는 동의 범위", "who the members are, or their consent")
        yield from _change(people, last.members_hash[:SHOWN], plan.members_hash[:SHOWN])
    for name in sorted({*plan.counts, *last.counts}):
        yield from _numbers(wording.count(name), last.counts.get(name, 0), plan.counts.get(name, 0))
    yield from _changed_codes(plan, last)
    yield from _changed_sources(plan, last)
    before, now = ({check.code: check for check in each.checks} for each in (last, plan))
    for code in [*now, *(before.keys() - now)]:
        yield from _change(wording.check(code), _verdict(before.get(code)), _verdict(now.get(code)))


def _changed_codes(plan: Plan, last: Plan) -> Iterator[Change]:
    """Yield the codes that are released in one plan only, or otherwise, and small cells with another fate."""
    before, now = ({column.name: column for column in each.columns} for each in (last, plan))
    for code in sorted({*before, *now}):
        if code not in before or code not in now:
            words = (f"코드 {code}", f"code {code}")
            yield from _change(words, *(wording.RELEASED if code in each else NOTHING for each in (before, now)))
            continue
        ends = (f"수치의 하한과 상한: {code}", f"lowest and highest shown value of {code}")
        yield from _change(ends, before[code].ends, now[code].ends)
        meaning = (f"사전의 코드 {code}", f"code {code} in the dictionary")
        shown = (", ".join(filter(None, (it.kind, it.unit, it.tier, it.scope))) for it in (before[code], now[code]))
        yield from _change(meaning, *shown)
    for code in sorted({*last.small_cells, *plan.small_cells}):
        words = (f"작은 칸 {code}", f"small cell {code}")
        fates = (each.small_cells.get(code) for each in (last, plan))
        yield from _change(words, *(NOTHING if fate is None else fate or wording.NOT_RELEASED for fate in fates))


def _changed_sources(plan: Plan, last: Plan) -> Iterator[Change]:
    """Yield other data below the same numbers of snapshots, another dictionary, and other releases to compare with."""
    for store in sorted(plan.snapshots.keys() & last.snapshots):
        before, now = last.snapshots[store], plan.snapshots[store]
        if before.number == now.number:
            words = (f"{wording.STORES[store]} 내용", f"content of the snapshot of the {store}")
            yield from _change(words, before.content[:SHOWN], now.content[:SHOWN])
    yield from _change(("사전", "dictionary"), last.dictionary_hash[:SHOWN], plan.dictionary_hash[:SHOWN])
    words = ("비교한 배포", "releases that it was compared with")
    yield from _change(words, ", ".join(last.compared) or NOTHING, ", ".join(plan.compared) or NOTHING)


def _change(name: wording.Words, before: str | wording.Words, now: str | wording.Words) -> Iterator[Change]:
    if before != now:
        first, second = ((text, text) if isinstance(text, str) else text for text in (before, now))
        yield Change(name=name, before=first, now=second)


def _shown_request(plan: Plan) -> dict[str, Any]:
    """Return the request of ``plan`` with the fingerprint of the recipient's key in place of the key."""
    recipient = {"recipient": f"{plan.recipient} ({plan.recipient_key})"} if plan.recipient_key else {}
    return {**plan.request, **recipient}


def _numbers(name: wording.Words, before: int, now: int) -> Iterator[Change]:
    yield from _change(name, wording.number(before), wording.number(now))


def _verdict(check: Check | None) -> wording.Words:
    if check is None:
        return NOTHING, NOTHING
    verdict, observed = wording.VERDICTS[check.verdict], wording.observed(check.code, check.observed)
    return f"{verdict[0]} ({observed[0]})", f"{verdict[1]} ({observed[1]})"


def _key(key: str) -> wording.Words:
    return wording.KEYS.get(key, key), key


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
