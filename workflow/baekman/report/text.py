"""What a gate found, in the words of who reads a report: metrics with units, limits with their direction."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import jinja2

from baekman import data
from baekman.verdicts import Scalar

GATES = {"intake": "intake", "qc": "quality control"}

# metric -> its name, its unit, and what a value is multiplied by for that unit
METRICS: dict[str, tuple[str, str, float]] = {
    "mean_autosome_coverage": ("mean coverage of the autosomes", "×", 1),
    "yield_bp_q30": ("bases of quality 30 or more", "Gb", 1e-9),
    "pct_bases_q30": ("bases of quality 30 or more", "%", 1),
    "cross_contamination_rate": ("reads of another person", "%", 100),
    "pct_reads_duplicated": ("duplicate reads", "%", 1),
    "median_insert_size": ("median insert size", "bp", 1),
    "identity_concordance": ("agreement with the array", "%", 100),
    "identity_nonreference_concordance": ("agreement with the array where that has a variant", "%", 100),
    "x_autosome_ratio": ("coverage of X against the autosomes", "", 1),
}
_BREADTH = re.compile(r"pct_autosomes_(\d+)x")
_CODE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")


def words(code: str) -> str:
    """A code as words; any other text as it is."""
    return code.replace("_", " ")


def metric(name: str) -> str:
    """What a metric is called."""
    if match := _BREADTH.fullmatch(name):
        return f"autosomal bases with {match[1]} reads or more"
    return METRICS[name][0] if name in METRICS else words(name)


def value(name: str, found: Scalar) -> str:
    """A value of the metric ``name`` with its unit; nothing for None."""
    if found is None:
        return ""
    if isinstance(found, str):
        return words(found) if _CODE.fullmatch(found) else found
    if isinstance(found, bool) or not (known := METRICS.get(name, _unit_of_breadth(name))):
        return f"{found:.6g}" if isinstance(found, float) else str(found)
    _, unit, factor = known
    return f"{found * factor:.4g} {unit}".rstrip()


def expected(reason: Mapping[str, Any]) -> str:
    """What the gate asks for: ``threshold``, and where both it and ``observed`` are numbers of QC, on which side."""
    observed, threshold, name = reason["observed"], reason["threshold"], reason["metric"]
    told = value(name, threshold)
    if not (is_measured(name) and isinstance(observed, (int, float)) and isinstance(threshold, (int, float))):
        return told
    if observed < threshold:
        return f"at least {told}"
    # a limit that rejects may be reached, one that holds may not
    return f"below {told}" if observed == threshold or reason["severity"] == "hold" else f"at most {told}"


def is_measured(name: str) -> bool:
    """Whether ``name`` is a metric of the QC gate."""
    return name in METRICS or bool(_BREADTH.fullmatch(name))


def to_do(specimens: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """What is to be done -> whose specimens; those that are held or rejected, each action once, most asked first.

    ``specimens``: each with ``specimen``, ``verdict`` and ``reasons``. A note asks for nothing.
    """
    asked: dict[str, list[str]] = {}
    for told in specimens:
        actions = [reason["action"] for reason in told["reasons"] if reason["severity"] != "note"]
        for action in dict.fromkeys(actions):
            if action and told["verdict"] != "accept":
                asked.setdefault(action, []).append(told["specimen"])
    return dict(sorted(asked.items(), key=lambda item: -len(item[1])))


def render(template: str, **values: Any) -> str:
    """Return the page that ``template`` makes of ``values``; it needs no other file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data.path("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "words": words,
        "metric": metric,
        "expected": expected,
        "observed": lambda reason: value(reason["metric"], reason["observed"]),
        "gate": lambda name: GATES.get(name, name),
        "day": lambda text: date.fromisoformat(text).strftime("%-d %B %Y"),
    }
    return environment.get_template(template).render(**values)


def _unit_of_breadth(name: str) -> tuple[str, str, float] | None:
    return ("", "%", 1) if _BREADTH.fullmatch(name) else None
