"""The numbers of a delivery's report: verdicts and metrics of each specimen, and what the jobs took."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from baekman.files.atomic import write_text
from baekman.qc.metrics import Metrics, read_metrics
from baekman.qc.thresholds import Limits
from baekman.report.delivery.jobs import costs_by_rule
from baekman.verdicts import DECISIONS, Verdict, merge
from baekman.workspace import specimens
from baekman.workspace.paths import Top, Workspace
from baekman.workspace.waiting import verdicts_of

SCHEMA_VERSION = "1"
Numbers = dict[str, Any]


def delivery_numbers(workspace: Workspace, delivery_id: str, *, limits: Mapping[str, Limits]) -> Numbers:
    """Return every number of the report on a delivery, by pseudonymous IDs.

    Args:
        workspace: The workspace.
        delivery_id: The delivery.
        limits: The thresholds of the QC gate, by metric.

    Returns:
        ``delivery``; ``limits``; ``counts`` by verdict; ``specimens``, sorted by ID, each with ``specimen participant
        verdict reasons registered_sex observed_sex values``; ``reasons`` with the number of specimens by code and
        severity; ``jobs`` (``costs_by_rule``). Values are None where they were not measured, or where a later delivery
        brought data of the participant (``superseded``).
    """
    folder = workspace.delivery(delivery_id)
    verdicts = list(verdicts_of(folder))
    participants = {verdict.participant_id for verdict in verdicts if verdict.participant_id}
    superseded = specimens.superseded(workspace, delivery_id, participants)
    rows = _rows(workspace, verdicts, superseded)
    owners = [delivery_id, *participants - superseded]
    return {
        "schema": SCHEMA_VERSION,
        "delivery": delivery_id,
        "limits": {
            metric: {key: limit for key, limit in of.items() if limit is not None} for metric, of in limits.items()
        },
        "counts": {decision: sum(row["verdict"] == decision for row in rows) for decision in DECISIONS},
        "reasons": _reasons(verdicts),
        "specimens": rows,
        "jobs": costs_by_rule(workspace.root / Top.BENCHMARKS, owners),
    }


def write_numbers(path: Path, numbers: Numbers) -> None:
    """Write ``numbers`` as JSON to ``path``."""
    write_text(path, json.dumps(numbers, indent=1) + "\n")


def _rows(workspace: Workspace, verdicts: Sequence[Verdict], superseded: frozenset[str]) -> list[dict[str, Any]]:
    """Return the row of each specimen, sorted by its ID."""
    decisions = merge(verdicts)
    of_specimen: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        of_specimen.setdefault(verdict.specimen_id, []).append(verdict)
    rows = []
    for specimen_id, own in sorted(of_specimen.items()):
        participant_id = own[0].participant_id
        reasons = [reason for verdict in own for reason in verdict.reasons]
        is_superseded = participant_id in superseded
        metrics = None if is_superseded else _metrics(workspace, participant_id, specimen_id)
        rows.append(
            {
                "specimen": specimen_id,
                "participant": participant_id,
                "verdict": decisions[specimen_id],
                "reasons": list(dict.fromkeys(reason.code for reason in reasons if reason.severity != "note")),
                "superseded": is_superseded,
                "registered_sex": metrics.registered_sex if metrics else None,
                "observed_sex": metrics.observed_sex if metrics else None,
                "values": dict(metrics.values) if metrics else {},
            }
        )
    return rows


def _metrics(workspace: Workspace, participant_id: str | None, specimen_id: str) -> Metrics | None:
    """Return the metrics of a specimen; None where it was not measured."""
    if participant_id is None or not (path := workspace.participant(participant_id).metrics).is_file():
        return None
    metrics = read_metrics(path)
    return metrics if metrics.specimen_id == specimen_id else None


def _reasons(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return the number of specimens of each code and severity, the most frequent first."""
    seen = {(reason.code, reason.severity, verdict.specimen_id) for verdict in verdicts for reason in verdict.reasons}
    counts = Counter((code, severity) for code, severity, _ in seen)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"code": code, "severity": severity, "specimens": number} for (code, severity), number in ordered]
