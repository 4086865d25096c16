"""The judgement on each delivered row: its faults as a mask, and the row by pseudonyms where it has none.

DuckDB reads the rows as text in a stream and writes ``rows.parquet`` with the columns ``sid mask began end code
value category episode source``. A row with a fault keeps ``sid``, ``mask`` and ``began``; without registration or
consent it has no ``began`` either. ``sid`` is the number of the subject in the table ``subjects``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from baekman.files.spreadsheets import DATE, EMPTY_WORDS, ERROR_CELL, SCIENTIFIC
from baekman.privacy.personal_shapes import find_identifiers
from baekman.records.intake.delivered_rows import DeliveredRows
from baekman.records.intake.reasons import BIT
from baekman.records.intake.sheet import RecordsSheet

if TYPE_CHECKING:
    import duckdb  # not at the start of every command

ROWS_FILE = "rows.parquet"
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
CREATE MACRO is_error_cell(x) AS starts_with(x, '#') AND regexp_full_match(upper(x), {quoted(ERROR_CELL.pattern)})
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


# the first of these that holds is the only fault of a row; else ``_FAULTS`` are added up
_REFUSALS = f"""
    WHEN participant_id IS NULL AND is_changed_label(subject_code) THEN {BIT["spreadsheet_error", "subject_code"]}
    WHEN participant_id IS NULL THEN {BIT["not_registered", "subject_code"]}
    WHEN kind IS NULL AND is_error_cell(code) THEN {BIT["spreadsheet_error", "code"]}
    WHEN kind IS NULL AND is_personal(code) THEN {BIT["identifier_shape", "code"]}
    WHEN kind IS NULL THEN {BIT["unknown_code", "code"]}
    WHEN NOT is_allowed THEN {BIT["no_consent_for_scope", "code"]}
"""
_FAULTS = " + ".join(
    [
        _bit("spreadsheet_error", "time", "began IS NULL"),
        _bit("before_birth", "time", "year(began) < birth_year"),
        _bit("spreadsheet_error", "end", 'end_text IS NOT NULL AND "end" IS NULL'),
        _bit("out_of_range", "end", '"end" < began'),
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
        _text_bits("episode"),
    ]
)
_EPISODE = "substr(sha256(@secret@ || participant_id || ' ' || episode_text), 1, 12)"
_JUDGE = f"""
COPY (
WITH delivered_text AS (
    SELECT tidy(subject_code) AS subject_code, tidy("time") AS time_text,
        tidy("end") AS end_text, tidy(code) AS code, tidy(value) AS value_text,
        tidy(unit) AS unit, tidy(category) AS category_text,
        tidy(episode) AS episode_text, source
    FROM delivered
), joined AS (
    SELECT t.subject_code, t.code, t.unit, t.end_text, t.episode_text, t.source, s.sid, s.participant_id, s.birth_year,
        d.kind, d.unit AS known_unit, d.low, d.high, d.categories,
        CASE d.scope WHEN 'clinical' THEN s.clinical WHEN 'lifestyle' THEN s.lifestyle
            ELSE s.public_record_linkage END AS is_allowed,
        moment(time_text) AS began, moment(end_text) AS "end",
        CASE WHEN d.kind = 'category' AND category_text IS NULL THEN value_text ELSE category_text END AS category,
        CASE WHEN d.kind = 'category' AND category_text IS NULL THEN NULL ELSE value_text END AS value_text
    FROM delivered_text t LEFT JOIN subjects s ON s.subject_code = t.subject_code
        LEFT JOIN dictionary d ON d.code = t.code
), checked AS (
    SELECT *, number(value_text) AS value,
        CASE WHEN kind IS NULL OR number(value_text) IS NOT NULL THEN 0 ELSE text_fault(value_text) END AS value_fault,
        CASE WHEN kind IS NULL OR list_contains(categories, category) THEN 0 ELSE text_fault(category) END
            AS category_fault,
        CASE WHEN episode_text IS NULL THEN 0 WHEN is_changed_label(episode_text) THEN 1
            WHEN is_personal(episode_text) THEN 2
            WHEN regexp_full_match(episode_text, '\\S{{1,{LONGEST_EPISODE}}}') THEN 0 ELSE 3 END AS episode_fault
    FROM joined
), judged AS (
    SELECT *, CASE {_REFUSALS} ELSE {_FAULTS} + @outside@ END AS mask FROM checked
)
SELECT sid, CAST(mask AS BIGINT) AS mask, CASE WHEN is_allowed THEN began END AS began,
    CASE WHEN mask = 0 THEN "end" END AS "end", CASE WHEN mask = 0 THEN code END AS code,
    CASE WHEN mask = 0 AND kind = 'number' THEN value END AS value,
    CASE WHEN mask = 0 AND kind = 'category' THEN category END AS category,
    CASE WHEN mask = 0 AND episode_text IS NOT NULL THEN @episode@ END AS episode,
    coalesce(source, @source@) AS source
FROM judged
) TO @file@ (FORMAT parquet, COMPRESSION lz4_raw)
"""


def judge_rows(
    connection: duckdb.DuckDBPyConnection,
    rows: DeliveredRows,
    *,
    sheet: RecordsSheet,
    secret: str,
    folder: Path,
) -> None:
    """Judge every row of events and write ``rows.parquet`` to ``folder``; the table ``subjects`` must be there.

    ``secret`` is hashed with the episodes, which are names of the institution. A row must lie in the period of
    ``sheet``; days of a coverage file are compared later.
    """
    define_macros(connection)
    connection.register("dictionary", rows.dictionary.table)
    connection.register("delivered", rows.events())
    outside = "0"
    if sheet.first is not None and sheet.last is not None and not rows.has_coverage:
        outside = _bit("out_of_range", "time", f"CAST(began AS DATE) NOT BETWEEN '{sheet.first}' AND '{sheet.last}'")
    # the reader of OMOP has made words of its own for episodes, which show the parts of a visit
    episode = "episode_text" if rows.is_omop else _EPISODE.replace("@secret@", quoted(secret))
    query = _JUDGE.replace("@outside@", outside).replace("@episode@", episode)
    query = query.replace("@source@", quoted(sheet.source)).replace("@file@", quoted(str(folder / ROWS_FILE)))
    connection.execute(query)
    connection.unregister("delivered")
    connection.unregister("dictionary")


def define_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Define the macros of judging on ``connection``."""
    import duckdb

    connection.create_function(
        "has_identifier", _have_identifiers, [duckdb.sqltype("VARCHAR")], duckdb.sqltype("BOOLEAN"), type="arrow"
    )
    connection.execute(_MACROS)


def _have_identifiers(texts: pa.ChunkedArray) -> pa.Array:
    """Return for each text whether it has the shape of an identifier of a person; called with few texts."""
    return pa.array([bool(text) and _has_identifier(text) for text in texts.to_pylist()], pa.bool_())


@lru_cache(maxsize=4096)  # the rows of an episode follow each other
def _has_identifier(text: str) -> bool:
    return bool(find_identifiers(text.encode()))
