"""Thresholds of the QC gate: the project's own, and those of a configuration on top of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from baekman import data
from baekman.config.schema_errors import Fault, faults
from baekman.errors import InputRefused, Problem
from baekman.verdicts import Severity

DEFAULTS = data.path("qc_thresholds.yaml")
PAIRS = (("reject_below", "hold_below"), ("reject_above", "hold_from"))
Limits = dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The limits of each metric, by its name and the limit's key, and the severity of other findings by code."""

    metrics: dict[str, Limits]
    findings: dict[str, Severity]


def load_thresholds(path: Path | None = None) -> Thresholds:
    """Return the project's thresholds, overridden by those in the YAML file ``path``, value by value.

    A rejecting limit of the project is switched off where it would reject values that ``path`` accepts.

    Raises:
        InputRefused: ``path`` is not sound; every problem is a reason.
    """
    merged = _read(DEFAULTS)
    if path is not None and path.resolve() != DEFAULTS:
        own = _read(path)
        problems = [
            problem
            for metric, limits in own.get("metrics", {}).items()
            for problem in _contradictions(limits, file=path.name, metric=metric)
        ]
        if problems:
            raise InputRefused(problems)
        for metric, limits in own.get("metrics", {}).items():
            merged["metrics"][metric] = _overlaid(merged["metrics"].get(metric, {}), limits)
        merged["findings"] |= own.get("findings", {})
    return Thresholds(metrics=merged["metrics"], findings=merged["findings"])


def _overlaid(defaults: Limits, own: Limits) -> Limits:
    """Return ``own`` on top of ``defaults``; a default that rejects values which an own limit accepts becomes None."""
    merged = {**defaults, **own}
    for strict, lenient in PAIRS:
        if strict not in own and _contradict(strict, merged.get(strict), merged.get(lenient)):
            merged[strict] = None
    return merged


def _contradict(strict: str, rejects: float | None, holds: float | None) -> bool:
    """Return whether the limits reject a value that they do not even hold."""
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
    thresholds: dict[str, Any] = content
    return thresholds


def _expected(fault: Fault) -> str:
    """Return the rule of the schema in words; types have their names of JSON Schema, as in ``fault.message``."""
    if fault.rule == "additionalProperties":
        return "only known keys"
    if fault.rule == "type":
        return " or ".join([fault.asked] if isinstance(fault.asked, str) else fault.asked)
    return fault.expected


def beyond(value: float, limits: Mapping[str, float | None]) -> tuple[Severity | None, float | None]:
    """Return the severity and the limit that ``value`` breaks, the worse first; (None, None) when it breaks none.

    A value breaks ``reject_below`` and ``hold_below`` when it is below, ``reject_above`` when it is above, and
    ``hold_from`` when it is at or above the limit.
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
