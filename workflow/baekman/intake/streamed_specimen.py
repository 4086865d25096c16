"""The staged folder of a specimen that is aligned while its FASTQ is examined: the alignment, never the reads."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress

from baekman.align.aligners import Aligner
from baekman.align.staged_alignment import MARKDUP, Recipe, write_note
from baekman.files import atomic
from baekman.intake.contents import Contents
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.examination.specimen import check_specimen
from baekman.intake.orders.order import OpenOrder
from baekman.intake.orders.stream import Streamed, align_delivered
from baekman.intake.reasons import Finding
from baekman.intake.staged_specimen import compare, stage_array, staged_row
from baekman.intake.staging import Lane
from baekman.workspace.specimens import STAGED_CRAM, StagedFiles


class _DoesNotPass(Exception):
    """The specimen does not pass: its alignment goes before it gets its name."""


def align_and_stage(
    opened: OpenOrder, files: Mapping[int, DeliveredFile], aligner: Aligner
) -> tuple[dict[int, Contents], list[Finding], list[StagedFiles]]:
    """Examine and align the FASTQ ``files`` of an order in one stream, and stage the alignment if the specimen passes.

    ``files`` are by row of the manifest.

    Returns:
        The contents by row of the manifest, all findings, and a row of ``specimens.tsv`` for each lane, without rows
        if the specimen does not pass.

    Raises:
        PipeFailed: A tool fails on reads that pass.
    """
    order = opened.order
    target = opened.home.staged / order.participant_id
    shutil.rmtree(target, ignore_errors=True)
    recipe = Recipe.of(aligner.name, opened.contigs.values())
    rows: list[StagedFiles] = []
    with suppress(_DoesNotPass), atomic.atomic_folder(target) as folder:
        cram = folder / STAGED_CRAM
        notes: list[Finding] = []
        array = stage_array(order, folder, notes=notes)
        streamed = align_delivered(order, files, aligner=aligner, output=cram, metrics=folder / MARKDUP)
        findings = [*order.findings, *check_specimen(opened, streamed.contents), *_lost(opened, streamed), *notes]
        if not order.goes_on(findings):
            raise _DoesNotPass
        if streamed.failure is not None:
            raise streamed.failure
        write_note(folder, recipe=recipe, order=order.digest)
        for lane, pair in order.lanes.items():
            staged = Lane(lane=lane, file_1=cram, records=sum(streamed.passed_on[row.row] for row in pair))
            rows.append(staged_row(opened, staged, entry="aligned", array=array))
    return dict(streamed.contents), findings, rows


def _lost(opened: OpenOrder, streamed: Streamed) -> list[Finding]:
    """Return a finding for each lane of which another number of reads was passed on than was examined."""
    notes: list[Finding] = []
    for pair in opened.order.lanes.values():
        if not any(streamed.contents[row.row].faults for row in pair):
            observed = sum(streamed.passed_on[row.row] for row in pair)
            compare(streamed.contents, pair, observed=observed, notes=notes)
    return notes
