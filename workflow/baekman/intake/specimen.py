"""One ordered specimen: the contents of its files, and its staged copy when it passes. A job needs no registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

from baekman.align.aligners import Aligner
from baekman.files import atomic
from baekman.files.untrusted import FileFault
from baekman.intake.contents import Contents, examine
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.examination.specimen import check_specimen
from baekman.intake.inspection import Inspection, write_note
from baekman.intake.orders.order import OpenOrder, open_order, sealed_samples
from baekman.intake.reasons import Finding
from baekman.intake.staged_specimen import ExaminedSpecimen, stage, stage_array_again
from baekman.intake.streamed_specimen import align_and_stage
from baekman.workspace.paths import Workspace
from baekman.workspace.specimens import StagedFiles


def inspect(workspace: Workspace, delivery_id: str, participant_id: str, *, aligner: Aligner | None = None) -> None:
    """Inspect the ordered specimen of a participant, stage it if it passes, and write the note of its inspection.

    With an ``aligner`` delivered FASTQ of one lane is aligned in the same stream, and the alignment is staged.

    Raises:
        InputRefused: There is no order.
        PipeFailed: The aligner, or a tool that reads its output, fails on reads that pass.
    """
    opened = open_order(workspace, delivery_id, participant_id)
    note = opened.home.note(participant_id)
    if opened.order.noted is not None:
        stage_array_again(opened)
        atomic.write_text(note, json.dumps(opened.order.noted))
    else:
        write_note(note, examine_and_stage(opened, aligner))


def examine_and_stage(opened: OpenOrder, aligner: Aligner | None = None) -> Inspection:
    """Return the inspection of an ordered specimen, which is staged, with an ``aligner`` aligned, if it passes.

    Raises:
        PipeFailed: The aligner, or a tool that reads its output, fails on reads that pass.
    """
    order = opened.order
    files = {row.row: DeliveredFile(folder=order.folder, row=row, key=order.key) for row in order.rows}
    if aligner is not None and order.form == "lane":
        contents, findings, staged = align_and_stage(opened, files, aligner)
    else:
        contents = {
            number: examine(delivered, reference=opened.reference, registered=order.identifiers, barcode=order.barcode)
            for number, delivered in files.items()
        }
        findings, staged = [*order.findings, *check_specimen(opened, contents)], []
        if order.goes_on(findings):
            staged = _staged(opened, ExaminedSpecimen(order=order, files=files, contents=contents), findings)
    return inspection_of(opened, contents, findings=findings, staged=staged)


def inspection_of(
    opened: OpenOrder, contents: Mapping[int, Contents], *, findings: Sequence[Finding], staged: Sequence[StagedFiles]
) -> Inspection:
    """Return the inspection of an ordered specimen, for its note; ``contents`` are by row of the manifest."""
    order = opened.order
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


def _staged(opened: OpenOrder, specimen: ExaminedSpecimen, findings: list[Finding]) -> list[StagedFiles]:
    """Stage ``specimen``; return the rows of its files, none if a finding that is added to ``findings`` blocks."""
    try:
        staged, notes = stage(opened, specimen)
    except FileFault as fault:
        # the tools that stage a file refused it, although it was whole
        findings.append(Finding.of(fault.code, metric="file", observed=str(fault)))
        return []
    findings += notes
    if not specimen.order.goes_on(findings):
        shutil.rmtree(opened.home.staged / specimen.order.participant_id, ignore_errors=True)
        return []
    return staged
