"""The staged folder of a specimen that is aligned while its FASTQ is examined: the alignment, never the reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from baekman.align.aligners import Aligner
from baekman.align.alignment import align
from baekman.align.staged_alignment import MARKDUP, Recipe, write_note
from baekman.files import atomic
from baekman.intake.contents import Contents
from baekman.intake.delivered_file import DeliveredFile
from baekman.intake.examination.specimen import check_specimen
from baekman.intake.orders.order import OpenOrder
from baekman.intake.orders.stream import Streamed, stream_lane
from baekman.intake.reasons import Finding
from baekman.intake.staged_specimen import compare, stage_array, staged_row
from baekman.intake.staging import Lane
from baekman.workspace.specimens import STAGED_CRAM, StagedFiles

# The contents by row of the manifest, the findings, and the rows of ``specimens.tsv``.
Examined = tuple[dict[int, Contents], list[Finding], list[StagedFiles]]


class _DoesNotPass(Exception):
    """The specimen does not pass: its alignment goes before it gets its name."""


def align_and_stage(opened: OpenOrder, files: Mapping[int, DeliveredFile], aligner: Aligner) -> Examined:
    """Examine and align the FASTQ ``files`` of an order of one lane in one stream; stage the alignment if it passes.

    ``files`` are by row of the manifest. Raises ``PipeFailed`` when a tool fails on reads that pass.
    """
    order = opened.order
    (lane,) = order.lanes

    def stream(folder: Path) -> Streamed:
        def write(staged: StagedFiles) -> None:
            cram, counts = folder / STAGED_CRAM, folder / MARKDUP
            align([staged], aligner=aligner, output=cram, metrics=counts, platform=order.platform)

        return stream_lane(order, lane, files=files, aligner=aligner, align=write)

    return stage_alignment(opened, aligner=aligner, stream=stream)


def stage_alignment(
    opened: OpenOrder,
    *,
    aligner: Aligner,
    stream: Callable[[Path], Streamed],
    finish: Callable[[Path], None] = lambda folder: None,
) -> Examined:
    """Stage the alignment of a specimen that passes.

    Args:
        opened: The order, of FASTQ.
        aligner: The aligner.
        stream: Called with a folder that gets its name only when the specimen passes; returns what all lanes hold.
        finish: Called with the folder when the specimen passes. Either of both writes the CRAM into it.

    Returns:
        The contents by row of the manifest, all findings, and a row of ``specimens.tsv`` for each lane, without rows
        if the specimen does not pass.

    Raises:
        PipeFailed: A tool fails on reads that pass.
    """
    order = opened.order
    target = opened.home.staged / order.participant_id
    shutil.rmtree(target, ignore_errors=True)
    rows: list[StagedFiles] = []
    with suppress(_DoesNotPass), atomic.atomic_folder(target) as folder:
        notes: list[Finding] = []
        array = stage_array(order, folder, notes=notes)
        streamed = stream(folder)
        findings = [*order.findings, *check_specimen(opened, streamed.contents), *_lost(opened, streamed), *notes]
        if not order.goes_on(findings):
            raise _DoesNotPass
        if streamed.failure is not None:
            raise streamed.failure
        finish(folder)
        write_note(folder, recipe=Recipe.of(aligner.name, opened.contigs.values()), order=order.digest)
        for lane, pair in order.lanes.items():
            reads = sum(streamed.passed_on[row.row] for row in pair)
            staged = Lane(lane=lane, file_1=folder / STAGED_CRAM, records=reads)
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
