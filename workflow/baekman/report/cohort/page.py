"""The page of the report on a snapshot, with its numbers as JSON next to it."""

from __future__ import annotations

import json
from pathlib import Path

from baekman.files.atomic import write_text
from baekman.report import wording
from baekman.report.cohort.figures import CLASS_WORDS, MEASURE_WORDS, SEX_WORDS, TYPE_WORDS, figures_of, flag_words
from baekman.report.cohort.numbers import PERCENTS, Numbers
from baekman.report.cohort.relatives_figures import DEGREE_WORDS, DOUBT_WORDS, OUTLIER_WORDS


def write_cohort_report(numbers: Numbers, *, html: Path) -> None:
    """Write the report of ``numbers`` (``cohort_numbers``) to ``html``, and the numbers as JSON next to it."""
    write_text(html.with_suffix(".json"), json.dumps(numbers, indent=1) + "\n")
    write_text(html, render(numbers))


def render(numbers: Numbers) -> str:
    """Return the page of ``numbers``."""
    return wording.render(
        "cohort.html.j2",
        language="en",
        numbers=numbers,
        figures=list(figures_of(numbers)),
        sexes=SEX_WORDS,
        types=TYPE_WORDS,
        classes=CLASS_WORDS,
        measures=MEASURE_WORDS,
        percents=PERCENTS,
        degrees=DEGREE_WORDS,
        doubts=DOUBT_WORDS,
        outliers=OUTLIER_WORDS,
        flag_words=flag_words,
    )
