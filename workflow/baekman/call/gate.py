"""The gate of calling: a gVCF that is not complete, or that the cohort refuses, holds its specimen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from baekman.call.completeness import Completeness, read_note
from baekman.errors import Problem
from baekman.verdicts import PROCESS_AGAIN, Reason, Verdict, lost, read_verdicts_of, write_verdicts
from baekman.workspace import specimens
from baekman.workspace.decisions import apply, decisions_in_force
from baekman.workspace.denied import withdrawn_participants
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.runs.failures import read_failures

UNCALLED = "calls_incomplete"
REFUSED = "gvcf_refused"
MEANINGS: dict[str, str] = {
    UNCALLED: "the caller wrote no record in regions where there are reads; `observed` names the regions",
    "records_lost": "the gVCF has another number of records than its pieces, or than intake handed over",
    REFUSED: "the cohort cannot read the gVCF; `observed` names the line, the expected and the found",
}
ACTIONS: dict[str, str] = {REFUSED: "make the gVCF again, then send it; nothing to send where the receiver called it"}
SHOWN_REGIONS = 5


def judge(calls: Completeness | None, problem: Problem | None = None) -> list[Reason]:
    """Return the reasons to hold a specimen with the gVCF ``calls``; None is a gVCF of an earlier version.

    ``problem``: the first one of a gVCF that the cohort refuses.
    """
    reasons = []
    if problem is not None:
        observed = ": ".join(filter(None, [problem.place, f"expected {problem.expected}, found {problem.found}"]))
        reasons.append(
            Reason(
                code=REFUSED,
                severity="hold",
                metric="gVCF",
                observed=observed,
                threshold="records that the cohort can read",
                action=ACTIONS[REFUSED],
            )
        )
    if calls is None:
        return reasons
    if calls.uncalled:
        more = ", …" if len(calls.uncalled) > SHOWN_REGIONS else ""
        reasons.append(
            Reason(
                code=UNCALLED,
                severity="hold",
                metric="regions",
                observed=f"none in {', '.join(calls.uncalled[:SHOWN_REGIONS])}{more}",
                threshold="records wherever there are reads",
                action=PROCESS_AGAIN,
            )
        )
    if calls.records != calls.expected:
        reasons.append(lost("records", observed=calls.records, expected=calls.expected))
    return reasons


def judge_calls(
    workspace: Workspace,
    delivery: DeliveryFolder,
    participants: Iterable[str],
    *,
    refused: Mapping[str, Problem] | None = None,
) -> set[str]:
    """Write the verdicts of the gate ``call`` on ``participants`` of a delivery; return those who go on.

    ``refused`` are those with a gVCF that the cohort refuses, with its first problem. The notes next to their gVCFs
    are read (``call.completeness``). Who has withdrawn has no verdict. A participant with a failed job is not
    processed. The verdict on a participant of whom a later delivery brought data stays as it is.
    """
    listed = list(participants)
    specimen_ids = {row.participant_id: row.specimen_id for row in specimens.read(delivery.specimens)}
    # after the list is read: a withdrawal marks the participant before it takes the rows out of the list
    withdrawn = withdrawn_participants(workspace)
    decisions = decisions_in_force(workspace, delivery)
    failed = read_failures(delivery, ("call",))
    verdicts = [
        apply(
            Verdict.of(
                specimen_id=specimen_ids[participant_id],
                participant_id=participant_id,
                gate="call",
                reasons=judge(
                    read_note(workspace.participant(participant_id).gvcf), (refused or {}).get(participant_id)
                ),
            ),
            decisions.get(specimen_ids[participant_id]),
        )
        for participant_id in listed
        if participant_id not in withdrawn and participant_id not in failed
    ]
    unprocessed = [
        failure.verdict(specimen_ids[participant_id])
        for participant_id, failure in failed.items()
        if participant_id in listed and participant_id not in withdrawn
    ]
    kept = read_verdicts_of(specimens.superseded(workspace, delivery.id, specimen_ids), delivery.verdicts("call"))
    judged = sorted([*verdicts, *unprocessed, *kept], key=lambda verdict: verdict.specimen_id)
    write_verdicts(delivery.verdicts("call"), judged)
    return {
        verdict.participant_id
        for verdict in verdicts
        if verdict.participant_id and not verdict.is_incomplete and not verdict.is_rejected_by_person
    }
