"""The page on a delivery, ``report/report.html``, with its numbers in ``report.json`` next to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from baekman.files.atomic import write_text
from baekman.qc.thresholds import Limits, load_thresholds
from baekman.report import wording
from baekman.report.delivery.figures import figures_of
from baekman.report.delivery.numbers import Numbers, delivery_numbers, write_numbers
from baekman.report.target_regions import targets_sentence, targets_words
from baekman.report.words import Words
from baekman.verdicts import reporting_gates
from baekman.workspace.paths import Workspace
from baekman.workspace.waiting import verdicts_of

COLUMNS: tuple[tuple[str, Words], ...] = (
    ("mean_autosome_coverage", Words("깊이", "coverage")),
    ("pct_autosomes_15x", Words("15× 범위", "≥15×")),
    ("cross_contamination_rate", Words("오염", "contam.")),
    ("pct_reads_duplicated", Words("중복", "dupl.")),
    ("median_insert_size", Words("조각", "insert")),
    ("identity_concordance", Words("신원", "identity")),
)
JOB_COLUMNS = (
    Words("단계", "stage"),
    Words("규칙", "rule"),
    Words("작업 수", "jobs"),
    Words("시간 합 (초)", "time (s)"),
    Words("CPU 합 (초)", "CPU (s)"),
    Words("가장 긴 작업 (초)", "longest (s)"),
    Words("최대 메모리 (MB)", "memory (MB)"),
)
COVERAGE_NOTE = Words(
    "판정에 쓰는 깊이는 상염색체의 N이 아닌 염기만 센다. MultiQC의 평균 깊이(Mean Cov.)는 X와 Y도 세므로 X가 하나인 "
    "검체에서 더 낮다.",
    "The gate's coverage is over the non-N bases of the autosomes. MultiQC's mean coverage (Mean Cov.) includes X and "
    "Y, so it is lower where there is one X.",
)


def write_delivery_report(workspace: Workspace, delivery_id: str, *, thresholds: Path, html: Path) -> None:
    """Write the report on a delivery to ``html``, and its numbers as JSON next to it.

    ``thresholds``: YAML with the limits of the QC gate that override the project's.
    """
    _write(workspace, delivery_id, limits=load_thresholds(thresholds).metrics, html=html)


def write_again(workspace: Workspace, delivery_id: str, *, html: Path) -> None:
    """Write an existing report again, with the limits in its JSON: a withdrawal removed a participant."""
    numbers = json.loads(_json_of(html).read_text(encoding="utf-8"))
    _write(workspace, delivery_id, limits=numbers["limits"], html=html)


def _write(workspace: Workspace, delivery_id: str, *, limits: Mapping[str, Limits], html: Path) -> None:
    numbers = delivery_numbers(workspace, delivery_id, limits=limits)
    folder = workspace.delivery(delivery_id)
    sentences = (
        targets_words(targets_sentence(workspace, delivery_id)),
        wording.reporting_words(reporting_gates(verdicts_of(folder))),
    )
    write_numbers(_json_of(html), numbers)
    write_text(html, render(numbers, sentences=tuple(filter(None, sentences))))


def render(numbers: Numbers, *, sentences: tuple[Words, ...] = ()) -> str:
    """Return the page of ``numbers``; ``sentences`` are about all specimens."""
    measured = {metric for row in numbers["specimens"] for metric, value in row["values"].items() if value is not None}
    return wording.render(
        "delivery.html.j2",
        language="en",
        numbers=numbers,
        sentences=sentences,
        figures=list(figures_of(numbers)),
        measured=measured,
        coverage_note=COVERAGE_NOTE,
        columns=[{"metric": metric, "name": name} for metric, name in COLUMNS if metric in measured],
        job_columns=JOB_COLUMNS,
    )


def _json_of(html: Path) -> Path:
    return html.with_suffix(".json")
