"""The wording of reports for people: metrics with units, limits with their direction, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

import jinja2

from baekman import data
from baekman.report.words import Words, translated
from baekman.verdicts import Scalar

GATES = {"intake": "intake", "qc": "quality control", "call": "variant calling"}

# metric -> its name, its unit, and the factor from a value to that unit
METRICS: dict[str, tuple[str, str, float]] = {
    "mean_autosome_coverage": ("mean coverage of the autosomes", "×", 1),
    "yield_bp_q30": ("bases of quality 30 or more", "Gb", 1e-9),
    "pct_bases_q30": ("bases of quality 30 or more", "%", 1),
    "cross_contamination_rate": ("reads of another person", "%", 100),
    "pct_reads_duplicated": ("duplicate reads", "%", 1),
    "median_insert_size": ("median insert size", "bp", 1),
    "identity_concordance": ("agreement with the array", "%", 100),
    "identity_nonreference_concordance": ("agreement with the array where the array has a variant", "%", 100),
    "x_autosome_ratio": ("coverage of X against the autosomes", "", 1),
}
VERDICTS = {"accept": Words("합격", "accepted"), "hold": Words("보류", "on hold"), "reject": Words("반려", "rejected")}
SIDES = {"at least ": "이상", "below ": "미만", "at most ": "이하"}  # of a limit
FOLLOWS = "follows from "  # the begin of the action of a note, before the code of its cause
_BREADTH = re.compile(r"pct_autosomes_(\d+)x")
_CODE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")


def words(code: str) -> str:
    """Return ``code`` (``low_coverage``) as words."""
    return code.replace("_", " ")


def metric(name: str) -> str:
    """Return the name of the metric ``name`` for people."""
    if match := _BREADTH.fullmatch(name):
        return f"autosomal bases with {match[1]} reads or more"
    return METRICS[name][0] if name in METRICS else words(name)


def metric_name(name: str) -> Words:
    """Return the name of the metric ``name`` in both languages."""
    if match := _BREADTH.fullmatch(name):
        return Words(f"판독이 {match[1]}개 이상인 상염색체 염기", metric(name))
    return translated(metric(name))


def factor(name: str) -> float:
    """Return the factor from a value of the metric ``name`` to its unit for people."""
    return METRICS[name][2] if name in METRICS else 1


def reason_name(code: str) -> Words:
    """Return the name of the reason ``code`` in both languages."""
    return translated(words(code))


def value(name: str, observed: Scalar) -> str:
    """Return the value ``observed`` of the metric ``name`` with its unit; an empty text for None."""
    if observed is None:
        return ""
    if isinstance(observed, str):
        return words(observed) if _CODE.fullmatch(observed) else observed
    if isinstance(observed, bool) or not (known := METRICS.get(name, _unit_of_breadth(name))):
        return f"{observed:.6g}" if isinstance(observed, float) else str(observed)
    _, unit, factor = known
    return f"{observed * factor:.4g} {unit}".rstrip()


def expected(reason: Mapping[str, Any]) -> str:
    """Return the ``threshold`` of ``reason`` with its unit.

    Where it and ``observed`` are numbers of the QC gate, the text says on which side of it values are good.
    """
    observed, threshold, name = reason["observed"], reason["threshold"], reason["metric"]
    limit = value(name, threshold)
    if not (is_measured(name) and isinstance(observed, (int, float)) and isinstance(threshold, (int, float))):
        return limit
    if observed < threshold:
        return f"at least {limit}"
    # a limit that rejects may be reached, one that holds may not
    return f"below {limit}" if observed == threshold or reason["severity"] == "hold" else f"at most {limit}"


def limit(reason: Mapping[str, Any]) -> Words:
    """Return ``expected`` in both languages."""
    english = expected(reason)
    for phrase, korean in SIDES.items():
        if english.startswith(phrase):
            return Words(f"{english.removeprefix(phrase).strip()} {korean}", english)
    return translated(english)


def advice(action: str) -> Words:
    """Return the ``action`` of a reason in both languages."""
    cause = action.removeprefix(FOLLOWS)
    if cause != action:
        name = reason_name(cause)
        return Words(f"{name.ko}에 따른 결과", f"{FOLLOWS}{name.en}")
    return translated(action)


def is_measured(name: str) -> bool:
    """Return whether ``name`` is a metric of the QC gate."""
    return name in METRICS or bool(_BREADTH.fullmatch(name))


def to_do(specimens: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the specimens of each action, the most frequent action first.

    ``specimens``: each with ``specimen``, ``verdict`` and ``reasons``. Accepted specimens and notes need no action.
    """
    asked: dict[str, list[str]] = {}
    for specimen in specimens:
        actions = [reason["action"] for reason in specimen["reasons"] if reason["severity"] != "note"]
        for action in dict.fromkeys(actions):
            if action and specimen["verdict"] != "accept":
                asked.setdefault(action, []).append(specimen["specimen"])
    return dict(sorted(asked.items(), key=lambda item: -len(item[1])))


def reporting_sentence(gates: Sequence[str]) -> str:
    """Return the sentence on ``gates`` that only report; "" where every gate holds specimens back."""
    if not gates:
        return ""
    names = " and ".join(GATES[name] for name in gates)
    return (
        f"gates: report ({names}): nobody was held back for a verdict. Only specimens without registration or consent, "
        "that cannot be processed, or that a person rejected stay out."
    )


def reporting_words(gates: Sequence[str]) -> Words | None:
    """Return ``reporting_sentence`` in both languages; None where every gate holds specimens back."""
    if not gates:
        return None
    names = ", ".join(translated(GATES[name]).ko for name in gates)
    korean = (
        f"gates: report ({names}): 판정 때문에 보류된 검체는 없다. 등록이나 동의가 없는 검체, 처리할 수 없는 검체, "
        "사람이 반려한 검체만 빠진다."
    )
    return Words(korean, reporting_sentence(gates))


def render(template: str, **values: Any) -> str:
    """Return the page that ``template`` makes of ``values``; it needs no other file."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data.path("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["verdict_words"] = VERDICTS
    environment.filters |= {
        "words": words,
        "metric": metric,
        "expected": expected,
        "observed": lambda reason: value(reason["metric"], reason["observed"]),
        "metric_name": metric_name,
        "translated": lambda text, language=None: getattr(translated(text), language) if language else translated(text),
        "limit": limit,
        "advice": advice,
        "date": lambda text: Words(text, date.fromisoformat(text).strftime("%-d %B %Y")),
        "reason_name": reason_name,
        "shown": lambda row, name: value(name, row["values"].get(name)),
        "gate": lambda name: GATES.get(name, name),
        "day": lambda text: date.fromisoformat(text).strftime("%-d %B %Y"),
    }
    return environment


def _unit_of_breadth(name: str) -> tuple[str, str, float] | None:
    return ("", "%", 1) if _BREADTH.fullmatch(name) else None
