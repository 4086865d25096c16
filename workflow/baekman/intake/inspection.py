"""The result of inspecting one specimen at intake, and its note from which an interrupted intake resumes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from baekman import pseudonyms
from baekman.consent import ConsentState
from baekman.files import atomic
from baekman.intake.checks import CONSENT_CODES
from baekman.intake.reasons import Finding
from baekman.verdicts import Reason, Verdict
from baekman.workspace.paths import Workspace
from baekman.workspace.specimens import StagedFiles


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The result of inspecting one specimen.

    Attributes:
        barcode: the institution's label (confidential); everything else is pseudonymous.
        verdict: the verdict of the intake gate.
        findings: the reasons of the verdict, with the manifest's rows.
        rows: the staged files for ``specimens.tsv``; empty unless the specimen goes on.
        fingerprints: by row of the manifest, the file's ``sha256`` and ``fingerprint`` (size and times).
        samples: by row of the manifest, sample names that only the desk can judge, sealed.
    """

    barcode: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    rows: tuple[StagedFiles, ...]
    fingerprints: Mapping[int, dict[str, Any]]
    samples: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        barcode: str,
        findings: Iterable[Finding],
        *,
        specimen_id: str,
        participant_id: str | None,
        rows: Iterable[StagedFiles] = (),
        fingerprints: Mapping[int, dict[str, Any]] | None = None,
    ) -> Inspection:
        """Return the inspection with the verdict that follows from ``findings``."""
        findings = tuple(findings)
        verdict = Verdict.of(
            specimen_id=specimen_id,
            participant_id=participant_id,
            gate="intake",
            reasons=[finding.reason for finding in findings],
        )
        return cls(
            barcode=barcode,
            verdict=verdict,
            findings=findings,
            rows=tuple(rows),
            fingerprints=fingerprints or {},
        )

    @classmethod
    def anonymous(cls, barcode: str, findings: Iterable[Finding]) -> Inspection:
        """Return the inspection of a specimen without a participant in its verdict; its specimen ID is new."""
        return cls.of(barcode, findings, specimen_id=pseudonyms.new("S"), participant_id=None)

    def with_findings(self, findings: Iterable[Finding]) -> Inspection:
        """Return this inspection with ``findings`` instead of its own, and the verdict that follows."""
        return Inspection.of(
            self.barcode,
            findings,
            specimen_id=self.verdict.specimen_id,
            participant_id=self.verdict.participant_id,
            rows=self.rows,
            fingerprints=self.fingerprints,
        )

    def rejected(self, late: Iterable[Finding]) -> Inspection:
        """Return this inspection with the findings ``late`` added, and nothing staged."""
        findings = (*self.findings, *late)
        if is_withdrawn(findings):
            return replace(Inspection.anonymous(self.barcode, findings), fingerprints=self.fingerprints)
        return Inspection.of(
            self.barcode,
            findings,
            specimen_id=self.verdict.specimen_id,
            participant_id=self.verdict.participant_id,
            fingerprints=self.fingerprints,
        )


def is_withdrawn(findings: Iterable[Finding]) -> bool:
    """Return whether the participant has withdrawn; then nothing new in the workspace may name them."""
    return any(finding.reason.code == CONSENT_CODES[ConsentState.WITHDRAWN] for finding in findings)


def write_note(file: Path, inspection: Inspection) -> None:
    """Write a finished inspection, without its barcode, for the desk and for a later run of the same intake."""
    note = {
        "specimen": inspection.verdict.specimen_id,
        "participant": inspection.verdict.participant_id,
        "findings": [
            {"reason": finding.reason.to_json(), "rows": list(finding.rows)} for finding in inspection.findings
        ],
        "rows": [asdict(row) for row in inspection.rows],
        "fingerprints": {str(row): values for row, values in inspection.fingerprints.items()},
        "samples": {str(row): sealed for row, sealed in inspection.samples.items()},
    }
    atomic.write_text(file, json.dumps(note))


def read_note(
    file: Path, *, barcode: str, fingerprints: Mapping[int, list[int]] | None, workspace: Workspace | None
) -> Inspection | None:
    """Return the inspection that ``write_note`` wrote to ``file``.

    Returns None when there is none, a delivered file has other ``fingerprints`` (size and times by row of the
    manifest; None is any) now, or a staged file of ``workspace`` is gone.
    """
    if not file.is_file():
        return None
    note = json.loads(file.read_text(encoding="utf-8"))
    noted = {int(row): values for row, values in note["fingerprints"].items()}
    rows = [StagedFiles(**row) for row in note["rows"]]
    if fingerprints is not None and any(
        values["fingerprint"] != fingerprints.get(row) for row, values in noted.items()
    ):
        return None
    if workspace and not all((workspace.root / staged).is_file() for row in rows for staged in row.files):
        return None
    findings = [
        Finding(reason=Reason.from_json(value["reason"]), rows=tuple(value["rows"])) for value in note["findings"]
    ]
    inspection = Inspection.of(
        barcode,
        findings,
        specimen_id=note["specimen"],
        participant_id=note["participant"],
        rows=rows,
        fingerprints=noted,
    )
    return replace(inspection, samples={int(row): sealed for row, sealed in note["samples"].items()})
