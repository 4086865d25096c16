"""The QC gate of one delivery: verdicts of its participants, and the list of those who go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from baekman.files.sidecar import write_checked
from baekman.qc.gate import judge
from baekman.qc.metrics import read_metrics
from baekman.qc.thresholds import load_thresholds
from baekman.verdicts import GateMode, read_verdicts_of, write_verdicts
from baekman.workspace import specimens
from baekman.workspace.decisions import apply, decisions_in_force
from baekman.workspace.paths import Workspace
from baekman.workspace.runs.failures import read_failures


def judge_delivery(
    workspace: Workspace, delivery_id: str, *, thresholds: Path, gate: GateMode, output: Path, accepted: Path
) -> None:
    """Judge the participants of a delivery by their metrics, and apply the decisions of persons.

    A participant with a failed job is not processed. The verdict on a participant of whom a later delivery brought data
    stays as it is in ``output``.

    Args:
        workspace: The workspace; a job uses paths relative to it.
        delivery_id: The delivery.
        thresholds: YAML with thresholds that override the project's.
        gate: In the mode ``report`` every participant goes on, except those with lost reads or records, and those whom
            a person rejected.
        output: JSON for the verdicts.
        accepted: A line (participant ID, gVCF relative to the workspace, sex) for each who goes on, sorted by ID.
    """
    folder = workspace.delivery(delivery_id)
    rows = specimens.read(folder.specimens)
    sexes = {row.participant_id: row.sex for row in rows}
    limits = load_thresholds(thresholds)
    superseded = specimens.superseded(workspace, delivery_id, sexes)
    failed = read_failures(folder, ("qc",))
    measurable = [owned for owned in sexes if owned not in superseded and owned not in failed]
    metrics = [read_metrics(workspace.participant(participant_id).metrics) for participant_id in measurable]
    decisions = decisions_in_force(workspace, folder)
    verdicts = [
        apply(replace(judge(measured, limits), mode=gate), decisions.get(measured.specimen_id), values=measured.values)
        for measured in metrics
    ]
    specimen_ids = {row.participant_id: row.specimen_id for row in rows if row.participant_id not in superseded}
    unprocessed = [
        failure.verdict(specimen_ids[participant_id])
        for participant_id, failure in failed.items()
        if participant_id in specimen_ids
    ]
    kept = read_verdicts_of(superseded, output)
    write_verdicts(output, sorted([*verdicts, *unprocessed, *kept], key=lambda verdict: verdict.specimen_id))
    passed = sorted(
        verdict.participant_id
        for verdict in verdicts
        if verdict.participant_id and verdict.passes(gate) and not verdict.is_incomplete
    )
    gvcfs = {
        participant_id: workspace.relative(workspace.participant(participant_id).gvcf) for participant_id in passed
    }
    lines = [f"{participant_id}\t{gvcf}\t{sexes[participant_id]}\n" for participant_id, gvcf in gvcfs.items()]
    write_checked(accepted, "".join(lines))
