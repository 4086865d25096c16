"""The numbers of an institution's deliveries by month: specimens, verdicts, reasons, coverage, turnaround."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from baekman.qc.metrics import read_metrics
from baekman.registry import database
from baekman.registry.database import specimens
from baekman.registry.records import Registry
from baekman.registry.verdict_history import verdict_history
from baekman.verdicts import DECISIONS, Verdict, worst
from baekman.workspace.paths import Workspace

SCHEMA_VERSION = "1"
LATER_GATES = ("qc", "call")
STEP = 0.5  # × of coverage: the width of a bin
Numbers = dict[str, Any]
History = list[tuple[str, str, Verdict]]  # delivery ID, time in UTC, verdict


@dataclass
class Month:
    """The counts of one month. Coverage and turnaround are histograms, so memory does not grow with the specimens."""

    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    coverage: Counter[float] = field(default_factory=Counter)
    hours: Counter[float] = field(default_factory=Counter)

    def to_json(self, month: str) -> Numbers:
        """Return the numbers of the month; percentiles are None where nothing was measured."""
        return {
            "month": month,
            "specimens": self.verdicts.total(),
            "verdicts": {decision: self.verdicts[decision] for decision in DECISIONS},
            "reasons": dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))),
            "coverage": _percentiles(self.coverage, low=5, middle=50, high=95),
            "turnaround_days": _percentiles(
                Counter({hours / 24: number for hours, number in self.hours.items()}), middle=50, high=90
            ),
        }


def institution_months(registry: Registry, institution: str, *, workspace: Workspace) -> list[Numbers]:
    """Return the numbers of each month in which ``institution`` delivered, the first month first.

    A specimen counts once for each delivery that brought it, in the month (UTC) of the delivery's first verdict on it.
    Its verdict is the worst of the gates'. The turnaround goes from this first verdict to the last of a later gate.
    The coverage is the mean of the autosomes, by steps of ``STEP``, of the specimens that are in the workspace.
    """
    months: dict[str, Month] = defaultdict(Month)
    for specimen_id, participant_id, history in _histories(registry, institution):
        last = ""
        for verdicts in _by_delivery(history):
            last = verdicts[0][0].strftime("%Y-%m")
            _count(months[last], verdicts)
        if last and (coverage := _coverage(workspace, participant_id, specimen_id)) is not None:
            months[last].coverage[round(coverage / STEP) * STEP] += 1
    return [months[month].to_json(month) for month in sorted(months)]


def _histories(registry: Registry, institution: str) -> Iterator[tuple[str, str, History]]:
    """Yield specimen ID, participant ID and verdicts of each specimen that ``institution`` registered."""
    wanted = unicodedata.normalize("NFC", institution)
    columns = (specimens.c.specimen_id, specimens.c.participant_id, specimens.c.sealed)
    registry.guard.require_totals()
    with database.paging(registry.engine) as connection:
        for page in database.pages(connection, *columns):
            registry.guard.require([record.participant_id for record in page])
            for record in page:
                values = registry.ring.unseal(record.sealed, identity=f"specimens {record.specimen_id}")
                if values["institution"] == wanted:
                    history = verdict_history(registry, record.specimen_id)
                    yield record.specimen_id, record.participant_id, history


def _by_delivery(history: History) -> Iterator[list[tuple[datetime, Verdict]]]:
    """Yield the verdicts of each delivery with their times, in the order of the deliveries."""
    deliveries: dict[str, list[tuple[datetime, Verdict]]] = {}
    for delivery_id, time, verdict in history:
        deliveries.setdefault(delivery_id, []).append((_moment(time), verdict))
    yield from deliveries.values()


def _count(month: Month, verdicts: Iterable[tuple[datetime, Verdict]]) -> None:
    """Add one delivered specimen to ``month``; the newest verdict of each gate counts."""
    listed = list(verdicts)
    newest: Mapping[str, tuple[datetime, Verdict]] = {verdict.gate: (time, verdict) for time, verdict in listed}
    month.verdicts[worst(verdict.verdict for _, verdict in newest.values())] += 1
    month.reasons.update({reason.code for _, verdict in newest.values() for reason in verdict.failures})
    later = [time for gate, (time, _) in newest.items() if gate in LATER_GATES]
    if later:
        month.hours[round((max(later) - listed[0][0]).total_seconds() / 3600, 1)] += 1


def _moment(time: str) -> datetime:
    moment = datetime.fromisoformat(time)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _coverage(workspace: Workspace, participant_id: str, specimen_id: str) -> float | None:
    """Return the coverage of a specimen; None where its reads are not in the workspace."""
    path = workspace.participant(participant_id).metrics
    if not path.is_file():
        return None
    metrics = read_metrics(path)
    value = metrics.values.get("mean_autosome_coverage")
    return float(value) if value is not None and metrics.specimen_id == specimen_id else None


def _percentiles(histogram: Counter[float], **percents: int) -> Numbers:
    """Return ``specimens`` and the value at each of the percents (nearest rank), by name."""
    total, values = histogram.total(), sorted(histogram)
    result: Numbers = {"specimens": total}
    for name, percent in percents.items():
        rank, seen = max(1, -(-total * percent // 100)), 0
        result[name] = None
        for value in values:
            seen += histogram[value]
            if seen >= rank:
                result[name] = round(value, 2)
                break
    return result
