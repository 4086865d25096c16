"""``records verify`` finds each kind of damage, and forgeries whose digests fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from baekman.arrow import take
from baekman.engine.local import Engine
from baekman.files.digests import LIST, digest_of, read_digests, sha256_of, write_digests
from baekman.files.snapshots import snapshot_file
from baekman.records.rows.order import read_file, sorted_rows, write_rows
from baekman.records.schema import DATED_COVERAGE, EVENTS, FIRSTS
from baekman.records.snapshot import create_snapshot, read_snapshot
from baekman.records.store import RecordStore
from baekman.records.verification import verify
from support.record_batches import PEOPLE, Batch, add, day, event, new_store

A = PEOPLE[0]
BATCH = Batch(
    "D1",
    datetime(2020, 1, 1),
    [(person, "claims", day(0), day(9)) for person in PEOPLE],
    [event(person, "claims", day(number)) for person in PEOPLE for number in (1, 4, 4)],
)


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    store = new_store(tmp_path / "W")
    add(store, BATCH)
    return store


def test_a_whole_store_has_no_finding(store: RecordStore) -> None:
    assert verify(store, engine=Engine()) == []


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (lambda store: flipped(store.batch("D1") / "events/00.parquet"), "batches/D1/events/00.parquet: damaged"),
        (
            lambda store: (store.batch("D1") / "firsts/00-03.parquet").unlink(),
            "batches/D1/firsts/00-03.parquet: absent",
        ),
        (lambda store: flipped(store.batch("D1") / LIST), "batches/D1/hashes.json: damaged"),
        (lambda store: flipped(store.batch("D1") / "batch.json"), "batches/D1/batch.json: damaged"),
        (lambda store: (store.batch("D1") / "batch.json").unlink(), "batches/D1/batch.json: absent"),
        (lambda store: (store.batch("D1") / "x").touch(), "batches/D1/x: not listed"),
        (lambda store: store.dictionary.write_text("code"), "dictionary.tsv: damaged or absent"),
        (lambda store: flipped(snapshot_file(store.snapshots, 1)), "snapshots/00000001.json: damaged"),
    ],
)
def test_damage_is_found(store: RecordStore, damage: Callable[[RecordStore], object], finding: str) -> None:
    damage(store)
    assert verify(store, engine=Engine()) == [finding]


def forge(store: RecordStore, kind: str, schema: pa.Schema, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of one bucket, with digests that fit."""
    folder, file = store.batch("D1"), f"{kind}/00.parquet" if kind != "firsts" else "firsts/00-03.parquet"
    rows = read_file(folder, file, schema=schema)
    write_rows(change(rows), folder / file)
    write_digests(folder / LIST, {**(read_digests(folder / LIST) or {}), file: digest_of(folder / file)})
    snapshot = read_snapshot(store)
    entry = replace(snapshot.batches[0], hashes=sha256_of(folder / LIST))
    snapshot_file(store.snapshots, 1).unlink()
    create_snapshot(store, replace(snapshot, batches=(entry,)))


def moved(rows: pa.Table) -> pa.Table:
    """Return the first row again at the end."""
    return take(rows, np.array([*range(1, rows.num_rows), 0]))


def late(rows: pa.Table) -> pa.Table:
    times = pa.array([datetime(2016, 1, 1)] * rows.num_rows, pa.timestamp("us"))
    return rows.set_column(1, EVENTS.field("time"), times)


@pytest.mark.parametrize(
    ("kind", "schema", "change", "finding"),
    [
        ("events", EVENTS, moved, "events/00.parquet: rows out of order"),
        (
            "events",
            EVENTS,
            lambda rows: rows.drop_columns("episode"),
            "events/00.parquet: other columns or types than the schema",
        ),
        ("events", EVENTS, late, "events/00.parquet: 6 events on days that the batch does not cover"),
        ("firsts", FIRSTS, lambda rows: rows.slice(1), "firsts/00-03.parquet: others than those of the events"),
        (
            "coverage",
            DATED_COVERAGE,
            lambda rows: sorted_rows(pa.concat_tables([rows, rows])),
            "coverage/00.parquet: intervals that overlap, or that touch",
        ),
    ],
)
def test_a_forgery_with_digests_that_fit_is_found(
    store: RecordStore, kind: str, schema: pa.Schema, change: Callable[[pa.Table], pa.Table], finding: str
) -> None:
    forge(store, kind, schema, change)
    assert f"batches/D1/{finding}" in verify(store, engine=Engine())
