"""The estimated end of a run, from the seconds that jobs of each rule took before (Snakemake's benchmark files)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import fmean

from baekman.workspace.paths import Top, Workspace
from baekman.workspace.run_state import RunState
from baekman.workspace.runs.stages import STAGES

SAMPLE = 20  # benchmark files that are read for each rule
NO_WORK = frozenset({*STAGES, "all", "inspected"})  # rules that only name targets


def estimated_end(workspace: Workspace, run: RunState, *, now: datetime) -> datetime | None:
    """Return when ``run`` may end; None before its first job has succeeded.

    Each job counts with the mean seconds of its rule. The share of the work that is done, and the time since the
    first job, give the time for the rest. Jobs that are known only as a number count with the mean of all rules.
    """
    counts = run.counts
    expected = {
        rule: max(counts.planned.get(rule, 0), counts.finished.get(rule, 0) + counts.running.get(rule, 0))
        for rule in {*counts.planned, *counts.finished, *counts.running}
    }
    measured = {rule: seconds for rule in expected if (seconds := mean_seconds(workspace, rule)) is not None}
    general = fmean(measured.values()) if measured else 1.0
    weights = {rule: 0.0 if rule in NO_WORK else measured.get(rule, general) for rule in expected}
    done = sum(weights[rule] * number for rule, number in counts.finished.items())
    unnamed = max(0, counts.total - sum(expected.values()))
    whole = sum(weights[rule] * number for rule, number in expected.items()) + unnamed * general
    if not run.first_job or done <= 0:
        return None
    elapsed = now - datetime.fromisoformat(run.first_job)
    return now + elapsed * ((whole - done) / done)


def mean_seconds(workspace: Workspace, rule: str) -> float | None:
    """Return the mean seconds of a job of ``rule`` in up to ``SAMPLE`` benchmark files; None without any."""
    place = workspace.root / Top.BENCHMARKS / rule
    files = itertools.chain([place.with_name(f"{rule}.tsv")], _files_below(place))
    seconds = (value for file in files if (value := _seconds(file)) is not None)
    sample = list(itertools.islice(seconds, SAMPLE))
    return fmean(sample) if sample else None


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below ``folder`` one by one, without a list of a large folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files_below(Path(entry.path))
                else:
                    yield Path(entry.path)
    except OSError:
        return


def _seconds(file: Path) -> float | None:
    """Return the first column, ``s``, of a benchmark file; None where there is no number."""
    try:
        lines = file.read_text("utf-8").splitlines()
        return float(lines[1].split("\t")[0])
    except (OSError, ValueError, IndexError):
        return None
