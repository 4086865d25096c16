"""MultiQC's report on the participants of a delivery."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from baekman.files.atomic import atomic_file
from baekman.report.target_regions import targets_sentence
from baekman.report.wording import reporting_sentence
from baekman.tools import programs as tools
from baekman.verdicts import reporting_gates
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from baekman.workspace.waiting import verdicts_of

OPTIONS = ("--quiet", "--no-ansi", "--no-version-check", "--no-ai", "--no-data-dir")
# MultiQC would list the folder of each participant at the top, by the path of the workspace
CONFIGURATION = "show_analysis_paths: false\nintro_text: {}\n"
INTRODUCTION = "The reads of each participant, by pseudonymous ID. The verdicts of the gates are in verdicts.html."
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
    folders = sorted(str(workspace.participant(participant_id).qc) for participant_id in participants)
    with atomic_file(output) as temporary, tempfile.TemporaryDirectory(prefix="baekman-") as scratch:
        file_list = Path(scratch) / "folders.txt"
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
