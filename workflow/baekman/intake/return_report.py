"""The return report: the verdicts on an institution's own delivery, in the institution's own terms.

Only ``<workspace>/return/<institution>/<delivery>/return.json`` and ``return.html`` hold barcodes and delivered file
names. They never name a pseudonymous participant or specimen ID, since that would be the link that only the registry
holds, nor anything of another institution.

Intake writes the report (``write_intake``). After the QC gate the main process, which may open the registry, adds the
QC verdicts (``write_return_report``, or the command ``baekman return-report``). Jobs of the workflow never do.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from baekman.errors import InputRefused, Problem
from baekman.files import atomic
from baekman.intake.delivery import Delivery
from baekman.intake.inspection import Inspection
from baekman.registry.records import Registry
from baekman.registry.verdict_history import record_verdicts
from baekman.report import wording
from baekman.report.target_regions import targets_sentence, targets_words
from baekman.verdicts import DECISIONS, Gate, Reason, Verdict, decide, read_verdicts, reporting_gates, worst
from baekman.workspace.paths import Top, Workspace

JSON_NAME = "return.json"
HTML_NAME = "return.html"
LATER_GATES: tuple[Gate, ...] = ("qc", "call")
DEADLINE_DAYS = 28  # for sending again what was not accepted
LONGEST_NAME = 120  # bytes of a folder's name

Report = dict[str, Any]


def folder_of(workspace: Workspace, institution: str, delivery: str) -> Path:
    """Return the folder of the report on a delivery, by the institution's names."""
    return workspace.returned / _file_name(institution) / _file_name(delivery)


def read(folder: Path) -> Report | None:
    """Return the report in ``folder``; None when there is none."""
    file = folder / JSON_NAME
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def write_intake(
    workspace: Workspace,
    delivery: Delivery,
    *,
    delivery_id: str,
    inspections: Sequence[Inspection],
    extra: Iterable[str],
) -> Path:
    """Write the report of a delivery that went through intake; return its folder.

    The institution may quote ``delivery_id``. ``extra`` are the files that the manifest does not name.
    """
    files = {row.row: row.file for row in delivery.rows}
    received = datetime.now(UTC).date()
    report: Report = {
        "institution": delivery.institution,
        "delivery": delivery.name,
        "receipt": delivery_id,
        "received": received.isoformat(),
        "deadline": (received + timedelta(days=DEADLINE_DAYS)).isoformat(),
        "gates": ["intake"],
        "reporting": reporting_gates(inspection.verdict for inspection in inspections),
        "extra_files": list(extra),
        "specimens": [
            {
                "specimen": inspection.barcode,
                "verdict": inspection.verdict.verdict,
                "reasons": [
                    _entry(finding.reason, gate="intake", files=[files[row] for row in finding.rows])
                    for finding in inspection.findings
                ],
                "decisions": decision_entries(inspection.verdict),
            }
            for inspection in inspections
        ],
    }
    return _write(folder_of(workspace, delivery.institution, delivery.name), report)


def write_return_report(workspace: Workspace, delivery_id: str, *, registry: Registry) -> Path:
    """Add the verdicts of QC and calling on ``delivery_id`` to its report; return the report's folder.

    Specimens are looked up by barcode in ``registry``, which also records the verdicts. Without QC verdicts the
    report stays as intake wrote it.

    Raises:
        InputRefused: The delivery has no report.
    """
    folder, report = _find(workspace, delivery_id)
    home = workspace.delivery(delivery_id)
    if not home.verdicts("qc").is_file():
        return folder
    gates = [gate for gate in LATER_GATES if home.verdicts(gate).is_file()]
    verdicts = [verdict for gate in gates for verdict in read_verdicts(home.verdicts(gate))]
    record_verdicts(registry, delivery_id, verdicts)
    verdicts_of: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        verdicts_of.setdefault(verdict.specimen_id, []).append(verdict)
    for specimen in report["specimens"]:
        record = registry.specimen(report["institution"], specimen["specimen"])
        _set_later(specimen, verdicts_of.get(record.specimen_id, []) if record else [])
    report["gates"] = ["intake", *gates]
    if sentence := targets_sentence(workspace, delivery_id):
        report["targets"] = sentence
    at_intake = [gate for gate in report.get("reporting", []) if gate not in LATER_GATES]
    report["reporting"] = [*at_intake, *reporting_gates(verdicts)]
    return _write(folder, report)


def names_of(workspace: Workspace, delivery_id: str) -> tuple[str, ...]:
    """Return the names that the institution gave itself and the delivery; nothing without a return report."""
    try:
        _, report = _find(workspace, delivery_id)
    except InputRefused:
        return ()
    return str(report["institution"]), str(report.get("delivery", ""))


def _set_later(specimen: dict[str, Any], verdicts: Iterable[Verdict]) -> None:
    """Replace what later gates said of a specimen in the report, and its verdict by the worst of all gates'."""
    reasons = [entry for entry in specimen["reasons"] if entry["gate"] not in LATER_GATES]
    decisions = [entry for entry in specimen.get("decisions", []) if entry["gate"] not in LATER_GATES]
    at_intake = decide(Reason(code=entry["code"], severity=entry["severity"]) for entry in reasons)
    by_gate = [decisions[0]["decision"] if decisions else at_intake]
    for verdict in verdicts:
        by_gate.append(verdict.verdict)
        reasons += [_entry(reason, gate=verdict.gate, files=[]) for reason in verdict.reasons]
        decisions += decision_entries(verdict)
    specimen["reasons"], specimen["decisions"] = reasons, decisions
    if len(by_gate) > 1:
        specimen["verdict"] = worst(by_gate)


def decision_entries(verdict: Verdict) -> list[dict[str, Any]]:
    """Return the decision of a person on ``verdict`` for the institution, without the person; empty without one."""
    made = verdict.decision
    if made is None:
        return []
    entry = {"gate": verdict.gate, "decision": made.decision, "date": made.time[:10], "reason": made.reason}
    return [{**entry, "reads": made.reads} if made.reads else entry]


def _find(workspace: Workspace, delivery_id: str) -> tuple[Path, Report]:
    for file in sorted(workspace.returned.glob(f"*/*/{JSON_NAME}")):
        report = read(file.parent)
        if report is not None and report["receipt"] == delivery_id:
            return file.parent, report
    raise InputRefused(
        Problem(
            file=Top.RETURNED,
            place=delivery_id,
            expected="the return report of a delivery that was received",
            found="none",
            action="run `baekman receive` first",
        )
    )


def _entry(reason: Reason, *, gate: Gate, files: list[str]) -> dict[str, Any]:
    return {"gate": gate, **reason.to_json(), "files": files}


def _write(folder: Path, report: Report) -> Path:
    counts = Counter(specimen["verdict"] for specimen in report["specimens"])
    report["summary"] = {verdict: counts[verdict] for verdict in DECISIONS}
    atomic.write_text(folder / JSON_NAME, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    atomic.write_text(folder / HTML_NAME, render(report))
    folder.chmod(0o700)
    return folder


def render(report: Mapping[str, Any]) -> str:
    """Return the report as one self-contained HTML page."""
    numbered = enumerate(report["specimens"], start=1)
    return wording.render(
        "return.html.j2",
        language="ko",
        report=report,
        reporting=wording.reporting_words(report.get("reporting", [])),
        targets=targets_words(report.get("targets", "")),
        todo=wording.to_do(report["specimens"]),
        anchors={specimen["specimen"]: f"specimen-{number}" for number, specimen in numbered},
    )


def _file_name(text: str) -> str:
    """Return ``text`` as the name of a folder; a hash is added where characters had to be replaced or cut."""
    name = re.sub(r"[^\w.\- ]", "_", text.strip())
    name = name.lstrip(".") or "_"
    if name == text and len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{name[:30]}-{sha256(text.encode()).hexdigest()[:8]}"
