"""The alignment of one participant of a delivery, from the staged files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from baekman.align.aligners import Aligner
from baekman.align.alignment import accept, align, merge
from baekman.align.staged_alignment import Recipe, take_over
from baekman.errors import InputRefused, Problem
from baekman.files.sidecar import read_checked
from baekman.genome.contigs import contigs_in
from baekman.workspace import specimens
from baekman.workspace.current_reads import merged_reads
from baekman.workspace.decisions import listed_decisions
from baekman.workspace.paths import DeliveryFolder, Workspace


@dataclass(frozen=True, kw_only=True)
class AlignmentOptions:
    """The options of an alignment.

    ``aligner`` is one of ``aligners.INDEX_ENDINGS``. With ``accepts_aligned`` a delivered BAM or CRAM stays as it
    is; otherwise its reads are aligned again.
    """

    aligner: str
    accepts_aligned: bool
    threads: int


def align_participant(
    delivery: DeliveryFolder,
    participant_id: str,
    *,
    reference: Path,
    options: AlignmentOptions,
    output: Path,
    metrics: Path,
) -> None:
    """Write the CRAM of a participant, and its index, from the staged files of ``delivery``.

    Where a person decided to merge them with the reads of earlier deliveries, the CRAM has both, and duplicates are
    marked over all of them.

    Args:
        delivery: The delivery; a job runs in its workspace.
        participant_id: A participant of the delivery.
        reference: The FASTA, with the index of the aligner next to it.
        options: The aligner, and the use of delivered alignments.
        output: The coordinate-sorted CRAM; its index gets the ending ``.crai``.
        metrics: Counts of duplicates: samtools markdup's, or samtools flagstat's of a delivered alignment.

    Raises:
        InputRefused: The participant is not in the delivery, or intake aligned the reads with other settings or tools.
        PipeFailed: A tool fails; no output appears.
    """
    workspace = Workspace(delivery.path.parent.parent)
    if merged_reads(workspace, participant_id, delivery_id=delivery.id) is None:
        _refuse_lost_merge(delivery, participant_id)
        _align_own(delivery, participant_id, reference=reference, options=options, output=output, metrics=metrics)
        return
    with _working(output.with_name(".merging")) as folder:
        own = folder / output.name
        _align_own(
            delivery, participant_id, reference=reference, options=options, output=own, metrics=folder / metrics.name
        )
        earlier = workspace.participant(participant_id).earlier_cram
        merge([earlier, own], reference=reference, output=output, metrics=metrics, threads=options.threads)


def _refuse_lost_merge(delivery: DeliveryFolder, participant_id: str) -> None:
    """Raise InputRefused when a person decided to merge the reads and the note of that, ``reads.json``, is gone."""
    staged = {row.specimen_id for row in specimens.of_participant(delivery.specimens, participant_id)}
    decided = [each.made for each in listed_decisions(delivery) if each.specimen_id in staged]
    if any(made.decision == "accept" and made.reads == "merge" for made in decided):
        raise InputRefused(
            Problem(
                file=f"participants/{participant_id}/reads.json",
                expected="the note of the reads that are merged",
                found="none",
                action="restore the folder of the participant from a back-up, or deliver all reads again",
            )
        )


@contextmanager
def _working(folder: Path) -> Iterator[Path]:
    """Make an empty folder of this name, also where a killed job left one; it is removed at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _align_own(
    delivery: DeliveryFolder,
    participant_id: str,
    *,
    reference: Path,
    options: AlignmentOptions,
    output: Path,
    metrics: Path,
) -> None:
    """Write the CRAM of the staged files of ``delivery`` alone; arguments as in ``align_participant``."""
    lanes = specimens.of_participant(delivery.specimens, participant_id)
    if lanes[0].entry == "aligned":
        dictionary = reference.with_suffix(".dict").read_text(encoding="utf-8")
        recipe = Recipe.of(options.aligner, contigs_in(dictionary))
        if not take_over(Path(lanes[0].file_1), recipe=recipe, output=output, metrics=metrics):
            raise specimens.used_files(delivery.id)
        return
    if options.accepts_aligned and lanes[0].entry in ("bam", "cram"):
        delivered = Path(lanes[0].file_1)
        accept(delivered, reference=reference, output=output, metrics=metrics, threads=options.threads)
        return
    align(
        lanes,
        aligner=Aligner(name=options.aligner, reference=reference, threads=options.threads),
        output=output,
        metrics=metrics,
        platform=json.loads(read_checked(delivery.summary))["platform"],
    )
