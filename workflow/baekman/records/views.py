"""SQL views over the records of one snapshot: read-only, with corrections and consent applied.

``state(participant, code, day)`` has the three answers; it is a scalar and a table function. A source has
observed a code when it records codes of that system. A source in the place of the code asks for any of its events.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from baekman.consent import RECORD_SCOPES
from baekman.files.digests import require_listed
from baekman.query.connection import bound, confine
from baekman.query.limits import Limits
from baekman.records import reading
from baekman.records.batch import files_of
from baekman.records.dictionary import read_dictionary
from baekman.records.overlap import Overlap, overlap_of
from baekman.records.rows.allowed import RowFilter
from baekman.records.schema import DATED_COVERAGE, EVENTS, FIRSTS, KINDS
from baekman.records.snapshot import RecordSnapshot
from baekman.records.store import RecordStore
from baekman.workspace.denied import RecordAdmission

VIEW_NAMES = ("events", "coverage", "firsts", "participants", "dictionary")
STATE = "state"
FEW = 4  # a batch has this many times the participants of all others: it is not grouped with them
RECORDED, OBSERVED, NOT_OBSERVED = "recorded", "observed without an event", "not observed"

_COLUMNS = {
    "events": 'participant_id, time, "end", code, value, category, source, institution, episode',
    "firsts": "participant_id, code, n, first, last",
    "coverage": "participant_id, source, first, last, as_of",
}
_COVERAGE = """
CREATE VIEW coverage AS
WITH before AS (SELECT *, max(last) OVER (PARTITION BY participant_id, source ORDER BY first, last
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached FROM {days}),
islands AS (SELECT *, count(*) FILTER (reached IS NULL OR first > reached + 1) OVER (
    PARTITION BY participant_id, source ORDER BY first, last ROWS UNBOUNDED PRECEDING) AS island FROM before)
SELECT participant_id, source, min(first) AS first, max(last) AS last
FROM islands GROUP BY participant_id, source, island;
CREATE VIEW participants AS SELECT participant_id, list_sort(list(DISTINCT source)) AS sources, min(first) AS first,
  max(last) AS last FROM {days} GROUP BY participant_id;
"""
# the arguments are named in a query of their own, else a column of that name would be taken from ``events``
_ANSWERS = f"""
CREATE MACRO {STATE}(participant, code_or_source, day) AS (SELECT CASE
  WHEN EXISTS (SELECT 1 FROM events AS e WHERE e.participant_id = q.person AND e.time::DATE = q.at
    AND (CASE WHEN contains(q.what, '/') THEN e.code ELSE e.source END) = q.what) THEN '{RECORDED}'
  WHEN EXISTS (SELECT 1 FROM {{days}} AS c WHERE c.participant_id = q.person
    AND q.at BETWEEN c.first AND c.last AND (c.source = q.what OR c.source IN (
      SELECT s.source FROM {{systems}} AS s WHERE s.system = split_part(q.what, '/', 1))))
    AND NOT EXISTS (SELECT 1 FROM {{denied}} AS d LEFT JOIN dictionary AS t ON t.code = q.what
      WHERE contains(q.what, '/') AND d.participant_id = q.person
      AND (t.scope IS NULL OR t.scope = d.scope)) THEN '{OBSERVED}'
  ELSE '{NOT_OBSERVED}' END
  FROM (SELECT participant AS person, code_or_source AS what, day::DATE AS at) AS q);
CREATE MACRO {STATE}(participant, code_or_source, day) AS TABLE
  SELECT {STATE}(participant, code_or_source, day) AS state;
"""


def connect_records(
    store: RecordStore,
    snapshot: RecordSnapshot,
    admission: RecordAdmission,
    *,
    limits: Limits | None = None,
    watched: bool = False,
    sources: Mapping[str, Collection[str]] | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open the views ``VIEW_NAMES`` and the function ``state`` over a snapshot, for what ``admission`` allows.

    The connection can read the snapshot's files and nothing else. A file is opened when a query needs it. ``limits``
    and ``watched`` are as for ``query.connection.confine``. With ``sources`` (source -> scopes), a covered day is seen
    only where its source has a scope there that ``admission`` does not deny to the participant.
    """
    connection = duckdb.connect()
    bound(connection, limits=limits)
    files = _Sources(connection, store, snapshot, admission)
    connection.register("listed", read_dictionary(store.dictionary).table)
    connection.execute("CREATE TABLE dictionary AS SELECT * FROM listed")
    connection.unregister("listed")
    overlap = overlap_of(store, snapshot)
    if overlap.is_tied:
        files.fill_events()
    else:
        connection.execute(f"CREATE VIEW events AS {files.events(overlap)}")
    connection.execute(f"CREATE VIEW firsts AS {files.firsts(overlap)}")
    days = files.days(sources)
    connection.execute(_COVERAGE.format(days=days))
    connection.execute(_ANSWERS.format(days=days, systems=files.systems(), denied=files.denied))
    confine(connection, files.paths, limits=limits, watched=watched)
    return connection


def require_whole(store: RecordStore, snapshot: RecordSnapshot, sql: str) -> None:
    """Compare the files that ``sql`` may read with their digests; raise DamagedFile where one differs."""
    if re.search(r"U&", sql, re.IGNORECASE):  # an escape may name a view
        kinds = set(KINDS)
    else:
        kinds = {kind for kind in KINDS if re.search(rf"\b{kind}\b", sql, re.IGNORECASE)}
    if re.search(rf"\b{STATE}\b", sql, re.IGNORECASE):
        kinds |= {"events", "coverage"}
    if re.search(r"\bparticipants\b", sql, re.IGNORECASE):
        kinds.add("coverage")
    if kinds & {"events", "firsts"} and not overlap_of(store, snapshot).is_disjoint:
        kinds |= {"events", "coverage"}  # corrections need the coverage, and firsts the events then
    for entry in snapshot.batches:
        names = [name for name in files_of(store, entry) if name.partition("/")[0] in kinds]
        require_listed(store.batch(entry.name), names)


class _Sources:
    """The files of a snapshot as SQL. Tables with names of consent have random names, which no user can write."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        store: RecordStore,
        snapshot: RecordSnapshot,
        admission: RecordAdmission,
    ) -> None:
        self.connection, self.store, self.snapshot, self.admission = connection, store, snapshot, admission
        self.filter = RowFilter(store, without=frozenset(), admission=admission)
        self.files = [sorted(files_of(store, entry)) for entry in snapshot.batches]
        self.paths: list[Path] = []
        for kind, schema in (("events", EVENTS), ("coverage", DATED_COVERAGE), ("firsts", FIRSTS)):
            self._table(f"no_{kind}", schema.empty_table())
        left_out = pa.table({"participant_id": pa.array(sorted(self.filter.left_out), pa.string())})
        self.left_out = self._table(_secret(), left_out) if left_out.num_rows else ""
        granted = self.filter.granted
        rows = pa.table({"participant_id": pa.array(sorted(granted or ()), pa.string())})
        self.granted = self._table(_secret(), rows) if granted is not None else ""
        pairs = [(person, scope) for scope, people in sorted(self.filter.denied.items()) for person in sorted(people)]
        columns = {"participant_id": [pair[0] for pair in pairs], "scope": [pair[1] for pair in pairs]}
        self.denied = self._table(_secret(), pa.table(columns, pa.schema([(n, pa.string()) for n in columns])))
        self.has_denied = bool(pairs)

    def _table(self, name: str, rows: pa.Table) -> str:
        self.connection.register("rows", rows)
        self.connection.execute(f"CREATE TABLE {name} AS SELECT * FROM rows")
        self.connection.unregister("rows")
        return name

    def batch(self, place: int, kind: str) -> str:
        """Return SQL for the allowed rows of one kind of a batch."""
        folder = self.store.batch(self.snapshot.batches[place].name)
        paths = [folder / name for name in self.files[place] if name.partition("/")[0] == kind]
        self.paths += [path for path in paths if path not in self.paths]
        quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        sql = f"SELECT {_COLUMNS[kind]} FROM " + (f"read_parquet([{quoted}])" if paths else f"no_{kind}")
        if self.left_out:
            sql = f"SELECT * FROM ({sql}) ANTI JOIN {self.left_out} USING (participant_id)"
        if self.granted:
            sql = f"SELECT * FROM ({sql}) SEMI JOIN {self.granted} USING (participant_id)"
        if self.has_denied and kind != "coverage":
            scopes = ", ".join(f"'{scope}'" for scope in RECORD_SCOPES)
            sql = (
                f"SELECT {_COLUMNS[kind]} FROM (SELECT r.*, t.scope FROM ({sql}) AS r LEFT JOIN dictionary AS t "
                f"USING (code)) AS r ANTI JOIN {self.denied} AS d ON r.participant_id = d.participant_id "
                f"AND d.scope IN ({scopes}) AND coalesce(r.scope, d.scope) = d.scope"
            )
        return sql

    def events(self, overlap: Overlap) -> str:
        """Return SQL for the events that count, where no two batches have one ``as_of`` for a day."""
        parts = []
        for place in range(len(self.snapshot.batches)):
            rows = self.batch(place, "events")
            if overlap.newer[place]:
                newer = _union([self.batch(other, "coverage") for other in overlap.newer[place]])
                on = "c.participant_id = {0}.participant_id AND c.source = {0}.source"
                within = "{0}.time::DATE BETWEEN c.first AND c.last"
                own = (
                    f"SELECT e.*, c.as_of FROM ({rows}) AS e JOIN ({self.batch(place, 'coverage')}) AS c "
                    f"ON {on.format('e')} AND {within.format('e')}"
                )
                if as_of := self.snapshot.batches[place].as_of:  # a compacted batch has several
                    own = f"SELECT e.*, TIMESTAMP '{as_of}' AS as_of FROM ({rows}) AS e"
                rows = (
                    f"SELECT {_COLUMNS['events']} FROM ({own}) AS o ANTI JOIN ({newer}) AS c "
                    f"ON {on.format('o')} AND {within.format('o')} AND c.as_of > o.as_of"
                )
            parts.append(rows)
        return _union(parts) if parts else "SELECT * FROM no_events"

    def fill_events(self) -> None:
        """Create the table ``events``, bucket by bucket: equal ``as_of`` are decided by content."""
        self.connection.execute("CREATE TABLE events AS SELECT * FROM no_events")
        for bucket in reading.buckets(self.store, self.snapshot):
            rows = reading.events(self.store, self.snapshot, bucket, scopes=self.admission)
            self.connection.register("rows", rows)
            self.connection.execute("INSERT INTO events SELECT * FROM rows")
            self.connection.unregister("rows")

    def firsts(self, overlap: Overlap) -> str:
        """Return SQL for the firsts: those of the batches, or counted from events of participants with corrections."""
        batches = self.snapshot.batches
        counted = "count(*)::BIGINT AS n, min(time) AS first, max(time) AS last"
        if overlap.is_tied:
            return f"SELECT participant_id, code, {counted} FROM events GROUP BY participant_id, code"
        places = sorted(range(len(batches)), key=lambda place: batches[place].participants)
        parts = [self.batch(place, "firsts") for place in places] or ["SELECT * FROM no_firsts"]
        if overlap.is_disjoint:
            return self._added(parts, places)
        corrected = _secret()
        parts = [f"SELECT * FROM ({part}) ANTI JOIN {corrected} USING (participant_id)" for part in parts]
        rest = self._added(parts, places)
        return (
            f"WITH {corrected} AS MATERIALIZED ({self._corrected(overlap)}) SELECT * FROM ({rest}) "
            f"UNION ALL SELECT participant_id, code, {counted} FROM events SEMI JOIN {corrected} "
            "USING (participant_id) GROUP BY participant_id, code"
        )

    def _added(self, parts: Sequence[str], places: Sequence[int]) -> str:
        """Return SQL for the firsts of ``parts``, batches by number of participants, where none corrects another.

        Where most participants are in the last batch alone, its rows are not grouped with those of the others.
        """
        *others, largest = parts
        if not others:
            return largest
        added = "sum(n)::BIGINT AS n, min(first) AS first, max(last) AS last"
        people = [self.snapshot.batches[place].participants for place in places]
        if sum(people[:-1]) * FEW > people[-1]:
            return f"SELECT participant_id, code, {added} FROM ({_union(parts)}) GROUP BY participant_id, code"
        some = _secret()
        shared = f"SELECT * FROM ({largest}) SEMI JOIN {some} USING (participant_id)"
        return (
            f"WITH {some} AS MATERIALIZED (SELECT DISTINCT participant_id FROM ({_union(others)})) "
            f"SELECT * FROM ({largest}) ANTI JOIN {some} USING (participant_id) UNION ALL "
            f"SELECT participant_id, code, {added} FROM ({_union([*others, shared])}) GROUP BY participant_id, code"
        )

    def _corrected(self, overlap: Overlap) -> str:
        """Return SQL for the participants with a day that two batches cover."""
        parts = []
        for place, newer in overlap.newer.items():
            if newer:
                own, others = self.batch(place, "coverage"), _union([self.batch(other, "coverage") for other in newer])
                parts.append(
                    f"SELECT o.participant_id FROM ({own}) AS o JOIN ({others}) AS c ON c.participant_id = "
                    "o.participant_id AND c.source = o.source AND c.first <= o.last AND o.first <= c.last"
                )
        return f"SELECT DISTINCT participant_id FROM ({_union(parts)})"

    def days(self, sources: Mapping[str, Collection[str]] | None) -> str:
        """Return the name of a view with the coverage of all batches, of ``sources`` as ``connect_records`` has it."""
        name = _secret()
        parts = [self.batch(place, "coverage") for place in range(len(self.snapshot.batches))]
        sql = _union(parts) if parts else "SELECT * FROM no_coverage"
        if sources is not None:
            pairs = self._pairs([(source, scope) for source, some in sources.items() for scope in some], "scope")
            closed = _secret()  # the sources of which a participant denies every scope
            self.connection.execute(
                f"CREATE TABLE {closed} AS WITH sizes AS (SELECT source, count(*) AS size FROM {pairs} GROUP BY ALL) "
                f"SELECT d.participant_id, p.source FROM {self.denied} AS d JOIN {pairs} AS p USING (scope) "
                "JOIN sizes AS z ON z.source = p.source GROUP BY d.participant_id, p.source, z.size "
                "HAVING count(*) = z.size"
            )
            sql = (
                f"SELECT * FROM ({sql}) SEMI JOIN {pairs} USING (source) "
                f"ANTI JOIN {closed} USING (participant_id, source)"
            )
        self.connection.execute(f"CREATE VIEW {name} AS {sql}")
        return name

    def systems(self) -> str:
        """Return the name of a table with the code systems of each source."""
        known = reading.systems(self.store, self.snapshot)
        return self._pairs([(source, system) for source, systems in known.items() for system in systems], "system")

    def _pairs(self, pairs: Sequence[tuple[str, str]], second: str) -> str:
        """Return the name of a table with the columns ``source`` and ``second``."""
        columns = {"source": [pair[0] for pair in pairs], second: [pair[1] for pair in pairs]}
        return self._table(_secret(), pa.table(columns, pa.schema([(name, pa.string()) for name in columns])))


def _union(parts: Sequence[str]) -> str:
    return " UNION ALL ".join(f"({part})" for part in parts)


def _secret() -> str:
    return f"t_{uuid.uuid4().hex}"
