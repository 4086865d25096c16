"""The record store: batches, snapshots, compaction, erasure, and kills."""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from baekman.files.digests import LIST, digest_of, read_digests, read_sealed, sha256_of, write_digests, write_sealed
from baekman.files.snapshots import snapshot_file
from baekman.records import reading
from baekman.records.batch import add_batch
from baekman.records.compaction import compact
from baekman.records.erasure import erase
from baekman.records.rows.firsts import spans
from baekman.records.rows.order import read_file, sorted_rows, write_rows
from baekman.records.schema import COVERAGE, EVENTS, FIRSTS
from baekman.records.snapshot import create_snapshot, numbers, read_snapshot
from baekman.records.store import RecordStore, create_store, open_store
from baekman.records.verification import verify
from baekman.records.withdrawal import sweep_records
from baekman.workspace.denied import mark_withdrawn
from baekman.workspace.paths import Workspace
from support.kills import killed_before
from support.record_batches import (
    DICTIONARY,
    PEOPLE,
    Batch,
    add,
    covered,
    day,
    digests,
    event,
    firsts,
    new_store,
    rows_of,
    standing_events,
    table,
)

ENGINE = Engine()
A, B, C = PEOPLE
CLAIMS = Batch(
    "claims",
    datetime(2020, 1, 1),
    [(person, "claims", day(0), day(9)) for person in PEOPLE],
    [event(person, "claims", day(number)) for person in PEOPLE for number in (1, 4, 4)],
)
SURVEY = Batch(
    "survey",
    datetime(2020, 2, 1),
    [(A, "survey", day(5), day(5)), (B, "survey", day(3), day(8))],
    [event(A, "survey", day(5), "SURVEY/sleep_hours", 7.5), event(B, "survey", day(5), "SURVEY/sleep_hours", 6.0)],
)
CORRECTION = Batch(
    "correction",
    datetime(2020, 3, 1),
    [(A, "claims", day(3), day(12))],
    [event(A, "claims", day(4), "KCD8/I10"), event(A, "claims", day(11))],
)
ALL = (CLAIMS, SURVEY, CORRECTION)


def whole(store: RecordStore, **options: object) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return events, coverage and firsts of all buckets."""
    snapshot = read_snapshot(store)
    some = reading.buckets(store, snapshot)
    return (
        pa.concat_tables([EVENTS.empty_table(), *(reading.events(store, snapshot, b, **options) for b in some)]),  # type: ignore[arg-type]
        pa.concat_tables([COVERAGE.empty_table(), *(reading.coverage(store, snapshot, b, **options) for b in some)]),  # type: ignore[arg-type]
        pa.concat_tables([FIRSTS.empty_table(), *(reading.firsts(store, snapshot, b, **options) for b in some)]),  # type: ignore[arg-type]
    )


def frozen(store: RecordStore) -> dict[str, str]:
    """Return the digests of the files of the compacted store."""
    compact(store, engine=ENGINE)
    return dict(digests(store.batches))


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    return new_store(tmp_path / "W")


def test_events_coverage_and_firsts_are_those_of_the_oracle(store: RecordStore) -> None:
    for batch in ALL:
        add(store, batch)
    events, coverage, counts = whole(store)
    assert rows_of(events) == standing_events(ALL)
    assert rows_of(coverage) == covered(ALL)
    assert rows_of(counts) == firsts(standing_events(ALL))
    assert reading.systems(store, read_snapshot(store)) == {"claims": ["KCD8"], "survey": ["SURVEY"]}
    life, days = reading.life(store, read_snapshot(store), A)
    assert rows_of(life) == [row for row in standing_events(ALL) if row[0] == A]
    assert rows_of(days) == [row for row in covered(ALL) if row[0] == A]


def test_a_freeze_has_the_same_bytes_for_any_order_number_and_division_of_batches(tmp_path: Path) -> None:
    expected = None
    for number, order in enumerate([*itertools.permutations(ALL)][::2]):
        store = new_store(tmp_path / f"{number}")
        for place, batch in enumerate(order):
            add(store, batch)
            if number == place + 1:  # a compaction in between
                compact(store, engine=ENGINE)
        expected = expected or frozen(store)
        assert frozen(store) == expected
    divided = new_store(tmp_path / "divided")
    for person in PEOPLE:
        for batch in ALL:
            coverage = [row for row in batch.coverage if row[0] == person]
            events = [row for row in batch.events if row[0] == person]
            add(divided, Batch(f"{batch.name}-{person}", batch.as_of, coverage, events), workers=2)
    assert frozen(divided) == expected
    by_day = new_store(tmp_path / "by-day")
    for first, last in ((0, 4), (5, 12)):
        for batch in ALL:
            days = [(p, s, max(a, day(first)), min(z, day(last))) for p, s, a, z in batch.coverage]
            coverage = [row for row in days if row[2] <= row[3]]
            events = [row for row in batch.events if day(first) <= row[1].date() <= day(last)]  # type: ignore[attr-defined]
            add(by_day, Batch(f"{batch.name}-{first}", batch.as_of, coverage, events))
    assert frozen(by_day) == expected


def written(store: RecordStore) -> dict[Path, tuple[int, int]]:
    """Return when each file of the batches and snapshots was written, and which one it is."""
    files = [path for folder in (store.batches, store.snapshots) for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def test_adding_a_batch_touches_no_older_file_and_again_changes_nothing(store: RecordStore) -> None:
    add(store, CLAIMS)
    before, files = digests(store.path), written(store)
    add(store, SURVEY)
    add(store, CORRECTION)  # of days that the first one covers
    assert before.items() <= digests(store.path).items() and files.items() <= written(store).items()
    before, files = digests(store.path), written(store)
    assert add(store, SURVEY).number == 3
    assert (digests(store.path), written(store)) == (before, files)
    assert list(store.work.iterdir()) == []


def test_a_batch_of_the_same_name_with_another_content_is_refused(store: RecordStore) -> None:
    add(store, CLAIMS)
    with pytest.raises(InputRefused) as refused:
        add(store, Batch("claims", CLAIMS.as_of, CLAIMS.coverage, CLAIMS.events[:1]))
    assert str(refused.value) == (
        "name of the batch: expected a new name, or the content that this batch has already, found another content; "
        "batches never change; choose another name: a newer batch corrects what it covers"
    )


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            Batch("../b", CLAIMS.as_of, []),
            "name of the batch: expected letters, digits, '.', '_' or '-', at most 64, beginning with a letter or "
            "digit, found something else",
        ),
        (
            Batch("b", CLAIMS.as_of, [(A, "claims", day(0), day(1))], [event(A, "claims", day(2))]),
            "batch of records, events: column time: expected events on days that the batch covers, found 1 of 1 events "
            "of a bucket on other days; correct the period of the delivery, or leave these rows out",
        ),
        (
            Batch("b", CLAIMS.as_of, [("a/b", "claims", day(0), day(1))]),
            "batch of records, participants: column participant_id: expected IDs of participants, found another",
        ),
        (
            Batch("b", CLAIMS.as_of, [(A, "claims", day(2), day(1))]),
            "batch of records, coverage: column last: expected no day before the first, found 1 of 1 rows with one",
        ),
    ],
)
def test_a_faulty_batch_is_refused_and_leaves_no_snapshot(store: RecordStore, batch: Batch, message: str) -> None:
    with pytest.raises(InputRefused) as refused:
        add(store, batch)
    assert str(refused.value) == message
    assert numbers(store) == []


def test_other_columns_are_refused(store: RecordStore) -> None:
    batch = table([], COVERAGE).to_batches() or [pa.RecordBatch.from_pylist([], COVERAGE)]
    with pytest.raises(InputRefused, match=re.escape("batch of records, events: expected the columns participant_id")):
        add_batch(store, name="b", as_of=CLAIMS.as_of, events=batch, coverage=[], engine=ENGINE)


def test_a_withdrawn_participant_was_never_there(tmp_path: Path) -> None:
    with_all, without = new_store(tmp_path / "with"), new_store(tmp_path / "without")
    for batch in ALL:
        add(with_all, batch)
        coverage = [row for row in batch.coverage if row[0] != A]
        add(without, Batch(batch.name, batch.as_of, coverage, [row for row in batch.events if row[0] != A]))
    hidden = whole(with_all, without=frozenset([A]))
    assert hidden == whole(without)
    mark_withdrawn(Workspace(with_all.workspace), A)
    assert sweep_records(Workspace(with_all.workspace)).participants == (A,)
    assert not sweep_records(Workspace(with_all.workspace))
    assert numbers(with_all) == [4]  # the older ones named batches with the rows
    assert whole(with_all) == whole(without)
    assert not any(A.encode() in path.read_bytes() for path in with_all.path.rglob("*.parquet"))
    assert frozen(with_all) == frozen(without)


def test_an_erased_scope_was_never_there(tmp_path: Path) -> None:
    with_all, without = new_store(tmp_path / "with"), new_store(tmp_path / "without")
    for batch in ALL:
        add(with_all, batch)
        events = [row for row in batch.events if not (row[0] == B and str(row[3]).startswith("SURVEY"))]
        add(without, Batch(batch.name, batch.as_of, batch.coverage, events))
    assert whole(with_all, scopes={B: ["lifestyle"]}) == whole(without)
    erase(with_all, {B: frozenset(["lifestyle"])}, engine=ENGINE)
    assert whole(with_all) == whole(without)
    assert frozen(with_all) == frozen(without)


def of_older_schema(store: RecordStore) -> None:
    """Turn ``store`` into one of the schema records-1: a file of firsts for each bucket, by participant and code."""
    snapshot = read_snapshot(store)
    entries = []
    for entry in snapshot.batches:
        folder = store.batch(entry.name)
        digests = dict(read_digests(folder / LIST) or {})
        for name in [name for name in digests if name.startswith("firsts/")]:
            rows = read_file(folder, name, schema=FIRSTS)
            for bucket in store.bucket_names:
                of_bucket = [store.bucket_of(person) == bucket for person in rows["participant_id"].to_pylist()]
                if any(of_bucket):
                    file = f"firsts/{bucket}.parquet"
                    write_rows(sorted_rows(rows.filter(pa.array(of_bucket))), folder / file)
                    digests[file] = digest_of(folder / file)
            (folder / name).unlink()
            del digests[name]
        write_digests(folder / LIST, digests)
        lines = "".join(f"{file} {digest}\n" for file, digest in sorted(digests.items()) if file != "batch.json")
        digest = hashlib.sha256(lines.encode()).hexdigest()
        entries.append(replace(entry, digest=digest, hashes=sha256_of(folder / LIST)))
    snapshot_file(store.snapshots, snapshot.number).unlink()
    create_snapshot(store, replace(snapshot, batches=tuple(entries)))
    description = read_sealed(store.path / "store.json")
    write_sealed(store.path / "store.json", {**description, "schema": "records-1"})


def test_a_store_of_the_older_schema_is_read_and_written_as_any_other(tmp_path: Path) -> None:
    expected = new_store(tmp_path / "expected")
    older = new_store(tmp_path / "older")
    for batch in (CLAIMS, SURVEY):
        add(expected, batch)
        add(older, batch)
    of_older_schema(older)
    opened = open_store(older.workspace)
    assert whole(opened) == whole(expected)
    assert verify(opened, engine=ENGINE) == []
    assert read_sealed(older.path / "store.json")["schema"] == "records-1"
    before = digests(older.path)
    assert add(opened, SURVEY).number == 2  # as it wrote it, this version would write other files of firsts
    assert digests(older.path) == before
    for store in (expected, opened):
        erase(store, {B: frozenset(["lifestyle"]), C: None}, engine=ENGINE)
        add(store, CORRECTION)
    assert read_sealed(older.path / "store.json")["schema"] == "records-2"
    assert whole(opened) == whole(expected)
    assert verify(opened, engine=ENGINE) == []
    assert frozen(opened) == frozen(expected)


def test_a_batch_of_many_participants_has_several_files_of_firsts(tmp_path: Path) -> None:
    assert [span.name for span in spans(["00", "3f", "ff"], of=256, people=512)] == ["00-ff"]
    assert [span.name for span in spans(["00", "3f", "ff"], of=256, people=513)] == ["00-7f", "80-ff"]
    assert [span.name for span in spans(["00", "0f", "ff"], of=256, people=7_720)] == ["00-0f", "f0-ff"]
    assert [span.name for span in spans(["00", "0f", "ff"], of=256, people=10**6)] == ["00-00", "0f-0f", "ff-ff"]
    several, single = new_store(tmp_path / "several"), new_store(tmp_path / "single")
    add(single, CLAIMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("baekman.records.rows.firsts.PEOPLE_A_FILE", 1)
        add(several, CLAIMS)
        names = [path.name for path in sorted((several.batch("claims") / "firsts").iterdir())]
        assert names == ["00-00.parquet", "03-03.parquet"]
        assert whole(several) == whole(single)
        assert verify(several, engine=ENGINE) == []
        for store in (several, single):
            erase(store, {A: None}, engine=ENGINE)
    assert whole(several) == whole(single)
    assert frozen(several) == frozen(single)


def test_the_same_batch_again_after_a_withdrawal_changes_nothing(store: RecordStore) -> None:
    add(store, CLAIMS)
    mark_withdrawn(Workspace(store.workspace), A)
    sweep_records(Workspace(store.workspace))
    before = digests(store.batches)
    assert [entry.name for entry in add(store, CLAIMS).batches] == ["claims~1"]
    assert digests(store.batches) == before


def test_a_participant_withdrawn_while_a_batch_is_added_is_not_in_it(store: RecordStore) -> None:
    def coverage():  # type: ignore[no-untyped-def]
        yield from table(CLAIMS.coverage, COVERAGE).to_batches()
        mark_withdrawn(Workspace(store.workspace), A)

    events = table(CLAIMS.events, EVENTS).to_batches()
    add_batch(store, name="c", as_of=CLAIMS.as_of, events=events, coverage=coverage(), engine=ENGINE)
    assert {row[0] for row in rows_of(whole(store)[1])} == {B, C}


@pytest.mark.parametrize("act", ["add", "compact", "erase"])
def test_a_kill_at_any_effect_leaves_a_state_from_which_the_same_command_finishes(tmp_path: Path, act: str) -> None:
    first = new_store(tmp_path / "W", buckets=1)
    add(first, CLAIMS)
    if act != "add":
        add(first, CORRECTION)

    def work(store: RecordStore) -> None:
        if act == "add":
            add(store, CORRECTION)
        elif act == "compact":
            compact(store, engine=ENGINE)
        else:
            erase(store, {A: None}, engine=ENGINE)

    expected_place = tmp_path / "expected"
    shutil.copytree(tmp_path / "W", expected_place)
    work(open_store(expected_place))
    expected = {**digests(open_store(expected_place).path)}
    step = 1
    while True:
        place = tmp_path / f"{step}"
        shutil.copytree(tmp_path / "W", place)
        store = open_store(place)
        was_killed = killed_before(step, lambda: work(store))  # noqa: B023
        snapshot = read_snapshot(store)
        for bucket in reading.buckets(store, snapshot):  # whole at each moment
            reading.events(store, snapshot, bucket)
        work(store)
        files = {name: digest for name, digest in digests(store.path).items() if not name.endswith(".lock")}
        assert files == {name: digest for name, digest in expected.items() if not name.endswith(".lock")}
        shutil.rmtree(place)
        if not was_killed:
            break
        step += 13  # some of the effects: each takes a tenth of a second


def test_a_store_is_opened_in_its_own_workspace_only(tmp_path: Path, store: RecordStore) -> None:
    with pytest.raises(InputRefused) as none:
        open_store(tmp_path)
    assert str(none.value) == (
        "records: expected a record store, found no store.json; create one with: baekman records init --workspace W"
    )
    other = new_store(tmp_path / "other")
    (other.workspace / "workspace.json").unlink()
    with pytest.raises(
        InputRefused, match=r"records/store\.json: expected the ID of this workspace, found that of another"
    ):
        open_store(other.workspace)
    with pytest.raises(InputRefused, match="--buckets: expected a power of two from 1 to 256, found 3"):
        create_store(store.workspace, dictionary=DICTIONARY, buckets=3)


def test_two_writers_at_once_both_commit(store: RecordStore) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda batch: add(store, batch), (CLAIMS, SURVEY)))
    assert numbers(store) == [1, 2]
    assert {entry.name for entry in read_snapshot(store).batches} == {"claims", "survey"}
