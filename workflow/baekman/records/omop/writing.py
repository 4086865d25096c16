"""The SQL that turns events into rows of OMOP CDM 5.4 tables.

It reads ``events`` and ``coverage`` of some participants, ``people`` (``participant_id person_id``), and the tables of
``baekman.records.omop.meanings``. The keys of each table go on from ``{first}``.
"""

from __future__ import annotations

from baekman.records.omop.mapping import BY_NAME, Mapping
from baekman.records.omop.tables import Column, tables

ORDER = 'a.person_id, a.time, a.code, a."end", a.value, a.category, a.source, a.institution, a.episode'
# days between two occurrences of a condition that still make one era, as the standard has it
ERA_GAP = 30


def read_sql(mapping: Mapping) -> str:
    """Return the query of the events that stand for rows of ``mapping``, with what their attributes refer to."""
    symbols = "".join(
        f", coalesce(m.s_{attribute.column}, v.s_{attribute.column}, '{attribute.default}') AS s_{attribute.column}"
        for attribute in mapping.attributes
    )
    concept, text = "m.main_id", "m.main_text"
    if mapping.fixed:  # the category names the concept
        concept = "TRY_CAST(split_part(e.category, ' ', 1) AS BIGINT)"
        text = "nullif(split_part(split_part(e.category, ' ', 2), '/', 2), '')"
    return f"""
        SELECT e.*, p.person_id, {concept} AS main_id, {text} AS main_text, m.unit_text{symbols}
        FROM events e JOIN people p USING (participant_id) JOIN codes_{mapping.name} m ON m.code = e.code
        LEFT JOIN conventions_{mapping.name} v
            ON v.kind = m.kind AND v.key = conventions_key(e.institution, e.source)"""


def table_sql(mapping: Mapping, *, first: int) -> str:
    """Return the query of the rows of the table of ``mapping``, in the order of the standard's columns."""
    listed = ", ".join(f'{_column(mapping, column)} AS "{column.name}"' for column in tables()[mapping.table])
    return f"""
        WITH read AS ({read_sql(mapping)}),
        a AS (SELECT read.*, {_links(mapping)} FROM read {_joins(mapping)}),
        numbered AS (SELECT a.*, {first} + row_number() OVER (ORDER BY {ORDER}) AS key FROM a)
        SELECT {listed} FROM (
            SELECT n.*, {_previous(mapping)} AS previous_id FROM numbered n) a
        {_once(mapping)} ORDER BY a.key"""


def visit_ids_sql(*, first: int) -> str:
    """Return the statement that numbers the visits as ``table_sql`` does: ``participant_id episode visit_id``."""
    return f"""
        CREATE OR REPLACE TEMP TABLE visit_ids AS
        SELECT participant_id, episode, min(key) AS visit_id FROM (
            SELECT a.participant_id, a.episode, {first} + row_number() OVER (ORDER BY {ORDER}) AS key
            FROM ({read_sql(BY_NAME["visit_occurrence"])}) a)
        WHERE episode IS NOT NULL GROUP BY participant_id, episode"""


def part_ids_sql(*, first: int) -> str:
    """Return the statement that numbers the parts of visits: ``participant_id episode visit parts part_id``."""
    return f"""
        CREATE OR REPLACE TEMP TABLE part_ids AS
        SELECT participant_id, episode, visit, min(key) AS part_id, any_value(parts) AS parts FROM (
            SELECT a.participant_id, a.episode, split_part(a.episode, '.', 1) AS visit,
                {first} + row_number() OVER (ORDER BY {ORDER}) AS key,
                count(*) OVER (PARTITION BY a.participant_id, split_part(a.episode, '.', 1)) AS parts
            FROM ({read_sql(BY_NAME["visit_detail"])}) a)
        WHERE episode IS NOT NULL GROUP BY participant_id, episode, visit"""


def person_sql() -> str:
    """Return the query of the persons: one row for each participant, year 0 where no birth is known."""
    facts = ", ".join(
        f"{name} AS (SELECT a.* FROM ({read_sql(BY_NAME[f'person_{name}'])}) a QUALIFY row_number() OVER "
        f"(PARTITION BY a.participant_id ORDER BY a.institution, a.source, a.time, a.category) = 1)"
        for name in ("birth", "gender", "race", "ethnicity")
    )
    columns = {
        "person_id": "p.person_id",
        "year_of_birth": "coalesce(year(birth.time), 0)",
        "month_of_birth": "CASE WHEN birth.category NOT IN ('year', 'time year') THEN month(birth.time) END",
        "day_of_birth": "CASE WHEN birth.category IN ('time', 'day') THEN day(birth.time) END",
        "birth_datetime": "CASE WHEN birth.category LIKE 'time%' THEN birth.time END",
        "person_source_value": "p.participant_id",
    }
    for name in ("gender", "race", "ethnicity"):
        for attribute in BY_NAME[f"person_{name}"].attributes:
            columns[attribute.column] = attribute.write.replace("a.", f"{name}.")
        columns[f"{name}_concept_id"] = f"coalesce({columns[f'{name}_concept_id']}, 0)"
    listed = ", ".join(
        f'CAST({columns.get(column.name, "NULL")} AS {column.sql}) AS "{column.name}"' for column in tables()["person"]
    )
    joins = " ".join(f"LEFT JOIN {name} USING (participant_id)" for name in ("birth", "gender", "race", "ethnicity"))
    return f"WITH {facts} SELECT {listed} FROM people p {joins} ORDER BY p.person_id"


def observation_period_sql(*, first: int) -> str:
    """Return the query of the observation periods: the days that any source has seen, joined where they touch."""
    return f"""
        WITH seen AS (
            SELECT p.person_id, c.first, c.last, i.type FROM coverage c JOIN people p USING (participant_id)
            LEFT JOIN (
                SELECT e.participant_id, e.source, max(t.type) AS type FROM events e
                JOIN periods t ON t.key = conventions_key(e.institution, e.source) GROUP BY ALL
            ) i ON i.participant_id = c.participant_id AND i.source = c.source
            WHERE c.source NOT LIKE '%.outside'),
        begun AS (
            SELECT *, first > 1 + max(last) OVER (PARTITION BY person_id ORDER BY first, last
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_new FROM seen),
        grouped AS (
            SELECT *, count(*) FILTER (is_new) OVER (PARTITION BY person_id ORDER BY first, last
                ROWS UNBOUNDED PRECEDING) AS period FROM begun),
        periods AS (
            SELECT person_id, min(first) AS first, max(last) AS last, max(type) AS type FROM grouped
            GROUP BY person_id, period)
        SELECT {first} + row_number() OVER (ORDER BY person_id, first) AS observation_period_id, person_id,
            first AS observation_period_start_date, last AS observation_period_end_date,
            coalesce(TRY_CAST(type AS BIGINT), 32817) AS period_type_concept_id
        FROM periods ORDER BY 1"""


def condition_era_sql(*, first: int) -> str:
    """Return the query of the eras: occurrences of one condition at most 30 days apart, from ``condition_rows``.

    An occurrence without an end lasts one day, as in the standard's script.
    """
    return f"""
        WITH c AS (
            SELECT person_id, condition_concept_id AS concept, condition_start_date AS first,
                coalesce(condition_end_date, condition_start_date + 1) AS last FROM condition_rows),
        begun AS (
            SELECT *, first > {ERA_GAP} + max(last) OVER (PARTITION BY person_id, concept ORDER BY first, last
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_new FROM c WHERE concept <> 0),
        grouped AS (
            SELECT *, count(*) FILTER (is_new) OVER (PARTITION BY person_id, concept ORDER BY first, last
                ROWS UNBOUNDED PRECEDING) AS era FROM begun),
        eras AS (
            SELECT person_id, concept, min(first) AS first, max(last) AS last, count(*) AS n FROM grouped
            GROUP BY person_id, concept, era)
        SELECT {first} + row_number() OVER (ORDER BY person_id, concept, first) AS condition_era_id, person_id,
            concept AS condition_concept_id, first AS condition_era_start_date, last AS condition_era_end_date,
            n AS condition_occurrence_count
        FROM eras ORDER BY 1"""


def _column(mapping: Mapping, column: Column) -> str:
    """Return the SQL of a column of a row."""
    attribute = mapping.by_column.get(column.name)
    if column.name == f"{mapping.table}_id":
        sql = "a.key"
    elif column.name == "person_id":
        sql = "a.person_id"
    elif attribute is not None:
        sql = attribute.write
    elif column.name == mapping.start:
        sql = "CAST(a.time AS DATE)"
    elif column.name == mapping.end:
        sql = 'CAST(coalesce(a."end", a.time) AS DATE)' if column.is_required else 'CAST(a."end" AS DATE)'
    elif column.name == "visit_occurrence_id":
        sql = "coalesce(a.visit_id, 0)" if column.is_required else "a.visit_id"
    elif column.name == mapping.number:
        sql = "a.value"
    else:
        sql = "NULL"
    if column.length:
        sql = f"left({sql}, {column.length})"
    sql = f"CAST({sql} AS {column.sql})"
    return f"coalesce({sql}, 0)" if column.is_required and column.type == "integer" else sql


def _links(mapping: Mapping) -> str:
    if not _has_visit(mapping):
        return "NULL AS visit_id, NULL AS part_id"
    if mapping.name == "visit_detail":
        return "v.visit_id, NULL AS part_id"
    return "v.visit_id, coalesce(part.part_id, whole.part_id) AS part_id"


def _joins(mapping: Mapping) -> str:
    """Return the joins with the numbers of visits and of their parts."""
    if not _has_visit(mapping):
        return ""
    visit = "split_part(read.episode, '.', 1)"
    joins = f"LEFT JOIN visit_ids v ON v.participant_id = read.participant_id AND v.episode = {visit}"
    if mapping.name == "visit_detail":
        return joins
    return f"""{joins}
        LEFT JOIN part_ids part ON part.participant_id = read.participant_id AND part.episode = read.episode
            AND contains(read.episode, '.')
        LEFT JOIN part_ids whole ON whole.participant_id = read.participant_id AND whole.visit = read.episode
            AND whole.parts = 1"""


def _previous(mapping: Mapping) -> str:
    if mapping.table in ("visit_occurrence", "visit_detail"):
        return "lag(n.key) OVER (PARTITION BY n.person_id ORDER BY n.time, n.episode, n.key)"
    return "NULL"


def _once(mapping: Mapping) -> str:
    """Return the clause that keeps one death for each person."""
    if mapping.table != "death":
        return ""
    return "QUALIFY row_number() OVER (PARTITION BY a.person_id ORDER BY a.main_id IS NULL, a.key) = 1"


def _has_visit(mapping: Mapping) -> bool:
    names = {column.name for column in tables()[mapping.table]}
    return "visit_occurrence_id" in names and mapping.table != "visit_occurrence"
