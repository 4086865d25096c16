"""The QC metrics of one participant of a delivery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from baekman.qc import contamination, identity
from baekman.qc.measure import measure
from baekman.workspace import specimens
from baekman.workspace.paths import DeliveryFolder
from baekman.workspace.sample_check import require_owner


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The files from which metrics follow; metrics without their file are not assessed.

    ``cram`` or ``gvcf`` is needed. ``stats`` is from samtools stats; ``depth`` and ``depth_thresholds`` are
    mosdepth's regions and thresholds. ``array`` has the registered array genotypes (VCF).
    """

    cram: Path | None = None
    gvcf: Path | None = None
    stats: Path | None = None
    depth: Path | None = None
    depth_thresholds: Path | None = None
    array: Path | None = None


def measure_participant(
    delivery: DeliveryFolder,
    participant_id: str,
    *,
    evidence: Evidence,
    reference: Path,
    sites: Path | None,
    output: Path,
) -> None:
    """Write the metrics of a participant to ``output``, and ``contamination.json`` and ``identity.json`` next to it.

    Args:
        delivery: The delivery; a job runs in its workspace.
        participant_id: A participant of the delivery.
        evidence: The participant's files.
        reference: The FASTA of the CRAM.
        sites: Population frequencies for the contamination estimate; None: contamination is not assessed.
        output: JSON, see ``qc.metrics``.

    Raises:
        InputRefused: The participant is not in the delivery, or the CRAM or gVCF is of another sample.
    """
    owned = evidence.cram or evidence.gvcf
    if owned is None:
        raise ValueError("neither CRAM nor gVCF")
    require_owner(owned, participant=participant_id)
    row = specimens.of_participant(delivery.specimens, participant_id)[0]
    contamination_file, identity_file = (output.with_name(f"{name}.json") for name in ("contamination", "identity"))
    contamination.measure(evidence.cram, reference=reference, sites=sites, output=contamination_file)
    identity.measure(
        cram=evidence.cram, gvcf=evidence.gvcf, reference=reference, array=evidence.array, output=identity_file
    )
    measure(
        participant=participant_id,
        specimen=row.specimen_id,
        registered_sex=row.sex,
        stats=evidence.stats,
        mosdepth_regions=evidence.depth,
        mosdepth_thresholds=evidence.depth_thresholds,
        contamination_file=contamination_file if evidence.cram else None,
        identity_file=identity_file,
        output=output,
    )
