"""The QC gate: metrics against thresholds give a verdict with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from baekman.qc.contamination import NOT_ASKED
from baekman.qc.metrics import Metrics, Number
from baekman.qc.thresholds import Thresholds, beyond
from baekman.verdicts import Reason, Verdict, lost

RESEQUENCE = "sequence more of this library, or re-sequence, and deliver all reads together"
RE_EXTRACT = "re-extract and re-sequence from another aliquot of the participant's specimen"
# metric -> reason code, and an action for the institution
CODES: dict[str, tuple[str, str]] = {
    "mean_autosome_coverage": ("low_coverage", RESEQUENCE),
    "yield_bp_q30": ("low_q30", RESEQUENCE),
    "pct_bases_q30": ("low_q30", "check the run's quality, and re-sequence"),
    "cross_contamination_rate": ("contamination", RE_EXTRACT),
    "pct_reads_duplicated": ("duplicates", "make a new library from more DNA, and re-sequence"),
    "median_insert_size": ("short_insert", "make a new library with longer fragments, and re-sequence"),
    "identity_concordance": (
        "identity_mismatch",
        "look for swapped specimens or arrays; deliver the right reads",
    ),
    "identity_nonreference_concordance": (
        "identity_mismatch",
        "look for swapped specimens or arrays; deliver the right reads",
    ),
}
BREADTH = ("low_breadth", RESEQUENCE)
# Each code with its observation in words. Their order is that of reasons of one severity; the first is the verdict's.
MEANINGS: dict[str, str] = {
    "reads_lost": "the alignment has another number of reads than intake handed over",
    "records_lost": "the gVCF has another number of records than intake handed over",
    "identity_mismatch": "reads and array genotypes disagree at more sites than the same person's do",
    "contamination": "a share of the reads comes from another person",
    "sex_discordant": "the reads are of one sex, the other is registered",
    "low_coverage": "mean depth of the autosomes below the limit",
    "low_breadth": "too few bases of the autosomes with at least 15 or 20 reads",
    "low_q30": "too few bases of quality 30 or more",
    "duplicates": "too many of the mapped reads are duplicates",
    "short_insert": "median insert size below the limit",
    "contamination_unassessed": "the estimate of contamination failed, or was not asked for (a note)",
    "identity_unassessed": "too few sites of the array can be compared, or there is no array (a note)",
    "sex_ambiguous": "neither XX nor XY by depth",
    "sex_unassessed": "sex cannot be seen: no X or Y in the reference, or too few target bases there",
    "coverage_unassessed": "coverage cannot be measured; `observed` has the cause",
}
ORDER = tuple(MEANINGS)
# the advice to the institution for findings without a limit
ACTIONS: dict[str, str] = {
    "sex_ambiguous": "look at the ratios of X and Y: an unusual karyotype, or a mixture",
    "sex_discordant": "correct the registered sex, or look for swapped specimens",
    "contamination_unassessed": "look at coverage, and at the sites in the configuration",
    "identity_unassessed": "deliver an array with more sites on autosomes",
}
# A reason that follows from another of the same or higher severity becomes a note: a specimen fails for one reason.
FOLLOWS_FROM: dict[str, tuple[str, ...]] = {
    "low_breadth": ("low_coverage",),
    "contamination_unassessed": ("low_coverage",),
    "identity_unassessed": ("low_coverage",),
    "identity_mismatch": ("contamination", "low_coverage"),
    "sex_ambiguous": ("contamination", "low_coverage"),
}
# Concordance: parent and child agree at three quarters of common sites; reads of which a tenth comes from another
# person agree at nine tenths.
STRANGER_BELOW = 0.8


def judge(metrics: Metrics, thresholds: Thresholds) -> Verdict:
    """Return the verdict on one specimen: the worst reason first; reasons that follow from another are notes."""
    distinct = _distinct([*_limits(metrics, thresholds), *_findings(metrics, thresholds)])
    reasons = [_as_consequence(reason, distinct, metrics.values) for reason in distinct]
    return Verdict.of(
        specimen_id=metrics.specimen_id,
        participant_id=metrics.participant_id,
        gate="qc",
        reasons=sorted(reasons, key=_rank),
    )


def _rank(reason: Reason) -> tuple[int, int]:
    return ("reject", "hold", "note").index(reason.severity), ORDER.index(reason.code)


def _limits(metrics: Metrics, thresholds: Thresholds) -> Iterable[Reason]:
    """Yield a reason for each metric beyond a limit; a metric without a value has none."""
    for metric, limits in thresholds.metrics.items():
        value = metrics.values.get(metric)
        if value is None:
            continue
        code, action = CODES.get(metric, BREADTH)
        severity, limit = beyond(value, limits)
        if severity is not None:
            yield Reason(code=code, severity=severity, metric=metric, observed=value, threshold=limit, action=action)


def _findings(metrics: Metrics, thresholds: Thresholds) -> Iterable[Reason]:
    """Yield the reasons without a limit: lost reads, sex, and metrics that could not be assessed."""
    severity = thresholds.findings
    failures = metrics.unassessed
    counts = metrics.handover
    if counts is not None and not counts.is_whole:
        yield lost(counts.unit, observed=counts.observed, expected=counts.expected)
    if metrics.observed_sex == "ambiguous":
        yield Reason(
            code="sex_ambiguous",
            severity=severity["sex_ambiguous"],
            metric="x_autosome_ratio",
            observed=metrics.values.get("x_autosome_ratio"),
            action=ACTIONS["sex_ambiguous"],
        )
    elif {metrics.observed_sex, metrics.registered_sex} == {"female", "male"}:
        yield Reason(
            code="sex_discordant",
            severity=severity["sex_discordant"],
            metric="observed_sex",
            observed=metrics.observed_sex,
            threshold=metrics.registered_sex,
            action=ACTIONS["sex_discordant"],
        )
    elif metrics.observed_sex == "not_assessed":
        yield Reason(
            code="sex_unassessed", severity="note", metric="observed_sex", observed=failures.get("observed_sex")
        )
    if failure := failures.get("cross_contamination_rate"):
        yield Reason(
            code="contamination_unassessed",
            severity="note" if failure in NOT_ASKED else severity["contamination_unassessed"],
            metric="cross_contamination_rate",
            observed=failure,
            action="" if failure in NOT_ASKED else ACTIONS["contamination_unassessed"],
        )
    if failure := failures.get("identity_concordance"):
        yield Reason(
            code="identity_unassessed",
            severity="note" if failure == "no_array" else severity["identity_unassessed"],
            metric="identity_concordance",
            observed=failure,
            action="" if failure == "no_array" else ACTIONS["identity_unassessed"],
        )
    if failure := failures.get("mean_autosome_coverage"):
        yield Reason(code="coverage_unassessed", severity="note", metric="mean_autosome_coverage", observed=failure)


def _distinct(reasons: Iterable[Reason]) -> list[Reason]:
    """Return one reason per code: the worst, and of these the first."""
    kept: dict[str, Reason] = {}
    for reason in reasons:
        other = kept.get(reason.code)
        if other is None or _rank(reason) < _rank(other):
            kept[reason.code] = reason
    return list(kept.values())


def _as_consequence(reason: Reason, others: Iterable[Reason], values: Mapping[str, Number]) -> Reason:
    """Return ``reason`` as a note where ``others`` hold a cause of it that is no less severe.

    Reads of a stranger follow from nothing: they stay a mismatch of identity whatever else is wrong.
    """
    severities = ("note", "hold", "reject")
    causes = [
        other.code
        for other in others
        if other.code in FOLLOWS_FROM.get(reason.code, ())
        and severities.index(other.severity) >= severities.index(reason.severity)
    ]
    concordance = values.get("identity_concordance")
    stranger = reason.code == "identity_mismatch" and concordance is not None and concordance < STRANGER_BELOW
    if reason.severity == "note" or not causes or stranger:
        return reason
    return replace(reason, severity="note", action=f"follows from {causes[0]}")
