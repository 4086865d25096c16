"""The decisions of reviewers on the plans of a project's releases: ``projects/<J…>/decisions.jsonl``.

A line is a DSSE envelope over a decision: project, release, role, reviewer, verdict, reason, SHA-256 of the plan that
was seen, time, expiry and the line before. A decision counts for exactly this plan; a changed plan has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from baekman import pseudonyms
from baekman.consent import today
from baekman.errors import InputRefused, Problem
from baekman.privacy.reason_text import reason_problems
from baekman.projects.project import Project, comparable
from baekman.projects.recorded_lines import RecordedLine, RecordedLines
from baekman.projects.reviewers import ReviewerKey, Role, inside, reviewer_keys
from baekman.projects.signing import DECISION_TYPE, SigningKey, sign, unverified_statement, verify

Verdict = Literal["approve", "revise", "reject"]
VERDICTS: tuple[Verdict, ...] = ("approve", "revise", "reject")
REQUIRED_ROLES: tuple[Role, ...] = ("irb", "drb")
FILE = "decisions.jsonl"
ACTION = "project.decide"
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A decision to make. ``seen`` is the SHA-256 of the plan; ``expires`` is its last day, or None."""

    release: str
    seen: str
    verdict: Verdict
    reason: str
    expires: date | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A decision that its key has signed.

    Attributes:
        project: The project, ``J…``.
        release: The release, ``R…``.
        role: The role of the key.
        reviewer: The name of the person.
        verdict: The verdict.
        reason: The reason.
        seen: SHA-256 (hex) of the plan that was seen.
        time: When it was signed, ISO 8601.
        expires: The last day on which it counts.
        key_id: The key.
        fault: Why it does not count, whatever the day; "" for one that counts.
    """

    project: str
    release: str
    role: Role
    reviewer: str
    verdict: Verdict
    reason: str
    seen: str
    time: str
    expires: date
    key_id: str
    fault: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the decision as JSON values."""
        return {**vars(self), "expires": self.expires.isoformat()}


def decide(project: Project, choice: Choice, *, key: SigningKey) -> tuple[Decision, bool]:
    """Sign ``choice`` with a reviewer's ``key`` and add it to the decisions on ``project``.

    Its event is in the audit log first. Without ``expires`` it counts as long as the approval of the IRB.

    Returns:
        The decision, and whether it is new: the reviewer's own standing decision again changes nothing.

    Raises:
        InputRefused: The project is closed, the key may not decide on it now, or a field is malformed.
    """
    project.require_open()
    expires = choice.expires or project.irb.expires
    lines = _lines(project)
    lines.file.parent.mkdir(parents=True, exist_ok=True)
    with lines.appending() as (recorded, append):
        keys = reviewer_keys(project.workspace)
        own = keys.get(key.public.id)
        if problems := [*_choice_problems(project, choice, expires), *_key_problems(project, own)]:
            raise InputRefused(problems)
        assert own is not None
        before = _standing(_decision(project, line, keys) for line in recorded).get(
            (choice.seen, comparable(own.reviewer.name))
        )
        if before is not None and not before.fault and _is_same(before, choice, expires, own):
            return before, False
        statement = {
            "project": project.id,
            "release": choice.release,
            "role": own.reviewer.role,
            "reviewer": own.reviewer.name,
            "verdict": choice.verdict,
            "reason": choice.reason,
            "plan": choice.seen,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "expires": expires.isoformat(),
            "previous": lines.last_digest(),
        }
        envelope = sign(statement, payload_type=DECISION_TYPE, key=key)
        append(envelope, object=f"{project.id},{choice.release}")
        return _decision(project, RecordedLine(envelope, datetime.now(UTC)), keys), True


def all_decisions(project: Project) -> list[Decision]:
    """Return every decision on ``project`` in the order of their making, also those that do not count (``fault``).

    Raises:
        InputRefused: The file was changed by hand, or a line is no decision on this project by a known key.
    """
    keys = reviewer_keys(project.workspace)
    return [_decision(project, line, keys) for line in _lines(project).read()]


def decisions_on(project: Project, *, seen: str) -> list[Decision]:
    """Return the decisions that count over the plan with the SHA-256 ``seen``, the last one of each reviewer.

    Whether they are expired is left to the caller (``expires``). Errors are those of ``all_decisions``.
    """
    standing = _standing(decision for decision in all_decisions(project) if decision.seen == seen)
    return [decision for decision in standing.values() if not decision.fault]


def require_approved(project: Project, *, seen: str, at: date) -> None:
    """Raise InputRefused unless the plan with the SHA-256 ``seen`` is approved on the day ``at``.

    At least two different people outside the project have approved exactly this plan, one for the IRB and one for the
    DRB; their approvals are not expired; nobody's last decision is to revise or reject.
    """
    project.require_open()
    if problems := list(approval_problems(project, decisions_on(project, seen=seen), at=at)):
        raise InputRefused(problems)


def approval_problems(project: Project, decisions: list[Decision], *, at: date) -> Iterator[Problem]:
    """Yield why ``decisions`` (of ``decisions_on``) do not approve a plan on the day ``at``; nothing if they do."""

    def problem(expected: str, found: str, action: str) -> Problem:
        return Problem(file=project.id, expected=expected, found=found, action=action)

    if not project.irb.date <= at <= project.irb.expires:
        days = f"{project.irb.date} to {project.irb.expires}"
        yield problem(f"an approval of the IRB in force on {at}", f"one for {days}", "renew it, then add the project")
    for decision in decisions:
        if decision.verdict != "approve":
            found = f"{decision.verdict} by {decision.role} on {decision.time[:10]}"
            yield problem("no decision against this plan", found, "change the request, or ask the reviewer")
    for role in REQUIRED_ROLES:
        approvals = [each for each in decisions if each.role == role and each.verdict == "approve"]
        if not any(at <= each.expires for each in approvals):
            expected = f"an approval of this plan by {role}, of a person outside the project, in force on {at}"
            found = f"one until {max(each.expires for each in approvals)}" if approvals else "none"
            yield problem(expected, found, f"a reviewer with the role {role} runs `baekman project decide`")


# -- lines


def _lines(project: Project) -> RecordedLines:
    file = project.home / FILE
    return RecordedLines(
        workspace=project.workspace, file=file, action=ACTION, object=project.id, previous_of=_previous_of
    )


def _previous_of(line: bytes) -> str:
    return str(unverified_statement(line, file=FILE).statement.get("previous"))


def _decision(project: Project, line: RecordedLine, keys: dict[str, ReviewerKey]) -> Decision:
    """Return the decision in ``line``; InputRefused when it is none on this project by one of ``keys``."""
    public = [key.public for key in keys.values()]
    signed = verify(line.data, payload_type=DECISION_TYPE, keys=public, file=FILE)
    values, key = signed.statement, keys[signed.key_id]
    is_own = (values.get("role"), values.get("reviewer")) == (key.reviewer.role, key.reviewer.name)
    if values.get("project") != project.id or not is_own:
        raise InputRefused(
            Problem(
                file=FILE,
                place=project.id,
                expected="a decision on this project, in the role of its key",
                found="another",
                action="the file was changed by hand: restore it from a back-up",
            )
        )
    return Decision(
        project=project.id,
        release=values["release"],
        role=key.reviewer.role,
        reviewer=key.reviewer.name,
        verdict=values["verdict"],
        reason=values["reason"],
        seen=values["plan"],
        time=values["time"],
        expires=date.fromisoformat(values["expires"]),
        key_id=key.id,
        fault=_fault(project, key, verdict=values["verdict"], day=line.recorded.date()),
    )


def _fault(project: Project, key: ReviewerKey, *, verdict: str, day: date) -> str:
    """Return why a decision of ``key``, recorded on ``day``, does not count; "" when it does."""
    if not key.reviewer.valid_from <= day <= key.reviewer.valid_to:
        return "the key was not valid on the day of the decision"
    if verdict != "approve":
        return ""  # an objection counts, whoever makes it
    if key.is_revoked:
        return "the key was revoked"
    return inside(project, key.reviewer)


def _standing(decisions: Iterator[Decision]) -> dict[tuple[str, str], Decision]:
    """Return (plan, person) -> the person's last decision on it; one that does not count replaces none that does."""
    standing: dict[tuple[str, str], Decision] = {}
    for decision in decisions:
        place = decision.seen, comparable(decision.reviewer)
        if not decision.fault or place not in standing:
            standing.pop(place, None)
            standing[place] = decision
    return standing


# -- problems


def _is_same(before: Decision, choice: Choice, expires: date, key: ReviewerKey) -> bool:
    return (before.release, before.verdict, before.reason, before.expires, before.key_id) == (
        choice.release,
        choice.verdict,
        choice.reason,
        expires,
        key.id,
    )


def _choice_problems(project: Project, choice: Choice, expires: date) -> Iterator[Problem]:
    pseudonyms.check(choice.release, "R")
    if choice.verdict not in VERDICTS:
        yield Problem(file="--verdict", expected=", ".join(VERDICTS), found="another word")
    if not _HASH.fullmatch(choice.seen):
        yield Problem(file="plan", expected="the SHA-256 of a plan", found="something else")
    yield from reason_problems(choice.reason, readers="the applicants")
    if not today() <= expires <= project.irb.expires:
        last = project.irb.expires
        found = "a later one" if expires > last else "an earlier one"
        yield Problem(file="--expires", expected=f"a day from today until {last}, as the IRB approved", found=found)


def _key_problems(project: Project, key: ReviewerKey | None) -> Iterator[Problem]:
    def problem(expected: str, found: str) -> Problem:
        return Problem(file="--key", expected=expected, found=found, action="`baekman project key` makes one")

    if key is None:
        yield problem("the key of a reviewer of this workspace", "another key")
        return
    if key.is_revoked:
        yield problem("a key that is in force", "a revoked one")
    if not key.reviewer.valid_from <= today() <= key.reviewer.valid_to:
        yield problem("a key that is valid today", f"one for {key.reviewer.valid_from} to {key.reviewer.valid_to}")
    if cause := inside(project, key.reviewer):
        action = "another person decides"
        yield Problem(file="--key", expected="a reviewer outside the project", found=cause, action=action)
