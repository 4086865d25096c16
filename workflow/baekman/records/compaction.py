"""Compaction: one batch with the events that count takes the place of all batches.

It is a freeze of the records. Its bytes depend on the content alone: not on the order, the number or the division of
the batches, nor on the workers. Coverage keeps the ``as_of`` that decides each day, so later corrections find it.
"""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from functools import partial

from baekman.arrow import concat
from baekman.engine.local import Engine
from baekman.records.batch import SpanNote, describe, placed, write_bucket
from baekman.records.erasure import sweep_files
from baekman.records.reading import buckets
from baekman.records.rows.corrections import resolved
from baekman.records.rows.covered_days import covered_days
from baekman.records.rows.firsts import Span, firsts_of, spans, write_firsts
from baekman.records.rows.order import read_rows
from baekman.records.schema import DATED_COVERAGE, EVENTS
from baekman.records.snapshot import RecordSnapshot, create_snapshot, read_snapshot
from baekman.records.store import RecordStore

COMPACTED = "compacted-"  # prefix of the name; user names never have a "~", which follows erasures
_WORKING = "compaction"


def compact(store: RecordStore, *, engine: Engine) -> RecordSnapshot:
    """Replace all batches of the latest snapshot by one with the events that count; return the snapshot that has it.

    Older snapshots are deleted. A store that is compacted already stays as it is.
    """
    with store.lock(), engine.open() as map_tasks:
        latest = read_snapshot(store)
        holding = buckets(store, latest)
        people = sum(map_tasks("counting participants", partial(_people, store, latest, holding), len(holding)))
        plan = spans(holding, of=store.buckets, people=people)
        working = store.work / _WORKING
        shutil.rmtree(working, ignore_errors=True)
        notes = map_tasks("compacting records", partial(_compact_span, store, latest, plan), len(plan))
        name = f"{COMPACTED}{describe(working, name='', as_of='', notes=notes).digest[:16]}"
        entry = latest.entry(name)
        if latest.batches and (entry is None or len(latest.batches) > 1):
            with nullcontext() if entry else placed(store, working, name):
                entry = entry or describe(store.batch(name), name=name, as_of="", notes=notes)
                dropped = tuple(each.name for each in latest.batches if each.name != name)
                latest = RecordSnapshot(number=latest.number + 1, batches=(entry,), tombstones=dropped)
                create_snapshot(store, latest)
        shutil.rmtree(working, ignore_errors=True)
        sweep_files(store, latest)
    return latest


def _people(store: RecordStore, snapshot: RecordSnapshot, holding: tuple[str, ...], index: int) -> int:
    """Return the number of participants of a bucket: the files of firsts depend on the content alone too."""
    folders = [store.batch(entry.name) for entry in snapshot.batches]
    tables = [read_rows(folder, "coverage", holding[index], schema=DATED_COVERAGE) for folder in folders]
    return len(concat(tables, DATED_COVERAGE).column("participant_id").unique())


def _compact_span(store: RecordStore, snapshot: RecordSnapshot, plan: tuple[Span, ...], index: int) -> SpanNote:
    folders = [store.batch(entry.name) for entry in snapshot.batches]
    working = store.work / _WORKING
    notes, firsts = [], []
    for bucket in plan[index].buckets:
        events = [read_rows(folder, "events", bucket, schema=EVENTS) for folder in folders]
        coverages = [read_rows(folder, "coverage", bucket, schema=DATED_COVERAGE) for folder in folders]
        rows, days = resolved(events, coverages), covered_days(coverages).table(dated=True)
        notes.append(write_bucket(working, bucket, events=rows, coverage=days))
        firsts.append(firsts_of(rows))
    return SpanNote(buckets=notes, firsts=write_firsts(working, plan[index], firsts))
