"""Quality control of aligned reads: what the workflow's steps call, in their order.

1. ``regions(reference, par=…, output=BED)``, once per reference: the non-N bases by kind. Then, per
participant, ``samtools stats --ref-seq REF CRAM`` and ``mosdepth --no-per-base --by BED --thresholds
1,5,10,15,20,30 --fasta REF PREFIX CRAM`` (GA4GH's reference implementation: default flags, no limit on
mapping quality; overlaps of mates count once). 2. ``contamination.measure(cram, reference=…, sites=…,
output=JSON)`` 3. ``identity.measure(cram=…, gvcf=None, reference=…, array=…, output=JSON)`` 4.
``measure(participant=…, …, output=JSON)``: all metrics of the participant in one file. (``measure_all`` is 2
to 4 in one call.) 5. ``gate(metrics, thresholds=…, output=JSON)``: the verdicts of a delivery.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from baekman.qc import contamination, identity
from baekman.qc import gate as qc_gate
from baekman.qc import metrics as qc_metrics
from baekman.verdicts import Verdict, write_verdicts

THRESHOLDS = "1,5,10,15,20,30"  # for mosdepth --thresholds: the N of pct_autosomes_<N>x


def measure(
    *,
    participant: str,
    specimen: str,
    registered_sex: str,
    stats: Path | None,
    mosdepth_regions: Path | None,
    mosdepth_thresholds: Path | None,
    contamination_file: Path | None,
    identity_file: Path | None,
    output: Path,
) -> qc_metrics.Metrics:
    """Write one participant's metrics to ``output``, from the files of the steps before.

    A file that is None was not made: its metrics are not assessed, and that is said.
    """
    coverage = (
        qc_metrics.coverage_of_mosdepth(regions=mosdepth_regions, thresholds=mosdepth_thresholds)
        if mosdepth_regions and mosdepth_thresholds
        else {}
    )
    metrics = qc_metrics.collect(
        participant=participant,
        specimen=specimen,
        registered_sex=registered_sex,
        coverage=coverage,
        stats=qc_metrics.read_stats(stats) if stats else None,
        contamination=contamination.read_estimate(contamination_file)
        if contamination_file
        else contamination.Estimate(alpha=None, failure="no_reads"),
        identity=identity.read_identity(identity_file)
        if identity_file
        else identity.Identity(concordance=None, failure="no_array"),
    )
    qc_metrics.write_metrics(output, metrics)
    return metrics


def gate(metrics: Iterable[Path], *, thresholds: Path | None = None, output: Path) -> list[Verdict]:
    """Judge each file of metrics, in the order of the specimens' IDs, and write the verdicts to ``output``.

    ``thresholds``: a file whose values go before the project's. Raises ``InputRefused`` when it is not sound.
    """
    limits = qc_gate.load_thresholds(thresholds)
    measured = sorted((qc_metrics.read_metrics(path) for path in metrics), key=lambda one: one.specimen)
    verdicts = [qc_gate.judge(one, limits) for one in measured]
    write_verdicts(output, verdicts)
    return verdicts
