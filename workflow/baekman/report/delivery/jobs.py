"""Time and memory of a delivery's jobs, from Snakemake's benchmark files."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baekman.workspace.runs.stages import STAGE_OF_RULE


@dataclass(frozen=True, kw_only=True)
class Job:
    """The benchmark of one job: wall time and CPU time in seconds, largest resident memory in MB (2^20 bytes)."""

    seconds: float
    cpu_seconds: float
    memory_mb: float


def costs_by_rule(benchmarks: Path, owners: Iterable[str]) -> list[dict[str, Any]]:
    """Return a row for each rule that ran for one of ``owners``, in the order of the stages.

    Args:
        benchmarks: The folder of the benchmark files, ``<rule>/<owner>.tsv`` or ``<rule>/<owner>/…``.
        owners: IDs of the delivery and of participants.

    Returns:
        Rows with the keys ``stage rule jobs``; ``seconds`` and ``memory_mb`` with ``min median max`` of the jobs, and
        ``seconds_total`` and ``cpu_seconds_total``. Memory is 0 where a job was too short to be measured.
    """
    ids = sorted(set(owners))
    rows = []
    for rule, stage in STAGE_OF_RULE.items():
        folder = benchmarks / rule
        jobs = [job for owner in ids for job in _jobs_of(folder, owner)] if folder.is_dir() else []
        if jobs:
            rows.append(
                {
                    "stage": stage,
                    "rule": rule,
                    "jobs": len(jobs),
                    "seconds": _spread([job.seconds for job in jobs]),
                    "memory_mb": _spread([job.memory_mb for job in jobs]),
                    "seconds_total": round(sum(job.seconds for job in jobs), 2),
                    "cpu_seconds_total": round(sum(job.cpu_seconds for job in jobs), 2),
                }
            )
    return rows


def _jobs_of(folder: Path, owner: str) -> Iterator[Job]:
    single = folder / f"{owner}.tsv"
    files = [single] if single.is_file() else sorted((folder / owner).rglob("*.tsv"))
    for file in files:
        if job := _read(file):
            yield job


def _read(file: Path) -> Job | None:
    """Return the last run in a benchmark file; None where it has none, as while a job runs."""
    lines = file.read_text(encoding="utf-8").splitlines()
    if len(lines) < 2:
        return None
    values = dict(zip(lines[0].split("\t"), lines[-1].split("\t"), strict=False))
    return Job(
        seconds=_number(values.get("s")),
        cpu_seconds=_number(values.get("cpu_time")),
        memory_mb=_number(values.get("max_rss")),
    )


def _number(text: str | None) -> float:
    """Return a number of a benchmark; 0 for the marks of a job that ended before it was measured (``-``, ``NA``)."""
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": round(statistics.median(values), 2), "max": max(values)}
