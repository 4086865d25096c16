"""The decision of a person on held specimens, recorded for the next run on their delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from baekman.errors import InputRefused, Problem
from baekman.hold.reason_text import registered_in_text, text_problems
from baekman.hold.refusals import Choice, is_overturned, refusals, taken_on
from baekman.hold.specimens import HeldSpecimen, find_in_deliveries, others_of_participant, require_ids, unknown
from baekman.qc.metrics import read_metrics
from baekman.registry.records import Registry
from baekman.verdicts import ManualDecision, Scalar
from baekman.workspace.decisions import SpecimenDecision, record_decisions
from baekman.workspace.paths import DeliveryFolder, Workspace


def decide(
    workspace: Workspace, specimens: Sequence[str], *, choice: Choice, made: ManualDecision, registry: Registry
) -> list[SpecimenDecision]:
    """Record the decision ``made`` on ``specimens``; return what is new, nothing where the same was decided before.

    Accepting the specimen that counts rejects the others of its participant in the delivery.

    Raises:
        InputRefused: A specimen is unknown or not held, may not be decided so, or the reason's text has an identifier.
            Every problem is reported, and nothing is recorded.
    """
    require_ids(specimens)
    problems: list[Problem] = []
    chosen: list[HeldSpecimen] = []
    for specimen_id in dict.fromkeys(specimens):
        held = _chosen(workspace, specimen_id, choice)
        if isinstance(held, Problem):
            problems.append(held)
            continue
        found = list(refusals(held, choice, registry=registry))
        problems += found
        if not found and (taken_on(held) is None or is_overturned(held, choice)):
            chosen.append(held)
    problems += text_problems(workspace, choice.reason, folders={held.folder.path: held.folder for held in chosen})
    problems += registered_in_text(choice.reason, chosen, registry=registry)
    if problems:
        raise InputRefused(problems)
    return _recorded(workspace, chosen, choice=choice, made=made)


def _recorded(
    workspace: Workspace, chosen: Sequence[HeldSpecimen], *, choice: Choice, made: ManualDecision
) -> list[SpecimenDecision]:
    """Record the decision on each of ``chosen``, delivery by delivery."""
    by_folder: dict[DeliveryFolder, list[SpecimenDecision]] = {}
    for held in chosen:
        of_delivery = by_folder.setdefault(held.folder, [])
        override = choice.override and any(reason.severity == "reject" for reason in held.failures)
        of_delivery.append(_decision(workspace, held, replace(made, override=override)))
        others = others_of_participant(held) if choice.counts else []
        of_delivery += [
            _decision(workspace, other, replace(made, decision="reject", override=False, counts=False, reads=""))
            for other in others
        ]
    return [
        decision
        for folder, decisions in by_folder.items()
        for decision in record_decisions(workspace, folder, decisions, instead=choice.instead)
    ]


def _decision(workspace: Workspace, held: HeldSpecimen, made: ManualDecision) -> SpecimenDecision:
    """Return the decision on ``held``; what an earlier one said of other gates, which have taken it on, stays in it."""
    earlier, gates = held.decision, {verdict.gate for verdict in held.seen}
    carried = tuple(seen for seen in earlier.seen if seen.gate not in gates) if earlier is not None else ()
    if earlier is not None and carried and made.decision == "accept":
        made = replace(made, reads=made.reads or earlier.made.reads, counts=made.counts or earlier.made.counts)
    return SpecimenDecision(
        specimen_id=held.specimen_id,
        participant_id=str(held.participant_id),
        made=made,
        seen=(*held.seen, *carried),
        values=_values(workspace, held),
    )


def _values(workspace: Workspace, held: HeldSpecimen) -> Mapping[str, Scalar]:
    """Return the metrics that the QC gate judged; nothing where it did not.

    Raises:
        InputRefused: They were measured again since, and the gate has not judged them.
    """
    verdict = next((verdict for verdict in held.seen if verdict.gate == "qc"), None)
    file = workspace.participant(str(held.participant_id)).metrics
    if verdict is None or not file.is_file():
        return {}
    metrics = read_metrics(file)
    differing = [
        reason.metric
        for reason in verdict.failures
        if metrics.values.get(reason.metric, reason.observed) != reason.observed
    ]
    if metrics.specimen_id != held.specimen_id or differing:
        raise InputRefused(
            Problem(
                file=held.specimen_id,
                place=f"delivery {held.folder.id}",
                expected="the metrics that the QC gate judged",
                found="others, measured since",
                action="run `baekman deliver` for the delivery, then look again",
            )
        )
    return dict(metrics.values)


def _chosen(workspace: Workspace, specimen_id: str, choice: Choice) -> HeldSpecimen | Problem:
    """Return the specimen in the delivery of ``choice``, else in the only one where it waits or was judged last."""
    found = [held for held in find_in_deliveries(workspace, specimen_id) if choice.delivery in ("", held.folder.id)]
    if not found:
        return unknown(workspace, specimen_id)
    if choice.reads:  # the earlier delivery of the same specimen has nothing to decide
        found = [held for held in found if held.has_come_again] or found
    waiting = [held for held in found if held.waiting]
    kept_out = [held for held in found if held.verdict != "accept"]
    undecided = waiting or kept_out or [held for held in found if held.decision] or found
    if len(undecided) == 1:
        return undecided[0]
    return Problem(
        file=specimen_id,
        expected="--delivery with one of the deliveries of the specimen",
        found=", ".join(held.folder.id for held in undecided),
        action="`baekman hold show` has the verdicts of each",
    )
