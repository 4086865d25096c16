"""The page of the report on a snapshot, with its numbers as JSON next to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.files.atomic import write_text
from baekman.report import wording
from baekman.report.cohort.figures import CLASS_WORDS, MEASURE_WORDS, SEX_WORDS, figures_of
from baekman.report.cohort.numbers import PERCENTS, Numbers, cohort_numbers
from baekman.report.cohort.small_cells import THRESHOLD


def write_cohort_report(
    store: Store,
    snapshot: Snapshot,
    *,
    without: Collection[str],
    html: Path,
    is_exact: bool = False,
    engine: Engine | None = None,
    check: Callable[[], object] = lambda: None,
) -> None:
    """Write the report on ``snapshot`` to ``html``, and its numbers as JSON next to it.

    Participants in ``without`` are not counted. Counts of fewer than ``THRESHOLD`` people are hidden unless
    ``is_exact``, which is for the operators' own eyes. ``check`` is called before the files are there; what it raises
    leaves none.
    """
    threshold = 1 if is_exact else THRESHOLD
    numbers = cohort_numbers(store, snapshot, without=without, threshold=threshold, engine=engine)
    check()
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
        classes=CLASS_WORDS,
        measures=MEASURE_WORDS,
        percents=PERCENTS,
    )
