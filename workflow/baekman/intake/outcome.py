"""What became of a specimen at intake, and the note of it that a run which was broken off is taken up from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
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
class Outcome:
    """What became of a specimen. ``rows`` are those of ``specimens.tsv``, none unless it goes on.

    ``label`` is confidential; all else is pseudonymous. ``fingerprints``: manifest row -> checksum and times.
    """

    label: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    rows: tuple[StagedFiles, ...]
    fingerprints: Mapping[int, dict[str, Any]]

    @classmethod
    def of(
        cls,
        label: str,
        specimen: str,
        participant: str | None,
        findings: Iterable[Finding],
        *,
        rows: Iterable[StagedFiles] = (),
        fingerprints: Mapping[int, dict[str, Any]] | None = None,
    ) -> Outcome:
        """The outcome that ``findings`` lead to at the intake gate."""
        findings = tuple(findings)
        verdict = Verdict.of(
            specimen_id=specimen,
            participant_id=participant,
            gate="intake",
            reasons=[one.reason for one in findings],
        )
        return cls(label=label, verdict=verdict, findings=findings, rows=tuple(rows), fingerprints=fingerprints or {})

    def rejected(self, found: Iterable[Finding]) -> Outcome:
        """This outcome with ``found`` on top, and nothing staged."""
        findings = (*self.findings, *found)
        known = not is_withdrawn(findings)
        verdict = Verdict.of(
            specimen_id=self.verdict.specimen_id if known else pseudonyms.new("S"),
            participant_id=self.verdict.participant_id if known else None,
            gate="intake",
            reasons=[one.reason for one in findings],
        )
        return replace(self, verdict=verdict, findings=findings, rows=())


def is_withdrawn(findings: Iterable[Finding]) -> bool:
    """Whether they say so: then the verdict names nobody, as nothing in the workspace names who has left."""
    return any(one.reason.code == CONSENT_CODES[ConsentState.WITHDRAWN] for one in findings)


def keep_outcome(file: Path, outcome: Outcome) -> None:
    """Note a finished outcome, without its label, for a run that is broken off later."""
    noted = {
        "specimen": outcome.verdict.specimen_id,
        "participant": outcome.verdict.participant_id,
        "findings": [{"reason": one.reason.to_json(), "rows": list(one.rows)} for one in outcome.findings],
        "rows": [asdict(row) for row in outcome.rows],
        "fingerprints": {str(row): noted for row, noted in outcome.fingerprints.items()},
    }
    atomic.write_text(file, json.dumps(noted))


def kept_outcome(
    file: Path, label: str, fingerprints: Mapping[int, list[int]], *, workspace: Workspace
) -> Outcome | None:
    """What ``keep_outcome`` noted, when the delivered files are untouched and the staged ones are there."""
    if not file.is_file():
        return None
    noted = json.loads(file.read_text(encoding="utf-8"))
    before = {int(row): value for row, value in noted["fingerprints"].items()}
    rows = [StagedFiles(**row) for row in noted["rows"]]
    if {row: value["fingerprint"] for row, value in before.items()} != dict(fingerprints):
        return None
    if not all((workspace.root / staged).is_file() for row in rows for staged in row.files):
        return None
    findings = [Finding(reason=Reason.from_json(one["reason"]), rows=tuple(one["rows"])) for one in noted["findings"]]
    return Outcome.of(label, noted["specimen"], noted["participant"], findings, rows=rows, fingerprints=before)
