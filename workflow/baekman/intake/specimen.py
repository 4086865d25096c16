"""One ordered specimen: the contents of its files, and its staged copy when it passes. A job needs no registry."""

from __future__ import annotations

import shutil
from dataclasses import replace

from baekman.files.untrusted import FileFault
from baekman.intake.checks import check_contents
from baekman.intake.contents import Contents, examine
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.examination.reads import check_mates
from baekman.intake.inspection import Inspection, write_note
from baekman.intake.orders.order import OpenOrder, open_order, sealed_samples
from baekman.intake.reasons import Finding
from baekman.intake.staged_specimen import ExaminedSpecimen, stage
from baekman.workspace.paths import Workspace
from baekman.workspace.specimens import StagedFiles


def inspect(workspace: Workspace, delivery_id: str, participant_id: str) -> None:
    """Inspect the ordered specimen of a participant, stage it if it passes, and write the note of its inspection.

    Raises:
        InputRefused: There is no order.
    """
    opened = open_order(workspace, delivery_id, participant_id)
    write_note(opened.home.note(participant_id), examine_and_stage(opened))


def examine_and_stage(opened: OpenOrder) -> Inspection:
    """Return the inspection of an ordered specimen, which is staged if it passes."""
    order = opened.order
    files = {row.row: DeliveredFile(folder=order.folder, row=row, key=order.key) for row in order.rows}
    contents = {
        number: examine(delivered, reference=opened.reference, registered=order.identifiers, barcode=order.barcode)
        for number, delivered in files.items()
    }
    findings = [*order.findings, *_check(opened, contents)]
    staged: list[StagedFiles] = []
    if order.goes_on(findings):
        try:
            staged, notes = stage(opened, ExaminedSpecimen(order=order, files=files, contents=contents))
            findings += notes
            if not order.goes_on(findings):
                shutil.rmtree(opened.home.staged / order.participant_id, ignore_errors=True)
                staged = []
        except FileFault as fault:
            # the tools that stage a file refused it, although it was whole
            findings.append(Finding.of(fault.code, metric="file", observed=str(fault)))
    unknown = {row for finding in findings if finding.reason.code == "sample_unknown" for row in finding.rows}
    inspection = Inspection.of(
        order.barcode,
        findings,
        specimen_id=order.specimen_id,
        participant_id=order.participant_id,
        rows=staged,
        fingerprints={
            number: {"fingerprint": order.fingerprints[number], "sha256": read.sha256}
            for number, read in contents.items()
            if read.sha256 and number in order.fingerprints
        },
    )
    return replace(inspection, samples=sealed_samples(opened, {row: contents[row].samples for row in unknown}))


def _check(opened: OpenOrder, contents: dict[int, Contents]) -> list[Finding]:
    """Return the findings of all files of a specimen; ``contents`` are by row of the manifest."""
    order = opened.order
    findings = []
    for row in order.rows:
        findings += check_contents(
            row,
            opened.under_our_names(contents[row.row]) if row.kind == "gvcf" else contents[row.row],
            reference=opened.contigs,
            claims_reference=order.claims_reference,
            realigns=order.realigns,
        )
    return [*findings, *check_mates(order.rows, contents)]
