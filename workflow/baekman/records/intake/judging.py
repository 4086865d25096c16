"""The judgement on each delivered row: its faults as a mask, and the row by pseudonyms where it has none.

The rows come as text in a stream. DuckDB examines each distinct text of a block once; the rows refer to the answers by
number. ``rows.parquet`` has the columns of ``JUDGED``. A row with a fault keeps ``sid``, ``mask`` and ``began``;
without registration or consent it has no ``began`` either. ``sid`` is the number of the subject in the table
``subjects``. No text of a row with a fault is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from baekman.arrow import arrow, table_of, take
from baekman.files.spreadsheets import DATE, EMPTY_WORDS, ERROR_CELL, SCIENTIFIC
from baekman.privacy.personal_shapes import find_identifiers
from baekman.records.intake.delivered_rows import EVENT_ROW, DeliveredRows
from baekman.records.intake.distinct import Distinct, Numbers, combined, distinct, spread
from baekman.records.intake.episodes import digested_episodes
from baekman.records.intake.reasons import BIT
from baekman.records.intake.sheet import RecordsSheet
from baekman.records.intake.subjects import CONSENT_COLUMNS

if TYPE_CHECKING:
    import duckdb  # not at the start of every command

ROWS_FILE = "rows.parquet"
BLOCK_ROWS = 1 << 19
_NEVER = -(1 << 30)  # before every year
_TEXT = pa.dictionary(pa.int32(), pa.string())
_REPEATED = ["sid", "mask", "code", "category", "source"]
_JUDGED = pa.schema(
    [
        pa.field("sid", pa.int64()),
        pa.field("mask", pa.int64()),
        pa.field("began", pa.timestamp("us")),
        pa.field("end", pa.timestamp("us")),
        pa.field("code", _TEXT),
        pa.field("value", pa.float64()),
        pa.field("category", _TEXT),
        pa.field("episode", pa.int64()),  # the 48 bits of a digest; the words of OMOP are text
        pa.field("source", _TEXT),
    ]
)
LONGEST_EPISODE = 64
SHORTEST_PERSONAL = 9  # characters of a number that belongs to a person
DEATH = "DEATH/"  # the system of death and its causes
# A superset of ``privacy.personal_shapes`` without its assertions, which DuckDB does not know: the few texts that
# match are then searched by ``find_identifiers``.
_PERSONAL = (
    r"[0-9]{6}[-\x{2010}-\x{2015}\x{2212}\x{ff0d}._ ]{0,3}[0-9](?:[0-9]{6}|[*xX]{6})"
    r"|(?:\+82|0[0-9]{1,2})[-. )(0-9]{7}|@|[\x{ff10}-\x{ff19}]{2}"
)
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?"


def quoted(text: str) -> str:
    """Return ``text`` as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def is_any_death(code: str) -> str:
    """Return the SQL that asks whether the column ``code`` is a death or its cause."""
    return f"starts_with({code}, {quoted(DEATH)})"


_WORDS = ", ".join(map(quoted, sorted(EMPTY_WORDS)))
_MACROS = f"""
CREATE MACRO tidy(x) AS nullif(CASE WHEN starts_with(x, ' ') OR ends_with(x, ' ') THEN trim(x) ELSE x END, '');
CREATE MACRO is_error_cell(x) AS x[1] IN ('#', '＃', 'E', 'e')
        AND regexp_full_match(upper(replace(x, '＃', '#')), {quoted(ERROR_CELL.pattern)})
    OR length(x) <= 8 AND lower(x) IN ({_WORDS});
-- the cheap tests before AND spare most texts the regular expressions
CREATE MACRO is_changed_label(x) AS is_error_cell(x) OR CASE
    WHEN contains(x, '+') THEN regexp_full_match(x, {quoted(SCIENTIFIC.pattern)})
    WHEN x[1] BETWEEN '0' AND '9' OR x[2] BETWEEN 'A' AND 'z'
        THEN regexp_full_match(x, {quoted("(?i)" + DATE.pattern)}) ELSE false END;
CREATE MACRO is_personal(x) AS CASE WHEN length(x) >= {SHORTEST_PERSONAL} OR contains(x, '@')
    THEN CASE WHEN regexp_matches(x, {quoted(_PERSONAL)}) THEN has_identifier(x) ELSE false END ELSE false END;
CREATE MACRO moment(x) AS CASE
    WHEN length(x) = 10 AND x[5] = '-' AND x[8] = '-' THEN CAST(TRY_CAST(x AS DATE) AS TIMESTAMP)
    WHEN regexp_full_match(x, {quoted(_MOMENT)}) THEN TRY_CAST(x AS TIMESTAMP)
    WHEN regexp_full_match(x, '[0-9]{{8}}') THEN try_strptime(x, '%Y%m%d') END;
CREATE MACRO number(x) AS CASE WHEN contains(x, '_') THEN NULL ELSE TRY_CAST(x AS DOUBLE) END;
-- 0: no text; 1: error cell; 2: identifier; 3: other text
CREATE MACRO text_fault(x) AS CASE WHEN x IS NULL THEN 0 WHEN is_error_cell(x) THEN 1 WHEN is_personal(x) THEN 2
    ELSE 3 END;
"""


def _text_bits(column: str) -> str:
    """Return the SQL that turns the number of a ``text_fault`` in ``<column>_fault`` into the bits of the column."""
    codes = ("spreadsheet_error", "identifier_shape", "free_text")
    cases = " ".join(f"WHEN {number} THEN {BIT[code, column]}" for number, code in enumerate(codes, start=1))
    return f"CASE {column}_fault {cases} ELSE 0 END"


def _bit(code: str, column: str, condition: str) -> str:
    return f"CASE WHEN {condition} THEN {BIT[code, column]} ELSE 0 END"


_REFUSED_SUBJECT = f"""CASE WHEN s.participant_id IS NOT NULL THEN 0
    WHEN is_changed_label(t.subject_code) THEN {BIT["spreadsheet_error", "subject_code"]}
    ELSE {BIT["not_registered", "subject_code"]} END"""
_SUBJECTS = f"""
SELECT t.number, s.sid, s.participant_id, s.birth_year, s.clinical, s.lifestyle, s.public_record_linkage,
    {_REFUSED_SUBJECT} AS mask
FROM (SELECT number, tidy(subject_code) AS subject_code FROM texts) t
LEFT JOIN subjects s ON s.subject_code = t.subject_code
"""
_FAULTS_OF_TIME = " + ".join(
    [
        _bit("spreadsheet_error", "time", "began IS NULL"),
        _bit("spreadsheet_error", "end", 'end_text IS NOT NULL AND "end" IS NULL'),
        _bit("out_of_range", "end", '"end" < began'),
    ]
)
_TIMES = f"""
SELECT number, began, "end", year(began) AS year, {_FAULTS_OF_TIME} + @outside@ AS mask
FROM (SELECT number, end_text, moment(time_text) AS began, moment(end_text) AS "end"
    FROM (SELECT number, tidy("time") AS time_text, tidy("end") AS end_text FROM texts))
"""
_REFUSED_CODE = f"""CASE WHEN kind IS NOT NULL THEN 0
    WHEN is_error_cell(code) THEN {BIT["spreadsheet_error", "code"]}
    WHEN is_personal(code) THEN {BIT["identifier_shape", "code"]}
    ELSE {BIT["unknown_code", "code"]} END"""
_FAULTS_OF_CONTENT = " + ".join(
    [
        _text_bits("value"),
        _bit("unit_differs", "value", "kind <> 'number' AND value_fault = 0 AND value_text IS NOT NULL"),
        _bit(
            "out_of_range",
            "value",
            "kind = 'number' AND value_fault = 0 AND coalesce(unit, '') IN ('', coalesce(known_unit, ''))"
            " AND (value IS NULL OR NOT isfinite(value) OR value < low OR value > high)",
        ),
        _bit(
            "spreadsheet_error", "unit", "unit IS NOT NULL AND unit IS DISTINCT FROM known_unit AND is_error_cell(unit)"
        ),
        _bit(
            "unit_differs", "unit", "unit IS NOT NULL AND unit IS DISTINCT FROM known_unit AND NOT is_error_cell(unit)"
        ),
        _text_bits("category"),
        _bit("out_of_range", "category", "kind = 'category' AND category IS NULL"),
    ]
)
# ``scope``: 0 clinical, 1 lifestyle, 2 public_record_linkage, which is also that of an unknown code
_CONTENT = f"""
WITH delivered_text AS (
    SELECT number, tidy(code) AS code, tidy(value) AS value_text, tidy(unit) AS unit, tidy(category) AS category_text
    FROM texts
), joined AS (
    SELECT t.number, t.code, t.unit, d.kind, d.unit AS known_unit, d.low, d.high, d.categories,
        CASE d.scope WHEN 'clinical' THEN 0 WHEN 'lifestyle' THEN 1 ELSE 2 END AS scope,
        CASE WHEN d.kind = 'category' AND category_text IS NULL THEN value_text ELSE category_text END AS category,
        CASE WHEN d.kind = 'category' AND category_text IS NULL THEN NULL ELSE value_text END AS value_text
    FROM delivered_text t LEFT JOIN dictionary d ON d.code = t.code
), checked AS (
    SELECT *, number(value_text) AS value,
        CASE WHEN kind IS NULL OR number(value_text) IS NOT NULL THEN 0 ELSE text_fault(value_text) END AS value_fault,
        CASE WHEN kind IS NULL OR list_contains(categories, category) THEN 0 ELSE text_fault(category) END
            AS category_fault
    FROM joined
), judged AS (
    SELECT *, {_REFUSED_CODE} AS refused, {_FAULTS_OF_CONTENT} AS mask FROM checked
)
SELECT number, scope, refused, mask, CASE WHEN refused + mask = 0 THEN code END AS code,
    CASE WHEN refused + mask = 0 AND kind = 'number' THEN value END AS value,
    CASE WHEN refused + mask = 0 AND kind = 'category' THEN category END AS category
FROM judged
"""
# The second case is of most names: letters and digits after a letter are no label that a spreadsheet changed, and an
# identifier stands alone.
_EPISODES = f"""
WITH episodes AS (
    SELECT t.number, s.participant_id, tidy(t.episode) AS episode_text,
    FROM texts t LEFT JOIN subjects s ON s.subject_code = tidy(t.subject_code)
), checked AS (
    SELECT *, CASE WHEN episode_text IS NULL THEN 0
        WHEN length(episode_text) BETWEEN {SHORTEST_PERSONAL} AND {LONGEST_EPISODE}
            AND regexp_full_match(episode_text, '[A-Za-z][A-Za-z0-9]*') THEN 0
        WHEN is_changed_label(episode_text) THEN 1 WHEN is_personal(episode_text) THEN 2
        WHEN regexp_full_match(episode_text, '\\S{{1,{LONGEST_EPISODE}}}') THEN 0 ELSE 3 END AS episode_fault
    FROM episodes
)
SELECT number, CASE WHEN episode_text IS NOT NULL AND episode_fault = 0 THEN @episode@ END AS episode,
    {_text_bits("episode")} AS mask
FROM checked
"""
_EPISODE = "CAST('0x' || substr(sha256(@secret@ || participant_id || ' ' || episode_text), 1, 12) AS BIGINT)"


def judge_rows(
    connection: duckdb.DuckDBPyConnection,
    rows: DeliveredRows,
    *,
    sheet: RecordsSheet,
    secret: str,
    folder: Path,
    note_subjects: Callable[[Iterable[pa.Array]], None] | None = None,
) -> None:
    """Judge every row of events and write ``rows.parquet`` to ``folder``; the table ``subjects`` must be there.

    ``note_subjects`` adds subject codes to the table before their rows are judged.

    ``secret`` is hashed with the episodes, which are names of the institution. A row must lie in the period of
    ``sheet``; days of a coverage file are compared later.
    """
    define_macros(connection)
    connection.register("dictionary", rows.dictionary.table)
    outside = "0"
    if sheet.first is not None and sheet.last is not None and not rows.has_coverage:
        outside = _bit("out_of_range", "time", f"CAST(began AS DATE) NOT BETWEEN '{sheet.first}' AND '{sheet.last}'")
    # the reader of OMOP has made words of its own for episodes, which show the parts of a visit
    episode = "episode_text" if rows.is_omop else _EPISODE.replace("@secret@", quoted(secret))
    judge = _Judge(
        connection=connection,
        times=_TIMES.replace("@outside@", outside),
        episodes=_EPISODES.replace("@episode@", episode),
        secret=None if rows.is_omop else secret,
        source=sheet.source,
    )
    options: dict[str, Any] = {"compression": "none", "write_statistics": False, "use_dictionary": _REPEATED}
    with pq.ParquetWriter(folder / ROWS_FILE, judge.schema, **options) as writer:
        for block in _blocks(rows.events()):
            if note_subjects is not None:
                note_subjects([block.column("subject_code").unique()])
            writer.write_table(judge.judged(block))
    connection.unregister("dictionary")


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the rows in tables of about ``BLOCK_ROWS``."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= BLOCK_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """The judgement on blocks of rows: distinct texts by SQL, and rows by the numbers of their texts."""

    connection: duckdb.DuckDBPyConnection
    times: str
    episodes: str
    secret: str | None  # None: the episodes are words of OMOP
    source: str

    @property
    def schema(self) -> pa.Schema:
        """Return the schema of judged rows."""
        place = _JUDGED.get_field_index("episode")
        return _JUDGED if self.secret is not None else _JUDGED.set(place, pa.field("episode", _TEXT))

    def judged(self, block: pa.Table) -> pa.Table:
        """Return the rows of a block in the schema of judged rows."""
        texts = {name: distinct(block.column(name)) for name in EVENT_ROW}
        places, people = self._examined(_SUBJECTS, texts["subject_code"], "subject_code")
        subjects = places.take(texts["subject_code"].rows)
        times, moments = self._examined_rows(self.times, texts, "time", "end")
        contents, content = self._examined_rows(_CONTENT, texts, "code", "value", "unit", "category")
        episodes, digests, faults = self._episodes(texts, people, places)
        permits = np.stack([_flags(people[name]) for name in CONSENT_COLUMNS.values()])
        every = np.ones(len(subjects), np.bool_)
        is_allowed = every if permits.all() else permits[_numbers(content["scope"]).take(contents), subjects]
        born, year = _numbers(people["birth_year"], missing=_NEVER), _numbers(moments["year"], missing=-_NEVER)
        mask = np.zeros(len(subjects), np.int64)
        for each, rows in ((content["mask"], contents), (moments["mask"], times), (faults, episodes)):
            if (bits := _numbers(each)).any():
                mask += bits.take(rows)
        if year.min(initial=-_NEVER) < born.max(initial=_NEVER):
            mask += np.where(year.take(times) < born.take(subjects), BIT["before_birth", "time"], 0)
        # the first refusal that holds is the only fault of a row
        mask[~is_allowed] = BIT["no_consent_for_scope", "code"]
        for each, rows in ((content["refused"], contents), (people["mask"], subjects)):
            if (bits := _numbers(each)).any():
                mask = np.where((refused := bits.take(rows)) != 0, refused, mask)
        sound = mask == 0
        sources = texts["source"]
        columns = {
            "sid": spread(people["sid"], subjects, keep=every),
            "mask": arrow(mask),
            "began": spread(moments["began"], times, keep=is_allowed),
            "end": spread(moments["end"], times, keep=sound),
            **{name: spread(content[name], contents, keep=sound) for name in ("code", "value", "category")},
            "episode": spread(digests, episodes, keep=sound),
            "source": spread(sources.columns[0].fill_null(self.source), sources.rows, keep=every),
        }
        return table_of(self.schema, columns)

    def _episodes(
        self, texts: Mapping[str, Distinct], people: pa.Table, places: Numbers
    ) -> tuple[Numbers, pa.Array | pa.ChunkedArray, Numbers | pa.ChunkedArray]:
        """Return the place of each row's episode, the episodes as they are written, and the bits of their faults."""
        if self.secret is None:
            rows, names = self._examined_rows(self.episodes, texts, "subject_code", "episode")
            return rows, names["episode"], names["mask"]
        pairs = combined(texts["subject_code"], texts["episode"])
        persons = people["participant_id"].combine_chunks().dictionary_encode()
        participants = take(persons, places[pairs.members[0]])
        digests, mask = digested_episodes(self.connection, pairs, participants, secret=self.secret, query=self.episodes)
        return pairs.rows, digests, mask

    def _examined_rows(self, query: str, texts: Mapping[str, Distinct], *names: str) -> tuple[Numbers, pa.Table]:
        """Return the place of each row in the answers of ``query`` to the distinct texts of the columns ``names``."""
        values = combined(*(texts[name] for name in names))
        places, answers = self._examined(query, values, *names)
        return places.take(values.rows), answers

    def _examined(self, query: str, values: Distinct, *names: str) -> tuple[Numbers, pa.Table]:
        """Return the place of each distinct value in the answers of ``query``."""
        self.connection.register("texts", values.table(names))
        answers = self.connection.sql(query).to_arrow_table()
        self.connection.unregister("texts")
        places = np.empty(values.count, np.int64)
        places[_numbers(answers["number"])] = np.arange(values.count)
        return places, answers


def _numbers(column: pa.ChunkedArray | Numbers, *, missing: int = 0) -> Numbers:
    if isinstance(column, np.ndarray):
        return column
    return np.asarray(column.fill_null(missing)).astype(np.int64, copy=False)


def _flags(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(column.fill_null(False)).astype(np.bool_, copy=False)


def define_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Define the macros of judging on ``connection``."""
    import duckdb

    connection.create_function(
        "has_identifier", _have_identifiers, [duckdb.sqltype("VARCHAR")], duckdb.sqltype("BOOLEAN"), type="arrow"
    )
    connection.execute(_MACROS)


def _have_identifiers(texts: pa.ChunkedArray) -> pa.Array:
    """Return for each text whether it has the shape of an identifier of a person; called with few texts."""
    return pa.array([bool(text) and bool(find_identifiers(text.encode())) for text in texts.to_pylist()], pa.bool_())
