"""The views of a request: records and cohort in one statement, without who has not consented."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from baekman.cohort.snapshot import read_snapshot as read_cohort
from baekman.cohort.store import open_store as open_cohort
from baekman.consent import Scope
from baekman.errors import InputRefused
from baekman.query.limits import Limits
from baekman.records.snapshot import read_snapshot
from baekman.records.store import create_store
from baekman.releases.views import REFUSED, Stores, candidates, check_who
from baekman.workspace.denied import RecordAdmission
from baekman.workspace.identity import identify
from baekman.workspace.paths import Workspace
from support.example_workspace import PARTICIPANTS, example_workspace
from support.record_batches import DICTIONARY, PEOPLE, Batch, add, day, event

FIRST, SECOND = PARTICIPANTS  # the first is in the records too
_, B, C = PEOPLE


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Return a cohort of two participants, and records of the first of them and of two others."""
    workspace = example_workspace(tmp_path_factory.mktemp("views"))
    identify(Workspace(workspace))
    records = create_store(workspace, dictionary=DICTIONARY, buckets=4)
    rows = [event(person, "claims", day(number)) for number, person in enumerate(PEOPLE)]
    add(records, Batch("claims", datetime(2020, 1, 1), [(person, "claims", day(0), day(9)) for person in PEOPLE], rows))
    cohort = open_cohort(workspace / "cohort", workspace=workspace)
    return Stores(
        records=records, records_snapshot=read_snapshot(records), cohort=cohort, cohort_snapshot=read_cohort(cohort)
    )


def chosen(stores: Stores, who: str) -> list[str]:
    with candidates(stores, who, limits=Limits(time=60)) as reader:
        return [participant for batch in reader for participant in batch.column(0).to_pylist()]


def test_everyone_of_records_and_cohort_is_a_participant(stores: Stores) -> None:
    assert chosen(stores, "SELECT participant_id FROM participants") == sorted({*PARTICIPANTS, *PEOPLE})
    assert chosen(stores, "SELECT participant_id FROM participants WHERE sex = 'male'") == [SECOND]
    assert chosen(stores, "SELECT participant_id FROM participants WHERE list_contains(sources, 'claims')") == [
        *sorted(PEOPLE)
    ]


def test_one_statement_reads_records_and_cohort(stores: Stores) -> None:
    carriers = "SELECT participant_id FROM calls WHERE copies > 0"
    assert chosen(stores, carriers) == sorted(PARTICIPANTS)
    assert chosen(stores, f"{carriers} INTERSECT SELECT participant_id FROM firsts WHERE code = 'KCD8/E119'") == [FIRST]
    assert chosen(stores, f"{carriers} INTERSECT SELECT participant_id FROM participants WHERE in_records") == [FIRST]


def test_the_cohort_alone_and_the_records_alone_have_the_same_view_of_participants(stores: Stores) -> None:
    who = "SELECT participant_id FROM participants WHERE in_cohort OR in_records"
    assert chosen(replace(stores, records=None, records_snapshot=None), who) == sorted(PARTICIPANTS)
    assert chosen(replace(stores, cohort=None, cohort_snapshot=None), who) == sorted(PEOPLE)


def test_who_has_not_consented_is_in_no_view(stores: Stores) -> None:
    denied = RecordAdmission(denied={Scope.CLINICAL: frozenset({B})}, withdrawn=frozenset({C}))
    without = replace(stores, admission=denied, without=frozenset({SECOND}))
    assert chosen(without, "SELECT participant_id FROM firsts") == [FIRST]
    assert chosen(without, "SELECT participant_id FROM calls UNION SELECT participant_id FROM firsts") == [FIRST]
    # the days of claims are of the scope that B denies, and nothing else of B is known
    assert chosen(without, "SELECT participant_id FROM participants") == [FIRST]


@pytest.mark.parametrize("sees_cohort", [False, True])
def test_nobody_is_chosen_by_days_of_a_source_without_a_granted_scope_of_the_project(
    stores: Stores, *, sees_cohort: bool
) -> None:
    """Coverage of a survey or a cancer register says that a person is in it."""
    cohort = " UNION SELECT participant_id FROM calls WHERE copies > 9" if sees_cohort else ""
    by_days = [
        f"SELECT participant_id FROM coverage{cohort}",
        f"SELECT participant_id FROM participants WHERE in_records OR first IS NOT NULL{cohort}",
    ]
    if not sees_cohort:  # the function is of the views of records
        state = f"state(participant_id, 'claims', DATE '{day(5)}')"
        by_days.append(
            f"SELECT participant_id FROM dictionary, (VALUES ('{B[:-1]}' || '{B[-1]}')) AS t(participant_id)"
        )
        by_days[-1] += f" WHERE {state} <> 'not observed'"
    everyone = RecordAdmission()
    clinical, both = RecordAdmission(denied={Scope.CLINICAL: frozenset({B})}), {Scope.CLINICAL, Scope.GENOME}
    for who in by_days:
        assert B in chosen(replace(stores, admission=everyone, scopes=frozenset(both)), who)
        assert B not in chosen(replace(stores, admission=clinical), who)
        others = frozenset({Scope.LIFESTYLE, Scope.GENOME})
        assert not set(PEOPLE).intersection(chosen(replace(stores, admission=everyone, scopes=others), who))


def test_a_project_without_the_scope_of_the_genome_sees_no_cohort(stores: Stores) -> None:
    clinical = replace(stores, scopes=frozenset({Scope.CLINICAL}))
    assert chosen(clinical, "SELECT participant_id FROM participants") == sorted(PEOPLE)
    assert chosen(clinical, "SELECT participant_id FROM participants WHERE in_cohort OR sex IS NOT NULL") == []


def test_days_without_an_event_can_be_asked_for(stores: Stores) -> None:
    who = f"SELECT participant_id FROM participants WHERE state(participant_id, 'KCD8/E119', DATE '{day(1)}') = "
    assert chosen(replace(stores, cohort=None), f"{who} 'recorded'") == [B]
    assert chosen(replace(stores, cohort=None), f"{who} 'observed without an event'") == sorted({*PEOPLE} - {B})


def test_the_limits_of_a_query_hold(stores: Stores) -> None:
    endless = (
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT i::VARCHAR AS participant_id FROM n"
    )
    with (
        pytest.raises(InputRefused, match=r"an answer within 0\.1 seconds"),
        candidates(stores, endless, limits=Limits(time=0.1)) as reader,
    ):
        list(reader)


def test_the_files_of_the_stores_cannot_be_read_by_name(stores: Stores, tmp_path: Path) -> None:
    assert stores.records is not None
    path = next(stores.records.batches.rglob("*.parquet"))
    for who in (f"SELECT participant_id FROM '{path}'", f"SELECT participant_id FROM read_parquet('{path}')"):
        with pytest.raises(InputRefused, match="another table, file or table function"):
            chosen(stores, who)


def test_each_function_of_a_value_that_is_not_in_the_data_is_refused() -> None:
    """DuckDB states which functions give another value in another query."""
    answer = duckdb.sql("SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'")
    volatile = {name for (name,) in answer.fetchall()}
    assert "random" in volatile and volatile - REFUSED <= {"error"}  # it ends the query


@pytest.mark.parametrize(
    "who",
    [
        "SELECT participant_id FROM participants ORDER BY first, participants.participant_id LIMIT 20",
        "SELECT DISTINCT ON (sex) participant_id FROM participants ORDER BY sex, participant_id",
        "SELECT participant_id FROM events GROUP BY participant_id HAVING first(code ORDER BY time) = 'KCD8/E119'",
        "SELECT participant_id FROM events QUALIFY row_number() OVER (PARTITION BY participant_id ORDER BY time) = 1",
    ],
)
def test_sql_with_an_order_of_its_own_is_accepted(who: str) -> None:
    check_who(who)
