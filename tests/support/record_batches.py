"""Small record stores: generated batches, and a slow, obvious account of which events count."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from baekman import audit
from baekman.engine.local import Engine
from baekman.records.batch import add_batch
from baekman.records.schema import COVERAGE, EVENTS
from baekman.records.snapshot import RecordSnapshot
from baekman.records.store import RecordStore, create_store
from baekman.workspace.denied import seal_list
from baekman.workspace.identity import write_identity
from baekman.workspace.paths import Workspace

COLUMNS = ("code", "name_ko", "name_en", "kind", "unit", "low", "high", "categories", "scope", "tier", "parent", "uri")
CODES = {
    "KCD8/E119": ("event", "", "clinical"),
    "KCD8/I10": ("event", "", "clinical"),
    "LOINC/8480-6": ("number", "mm[Hg]", "clinical"),
    "SURVEY/sleep_hours": ("number", "h", "lifestyle"),
    "KOSTAT/death": ("event", "", "public_record_linkage"),
}
DICTIONARY = "\n".join(
    [
        "\t".join(COLUMNS),
        *(
            "\t".join([code, "이름", "name", kind, unit, "", "", "", scope, "room", "", ""])
            for code, (kind, unit, scope) in CODES.items()
        ),
        "",
    ]
)
PEOPLE = ("P000000000001K", "P7000000000021", "PZ00000000003Q")
FIRST_DAY = date(2015, 1, 1)

Interval = tuple[str, str, date, date]  # participant, source, first day, last day
Event = tuple[object, ...]  # the columns of EVENTS


@dataclass(frozen=True)
class Batch:
    """A batch of a few rows."""

    name: str
    as_of: datetime
    coverage: Sequence[Interval]
    events: Sequence[Event] = field(default=())


def event(participant: str, source: str, day: date, code: str = "KCD8/E119", value: float | None = None) -> Event:
    """Return an event at nine o'clock."""
    time = datetime(day.year, day.month, day.day, 9)
    return (participant, time, None, code, value, None, source, "H1", None)


def day(number: int) -> date:
    """Return the day ``number`` days after the first."""
    return FIRST_DAY + timedelta(days=number)


def table(rows: Iterable[Sequence[object]], schema: pa.Schema) -> pa.Table:
    """Return rows as an Arrow table."""
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def new_store(folder: Path, *, buckets: int = 4) -> RecordStore:
    """Return an empty store in a new workspace without a registry."""
    folder.mkdir(parents=True)
    write_identity(Workspace(folder), "0" * 32)
    return create_store(folder, dictionary=DICTIONARY, buckets=buckets)


def add(store: RecordStore, batch: Batch, *, workers: int = 1) -> RecordSnapshot:
    """Add a batch."""
    return add_batch(
        store,
        name=batch.name,
        as_of=batch.as_of,
        events=table(batch.events, EVENTS).to_batches(max_chunksize=3),
        coverage=table(batch.coverage, COVERAGE).to_batches(),
        engine=Engine(workers=workers),
    )


def standing_events(batches: Sequence[Batch]) -> list[Event]:
    """Return the events that count, sorted, of batches with different ``as_of``."""
    kept = []
    for batch in batches:
        for row in batch.events:
            newer = (other for other in batches if other.as_of > batch.as_of)
            if not any(covers(other, str(row[0]), str(row[6]), row[1].date()) for other in newer):  # type: ignore[attr-defined]
                kept.append(row)
    return sorted(kept, key=sort_key)


def covers(batch: Batch, participant: str, source: str, on: date) -> bool:
    """Return whether a batch covers a day."""
    return any(
        (person, origin) == (participant, source) and first <= on <= last
        for person, origin, first, last in batch.coverage
    )


def covered(batches: Sequence[Batch]) -> list[Interval]:
    """Return the covered days as the fewest intervals, sorted."""
    days: dict[tuple[str, str], set[date]] = defaultdict(set)
    for batch in batches:
        for person, source, first, last in batch.coverage:
            days[person, source].update(first + timedelta(days=n) for n in range((last - first).days + 1))
    intervals = []
    for (person, source), some in sorted(days.items()):
        for first in sorted(each for each in some if each - timedelta(days=1) not in some):
            last = first
            while last + timedelta(days=1) in some:
                last += timedelta(days=1)
            intervals.append((person, source, first, last))
    return intervals


def firsts(events: Sequence[Event]) -> list[tuple[object, ...]]:
    """Return participant, code, number, first and last time of events, sorted."""
    times: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for row in events:
        times[str(row[0]), str(row[3])].append(row[1])  # type: ignore[arg-type]
    return [(*pair, len(some), min(some), max(some)) for pair, some in sorted(times.items())]


def sort_key(row: Event) -> tuple[object, ...]:
    """Return the key of the one order of events: nulls last."""
    places = (0, 1, 3, 2, 4, 5, 6, 7, 8)
    return tuple((row[place] is None, row[place] if row[place] is not None else 0) for place in places)


def rows_of(table: pa.Table) -> list[tuple[object, ...]]:
    """Return the rows of a table as tuples."""
    return [tuple(row.values()) for row in table.to_pylist()]


def digests(folder: Path) -> Mapping[str, str]:
    """Return the SHA-256 of each file below ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_lists(workspace: Path, *, denied: Iterable[tuple[str, str]] = ()) -> None:
    """Write the lists of consent as a registry does: ``denied`` are pairs of participant and scope."""
    scopes = ["genome", "clinical", "lifestyle", "public_record_linkage"]
    if not audit.keeps_log(workspace):
        audit.record(workspace, action="registry.init")
    lines = "".join(f"{participant}\t0001-01-01\t\t{scope}\n" for participant, scope in denied)
    for name, head, body in (
        ("denied.txt", {"consent": 1, "scopes": scopes}, lines),
        ("granted.txt", {"consent": 1}, ""),
    ):
        (workspace / name).write_text(f"#{json.dumps(head)}\n{body}", encoding="utf-8")
        seal_list(workspace / name)
