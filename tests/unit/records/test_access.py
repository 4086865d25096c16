"""``open_records`` and its views: the three answers, corrections in SQL, consent at every call, refusals."""

from __future__ import annotations

import doctest
import itertools
import json
from datetime import date, datetime
from pathlib import Path

import baekman
import pyarrow as pa
import pytest
from baekman import audit
from baekman.engine.local import Engine
from baekman.errors import DamagedFile, InputRefused
from baekman.files.digests import LIST, digest_of, read_digests, write_digests
from baekman.query.limits import Limits
from baekman.records import access
from baekman.records.access import Records
from baekman.records.compaction import compact
from baekman.records.rows.order import read_file, write_rows
from baekman.records.schema import FIRSTS
from baekman.records.store import RecordStore
from baekman.workspace.denied import mark_withdrawn
from baekman.workspace.paths import Workspace
from support.record_batches import (
    CODES,
    PEOPLE,
    Batch,
    add,
    covered,
    covers,
    day,
    event,
    firsts,
    new_store,
    rows_of,
    standing_events,
    write_lists,
)

A, B, C = PEOPLE
BATCHES = (
    Batch(
        "claims",
        datetime(2020, 1, 1),
        [(person, "claims", day(0), day(9)) for person in PEOPLE],
        [event(person, "claims", day(number)) for person in PEOPLE for number in (1, 4, 4)],
    ),
    Batch(
        "survey",
        datetime(2020, 2, 1),
        [(A, "survey", day(5), day(5)), (B, "survey", day(3), day(8))],
        [event(person, "survey", day(5), "SURVEY/sleep_hours", 7.5) for person in (A, B)],
    ),
    Batch(
        "correction",
        datetime(2020, 3, 1),
        [(A, "claims", day(3), day(12)), (A, "labs", day(2), day(2))],
        [
            event(A, "claims", day(4), "KCD8/I10"),
            event(A, "claims", day(11)),
            event(A, "labs", day(2), "LOINC/8480-6", 1),
        ],
    ),
)


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    store = new_store(tmp_path / "W")
    write_lists(store.workspace)
    for batch in BATCHES:
        add(store, batch)
    return store


def opened(store: RecordStore) -> Records:
    return baekman.open_records(store.workspace)


def answer(person: str, asked: str, on: date, batches: tuple[Batch, ...] = BATCHES) -> str:
    """Return the state of a participant on a day, the slow and obvious way."""
    column = 3 if "/" in asked else 6
    events = standing_events(batches)
    if any((row[0], row[column], row[1].date()) == (person, asked, on) for row in events):  # type: ignore[attr-defined]
        return "recorded"
    system = asked.partition("/")[0]
    sources = [asked] if column == 6 else {str(row[6]) for row in events if str(row[3]).startswith(f"{system}/")}
    observed = any(covers(batch, person, source, on) for batch in batches for source in sources)
    return "observed without an event" if observed else "not observed"


@pytest.mark.parametrize("compacted", [False, True], ids=["batches", "with a compacted batch"])
def test_views_and_states_are_those_of_the_oracle(tmp_path: Path, compacted: bool) -> None:
    store = new_store(tmp_path / "W")
    write_lists(store.workspace)
    for number, batch in enumerate(BATCHES):
        if number == 2 and compacted:
            compact(store, engine=Engine())
        add(store, batch)
    records = opened(store)
    assert sorted(records.sql("SELECT * FROM events").fetchall(), key=str) == sorted(standing_events(BATCHES), key=str)
    assert records.sql("SELECT * FROM coverage ORDER BY ALL").fetchall() == covered(BATCHES)
    assert records.sql("SELECT * FROM firsts ORDER BY ALL").fetchall() == firsts(standing_events(BATCHES))
    assert records.sql("SELECT participant_id FROM participants ORDER BY ALL").fetchall() == [
        (each,) for each in PEOPLE
    ]
    assert records.sql("SELECT code FROM dictionary ORDER BY ALL").fetchall() == [(code,) for code in sorted(CODES)]
    asked = [*itertools.product(PEOPLE, [*CODES, "claims", "survey", "labs", "none"], map(day, range(-1, 14, 2)))]
    values = ", ".join(f"('{person}', '{code}', DATE '{on}')" for person, code, on in asked)
    states = records.sql(f"SELECT p, c, d, state(p, c, d) FROM (VALUES {values}) AS v(p, c, d)").fetchall()
    expected = {(person, code, on, answer(person, code, on)) for person, code, on in asked}
    assert set(states) == expected
    assert {answer for *_, answer in expected} == {"recorded", "observed without an event", "not observed"}
    for person, code, on in asked[::17]:
        assert records.state(person, code, on) == answer(person, code, on)
    assert records.sql(f"SELECT * FROM state('{A}', 'KCD8/I10', '2015-01-05')").fetchall() == [("recorded",)]


@pytest.mark.parametrize("others", [1, 4], ids=["few others", "many others"])
def test_firsts_of_a_large_and_a_small_batch_are_added(tmp_path: Path, others: int) -> None:
    many = [f"P{letter}0" for letter in "0123456789ABCDEFGHJK"]
    some = many[: 3 * others]
    batches = [
        Batch(
            name,
            datetime(2020, 1, 1),
            [(person, name, day(0), day(9)) for person in people],
            [
                event(person, name, day(number), code)
                for person in people
                for number, code in enumerate(list(CODES)[:4])
            ],
        )
        for name, people in (("claims", many), ("labs", some), ("survey", some[:1]))
    ]
    store = new_store(tmp_path / "W", buckets=16)
    write_lists(store.workspace)
    for batch in batches:
        add(store, batch)
    expected = firsts(standing_events(batches))
    assert {row[2] for row in expected} == {1, 2, 3}
    assert opened(store).sql("SELECT * FROM firsts ORDER BY ALL").fetchall() == expected


def test_only_participants_with_corrections_are_counted_from_events(store: RecordStore) -> None:
    """A file of firsts with other numbers shows where an answer comes from."""
    for name in ("claims", "survey", "correction"):
        folder = store.batch(name)
        rows = read_file(folder, "firsts/00-03.parquet", schema=FIRSTS)
        write_rows(rows.set_column(2, "n", pa.array([100] * rows.num_rows)), folder / "firsts/00-03.parquet")
        file = {"firsts/00-03.parquet": digest_of(folder / "firsts/00-03.parquet")}
        write_digests(folder / LIST, {**(read_digests(folder / LIST) or {}), **file})
    sql = "SELECT participant_id, sum(n)::BIGINT FROM firsts GROUP BY ALL ORDER BY ALL"
    counted = sum(row[0] == A for row in standing_events(BATCHES))
    assert opened(store).sql(sql).fetchall() == [(A, counted), (B, 200), (C, 100)]


def test_batches_of_one_time_give_the_same_rows_in_sql(store: RecordStore) -> None:
    add(store, Batch("again", BATCHES[2].as_of, BATCHES[2].coverage[:1], [event(A, "claims", day(4), "KCD8/E119")]))
    records = opened(store)
    in_sql = records.sql(f"SELECT * FROM events WHERE participant_id = '{A}'").fetchall()
    assert sorted(in_sql, key=str) == sorted(rows_of(records.events(A)), key=str)


def test_consent_is_asked_at_every_call_and_by_scope(store: RecordStore) -> None:
    records = opened(store)
    assert records.sql("SELECT count(*) FROM events").fetchall() == [(len(standing_events(BATCHES)),)]
    write_lists(store.workspace, denied=[(B, "lifestyle"), (C, "clinical")])
    codes = "SELECT participant_id, list_sort(list(DISTINCT code)) FROM firsts GROUP BY ALL ORDER BY ALL"
    assert records.sql(codes).fetchall() == [
        (A, ["KCD8/E119", "KCD8/I10", "LOINC/8480-6", "SURVEY/sleep_hours"]),
        (B, ["KCD8/E119"]),
    ]
    assert records.state(B, "SURVEY/sleep_hours", day(5)) == "not observed"
    in_sql = f"SELECT state('{B}', 'SURVEY/sleep_hours', DATE '{day(5)}'), state('{B}', 'survey', DATE '{day(5)}')"
    assert records.sql(in_sql).fetchall() == [("not observed", "observed without an event")]
    mark_withdrawn(Workspace(store.workspace), A)
    assert records.sql("SELECT DISTINCT participant_id FROM coverage ORDER BY 1").fetchall() == [(B,), (C,)]
    with pytest.raises(InputRefused) as refused:
        records.events(A)
    assert str(refused.value) == (
        f"participants: {A}: expected a participant with consent to this use in force, found a withdrawal, or a "
        "consent that was refused, has ended or does not cover the purpose; leave the participant out"
    )


def test_without_a_list_of_denied_scopes_nothing_is_read(store: RecordStore) -> None:
    (store.workspace / "denied.txt").unlink()
    with pytest.raises(InputRefused) as refused:
        opened(store).sql("SELECT 1")
    assert str(refused.value) == (
        "denied.txt: expected the list of participants without consent to scopes of records, found none; run `baekman "
        "registry show` in the workspace once"
    )


VIEWS = "one SELECT over the views events, coverage, firsts, participants and dictionary"


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("DELETE FROM events", "a statement of another kind"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT * FROM 'batches/x.parquet'", "another table, file or table function"),
        ("SELECT * FROM read_text('/etc/passwd')", "another table, file or table function"),
        ("SELECT * FROM duckdb_tables()", "another table, file or table function"),
    ],
)
def test_sql_that_does_more_than_read_the_views_is_refused(store: RecordStore, sql: str, found: str) -> None:
    with pytest.raises(InputRefused) as refused:
        opened(store).sql(sql)
    assert str(refused.value).startswith(f"--sql: expected {VIEWS}, found {found}")


def test_an_answer_beyond_the_limits_is_refused(store: RecordStore) -> None:
    endless = "SELECT count(*) FROM range(100000000) a, range(100000000) b"
    with (
        pytest.raises(InputRefused, match="--time-limit: expected an answer within"),
        opened(store).query(endless, limits=Limits(time=0.1)) as relation,
    ):
        relation.fetchall()


def test_a_use_leaves_an_event_and_a_damaged_file_is_noticed(store: RecordStore) -> None:
    records = opened(store)
    records.sql("SELECT count(*) FROM events").fetchall()
    records.state(A, "KCD8/E119", day(1))
    lines = [json.loads(line) for line in audit.log_file(store.workspace).read_text().splitlines()]
    uses = [(line["action"], line["object"]) for line in lines if line["action"] == "records.query"]
    assert [action for action, _ in uses] == ["records.query"] * 2
    file = next(store.batches.glob("claims/events/*.parquet"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedFile):
        records.sql("SELECT count(*) FROM events")


def test_the_examples_of_the_docstrings_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store(tmp_path / "W")
    write_lists(store.workspace)
    people = (A, "P000000000002N")
    rows = [event(A, "claims", day(1)), event(A, "claims", day(2), "LOINC/8480-6", 121.0)]
    rows += [event(people[1], "claims", day(number)) for number in (1, 2)]
    year = [(person, "claims", day(0), day(364)) for person in people]
    add(store, Batch("D1", datetime(2020, 1, 1), year, rows))
    monkeypatch.chdir(tmp_path)
    tests = [test for test in doctest.DocTestFinder().find(access, extraglobs={"baekman": baekman}) if test.examples]
    methods = {name for name in vars(Records) if not name.startswith("_")} - {"query"}
    assert {test.name.rpartition(".")[2] for test in tests} == {*methods, "Records", "open_records"}
    for test in tests:
        test.globs["records"] = baekman.open_records("W")
        assert doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(test).failed == 0
