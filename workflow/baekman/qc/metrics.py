"""The QC metrics of one participant, by their GA4GH WGS names, from the output of the tools.

As in GA4GH's definitions, percentages are 0-100 and shares (contamination, concordance) 0-1.
"""

from __future__ import annotations

import csv
import gzip
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baekman.files import atomic
from baekman.qc import sex

if TYPE_CHECKING:
    from baekman.qc.contamination import Estimate
    from baekman.qc.identity import Identity

KINDS = ("autosome", "X", "Y", "PAR")
Number = float | int | None


@dataclass(frozen=True, kw_only=True)
class Handover:
    """The number of ``reads`` or ``records`` (``unit``) that a stage ``observed``, and that intake handed over."""

    unit: str
    observed: int
    expected: int

    @property
    def is_whole(self) -> bool:
        """Return whether nothing was lost or repeated."""
        return self.observed == self.expected


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The metrics of one specimen.

    Attributes:
        participant_id: the participant's pseudonym.
        specimen_id: the specimen's pseudonym.
        registered_sex: ``female``, ``male`` or ``unknown``.
        observed_sex: ``female``, ``male``, ``ambiguous`` or ``not_assessed``.
        values: the number of each metric; None where it could not be assessed.
        unassessed: the reason why a metric could not be assessed, by metric.
        details: intervals, numbers of sites and methods, for the reader.
        handover: the reads in the alignment, or the records of a delivered gVCF; None where nothing is compared.
    """

    participant_id: str
    specimen_id: str
    registered_sex: str
    observed_sex: str
    values: dict[str, Number]
    unassessed: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    handover: Handover | None = None


def write_metrics(path: Path, metrics: Metrics) -> None:
    """Write one participant's metrics as JSON, atomically."""
    fields = asdict(metrics)
    ids = {"participant": fields.pop("participant_id"), "specimen": fields.pop("specimen_id")}
    atomic.write_text(path, json.dumps(ids | fields, indent=1, allow_nan=False) + "\n")


def read_metrics(path: Path) -> Metrics:
    """Return the metrics in a file of ``write_metrics``."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    ids = {"participant_id": fields.pop("participant"), "specimen_id": fields.pop("specimen")}
    counts = fields.pop("handover", None)
    return Metrics(**ids, **fields, handover=Handover(**counts) if counts else None)


# --- the output of the tools --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Depth over the regions of one kind: their bases, the sum of depths, and the bases with at least N reads, by N."""

    bases: int
    depth_sum: float
    at_least: dict[int, int]

    @property
    def mean(self) -> float | None:
        """Return the mean depth; None without bases."""
        return self.depth_sum / self.bases if self.bases else None


def coverage_of_mosdepth(*, regions: Path, thresholds: Path) -> dict[str, Coverage]:
    """Return the coverage by kind of region, from mosdepth's ``regions.bed.gz`` and ``thresholds.bed.gz``."""
    bases: dict[str, int] = defaultdict(int)
    depth: dict[str, float] = defaultdict(float)
    at_least: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    with gzip.open(regions, "rt", encoding="ascii") as lines:
        for line in lines:
            _, start, end, kind, mean = line.split()
            bases[kind] += int(end) - int(start)
            depth[kind] += float(mean) * (int(end) - int(start))
    with gzip.open(thresholds, "rt", encoding="ascii") as lines:
        levels = [int(name.removesuffix("X")) for name in next(lines).split()[4:]]
        for line in lines:
            _, _, _, kind, *counts = line.split()
            for level, count in zip(levels, counts, strict=True):
                at_least[kind][level] += int(count)
    return {kind: Coverage(bases=bases[kind], depth_sum=depth[kind], at_least=dict(at_least[kind])) for kind in bases}


@dataclass(frozen=True, kw_only=True)
class ReadStats:
    """The output of ``samtools stats``: its summary numbers, bases by quality (phred), pairs by insert size."""

    summary: dict[str, float]
    bases_by_quality: dict[int, int]
    pairs_by_insert_size: dict[int, int]

    @property
    def reads(self) -> int:
        """Return the number of reads; secondary and supplementary alignments are none."""
        return int(self.summary["raw total sequences"])


def read_stats(path: Path) -> ReadStats:
    """Parse the output of ``samtools stats`` (sections SN, FFQ, LFQ and IS)."""
    summary: dict[str, float] = {}
    qualities: dict[int, int] = defaultdict(int)
    inserts: dict[int, int] = {}
    with path.open(encoding="utf-8") as lines:
        for section, *fields in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if section == "SN":
                summary[fields[0].removesuffix(":")] = float(fields[1])
            elif section in ("FFQ", "LFQ"):
                for quality, count in enumerate(fields[1:]):
                    qualities[quality] += int(count or 0)
            elif section == "IS":
                inserts[int(fields[0])] = int(fields[1])
    return ReadStats(summary=summary, bases_by_quality=dict(qualities), pairs_by_insert_size=inserts)


# --- the metrics --------------------------------------------------------------------------------------------


def coverage_metrics(coverage: Mapping[str, Coverage]) -> dict[str, Number]:
    """Return ``mean_autosome_coverage``, ``pct_autosomes_<N>x``, and the depth of X and Y relative to autosomes."""
    autosomes = coverage.get("autosome", Coverage(bases=0, depth_sum=0.0, at_least={}))
    mean = autosomes.mean
    values: dict[str, Number] = {"mean_autosome_coverage": _rounded(mean, 2)}
    for level, count in sorted(autosomes.at_least.items()):
        values[f"pct_autosomes_{level}x"] = _percent(count, autosomes.bases)
    for kind in ("X", "Y"):
        of_kind = coverage[kind].mean if kind in coverage else None
        values[f"{kind.lower()}_autosome_ratio"] = _rounded(of_kind / mean, 4) if mean and of_kind is not None else None
    return values


def read_metrics_of(stats: ReadStats) -> dict[str, Number]:
    """Return the metrics of reads: yield, mapping, duplicates, insert size."""
    summary = stats.summary
    total, mapped = summary["raw total sequences"], summary["reads mapped"]
    bases = sum(stats.bases_by_quality.values())
    q30 = sum(count for quality, count in stats.bases_by_quality.items() if quality >= 30)
    paired = summary.get("reads properly paired", 0)
    return {
        "yield_bp_q30": q30,
        "pct_bases_q30": _percent(q30, bases),
        "pct_reads_mapped": _percent(mapped, total),
        "pct_reads_properly_paired": _percent(paired, total),
        "pct_reads_duplicated": _percent(summary["reads duplicated"], mapped),
        "mean_insert_size": summary["insert size average"] or None,
        "insert_size_std_deviation": summary["insert size standard deviation"] or None,
        "median_insert_size": median(stats.pairs_by_insert_size),
    }


def median(histogram: Mapping[int, int]) -> float | None:
    """Return the median of a histogram (value -> count): the mean of two middle values, None when it is empty."""
    values = sorted(histogram)
    counts = list(accumulate(histogram[value] for value in values))
    if not counts or counts[-1] == 0:
        return None
    middle = [values[bisect_right(counts, number)] for number in ((counts[-1] - 1) // 2, counts[-1] // 2)]
    return sum(middle) / 2


def collect(
    *,
    participant_id: str,
    specimen_id: str,
    registered_sex: str,
    coverage: Mapping[str, Coverage],
    stats: ReadStats | None,
    contamination: Estimate,
    identity: Identity,
) -> Metrics:
    """Return one participant's metrics; without reads (a gVCF) ``stats`` is None and ``coverage`` is empty."""
    values = coverage_metrics(coverage)
    if stats is not None:
        values |= read_metrics_of(stats)
    values["cross_contamination_rate"] = _rounded(contamination.alpha, 4)
    values["identity_concordance"] = _rounded(identity.concordance, 4)
    values["identity_nonreference_concordance"] = None if identity.failure else _rounded(identity.nonreference, 4)
    unassessed: dict[str, str] = {
        metric: reason
        for metric, reason in (
            ("cross_contamination_rate", contamination.failure),
            ("identity_concordance", identity.failure),
        )
        if reason
    }
    if values["mean_autosome_coverage"] is None:
        unassessed["mean_autosome_coverage"] = "no_reads" if stats is None else "no_autosome"
    observed = sex.infer(x_ratio=values["x_autosome_ratio"], y_ratio=values["y_autosome_ratio"])
    if observed == "not_assessed":
        unassessed["observed_sex"] = "no_reads" if stats is None else "no_x_or_y"
    return Metrics(
        participant_id=participant_id,
        specimen_id=specimen_id,
        registered_sex=registered_sex,
        observed_sex=observed,
        values=values,
        unassessed=unassessed,
        details={"contamination": asdict(contamination), "identity": asdict(identity)},
    )


def _percent(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 2) if whole else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
