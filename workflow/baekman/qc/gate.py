"""The QC gate: metrics against thresholds give a verdict with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from baekman import data
from baekman.config.schema_errors import Fault, faults
from baekman.errors import InputRefused, Problem
from baekman.qc.contamination import NOT_ASKED
from baekman.qc.metrics import Metrics, Number
from baekman.verdicts import Reason, Severity, Verdict

DEFAULTS = data.path("qc_thresholds.yaml")

RESEQUENCE = "sequence more of this library, or re-sequence, and deliver all reads together"
RE_EXTRACT = "re-extract and re-sequence from another aliquot of the participant's specimen"
# metric -> reason code and what the institution can do
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
PAIRS = (("reject_below", "hold_below"), ("reject_above", "hold_from"))
Limits = dict[str, float | None]
# the order in which reasons of one severity are told; the first is the verdict's own
ORDER = (
    "identity_mismatch",
    "contamination",
    "sex_discordant",
    "low_coverage",
    "low_breadth",
    "low_q30",
    "duplicates",
    "short_insert",
    "contamination_unassessed",
    "identity_unassessed",
    "sex_ambiguous",
    "sex_unassessed",
    "coverage_unassessed",
)
# what follows from another finding, no less severe, is told as a note: a specimen fails for one reason, its own
FOLLOWS_FROM: dict[str, tuple[str, ...]] = {
    "low_breadth": ("low_coverage",),
    "contamination_unassessed": ("low_coverage",),
    "identity_unassessed": ("low_coverage",),
    "identity_mismatch": ("contamination", "low_coverage"),
    "sex_ambiguous": ("contamination", "low_coverage"),
}
# concordance: parent and child agree at three quarters of common sites; one's own reads with a tenth of another's
# at nine tenths
STRANGER_BELOW = 0.8


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What is in force: the limits of each metric, by key, and the severity of findings."""

    metrics: dict[str, Limits]
    findings: dict[str, Severity]


def load_thresholds(path: Path | None = None) -> Thresholds:
    """The project's thresholds with those of ``path`` on top, value by value, checked.

    Where the default of a rejecting limit would reject what ``path`` accepts, it is switched off. Raises
    ``InputRefused`` with everything that is wrong in ``path``.
    """
    merged = _read(DEFAULTS)
    if path is not None and path.resolve() != DEFAULTS:
        own = _read(path)
        reasons = [
            reason
            for metric, limits in own.get("metrics", {}).items()
            for reason in _contradictions(limits, file=path.name, metric=metric)
        ]
        if reasons:
            raise InputRefused(reasons)
        for metric, limits in own.get("metrics", {}).items():
            merged["metrics"][metric] = _overlaid(merged["metrics"].get(metric, {}), limits)
        merged["findings"] |= own.get("findings", {})
    return Thresholds(metrics=merged["metrics"], findings=merged["findings"])


def _overlaid(defaults: Limits, own: Limits) -> Limits:
    """``own`` on top of ``defaults``; a default that would reject what an own limit accepts is switched off."""
    merged = {**defaults, **own}
    for strict, lenient in PAIRS:
        if strict not in own and _contradict(strict, merged.get(strict), merged.get(lenient)):
            merged[strict] = None
    return merged


def _contradict(strict: str, rejects: float | None, holds: float | None) -> bool:
    """Whether a value would be rejected that is not even held."""
    if rejects is None or holds is None:
        return False
    return rejects > holds if strict == "reject_below" else rejects < holds


def _contradictions(limits: Limits, *, file: str, metric: str) -> list[Problem]:
    return [
        Problem(
            file=file,
            place=f"metrics.{metric}",
            expected=f"{strict} no stricter than {lenient}",
            found=f"{strict} {limits[strict]} and {lenient} {limits[lenient]}",
            action="correct one of them",
        )
        for strict, lenient in PAIRS
        if _contradict(strict, limits.get(strict), limits.get(lenient))
    ]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise InputRefused(
            Problem(
                file=path.name,
                expected="a file of QC thresholds",
                found="no such file",
                action="correct qc_thresholds in the configuration",
            )
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as fault:
        mark = getattr(fault, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else ""
        raise InputRefused(Problem(file=path.name, place=place, expected="YAML", found="something else")) from None
    problems = [
        Problem(
            file=path.name,
            place=fault.place or "top level",
            expected=_expected(fault),
            found=fault.message,
            action="config/qc_thresholds.yaml shows every key",
        )
        for fault in faults("qc_thresholds", content)
    ]
    if problems:
        raise InputRefused(problems)
    found: dict[str, Any] = content
    return found


def _expected(fault: Fault) -> str:
    """Return what the schema asks for; kinds of values by their names in JSON Schema, as in ``fault.message``."""
    if fault.rule == "additionalProperties":
        return "only known keys"
    if fault.rule == "type":
        return " or ".join([fault.asked] if isinstance(fault.asked, str) else fault.asked)
    return fault.expected


def judge(metrics: Metrics, thresholds: Thresholds) -> Verdict:
    """The verdict on one specimen: worst reason first, and those that follow from another as notes."""
    found = _distinct([*_limits(metrics, thresholds), *_findings(metrics, thresholds)])
    reasons = [_as_consequence(reason, found, metrics.values) for reason in found]
    return Verdict.of(
        specimen_id=metrics.specimen,
        participant_id=metrics.participant,
        gate="qc",
        reasons=sorted(reasons, key=_rank),
    )


def _rank(reason: Reason) -> tuple[int, int]:
    return ("reject", "hold", "note").index(reason.severity), ORDER.index(reason.code)


def _limits(metrics: Metrics, thresholds: Thresholds) -> Iterable[Reason]:
    """A reason for each metric that is beyond a limit; a metric without a value has none."""
    for metric, limits in thresholds.metrics.items():
        value = metrics.values.get(metric)
        if value is None:
            continue
        code, action = CODES.get(metric, BREADTH)
        severity, limit = beyond(value, limits)
        if severity is not None:
            yield Reason(code=code, severity=severity, metric=metric, observed=value, threshold=limit, action=action)


def beyond(value: float, limits: Mapping[str, float | None]) -> tuple[Severity | None, float | None]:
    """Which limit ``value`` breaks, the worse first: its severity and the limit; neither: (None, None).

    Below ``reject_below``, ``hold_below``; above ``reject_above``; at or above ``hold_from``.
    """
    if (limit := limits.get("reject_below")) is not None and value < limit:
        return "reject", limit
    if (limit := limits.get("reject_above")) is not None and value > limit:
        return "reject", limit
    if (limit := limits.get("hold_below")) is not None and value < limit:
        return "hold", limit
    if (limit := limits.get("hold_from")) is not None and value >= limit:
        return "hold", limit
    return None, None


def _findings(metrics: Metrics, thresholds: Thresholds) -> Iterable[Reason]:
    """Reasons that are no limit: sex, and what could not be assessed."""
    severity = thresholds.findings
    why = metrics.unassessed
    if metrics.observed_sex == "ambiguous":
        yield Reason(
            code="sex_ambiguous",
            severity=severity["sex_ambiguous"],
            metric="x_autosome_ratio",
            observed=metrics.values.get("x_autosome_ratio"),
            action="look at the ratios of X and Y: an unusual karyotype, or a mixture",
        )
    elif {metrics.observed_sex, metrics.registered_sex} == {"female", "male"}:
        yield Reason(
            code="sex_discordant",
            severity=severity["sex_discordant"],
            metric="observed_sex",
            observed=metrics.observed_sex,
            threshold=metrics.registered_sex,
            action="correct the registered sex, or look for swapped specimens",
        )
    elif metrics.observed_sex == "not_assessed":
        yield Reason(code="sex_unassessed", severity="note", metric="observed_sex", observed=why.get("observed_sex"))
    if failure := why.get("cross_contamination_rate"):
        yield Reason(
            code="contamination_unassessed",
            severity="note" if failure in NOT_ASKED else severity["contamination_unassessed"],
            metric="cross_contamination_rate",
            observed=failure,
            action="" if failure in NOT_ASKED else "look at coverage, and at the sites in the configuration",
        )
    if failure := why.get("identity_concordance"):
        yield Reason(
            code="identity_unassessed",
            severity="note" if failure == "no_array" else severity["identity_unassessed"],
            metric="identity_concordance",
            observed=failure,
            action="" if failure == "no_array" else "deliver an array with more sites on autosomes",
        )
    if failure := why.get("mean_autosome_coverage"):
        yield Reason(code="coverage_unassessed", severity="note", metric="mean_autosome_coverage", observed=failure)


def _distinct(reasons: Iterable[Reason]) -> list[Reason]:
    """One reason per code: the worst, and of these the first."""
    kept: dict[str, Reason] = {}
    for reason in reasons:
        other = kept.get(reason.code)
        if other is None or _rank(reason) < _rank(other):
            kept[reason.code] = reason
    return list(kept.values())


def _as_consequence(reason: Reason, found: Iterable[Reason], values: Mapping[str, Number]) -> Reason:
    """``reason`` as a note where a cause of it is found that is no less severe.

    Reads of a stranger are no consequence of anything: they stay a mismatch of identity beside all else.
    """
    severities = ("note", "hold", "reject")
    causes = [
        other.code
        for other in found
        if other.code in FOLLOWS_FROM.get(reason.code, ())
        and severities.index(other.severity) >= severities.index(reason.severity)
    ]
    concordance = values.get("identity_concordance")
    stranger = reason.code == "identity_mismatch" and concordance is not None and concordance < STRANGER_BELOW
    if reason.severity == "note" or not causes or stranger:
        return reason
    return replace(reason, severity="note", action=f"follows from {causes[0]}")
