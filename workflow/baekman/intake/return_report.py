"""The return report: what an institution is told about its own delivery, in its own terms.

``<workspace>/return/<institution>/<delivery>/return.json`` and ``return.html`` are the only files of a
workspace that hold specimen labels and file names. They never name a pseudonymous participant or specimen ID
(that would be the link that only the registry holds) nor anything of another institution.

Intake writes the report (``write_intake``). After the QC gate the main process, which may open the registry,
adds what that gate says: ``write_return_report(workspace, delivery_id, registry=opened)``, or the command
``baekman return-report D… --workspace DIR``. Jobs of the workflow never do.
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
from baekman.intake.reasons import Finding
from baekman.registry.records import Registry
from baekman.registry.verdict_history import record_verdicts
from baekman.report import wording
from baekman.verdicts import DECISIONS, Decision, Reason, decide, read_verdicts, worst
from baekman.workspace.paths import Top, Workspace

JSON_NAME = "return.json"
HTML_NAME = "return.html"
# how long an institution has to send again what was not accepted
DEADLINE_DAYS = 28

Report = dict[str, Any]


def folder_of(workspace: Workspace, institution: str, delivery: str) -> Path:
    """Where the report of a delivery lies."""
    return workspace.returned / _file_name(institution) / _file_name(delivery)


def read(folder: Path) -> Report | None:
    """The report in ``folder``; None when there is none."""
    file = folder / JSON_NAME
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def write_intake(
    workspace: Workspace,
    delivery: Delivery,
    *,
    receipt: str,
    findings: Mapping[str, tuple[Decision, Sequence[Finding]]],
    extra: Iterable[str],
) -> Path:
    """Write the report of a delivery that went through intake; returns its folder.

    ``findings``: specimen label -> verdict and findings; ``extra``: files that the manifest does not name.
    ``receipt`` is the delivery's ID, which the institution may quote.
    """
    names = {row.row: row.file for row in delivery.rows}
    received = datetime.now(UTC).date()
    report: Report = {
        "institution": delivery.institution,
        "delivery": delivery.name,
        "receipt": receipt,
        "received": received.isoformat(),
        "deadline": (received + timedelta(days=DEADLINE_DAYS)).isoformat(),
        "gates": ["intake"],
        "extra_files": list(extra),
        "specimens": [
            {
                "specimen": label,
                "verdict": verdict,
                "reasons": [_told(one.reason, gate="intake", files=[names[row] for row in one.rows]) for one in found],
            }
            for label, (verdict, found) in findings.items()
        ],
    }
    return _write(folder_of(workspace, delivery.institution, delivery.name), report)


def write_return_report(workspace: Workspace, delivery_id: str, *, registry: Registry) -> Path:
    """Bring the report of ``delivery_id`` up to date with its QC verdicts; returns its folder.

    Labels are looked up in ``registry``; the verdicts are also recorded there. Without QC verdicts the report
    stays as intake wrote it. Raises ``InputRefused`` when there is no such report.
    """
    folder, report = _find(workspace, delivery_id)
    file = workspace.delivery(delivery_id).verdicts("qc")
    if not file.is_file():
        return folder
    verdicts = read_verdicts(file)
    record_verdicts(registry, delivery_id, verdicts)
    by_specimen = {verdict.specimen_id: verdict for verdict in verdicts}
    for told in report["specimens"]:
        record = registry.specimen(report["institution"], told["specimen"])
        verdict = by_specimen.get(record.specimen_id) if record else None
        kept = [reason for reason in told["reasons"] if reason["gate"] != "qc"]
        if verdict is not None:
            kept += [_told(reason, gate="qc", files=[]) for reason in verdict.reasons]
            at_intake = decide(
                Reason(code=reason["code"], severity=reason["severity"])
                for reason in kept
                if reason["gate"] == "intake"
            )
            told["verdict"] = worst((at_intake, verdict.verdict))
        told["reasons"] = kept
    report["gates"] = ["intake", "qc"]
    return _write(folder, report)


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


def _told(reason: Reason, *, gate: str, files: list[str]) -> dict[str, Any]:
    return {"gate": gate, **reason.to_json(), "files": files}


def _write(folder: Path, report: Report) -> Path:
    counts = Counter(told["verdict"] for told in report["specimens"])
    report["summary"] = {verdict: counts[verdict] for verdict in DECISIONS}
    atomic.write_text(folder / JSON_NAME, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    atomic.write_text(folder / HTML_NAME, render(report))
    folder.chmod(0o700)
    return folder


def render(report: Mapping[str, Any]) -> str:
    """The report as one self-contained HTML page."""
    return wording.render(
        "return.html.j2",
        report=report,
        todo=wording.to_do(report["specimens"]),
        anchors={told["specimen"]: f"specimen-{number}" for number, told in enumerate(report["specimens"], start=1)},
    )


def _file_name(text: str) -> str:
    """``text`` as a file name that is nothing else; told apart by a hash where characters were replaced."""
    name = re.sub(r"[^\w.\- ]", "_", text.strip())
    name = name.lstrip(".") or "_"
    if name == text and len(name.encode()) <= 120:
        return name
    return f"{name[:30]}-{sha256(text.encode()).hexdigest()[:8]}"
