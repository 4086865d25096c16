"""MultiQC's report on the participants of a delivery."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from baekman.files.atomic import atomic_file
from baekman.qc.metrics import read_metrics
from baekman.report.target_regions import targets_sentence
from baekman.report.wording import reporting_sentence
from baekman.tools import programs as tools
from baekman.verdicts import merge, reporting_gates
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from baekman.workspace.waiting import verdicts_of

OPTIONS = ("--quiet", "--no-ansi", "--no-version-check", "--no-ai", "--no-data-dir")
# MultiQC would list the folder of each participant at the top, by the path of the workspace
CONFIGURATION = "show_analysis_paths: false\nintro_text: {}\n"
INTRODUCTION = (
    "The reads of each participant, by pseudonymous ID. Verdict, reasons and gate coverage are of our gates: "
    "verdicts.html has the reasons with their limits, report.html the figures. The gate's coverage is of the "
    "autosomes; Mean Cov. includes X and Y, so it is lower where there is one X."
)
# MultiQC takes files of this name as tables of its general statistics.
VERDICTS_NAME = "baekman_mqc.json"
COLUMNS: dict[str, dict[str, Any]] = {
    "verdict": {
        "title": "Verdict",
        "description": "The worst verdict of the gates, or that of a person",
        "scale": False,
        "cond_formatting_rules": {
            "pass": [{"s_eq": "accept"}],
            "warn": [{"s_eq": "hold"}],
            "fail": [{"s_eq": "reject"}],
        },
    },
    "reasons": {"title": "Reasons", "description": "Codes of the reasons that are more than notes", "scale": False},
    "coverage": {
        "title": "Gate coverage",
        "description": "Mean coverage of the non-N bases of the autosomes, which the gate judges",
        "suffix": " X",
        "min": 0,
        "scale": "Blues",
    },
}
NO_READS = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>MultiQC</title>'
    "<p>There is nothing to report: no reads were delivered. {}</p></html>\n"
)


def write_multiqc(workspace: Workspace, delivery_id: str, *, output: Path) -> None:
    """Write MultiQC's report on the QC folders of the delivery's participants to ``output``, as one HTML file.

    Raises ``CalledProcessError`` when MultiQC fails; its messages go to stderr.
    """
    folder = workspace.delivery(delivery_id)
    reporting = reporting_sentence(reporting_gates(verdicts_of(folder)))
    sentences = (INTRODUCTION, targets_sentence(workspace, delivery_id), reporting)
    configuration = CONFIGURATION.format(json.dumps(" ".join(filter(None, sentences))))
    participants = {row.participant_id for row in specimens.read(folder.specimens)}
    participants -= specimens.superseded(workspace, delivery_id, participants)
    table = verdict_columns(workspace, delivery_id, participants)
    folders = sorted(str(workspace.participant(participant_id).qc) for participant_id in participants)
    with atomic_file(output) as temporary, tempfile.TemporaryDirectory(prefix="baekman-") as scratch:
        file_list = Path(scratch) / "folders.txt"
        if table:
            folders.append(str(Path(scratch) / VERDICTS_NAME))
            content = {"id": "baekman", "plot_type": "generalstats", "headers": COLUMNS, "data": table}
            Path(folders[-1]).write_text(json.dumps(content), encoding="utf-8")
        file_list.write_text("\n".join(folders) + "\n", encoding="utf-8")
        command = [*tools.command("multiqc"), *OPTIONS, "--cl-config", configuration, "--filename", "report.html"]
        command += ["--title", f"Delivery {delivery_id}", "--outdir", scratch, "--file-list", str(file_list)]
        done = subprocess.run(command, check=False, capture_output=True)
        if done.returncode:
            sys.stderr.buffer.write(done.stderr)
            done.check_returncode()
        report = Path(scratch) / "report.html"
        # MultiQC writes no file when it finds nothing, as for a delivery of gVCFs
        temporary.write_bytes(report.read_bytes() if report.is_file() else NO_READS.format(reporting).encode())


def verdict_columns(workspace: Workspace, delivery_id: str, participants: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return ``verdict``, ``reasons`` and ``coverage`` by participant, for those of ``participants`` with reads."""
    verdicts = list(verdicts_of(workspace.delivery(delivery_id)))
    decisions = merge(verdicts)
    codes: dict[str, list[str]] = {}
    for verdict in verdicts:
        codes.setdefault(verdict.specimen_id, []).extend(reason.code for reason in verdict.failures)
    table = {}
    for participant_id in sorted(participants):
        path = workspace.participant(participant_id).metrics
        metrics = read_metrics(path) if path.is_file() else None
        if metrics and metrics.values.get("yield_bp_q30") is not None and metrics.specimen_id in decisions:
            table[participant_id] = {
                "verdict": decisions[metrics.specimen_id],
                "reasons": ", ".join(dict.fromkeys(codes[metrics.specimen_id])),
                "coverage": metrics.values.get("mean_autosome_coverage"),
            }
    return table
