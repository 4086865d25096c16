"""The limits of what a person may decide: never consent or identity, and never what cannot be processed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from baekman.consent import ConsentState
from baekman.errors import Problem
from baekman.hold.came_again import came_again, reads_problems
from baekman.hold.specimens import HeldSpecimen, others_of_participant
from baekman.intake.reasons import REASON_KINDS, REPEATED
from baekman.registry.records import Registry
from baekman.verdicts import CAME_AGAIN, INCOMPLETE, REUSED, ManualDecision, Reason

# No person decides on these: consent is the participant's, and identity is a fact.
CONSENT = frozenset({"no_consent", "consent_expired", "participant_withdrawn"})
IDENTITY = frozenset({"not_registered", "barcode_lookalike"})
IDENTITY_IF_REJECTED = frozenset({"sample_mismatch", "identity_mismatch", "sex_discordant"})
_IDENTIFIER = "identifier_in_"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The choice of a person: ``accept`` or ``reject``, the reason and the options of ``baekman hold``.

    ``counts``: the specimen is the one of its participant that counts. ``reads``: ``merge`` or ``replace``.
    ``instead``: replace an earlier decision. ``delivery``: the ID of the delivery, "" where only one has the specimen.
    """

    decision: Literal["accept", "reject"]
    reason: str
    override: bool = False
    counts: bool = False
    reads: Literal["", "merge", "replace"] = ""
    instead: bool = False
    delivery: str = ""


def refusals(held: HeldSpecimen, choice: Choice, *, registry: Registry) -> Iterator[Problem]:
    """Yield the problems of deciding on ``held``."""

    def problem(*, expected: str, found: str, action: str) -> Problem:
        place = f"delivery {held.folder.id}"
        return Problem(file=held.specimen_id, place=place, expected=expected, found=found, action=action)

    if held.participant_id is None or any(reason.code in CONSENT | IDENTITY for reason in held.failures):
        codes = ", ".join(reason.code for reason in held.failures) or "no registration"
        yield problem(
            expected="a held specimen of a registered participant with consent",
            found=codes,
            action="no person decides on consent and identity: correct the registration, then run `baekman deliver`",
        )
        return
    made = taken_on(held)
    if made is not None and not is_overturned(held, choice):
        if made.decision != choice.decision or (choice.reads and made.reads != choice.reads):
            yield problem(
                expected="a specimen that waits",
                found=f"{made.words} by {made.actor} on {made.time[:10]}, taken on",
                action=_after(made.decision, is_choice=any(reason.code == REPEATED for reason in held.failures)),
            )
        return
    if held.verdict == "accept" or (held.waiting is None and held.verdict == "hold"):
        yield problem(
            expected="a specimen that waits",
            found="one that goes on, is in the cohort, or came again in a later delivery",
            action=_after("accept"),
        )
        return
    if choice.decision == "reject":
        if held.verdict == "reject":
            yield problem(expected="a specimen that waits", found="one that a gate rejected", action="nothing to do")
        return
    is_again = came_again(held, registry=registry)
    yield from (problem(**words) for words in _why_not_accepted(held, choice))
    yield from (problem(**words) for words in reads_problems(held, choice.reads, is_again=is_again))
    yield from (problem(**words) for words in _counting_problems(held, choice, is_again=is_again))
    state = registry.active_consent(held.participant_id)
    if state is not ConsentState.GRANTED:
        yield problem(
            expected="consent to genome sequencing in force",
            found=state.value,
            action="no person decides on consent: record it first (`baekman registry consent`)",
        )


def taken_on(held: HeldSpecimen) -> ManualDecision | None:
    """Return the decision on a specimen that the gates have applied and after which nothing waits; None without one."""
    if held.verdict != "accept" and held.waiting is not None:
        return None
    made = next((verdict.decision for verdict in held.verdicts if verdict.decision), None)
    return made if made is not None and (held.verdict == "accept") == (made.decision == "accept") else None


def is_overturned(held: HeldSpecimen, choice: Choice) -> bool:
    """Return whether the choice replaces the rejection by a person that a run has taken on.

    The choice of the specimen that counts stays: the other one may be in the cohort.
    """
    made = taken_on(held)
    is_choice = any(reason.code == REPEATED for reason in held.failures)
    was_rejected = made is not None and made.decision == "reject" and not is_choice
    return was_rejected and choice.decision == "accept" and choice.instead


def _after(decision: str, *, is_choice: bool = False) -> str:
    """Return what to do where ``decision`` is taken on already; ``is_choice``: on the specimen that counts."""
    if decision == "reject":
        return "deliver the specimen again" if is_choice else "--instead accepts it after all"
    return "to take it out of the cohort: `baekman cohort withdraw`, or `baekman withdraw` for a withdrawal"


def _why_not_accepted(held: HeldSpecimen, choice: Choice) -> Iterator[dict[str, str]]:
    """Yield the words of each problem of accepting ``held``."""
    rejected = [reason.code for reason in held.failures if reason.severity == "reject" and reason.code != REUSED]
    identity = [code for code in rejected if code in IDENTITY_IF_REJECTED or code.startswith(_IDENTIFIER)]
    blocked = [reason.code for reason in held.failures if _is_blocked(reason)]
    if identity:
        yield {
            "expected": "no rejection for identity or an identifier",
            "found": ", ".join(identity),
            "action": "no person decides on identity, with --override neither: the institution sends it again",
        }
    elif blocked:
        yield {
            "expected": "a specimen that can be processed",
            "found": ", ".join(blocked),
            "action": "mend the cause and run `baekman deliver` again, or let the institution send it again",
        }
    elif rejected and not choice.override:
        yield {
            "expected": "a specimen that no gate rejected, or --override",
            "found": ", ".join(rejected),
            "action": "look at the values (`baekman hold show`), then add --override",
        }


def _counting_problems(held: HeldSpecimen, choice: Choice, *, is_again: bool) -> Iterator[dict[str, str]]:
    """Yield the problem of ``--counts``, which chooses between specimens of a participant in one delivery."""
    is_repeated = any(reason.code == REPEATED for reason in held.failures) and (
        not is_again or bool(others_of_participant(held))
    )
    if is_repeated and not choice.counts:
        yield {
            "expected": "--counts, for the specimen of the participant that counts",
            "found": REPEATED,
            "action": "add --counts to the specimen that counts; the others of the delivery are rejected",
        }
    if choice.counts and not is_repeated:
        yield {"expected": f"{REPEATED}, with --counts", "found": "another reason", "action": "leave --counts out"}


def _is_blocked(reason: Reason) -> bool:
    """Return whether nothing of the specimen can be used, or a tool did part of its work."""
    kind = REASON_KINDS.get(reason.code)
    return reason.code in INCOMPLETE or (kind is not None and kind.blocks and reason.code not in CAME_AGAIN)
