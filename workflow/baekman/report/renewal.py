"""Reports of a delivery that are written again after a participant was removed from the workspace."""

from __future__ import annotations

from pathlib import Path

from baekman.report.delivery.page import write_again
from baekman.report.multiqc import write_multiqc
from baekman.report.remarks import write_remarks
from baekman.report.verdict_table import write_verdict_table
from baekman.verdicts import GATES
from baekman.workspace.paths import Workspace


def write_report_again(workspace: Workspace, path: Path) -> bool:
    """Write a delivery's report without the participant; return False for other files and when it fails.

    ``path`` is the page: it is deleted when it cannot be written.
    """
    delivery = workspace.delivery(path.parent.parent.name)
    verdicts = [file for gate in GATES if (file := delivery.verdicts(gate)).is_file()]
    try:
        if path.name == "verdicts.html" and verdicts:
            write_verdict_table(verdicts, tsv=path.with_suffix(".tsv"), html=path)
        elif path.name == "multiqc.html" and delivery.specimens.is_file():
            write_multiqc(workspace, delivery.id, output=path)
        elif path.name == "report.html" and verdicts:
            write_again(workspace, delivery.id, html=path)
        elif path.name == "remarks.html" and delivery.batch.is_file():
            write_remarks(workspace, delivery.id, html=path)
        else:
            return False
    except Exception:  # the report stays deleted; the withdrawal goes on
        path.unlink(missing_ok=True)
        return False
    return True
