"""The gVCF of one participant, called region by region."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from baekman.call.calling import CallOptions, call_shard
from baekman.genome.regions import Region
from baekman.workspace import specimens
from baekman.workspace.paths import DeliveryFolder
from baekman.workspace.sample_check import require_owner


def call_regions(
    delivery: DeliveryFolder,
    participant_id: str,
    *,
    cram: Path,
    reference: Path,
    regions: Sequence[Region],
    options: CallOptions,
    output: Path,
) -> None:
    """Write the gVCF (bgzip, with .tbi) of a participant for ``regions`` to ``output``.

    Args:
        delivery: The delivery; a job runs in its workspace.
        participant_id: A participant of the delivery; their registered sex decides the ploidy of X and Y.
        cram: The participant's alignment.
        reference: The FASTA of the CRAM.
        regions: Regions in the order of the reference.
        options: The caller.
        output: The gVCF.

    Raises:
        InputRefused: The participant is not in the delivery, or the CRAM is of another sample.
    """
    require_owner(cram, participant=participant_id)
    rows = specimens.of_participant(delivery.specimens, participant_id)
    call_shard(
        cram,
        reference=reference,
        regions=regions,
        participant_id=participant_id,
        sex=rows[0].sex,
        output=output,
        options=options,
    )
