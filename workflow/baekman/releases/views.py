"""The views that the SQL of a request reads: records and cohort at their snapshots, without who has not consented."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from baekman.cohort.roster import read_roster
from baekman.consent import Scope
from baekman.errors import InputRefused, Problem
from baekman.query.limits import Limits
from baekman.records import reading
from baekman.records.dictionary import read_dictionary
from baekman.records.schema import COVERAGE, EVENTS, FIRSTS
from baekman.releases.admission import DATA_SCOPES
from baekman.releases.codes import scopes_of_sources
from baekman.releases.transform import granted_coverage
from baekman.workspace.denied import RecordAdmission

if TYPE_CHECKING:
    import duckdb

    from baekman.cohort.snapshot import Snapshot
    from baekman.cohort.store import Store
    from baekman.records.dictionary import Dictionary
    from baekman.records.snapshot import RecordSnapshot
    from baekman.records.store import RecordStore

RECORD_VIEWS = {"events": EVENTS, "coverage": COVERAGE, "firsts": FIRSTS}
STATE = "state"  # the function of the views of records
COHORT_VIEWS = ("sites", "calls", "reference")
VIEWS = (*RECORD_VIEWS, "dictionary", "participants", *COHORT_VIEWS)
VIEW_LIST = f"{', '.join(VIEWS[:-1])} and {VIEWS[-1]}"
# the view of everyone: ``sex`` is that of the cohort, null without sequencing; the last three are of the records
PARTICIPANTS = ("participant_id", "sex", "in_cohort", "in_records", "sources", "first", "last")
SEXES = pa.schema([pa.field("participant_id", pa.string()), pa.field("sex", pa.string())])
# Functions with a value that is not in the data: the same request would not give the same members.
REFUSED = frozenset(
    {
        *("sample", "random", "setseed", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "nextval"),
        *("now", "today", "current_date", "current_time", "current_timestamp", "current_localtime", "localtime"),
        *("get_current_time", "get_current_timestamp", "transaction_timestamp", "current_localtimestamp"),
        *("localtimestamp", "getenv", "getvariable", "current_setting", "current_user", "user", "version"),
        *("current_catalog", "current_connection_id", "current_database", "current_query", "current_query_id"),
        *("current_schema", "current_schemas", "current_transaction_id", "currval", "in_search_path", "setval"),
        *("pg_postmaster_start_time", "session_user", "sleep_ms", "stats", "txid_current", "vector_type", "write_log"),
        *("approx_quantile", "approx_top_k", "reservoir_quantile"),  # estimates, by the order of rows
        "age",  # until today; `date_diff` is of two days
    }
)


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The stores that a request reads, each at a snapshot, or None where the workspace has none.

    ``admission``: the records that may be shown (``workspace.denied.record_admission``). ``without``: participants of
    the cohort who are left out. ``scopes``: the scopes of the project; nobody is chosen by data of another scope.
    """

    records: RecordStore | None = None
    records_snapshot: RecordSnapshot | None = None
    dictionary: Dictionary | None = None
    admission: RecordAdmission = field(default_factory=RecordAdmission)
    cohort: Store | None = None
    cohort_snapshot: Snapshot | None = None
    without: frozenset[str] = field(default=frozenset())
    scopes: frozenset[str] = frozenset(DATA_SCOPES)

    @cached_property
    def sources(self) -> Mapping[str, frozenset[str]]:
        """The scopes of the project that each source of the records has codes of; without sources that have none."""
        if self.records is None or self.records_snapshot is None:
            return {}
        dictionary = self.dictionary or read_dictionary(self.records.dictionary)
        return scopes_of_sources(reading.systems(self.records, self.records_snapshot), dictionary, within=self.scopes)

    @cached_property
    def denied_scopes(self) -> Mapping[str, Collection[str]]:
        """The scopes of records that each participant has not granted, without participants who have granted all."""
        scopes: dict[str, list[str]] = {}
        for scope, people in self.admission.denied.items():
            for participant in people:
                scopes.setdefault(participant, []).append(scope)
        return scopes


@contextmanager
def candidates(stores: Stores, who: str, *, limits: Limits | None = None) -> Iterator[pa.RecordBatchReader]:
    """Yield the IDs that the SQL ``who`` returns, once each and sorted: one column, read as the reader moves on.

    Raises:
        InputRefused: The SQL does not run, does more than read the views, returns another column, calls a function with
            a value that is not in the data, or does not keep within ``limits``.
    """
    import duckdb

    limits = limits or Limits()
    check_who(who, scopes=stores.scopes)
    try:
        with _connected(stores, who, limits=limits) as connection, limits.enforced(connection):
            answer = connection.sql(_within_scopes(stores, who))
            if answer.columns != ["participant_id"] or str(answer.types[0]) != "VARCHAR":
                raise _refused("one column participant_id of texts", f"{len(answer.columns)} columns, or another one")
            chosen = answer.filter("participant_id IS NOT NULL").distinct().order("participant_id")
            yield chosen.to_arrow_reader(1 << 16)
    except duckdb.Error as error:
        raise _refused(f"SQL over the views {VIEW_LIST}", " ".join(str(error).split())) from None


def check_who(who: str, *, scopes: frozenset[str] = frozenset(DATA_SCOPES)) -> None:
    """Raise InputRefused for SQL that is not one SELECT over the views, or has a function of ``REFUSED``.

    Views of the cohort need the scope of the genome in ``scopes``.
    """
    import duckdb

    from baekman.query.read_only import (
        functions_in,
        has_qualified_names,
        only_reads,
        reads_only_tables,
        unordered_parts,
    )

    expected = f"one SELECT over the views {VIEW_LIST}"
    try:
        statements = duckdb.extract_statements(who)
    except duckdb.Error as error:
        raise _refused(expected, " ".join(str(error).split())) from None
    if len(statements) != 1 or not only_reads(statements[0]) or statements[0].type != duckdb.StatementType.SELECT:
        count = len(statements)
        raise _refused(expected, f"{count} statements" if count != 1 else "a statement of another kind")
    if not reads_only_tables(statements[0], names=VIEWS, functions=[STATE]) or has_qualified_names(statements[0]):
        raise _refused(expected, "another table, file or table function")
    if outside := sorted(functions_in(statements[0]) & REFUSED):
        raise _refused("SQL with values of the data only", ", ".join(outside))
    if unordered := sorted(set(unordered_parts(statements[0], key="participant_id"))):
        raise _refused("SQL with the same answer in any order of the rows", ", ".join(unordered))
    if Scope.GENOME not in scopes and (named := _named(who) & {*COHORT_VIEWS}):
        raise _refused("views of the project's scopes", ", ".join(sorted(named)))


def _named(who: str) -> set[str]:
    return {view for view in VIEWS if re.search(rf"\b{view}\b", who, re.IGNORECASE)}


def _within_scopes(stores: Stores, who: str) -> str:
    """Return ``who`` over the events and firsts of the project's scopes alone."""
    if stores.records is None:
        return who
    allowed = ", ".join(f"'{scope}'" for scope in sorted(stores.scopes))
    codes = f"SELECT code FROM main.dictionary WHERE scope IN ({allowed})"
    views = [
        f"{view} AS (SELECT * FROM main.{view} WHERE code IN ({codes}))"
        for view in ("events", "firsts")
        if view in _named(who) or (view == "events" and STATE in who.lower())
    ]
    return f"WITH {', '.join(views)} SELECT * FROM ({who}) AS answer" if views else who


@contextmanager
def _connected(stores: Stores, who: str, *, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with the views that ``who`` names, and no access to anything else.

    SQL over the records alone reads their files. Where it names a view of the cohort too, the named records are copied.
    """
    from baekman.query.views import connect_nothing

    named = _named(who)
    if named & {*COHORT_VIEWS} and stores.cohort is not None:
        with _cohort(stores, who, limits=limits) as connection:
            for view, schema in RECORD_VIEWS.items():
                if view in named:
                    _fill(connection, view, schema, _record_tables(stores, view))
            if stores.records is not None:
                codes = read_dictionary(stores.records.dictionary).table
                _fill(connection, "dictionary", codes.schema, [codes])
            _add_participants(connection, stores, view="")
            yield connection
    elif stores.records is not None:
        with _records(stores, who, limits=limits) as connection:
            _add_participants(connection, stores, view="participants")
            yield connection
    else:
        with connect_nothing(limits=limits) as connection:
            _add_participants(connection, stores, view="")
            yield connection


@contextmanager
def _cohort(stores: Stores, who: str, *, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to the views of the cohort that ``stores`` have."""
    import duckdb

    from baekman.cohort.snapshot import reading as reading_cohort
    from baekman.query.views import connect, require_whole

    store, snapshot = stores.cohort, stores.cohort_snapshot
    assert store is not None and snapshot is not None
    with (
        reading_cohort(store, snapshot, missing=duckdb.Error),
        connect(store, snapshot, limits=limits, without=stores.without) as connection,
    ):
        require_whole(store, snapshot, who)
        yield connection


@contextmanager
def _records(stores: Stores, who: str, *, limits: Limits) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to the views of the records that ``stores`` have."""
    import duckdb

    from baekman.files.snapshots import reading_numbered
    from baekman.records.views import connect_records, require_whole

    store, snapshot = stores.records, stores.records_snapshot
    assert store is not None and snapshot is not None
    with (
        reading_numbered(store.snapshots, snapshot.number, missing=duckdb.Error),
        connect_records(store, snapshot, stores.admission, limits=limits, sources=stores.sources) as connection,
    ):
        require_whole(store, snapshot, who)
        yield connection


def _record_tables(stores: Stores, view: str) -> Iterator[pa.Table]:
    if stores.records is not None and stores.records_snapshot is not None:
        read: Callable[..., pa.Table] = getattr(reading, view)
        for bucket in reading.buckets(stores.records, stores.records_snapshot):
            rows = read(stores.records, stores.records_snapshot, bucket, scopes=stores.admission)
            if view == "coverage":
                rows = granted_coverage(rows, stores.sources, stores.denied_scopes)
            yield rows


def _rosters(stores: Stores) -> Iterator[pa.Table]:
    """Yield ID and sex of the participants of each batch of the cohort who are not left out.

    Nobody is in the cohort of a project without the scope of the genome.
    """
    if stores.cohort is not None and stores.cohort_snapshot is not None and Scope.GENOME in stores.scopes:
        for entry in stores.cohort_snapshot.batches:
            roster = read_roster(stores.cohort, entry.name)[0].select(SEXES.names)
            left_out = pc.is_in(roster["participant_id"], value_set=pa.array(sorted(stores.without), pa.string()))
            yield roster.filter(pc.invert(left_out))


def _add_participants(connection: duckdb.DuckDBPyConnection, stores: Stores, *, view: str) -> None:
    """Make the view ``participants``: everyone in records or cohort, with ``PARTICIPANTS`` as columns.

    ``view``: the name of that of the records, if the connection has it.
    """
    people, sexes = f"t_{uuid.uuid4().hex}", f"t_{uuid.uuid4().hex}"  # no SQL of a user can name them
    _fill(connection, sexes, SEXES, _rosters(stores))
    if view:
        connection.execute(f"ALTER VIEW {view} RENAME TO {people}")
    else:
        days = f"t_{uuid.uuid4().hex}"
        _fill(connection, days, COVERAGE, _record_tables(stores, "coverage"))
        connection.execute(
            f"CREATE VIEW {people} AS SELECT participant_id, list_sort(list(DISTINCT source)) AS sources, "
            f"min(first) AS first, max(last) AS last FROM {days} GROUP BY participant_id"
        )
    connection.execute("DROP VIEW IF EXISTS participants")
    connection.execute(
        "CREATE VIEW participants AS SELECT participant_id, c.sex, c.participant_id IS NOT NULL AS in_cohort, "
        "r.participant_id IS NOT NULL AS in_records, r.sources, r.first, r.last "
        f"FROM {sexes} AS c FULL JOIN {people} AS r USING (participant_id)"
    )


def _fill(connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Make the table ``name`` of ``tables``; what does not fit into memory lies in the connection's own folder."""
    statement = f"CREATE TABLE {name} AS SELECT * FROM part"
    for table in itertools.chain([schema.empty_table()], tables):
        connection.register("part", table)
        connection.execute(statement)
        connection.unregister("part")
        statement = f"INSERT INTO {name} SELECT * FROM part"


def _refused(expected: str, found: str) -> InputRefused:
    return InputRefused(Problem(file="request.yaml", place="who", expected=expected, found=found))
