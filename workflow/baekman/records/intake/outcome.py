"""The outcome of a judged delivery: events and coverage that are taken, counts, and a verdict for each participant.

A row with a fault is left out. A day on which all rows of a participant have faults of their data is taken out of the
coverage, since it was not seen without an event. A date before birth or after death holds all rows of the participant,
and where no row at all is accepted, nothing of the participant is taken: what earlier batches say stays. Rows without
consent are left out as if they had never been delivered, and change no coverage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import arrow, filtered, take
from baekman.records.intake.delivered_rows import DeliveredRows
from baekman.records.intake.judging import ROWS_FILE, is_any_death, quoted
from baekman.records.intake.reasons import BIT, HOLDING, OF_DATA, RecordsVerdict, faults_in, verdict_on
from baekman.records.intake.sheet import RecordsSheet
from baekman.records.schema import COVERAGE, EVENTS

if TYPE_CHECKING:
    import duckdb  # not at the start of every command

PAGE = 5_000
BATCH_ROWS = 1 << 16
_RECORDS_CONSENT = "(clinical OR lifestyle OR public_record_linkage)"

_COVERAGE_ROWS = f"""
CREATE TABLE coverage_rows AS
WITH delivered_text AS (
    SELECT nullif(trim(subject_code), '') AS subject_code, nullif(trim("first"), '') AS first_text,
        nullif(trim("last"), '') AS last_text, source FROM delivered
), read AS (
    SELECT s.sid, t.source, s.participant_id, t.subject_code, {_RECORDS_CONSENT} AS is_allowed,
        CAST(moment(first_text) AS DATE) AS "first", CAST(moment(last_text) AS DATE) AS "last"
    FROM delivered_text t LEFT JOIN subjects s ON s.subject_code = t.subject_code
)
SELECT sid, coalesce(source, ?) AS source, "first", "last", CAST(CASE
    WHEN participant_id IS NULL AND is_changed_label(subject_code) THEN {BIT["spreadsheet_error", "subject_code"]}
    WHEN participant_id IS NULL THEN {BIT["not_registered", "subject_code"]}
    ELSE CASE WHEN "first" IS NULL THEN {BIT["spreadsheet_error", "first"]} ELSE 0 END
       + CASE WHEN "last" IS NULL THEN {BIT["spreadsheet_error", "last"]} ELSE 0 END
       + CASE WHEN "last" < "first" OR "last" > ? THEN {BIT["out_of_range", "last"]} ELSE 0 END
    END AS BIGINT) AS mask, is_allowed
FROM read
"""
# intervals that overlap or touch become one
_DISJOINT = """
CREATE TABLE covered AS
WITH marked AS (
    SELECT *, CASE WHEN "first" <= max("last") OVER (PARTITION BY sid, source ORDER BY "first", "last"
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) + 1 THEN 0 ELSE 1 END AS is_new FROM stated
), numbered AS (
    SELECT *, sum(is_new) OVER (PARTITION BY sid, source ORDER BY "first", "last") AS part FROM marked
)
SELECT sid, source, min("first") AS "first", max("last") AS "last" FROM numbered GROUP BY sid, source, part
"""
# each piece lies between two days without coverage, or between one of them and an end of the interval
_CUT_COVERAGE = """
CREATE TABLE seen AS
WITH days AS (
    SELECT c.sid, c.source, c."first", c."last", unseen.day FROM covered c JOIN unseen USING (sid, source)
    WHERE unseen.day BETWEEN c."first" AND c."last"
), pieces AS (
    SELECT sid, source, "last", day + 1 AS begins,
        coalesce(lead(day) OVER (PARTITION BY sid, source, "first" ORDER BY day) - 1, "last") AS ends FROM days
    UNION ALL
    SELECT sid, source, "last", "first" AS begins, min(day) - 1 AS ends FROM days GROUP BY ALL
)
SELECT sid, source, "first", "last" FROM covered ANTI JOIN days USING (sid, source, "first")
UNION ALL SELECT sid, source, begins, ends FROM pieces WHERE begins <= ends
"""


class Outcome:
    """The outcome of the rows that ``judging.judge_rows`` wrote to ``folder``.

    ``deaths``: tables with ``participant_id`` and ``day`` of deaths that are known already. They are not read where the
    delivery itself reports deaths: it may correct them.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        rows: DeliveredRows,
        *,
        sheet: RecordsSheet,
        folder: Path,
        deaths: Iterable[pa.Table] = (),
    ) -> None:
        self.connection = connection
        self.sheet = sheet
        self.path = folder / ROWS_FILE
        judged = quoted(str(self.path))
        connection.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet({judged})")
        self._state_coverage(rows)
        connection.execute(_DISJOINT)
        self._note_deaths(deaths)
        self._compare(with_coverage=rows.has_coverage)
        connection.execute("CREATE TABLE tally AS SELECT sid, fault, count(*) AS n FROM judged GROUP BY sid, fault")
        connection.execute(
            # a row without a subject holds nobody: with NULL in it, `NOT IN held` would be true for no participant
            f"""CREATE TABLE held AS SELECT sid FROM tally WHERE sid IS NOT NULL
            GROUP BY sid HAVING bool_or(fault & {HOLDING} <> 0)
            OR NOT bool_or(fault = 0) AND bool_or(fault NOT IN (0, {BIT["no_consent_for_scope", "code"]}))"""
        )
        # rows of a day without an accepted row, for the few participants who have faults of data
        connection.execute(
            f"""CREATE TABLE unseen AS SELECT sid, source, CAST(began AS DATE) AS day FROM judged
            SEMI JOIN (SELECT sid FROM tally WHERE fault & {OF_DATA} <> 0) USING (sid)
            GROUP BY ALL HAVING bool_or(fault & {OF_DATA} <> 0) AND NOT bool_or(fault = 0) AND day IS NOT NULL"""
        )
        connection.execute(_CUT_COVERAGE)

    def _state_coverage(self, rows: DeliveredRows) -> None:
        """Make the table ``stated``: the days that the delivery says were seen, by subject with consent."""
        connection = self.connection
        connection.register("delivered", rows.coverage())
        connection.execute(_COVERAGE_ROWS, [self.sheet.source, self.sheet.as_of.date()])
        connection.unregister("delivered")
        connection.execute(
            'CREATE TABLE stated AS SELECT sid, source, "first", "last" FROM coverage_rows'
            " WHERE mask = 0 AND is_allowed"
        )
        if self.sheet.first is not None and not rows.is_omop:
            connection.execute(
                f"""INSERT INTO stated SELECT sid, ?, ?::DATE, ?::DATE
                FROM (SELECT DISTINCT sid FROM rows) JOIN subjects USING (sid) ANTI JOIN coverage_rows USING (sid)
                WHERE {_RECORDS_CONSENT}""",
                [self.sheet.source, self.sheet.first, self.sheet.last],
            )

    def _note_deaths(self, deaths: Iterable[pa.Table]) -> None:
        """Make the table ``deaths``: the first day of death of each subject, in this delivery or elsewhere."""
        connection = self.connection
        connection.execute(
            "CREATE TABLE dates_of_death AS SELECT sid, CAST(began AS DATE) AS day FROM rows a"
            f" WHERE mask = 0 AND {is_any_death('a.code')}"
        )
        own = connection.execute("SELECT 1 FROM dates_of_death LIMIT 1").fetchall()
        for page in () if own else deaths:
            connection.register("page", page)
            connection.execute(
                "INSERT INTO dates_of_death SELECT sid, day FROM page JOIN subjects USING (participant_id)"
            )
            connection.unregister("page")
        connection.execute("CREATE TABLE deaths AS SELECT sid, min(day) AS day FROM dates_of_death GROUP BY sid")

    def _compare(self, *, with_coverage: bool) -> None:
        """Make the view ``judged``: the rows with the faults that take other rows to see, as ``fault``."""
        late = f"""CASE WHEN r.mask = 0 AND d.day < CAST(r.began AS DATE) AND NOT {is_any_death("r.code")}
            THEN {BIT["after_death", "time"]} ELSE 0 END"""
        join = "LEFT JOIN deaths d ON d.sid = r.sid"
        if with_coverage:
            late += f""" + CASE WHEN r.mask = 0 AND (c."last" IS NULL OR c."last" < CAST(r.began AS DATE))
                THEN {BIT["out_of_range", "time"]} ELSE 0 END"""
            join += (
                " ASOF LEFT JOIN covered c ON c.sid = r.sid AND c.source = r.source"
                ' AND c."first" <= CAST(r.began AS DATE)'
            )
        self.connection.execute(
            f"""CREATE VIEW judged AS SELECT r.sid, r.began, r."end", r.code, r.value, r.category, r.episode, r.source,
            r.mask + {late} AS fault FROM rows r {join}"""
        )

    def leave_out(self, participants: Iterable[str]) -> None:
        """Take nothing of ``participants``, who have withdrawn since their rows were judged."""
        for some in _pages(sorted(participants)):
            self.connection.execute(
                "INSERT INTO held SELECT sid FROM subjects WHERE list_contains(?::VARCHAR[], participant_id)", [some]
            )

    def events(self, *, institution: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows that are taken, with the columns of EVENTS, in any order; most texts are dictionaries."""
        people = self.connection.sql("SELECT participant_id FROM subjects ORDER BY sid").to_arrow_table().column(0)
        sound = "SELECT (SELECT count(*) FROM rows WHERE mask = 0), (SELECT sum(n) FROM tally WHERE fault = 0)"
        ((judged, compared),) = self.connection.sql(sound).fetchall()
        for batch in self._judged(len(people)) if judged == (compared or 0) else self._compared():
            origin = pa.DictionaryArray.from_arrays(pa.nulls(len(batch), pa.int8()).fill_null(0), [institution])
            columns = {name: batch.column(name) for name in EVENTS.names if name in batch.schema.names}
            columns |= {"participant_id": _people(np.asarray(batch.column("sid")), people), "institution": origin}
            columns["time"] = batch.column("began")
            yield pa.RecordBatch.from_arrays([columns[name] for name in EVENTS.names], names=EVENTS.names)

    def _judged(self, count: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows without a fault of subjects that are not held, where no other rows add a fault to them."""
        is_held = np.zeros(count, np.bool_)
        is_held[np.asarray(self.connection.sql("SELECT sid FROM held").to_arrow_table().column(0))] = True
        with pq.ParquetFile(self.path) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, use_threads=False)
                sids = np.asarray(rows.column("sid").fill_null(0))  # without a subject, a row has a fault
                keep = (np.asarray(rows.column("mask")) == 0) & ~is_held[sids]
                yield from filtered(rows, keep).combine_chunks().to_batches()

    def _compared(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows without a fault, also after they are compared with others, of subjects that are not held."""
        with self.connection.cursor() as cursor:
            yield from cursor.sql(
                "SELECT * EXCLUDE fault FROM judged ANTI JOIN held USING (sid) WHERE fault = 0"
            ).to_arrow_reader(BATCH_ROWS)

    def coverage(self) -> Iterator[pa.RecordBatch]:
        """Yield the days that were seen, in the schema COVERAGE, in any order."""
        query = """SELECT s.participant_id, c.source, c."first", c."last"
            FROM seen c JOIN subjects s USING (sid) ANTI JOIN held USING (sid)"""
        yield from self._stream(query, schema=COVERAGE)

    def _stream(self, query: str, *, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with self.connection.cursor() as cursor:
            for batch in cursor.sql(query).to_arrow_reader(BATCH_ROWS):
                yield pa.RecordBatch.from_arrays(
                    [column.cast(kind) for column, kind in zip(batch.columns, schema.types, strict=True)], schema=schema
                )

    def participants(self) -> Iterator[str]:
        """Yield the IDs of the participants of whom anything is taken, sorted."""
        query = """SELECT DISTINCT participant_id
            FROM (SELECT sid FROM tally WHERE fault = 0 UNION SELECT sid FROM seen) JOIN subjects USING (sid)
            ANTI JOIN held USING (sid) ORDER BY participant_id"""
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            while page := cursor.fetchmany(PAGE):
                yield from (row[0] for row in page)

    def verdicts(self) -> Iterator[RecordsVerdict]:
        """Yield the verdict on each registered participant of the delivery, by ID."""
        query = """SELECT participant_id, coalesce(t.fault, 0), coalesce(t.n, 0), h.sid IS NOT NULL
            FROM subjects s LEFT JOIN tally t USING (sid) LEFT JOIN (SELECT DISTINCT sid FROM held) h USING (sid)
            WHERE participant_id IS NOT NULL ORDER BY participant_id, t.fault"""
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            rows = iter(cursor.fetchone, None)
            for participant_id, group in groupby(rows, key=itemgetter(0)):
                yield _verdict(participant_id, list(group))

    def counts(self) -> dict[str, object]:
        """Return the counts of rows: ``rows accepted refused held`` of events and of coverage, and their reasons."""
        tally = self.connection.execute(
            "SELECT fault, h.sid IS NOT NULL, sum(n)::BIGINT FROM tally LEFT JOIN (SELECT DISTINCT sid FROM held) h"
            " USING (sid) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        of_coverage = self.connection.execute(
            "SELECT mask, false, count(*) FROM coverage_rows GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        return {"events": _summed(tally), "coverage": _summed(of_coverage)}


def _people(sids: npt.NDArray[np.int64], people: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return the participant of each subject by number, from 0, as a dictionary of those that occur."""
    first = int(sids.min()) if len(sids) else 0
    is_used = np.bincount(sids - first) > 0
    names = take(people, np.flatnonzero(is_used) + first).combine_chunks()
    return pa.DictionaryArray.from_arrays(arrow((np.cumsum(is_used) - 1).astype(np.int32)[sids - first]), names)


def _verdict(participant_id: str, rows: list[tuple[str, int, int, bool]]) -> RecordsVerdict:
    counts: Counter[tuple[str, str]] = Counter()
    for _, fault, n, _ in rows:
        for each in faults_in(fault):
            counts[each] += n
    total = sum(n for _, _, n, _ in rows)
    accepted = sum(n for _, fault, n, is_held in rows if not fault and not is_held)
    return verdict_on(participant_id, dict(counts), rows=total, accepted=accepted)


def _summed(tally: list[tuple[int, bool, int]]) -> dict[str, object]:
    reasons: Counter[tuple[str, str]] = Counter()
    for fault, _, n in tally:
        for each in faults_in(fault):
            reasons[each] += n
    return {
        "rows": sum(n for _, _, n in tally),
        "accepted": sum(n for fault, is_held, n in tally if not fault and not is_held),
        "refused": sum(n for fault, _, n in tally if fault),
        "held": sum(n for fault, is_held, n in tally if not fault and is_held),
        "reasons": [
            {"code": code, "column": column, "rows": count} for (code, column), count in sorted(reasons.items())
        ],
    }


def _pages(values: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(values), PAGE):
        yield values[first : first + PAGE]
