"""The table of a delivery's verdicts, of every gate, by pseudonymous ID."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from baekman.columns import TextColumn
from baekman.files.atomic import write_text
from baekman.files.shown_text import spreadsheet_text
from baekman.report.target_regions import targets_words
from baekman.report.wording import render, reporting_words
from baekman.verdicts import DECISIONS, Scalar, Verdict, merge, read_verdicts, reporting_gates
from baekman.workspace.paths import DeliveryFolder
from baekman.workspace.runs.failures import NOT_PROCESSED, Failure, read_failures

_OF_SPECIMEN = (
    TextColumn("specimen", "`S…`", "Pseudonymous ID of the specimen."),
    TextColumn("participant", "`P…`, or empty", "Pseudonymous ID of the participant; empty: not registered."),
    TextColumn("gate", "`intake`, `qc`, `call`", "Gate of the verdict."),
    TextColumn("verdict", "`accept`, `hold`, `reject`", "Verdict of the gate, or of the person who decided."),
)
_OF_REASON = (
    TextColumn("code", "a reason code, or empty", "Reason of the row; empty: the verdict has none."),
    TextColumn("severity", "`note`, `hold`, `reject`", "Severity of the reason; a note changes no verdict."),
    TextColumn("metric", "text", "Metric that was judged."),
    TextColumn("observed", "number or text", "Observed value."),
    TextColumn("threshold", "number or text", "Limit, or expected value."),
    TextColumn("action", "text", "Advice to the institution."),
)
_OF_DECISION = (
    TextColumn("decision", "`accept`, `reject`, `accept, merge`, `accept, replace`, or empty", "Decision of a person."),
    TextColumn("decided_by", "text", "`BAEKMAN_ACTOR` of the person, else the number of the user."),
    TextColumn("decided", "ISO 8601 in UTC", "Time of the decision."),
    TextColumn("decision_reason", "text", "Reason that the person gave."),
)
VERDICT_COLUMNS = (*_OF_SPECIMEN, *_OF_REASON, *_OF_DECISION)
REASON_COLUMNS = tuple(column.name for column in _OF_REASON)
DECISION_COLUMNS = tuple(column.name for column in _OF_DECISION)
COLUMNS = tuple(column.name for column in VERDICT_COLUMNS)


def write_verdict_table(files: Sequence[Path], *, tsv: Path, html: Path, targets: str = "") -> None:
    """Write the verdicts in ``files`` as TSV, one row per reason or verdict without one, and as HTML by specimen.

    A specimen that was not processed has the last lines of its job's log in the page. ``targets``: the sentence on
    target regions.
    """
    verdicts = [verdict for file in files for verdict in read_verdicts(file)]
    lines = ["\t".join(COLUMNS), *("\t".join(row[column] for column in COLUMNS) for row in verdict_rows(verdicts))]
    failures = read_failures(DeliveryFolder(html.parents[1]))
    specimens = [{**specimen, "failure": _failure_of(specimen, failures)} for specimen in _by_specimen(verdicts)]
    counts = {decision: sum(row["verdict"] == decision for row in specimens) for decision in DECISIONS}
    page = render(
        "verdicts.html.j2",
        language="en",
        delivery=html.parents[1].name,
        specimens=specimens,
        counts=counts,
        reporting=reporting_words(reporting_gates(verdicts)),
        targets=targets_words(targets),
    )
    write_text(html, page)
    write_text(tsv, "\n".join(lines) + "\n")


def verdict_rows(verdicts: Iterable[Verdict]) -> list[dict[str, str]]:
    """Return one row per reason, or per verdict without a reason, in the order of ``verdicts``; all values are texts.

    The keys are ``COLUMNS``; ``specimen`` and ``participant`` are pseudonymous IDs.
    """
    rows = []
    for verdict in verdicts:
        common = {
            "specimen": verdict.specimen_id,
            "participant": verdict.participant_id or "",
            "gate": verdict.gate,
            "verdict": verdict.verdict,
            **_decision_columns(verdict),
        }
        reasons = [reason.to_json() for reason in verdict.reasons] or [{}]
        rows += [common | {column: _text(reason.get(column)) for column in REASON_COLUMNS} for reason in reasons]
    return rows


def _by_specimen(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return each specimen once, with its worst decision and the reasons of every gate."""
    decisions = merge(verdicts)
    specimens: dict[str, dict[str, Any]] = {}
    for verdict in verdicts:
        specimen = specimens.setdefault(
            verdict.specimen_id,
            {
                "specimen": verdict.specimen_id,
                "participant": verdict.participant_id,
                "verdict": decisions[verdict.specimen_id],
                "reasons": [],
                "decisions": [],
            },
        )
        if verdict.decision:
            specimen["decisions"].append({"gate": verdict.gate, **verdict.decision.to_json()})
        specimen["reasons"] += [{"gate": verdict.gate, **reason.to_json()} for reason in verdict.reasons]
    return list(specimens.values())


def _failure_of(specimen: Mapping[str, Any], failures: Mapping[str, Failure]) -> Failure | None:
    """Return the job that failed for ``specimen``, if a verdict on it says so."""
    is_unprocessed = any(reason["code"] == NOT_PROCESSED for reason in specimen["reasons"])
    return failures.get(specimen["participant"]) if is_unprocessed else None


def _decision_columns(verdict: Verdict) -> dict[str, str]:
    made = verdict.decision
    values = (made.words, made.actor, made.time, made.reason) if made else ("",) * len(DECISION_COLUMNS)
    return dict(zip(DECISION_COLUMNS, map(_text, values), strict=True))


def _text(value: Scalar) -> str:
    if isinstance(value, str):
        return spreadsheet_text(value)
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
