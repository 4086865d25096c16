"""What a delivery came to: the MultiQC report of its participants and the table of its verdicts."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from baekman import verdicts as verdict
from baekman.files.atomic import atomic_file, write_text
from baekman.report import text as report_text
from baekman.tools import programs as tools
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace

COLUMNS = (
    "specimen",
    "participant",
    "gate",
    "verdict",
    "code",
    "severity",
    "metric",
    "observed",
    "threshold",
    "action",
)


def write_multiqc(workspace: Workspace, delivery_id: str, *, output: Path) -> None:
    """Write MultiQC's report on the QC folders of the delivery's participants to ``output``, as one HTML file."""
    rows = specimens.read(workspace.delivery(delivery_id).specimens)
    folders = sorted({str(workspace.participant(row.participant_id).qc) for row in rows})
    with atomic_file(output) as temporary, tempfile.TemporaryDirectory(prefix="baekman-") as scratch:
        listed = Path(scratch) / "folders.txt"
        listed.write_text("\n".join(folders) + "\n", encoding="utf-8")
        done = subprocess.run(
            [
                *tools.command("multiqc"),
                *[
                    "--quiet",
                    "--no-ansi",
                    "--no-version-check",
                    "--no-ai",
                    "--no-data-dir",
                    "--cl-config",
                    _MULTIQC,
                    "--filename",
                    "report.html",
                ],
                *("--title", f"Delivery {delivery_id}", "--outdir", scratch),
                *("--file-list", str(listed)),
            ],
            check=False,
            capture_output=True,
        )
        if done.returncode:
            sys.stderr.buffer.write(done.stderr)
            done.check_returncode()
        made = Path(scratch) / "report.html"
        # MultiQC writes nothing where it finds nothing, as with a delivery of gVCFs
        temporary.write_bytes(made.read_bytes() if made.is_file() else _NOTHING)


def write_verdict_table(files: Sequence[Path], *, tsv: Path, html: Path) -> None:
    """Write the verdicts in ``files``, one row per reason (or per verdict without one), as TSV and HTML."""
    verdicts = [one for file in files for one in verdict.read_verdicts(file)]
    rows = verdict_rows(verdicts)
    lines = ["\t".join(COLUMNS), *("\t".join(row[column] for column in COLUMNS) for row in rows)]
    told = _by_specimen(verdicts)
    counts = {decision: sum(one["verdict"] == decision for one in told) for decision in verdict.DECISIONS}
    page = report_text.render("verdicts.html.j2", delivery=html.parents[1].name, specimens=told, counts=counts)
    write_text(html, page)
    write_text(tsv, "\n".join(lines) + "\n")


def _by_specimen(verdicts: Sequence[verdict.Verdict]) -> list[dict[str, Any]]:
    """Each specimen once, with its worst decision and the reasons of both gates."""
    decisions = verdict.merge(verdicts)
    told: dict[str, dict[str, Any]] = {}
    for one in verdicts:
        found = told.setdefault(
            one.specimen_id, {"specimen": one.specimen_id, "participant": one.participant_id, "reasons": []}
        )
        found["verdict"] = decisions[one.specimen_id]
        found["reasons"] += [{"gate": one.gate, **reason.to_json()} for reason in one.reasons]
    return list(told.values())


def verdict_rows(verdicts: Iterable[verdict.Verdict]) -> list[dict[str, str]]:
    """One row per reason, every column a text; sorted by specimen and gate as they came."""
    rows = []
    for one in verdicts:
        common = {
            "specimen": one.specimen_id,
            "participant": one.participant_id or "",
            "gate": one.gate,
            "verdict": one.verdict,
        }
        reasons = [reason.to_json() for reason in one.reasons] or [{}]
        rows += [common | {key: _text(reason.get(key)) for key in COLUMNS[4:]} for reason in reasons]
    return rows


def _text(value: verdict.Scalar) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


# one folder per participant would be listed at the top, by the path of the workspace
_MULTIQC = """show_analysis_paths: false
intro_text: The reads of each participant, by pseudonymous ID. What the gates make of it is in verdicts.html.
"""

_NOTHING = (
    b'<!doctype html><html lang="en"><meta charset="utf-8"><title>MultiQC</title>'
    b"<p>There is nothing to report: no reads were delivered.</p></html>\n"
)
