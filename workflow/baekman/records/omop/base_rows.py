"""The SQL that turns OMOP rows into rows with started, ended, number, answer, kind, symbols and a key."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

from baekman.records.omop.mapping import Mapping
from baekman.records.omop.sql import UNITS
from baekman.records.omop.tables import tables

# the table that a concept of a domain belongs to
NATURAL_TABLES = {
    "Condition": "condition_occurrence",
    "Drug": "drug_exposure",
    "Procedure": "procedure_occurrence",
    "Measurement": "measurement",
    "Observation": "observation",
    "Device": "device_exposure",
    "Visit": "visit_occurrence",
}
MOST_TEXTS = 16  # different source values of one concept
MOST_HEADER = 1 << 16  # characters
_CONCEPT_COLUMNS = ("unit_concept_id", "value_as_concept_id")


def scan(path: Path) -> str:
    """Return the table function that reads ``path``; every column of CSV as text, separated by commas or tabs."""
    quoted = str(path).replace("'", "''")
    if path.name.lower().endswith(".parquet"):
        return f"read_parquet('{quoted}')"
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as lines:
        header = lines.readline(MOST_HEADER)
    separator, quote = ("\t", "") if "\t" in header else (",", '"')
    names = next(csv.reader([header], delimiter=separator), [])
    columns = ", ".join(f"'{_name(name)}': 'VARCHAR'" for name in names)
    dialect = f"delim = '{separator}', quote = '{quote}', escape = '{quote}', nullstr = ''"
    return f"read_csv('{quoted}', auto_detect = false, header = true, columns = {{{columns}}}, {dialect})"


def _name(name: str) -> str:
    return name.strip().lower().replace("'", "''")


def raw_view(table: str, path: Path | None, columns: Sequence[str]) -> str:
    """Return the statement that makes the view of a table with all columns of the standard, null where absent."""
    present = {column.lower() for column in columns}
    listed = ", ".join(
        f'TRY_CAST("{c.name}" AS {c.sql}) AS "{c.name}"'
        if c.name in present
        else f'CAST(NULL AS {c.sql}) AS "{c.name}"'
        for c in tables()[table]
    )
    origin = f"FROM {scan(path)}" if path is not None else "WHERE false"
    return f"CREATE TEMP VIEW raw_{table} AS SELECT {listed} {origin}"


def person_view() -> str:
    """Return the statement that makes the view of persons with the date of birth, ``born``."""
    return """
        CREATE TEMP VIEW born_person AS SELECT *,
            try_cast(printf('%04d-%02d-%02d', year_of_birth, coalesce(month_of_birth, 1), coalesce(day_of_birth, 1))
                AS DATE) AS born
        FROM raw_person"""


def concepts_sql(mappings: Sequence[Mapping]) -> str:
    """Return the statement that makes the table of the concepts in use: ``concept_id text code name natural_table``."""
    used = " UNION ".join(
        f"SELECT {column} AS concept_id FROM raw_{mapping.table}"
        for mapping in mappings
        for column in (mapping.concept, mapping.source_concept, *_CONCEPT_COLUMNS)
        if column and any(c.name == column for c in tables()[mapping.table])
    )
    units = ", ".join(f"({concept}, '{unit}')" for unit, concept in UNITS.items())
    natural = " ".join(f"WHEN '{domain}' THEN '{table}'" for domain, table in NATURAL_TABLES.items())
    permitted = (
        "regexp_full_match(concept_code, '[A-Za-z0-9][A-Za-z0-9._-]{0,29}') AND "
        "regexp_full_match(vocabulary_id, '[A-Za-z][A-Za-z0-9_ -]{0,31}')"
    )
    return f"""
        CREATE TEMP TABLE concepts AS
        WITH used AS ({used}),
        delivered AS (
            SELECT concept_id, any_value(concept_code ORDER BY concept_code) AS concept_code,
                any_value(replace(vocabulary_id, ' ', '_') ORDER BY concept_code) AS vocabulary_id,
                any_value(concept_name ORDER BY concept_code) AS concept_name,
                any_value(domain_id ORDER BY concept_code) AS domain_id
            FROM raw_concept SEMI JOIN used USING (concept_id) WHERE concept_id <> 0 GROUP BY concept_id)
        SELECT concept_id, CASE WHEN {permitted} THEN concept_code END AS text,
            CASE WHEN {permitted} THEN vocabulary_id || '/' || concept_code ELSE 'OMOP/' || concept_id END AS code,
            coalesce(nullif(trim(regexp_replace(concept_name, '[\\x00-\\x1f\\x7f|]', ' ', 'g'))[1:200], ''),
                'OMOP concept ' || concept_id) AS name,
            CASE domain_id {natural} ELSE '' END AS natural_table, concept_code AS unit
        FROM delivered
        UNION ALL
        SELECT concept_id, NULL, 'OMOP/' || concept_id, 'OMOP concept ' || concept_id, '', unit
        FROM (VALUES {units}) known(concept_id, unit) ANTI JOIN delivered USING (concept_id)"""


def texts_sql(mappings: Sequence[Mapping]) -> str:
    """Return the statement that makes the table of the source's texts that are kept: ``place concept value``.

    A text has the shape of a code, unit or word. Of one concept there are at most ``MOST_TEXTS``; where more are, they
    number rows. Where no concept is named there may be more, each of two persons at least.
    """
    queries = []
    for mapping in mappings:
        shapes = {mapping.source_text: "is_word" if mapping.table == "person" else "is_code"}
        if any(column.name == "unit_source_value" for column in tables()[mapping.table]):
            shapes["unit_source_value"] = "is_unit"
        for column, shape in shapes.items():
            if column:
                queries.append(f"""
                    SELECT '{mapping.name}.{column}' AS place, coalesce({mapping.concept}, 0) AS concept,
                        {column} AS value, count(DISTINCT person_id) AS persons
                    FROM raw_{mapping.table} WHERE {shape}({column}) GROUP BY ALL""")
    return f"""
        CREATE TEMP TABLE texts AS SELECT place, concept, value FROM ({" UNION ALL ".join(queries)})
        QUALIFY count(*) OVER (PARTITION BY place, concept) <= {MOST_TEXTS} OR concept = 0 AND persons > 1"""


def visits_sql() -> str:
    """Return the statement that makes the table of visits: their rank among those that begin together, their parts.

    The rank follows the links to the visit before, up to three visits that begin at the same time.
    """
    return """
        CREATE TEMP TABLE visits AS
        WITH v AS (
            SELECT visit_occurrence_id AS id, person_id, preceding_visit_occurrence_id AS before,
                coalesce(visit_start_datetime, CAST(visit_start_date AS TIMESTAMP)) AS started
            FROM raw_visit_occurrence),
        ranked AS (
            SELECT v.id, any_value(v.person_id) AS person_id, any_value(v.started) AS started,
                CASE WHEN count(first.id) = 0 THEN 0 WHEN count(second.id) = 0 THEN 1 ELSE 2 END AS rank
            FROM v
            LEFT JOIN v first ON first.id = v.before AND first.person_id = v.person_id AND first.started = v.started
            LEFT JOIN v second ON second.id = first.before AND second.person_id = v.person_id
                AND second.started = v.started
            GROUP BY v.id),
        details AS (
            SELECT visit_occurrence_id AS id, count(*) AS parts FROM raw_visit_detail GROUP BY visit_occurrence_id),
        named AS (
            SELECT r.*, coalesce(d.parts, 0) AS parts,
                'V' || rank || upper(substr(sha256($secret || s.subject_code || ':' || r.id), 1, 14)) AS episode
            FROM ranked r JOIN subjects s USING (person_id) LEFT JOIN details d USING (id))
        SELECT *, lag(id) OVER (PARTITION BY person_id ORDER BY started, episode) AS previous_id FROM named"""


def encoded_sql(mapping: Mapping) -> str:
    """Return the query of the encoded rows of ``mapping``.

    Its columns: ``subject_code started ended number unit_text answer kind main_id main_code main_name natural_table
    standard_code standard_name episode is_outside key``, and ``s_<attribute>`` for each attribute.
    """
    symbols = [f"{attribute.read} AS s_{attribute.column}" for attribute in mapping.attributes]
    names = [f"s_{attribute.column}" for attribute in mapping.attributes]
    key = ", ".join(["CAST(main_id AS VARCHAR)", "kind", "coalesce(unit_text, '')", *names])
    return f"""
        WITH {_coded(mapping)},
        r AS ({_completed(mapping)}),
        symbols AS (SELECT r.subject_code, r.person_id, r.started, r.ended, r.number, r.answer, r.main_id, r.main_code,
            r.main_name, r.natural_table, r.standard_code, r.standard_name, r.episode,
            CASE WHEN r.number IS NOT NULL THEN r.unit_text END AS unit_text,
            CASE WHEN r.number IS NOT NULL THEN 'number' WHEN r.answer IS NOT NULL THEN 'category' ELSE 'event' END
                AS kind{"".join(", " + symbol for symbol in symbols)} FROM r)
        SELECT symbols.* EXCLUDE (person_id), md5(concat_ws(chr(31), {key})) AS key,
            NOT EXISTS (SELECT 1 FROM periods p WHERE p.person_id = symbols.person_id
                AND CAST(symbols.started AS DATE) BETWEEN p.observation_period_start_date
                AND p.observation_period_end_date) AS is_outside
        FROM symbols"""


def _coded(mapping: Mapping) -> str:
    """Return the part that finds the concept that names the code: the source's where it has one of its own."""
    origin = "born_person" if mapping.table == "person" else f"raw_{mapping.table}"
    concept = f"coalesce({mapping.concept}, 0)" if mapping.concept else "0"
    source = mapping.source_concept or "NULL"
    return f"""
        x AS (SELECT *, {concept} AS standard_id, CAST({source} AS BIGINT) AS source_id FROM {origin}
            WHERE person_id IS NOT NULL OR {mapping.start} IS NOT NULL),  -- some fill an empty table with such a row
        k AS (SELECT x.*, CASE WHEN x.source_id NOT IN (0, x.standard_id) AND c.text IS NOT NULL THEN x.source_id
            ELSE x.standard_id END AS main_id
        FROM x LEFT JOIN concepts c ON c.concept_id = x.source_id)"""


def _completed(mapping: Mapping) -> str:
    """Return the query of the table's rows with all columns that the symbols refer to."""
    columns = {column.name for column in tables()[mapping.table]}
    has_visit = "visit_occurrence_id" in columns
    has_unit, text = "unit_source_value" in columns, mapping.source_text
    answer, answer_from = _answer(mapping)
    return f"""
        SELECT k.*, s.subject_code, m.text AS main_text, coalesce(m.code, 'OMOP/' || k.main_id) AS main_code,
            coalesce(m.name, 'OMOP concept ' || k.main_id) AS main_name, coalesce(m.natural_table, '') AS natural_table,
            CASE WHEN k.main_id <> k.standard_id AND k.standard_id <> 0
                THEN coalesce(t.code, 'OMOP/' || k.standard_id) END AS standard_code,
            coalesce(t.name, 'OMOP concept ' || k.standard_id) AS standard_name,
            {_moment(mapping.start, mapping.start_time)} AS started,
            {_end(mapping)} AS ended,
            {f"CAST({mapping.number} AS DOUBLE)" if mapping.number else "CAST(NULL AS DOUBLE)"} AS number,
            {"coalesce(u.unit, uq.value)" if has_unit else "CAST(NULL AS VARCHAR)"} AS unit_text,
            {"q.value IS NOT NULL" if text else "false"} AS is_kept_code,
            {"uq.value IS NOT NULL" if has_unit else "false"} AS is_kept_unit,
            {answer} AS answer, {answer_from} AS answer_from,
            {_episode(mapping)} AS episode,
            {"v.parts" if has_visit else "0"} AS parts, {_previous(mapping)} AS previous_id
        FROM k LEFT JOIN subjects s USING (person_id)
        LEFT JOIN concepts m ON m.concept_id = k.main_id
        LEFT JOIN concepts t ON t.concept_id = k.standard_id
        {"LEFT JOIN visits v ON v.id = k.visit_occurrence_id AND v.person_id = k.person_id" if has_visit else ""}
        {"LEFT JOIN concepts u ON u.concept_id = k.unit_concept_id" if has_unit else ""}
        {_text_join("uq", mapping, "unit_source_value") if has_unit else ""}
        {_text_join("q", mapping, text) if text else ""}
        {"LEFT JOIN concepts w ON w.concept_id = k.value_as_concept_id" if mapping.answers else ""}"""


def _text_join(alias: str, mapping: Mapping, column: str) -> str:
    return (
        f"LEFT JOIN texts {alias} ON {alias}.place = '{mapping.name}.{column}' AND {alias}.concept = k.standard_id "
        f"AND {alias}.value = k.{column}"
    )


def _moment(date: str, time: str) -> str:
    """Return the moment of a date and a nullable time: midnight where the time is absent or of another day."""
    return f"CASE WHEN CAST(k.{time} AS DATE) = k.{date} THEN k.{time} ELSE CAST(k.{date} AS TIMESTAMP) END"


def _end(mapping: Mapping) -> str:
    """Return the moment at which a row ends; null without an end."""
    if not mapping.end:
        return "CAST(NULL AS TIMESTAMP)"
    moment = _moment(mapping.end, mapping.end_time)
    return f"CASE WHEN {mapping.is_open} THEN NULL ELSE {moment} END" if mapping.is_open else moment


def _answer(mapping: Mapping) -> tuple[str, str]:
    """Return the SQL of the category of a row, and of the column that it came from."""
    if mapping.category:
        return mapping.category.replace("r.main_code", "m.code").replace("r.", "k."), "''"
    if not mapping.answers:
        return "CAST(NULL AS VARCHAR)", "''"
    named = "CAST(k.value_as_concept_id AS VARCHAR) || coalesce(' ' || w.name[1:80], '')"
    cases = [
        ("k.value_as_concept_id <> 0", named, column)
        if column == "value_as_concept_id"
        else (f"is_answer(k.{column})", f"k.{column}", column)
        for column in mapping.answers
    ]
    number = f"({mapping.number}) IS NOT NULL"
    answer = " ".join(f"WHEN {test} THEN {value}" for test, value, _ in cases)
    origin = " ".join(f"WHEN {test} THEN '{column}'" for test, _, column in cases)
    return f"CASE WHEN {number} THEN NULL {answer} END", f"CASE WHEN {number} THEN '' {origin} ELSE '' END"


def _episode(mapping: Mapping) -> str:
    """Return the SQL of the episode: that of the visit, with the part of the visit where it has several."""
    columns = {column.name for column in tables()[mapping.table]}
    if mapping.table == "visit_occurrence":
        return "v.episode"
    if "visit_detail_id" not in columns:
        return "CAST(NULL AS VARCHAR)"
    part = "'.' || upper(substr(sha256(v.episode || ':' || k.visit_detail_id), 1, 6))"
    return f"v.episode || CASE WHEN v.parts > 1 AND k.visit_detail_id IS NOT NULL THEN {part} ELSE '' END"


def _previous(mapping: Mapping) -> str:
    if mapping.table == "visit_occurrence":
        return "v.previous_id"
    if mapping.table == "visit_detail":
        order = f"{_moment(mapping.start, mapping.start_time)}, {_episode(mapping)}, k.visit_detail_id"
        return f"lag(k.visit_detail_id) OVER (PARTITION BY k.person_id ORDER BY {order})"
    return "CAST(NULL AS BIGINT)"
