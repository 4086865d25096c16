"""The QC metrics of one participant of a delivery, from the files of samtools stats, mosdepth and the array.

mosdepth runs with GA4GH's settings: default flags, no limit on mapping quality, and overlaps of mates count once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from baekman.files.bgzf_index import indexed_records
from baekman.genome.reference import contig_lengths
from baekman.genome.targets import Targets
from baekman.qc import contamination, identity, sex
from baekman.qc.metrics import (
    Coverage,
    Handover,
    Metrics,
    ReadStats,
    collect,
    coverage_of_mosdepth,
    read_stats,
    write_metrics,
)
from baekman.workspace import specimens
from baekman.workspace.current_reads import merged_reads
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.sample_check import require_owner


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The files from which metrics follow; metrics without their file are not assessed.

    ``cram`` or ``gvcf`` is needed. ``stats`` is from samtools stats; ``depth`` and ``depth_thresholds`` are
    mosdepth's regions and thresholds. ``array`` has the registered array genotypes (VCF). ``targets``: the target
    regions, to which ``depth`` is cut already; None: the whole genome. ``aliases``: other
    names of contigs in gVCF and array -> names in the reference.
    """

    cram: Path | None = None
    gvcf: Path | None = None
    stats: Path | None = None
    depth: Path | None = None
    depth_thresholds: Path | None = None
    array: Path | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    targets: Targets | None = None

    @property
    def coverage(self) -> dict[str, Coverage]:
        """Return the coverage by kind of region; empty without mosdepth's files.

        X and Y are left out where the targets have fewer than ``sex.LEAST_BASES`` of them.
        """
        if self.depth is None or self.depth_thresholds is None:
            return {}
        coverage = coverage_of_mosdepth(regions=self.depth, thresholds=self.depth_thresholds)
        least = sex.LEAST_BASES if self.targets is not None else 0
        return {kind: own for kind, own in coverage.items() if kind not in ("X", "Y") or own.bases >= least}

    @property
    def read_stats(self) -> ReadStats | None:
        """Return the numbers of samtools stats; None without its file."""
        return read_stats(self.stats) if self.stats is not None else None

    def handover(self, expected: int | None, stats: ReadStats | None) -> Handover | None:
        """Compare the reads of the alignment, or the records of the gVCF by its index, with the number ``expected``.

        Returns None where there is nothing to compare.
        """
        if expected is None:
            return None
        if self.gvcf is not None:
            return Handover(unit="records", observed=indexed_records(self.gvcf) or 0, expected=expected)
        return Handover(unit="reads", observed=stats.reads, expected=expected) if stats is not None else None


def measure_participant(
    delivery: DeliveryFolder,
    participant_id: str,
    *,
    evidence: Evidence,
    reference: Path,
    sites: Path | None,
    output: Path,
) -> Metrics:
    """Write the metrics of a participant to ``output``, and ``contamination.json`` and ``identity.json`` next to it.

    Args:
        delivery: The delivery; a job runs in its workspace.
        participant_id: A participant of the delivery.
        evidence: The participant's files.
        reference: The FASTA of the CRAM.
        sites: Population frequencies for the contamination estimate; None: contamination is not assessed.
        output: JSON, see ``qc.metrics``.

    Returns:
        The metrics.

    Raises:
        InputRefused: The participant is not in the delivery, or the CRAM, gVCF or array is of another sample.
    """
    owned = evidence.cram or evidence.gvcf
    if owned is None:
        raise ValueError("neither CRAM nor gVCF")
    for file in filter(None, (owned, evidence.array)):
        require_owner(file, participant=participant_id)
    rows = specimens.of_participant(delivery.specimens, participant_id)
    stats = evidence.read_stats
    contamination_file, identity_file = (output.with_name(f"{name}.json") for name in ("contamination", "identity"))
    padded = evidence.targets.padded(contig_lengths(reference)) if evidence.targets else None
    estimate = contamination.measure(
        evidence.cram, reference=reference, sites=sites, regions=padded, output=contamination_file
    )
    comparison = identity.assess(
        cram=evidence.cram,
        gvcf=evidence.gvcf,
        reference=reference,
        array=evidence.array,
        aliases=evidence.aliases,
    )
    identity.write_identity(comparison, identity_file)
    metrics = collect(
        participant_id=participant_id,
        specimen_id=rows[0].specimen_id,
        registered_sex=rows[0].sex,
        coverage=evidence.coverage,
        stats=stats,
        contamination=estimate,
        identity=comparison,
    )
    expected = _expected_records(delivery, participant_id, rows)
    metrics = replace(metrics, handover=evidence.handover(expected, stats))
    if evidence.targets is not None and evidence.cram is not None:
        metrics = replace(metrics, details={**metrics.details, "targets": evidence.targets.description()})
    write_metrics(output, metrics)
    return metrics


def _expected_records(
    delivery: DeliveryFolder, participant_id: str, rows: Sequence[specimens.StagedFiles]
) -> int | None:
    """Return the reads or records that intake wrote, with those of earlier deliveries where they are merged."""
    expected = specimens.expected_records(rows)
    merged = merged_reads(Workspace(delivery.path.parent.parent), participant_id, delivery_id=delivery.id)
    return expected + merged.earlier if expected is not None and merged is not None else expected
