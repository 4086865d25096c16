"""Attributes: columns of an OMOP table that are read as a short symbol and written from it.

SQL to read refers to the row as ``r``; SQL to write refers to the event as ``a``, and to the symbol of an attribute as
``a.s_<attribute>``. ``baekman.records.omop.mapping.Mapping`` describes the columns of both. The symbol ``*`` stands for
a row where every symbol writes the same, and ``decimal|number`` for one where either does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["delivery", "code"]

EHR = "32817"  # type concept: a record of an electronic health record
ANY = "*"


@dataclass(frozen=True)
class Attribute:
    """A column that is read as the symbol ``read`` and written as ``write``.

    ``default`` is the symbol of events that came from no OMOP table. ``level`` says who decides on the usual symbol:
    the source of an institution for all rows of a table and kind, or the code. An attribute without ``write`` is no
    column of the table; others refer to its symbol.
    """

    column: str
    read: str
    write: str
    default: str = "none"
    level: Level = "delivery"


def _literal(column: str) -> str:
    return f"coalesce(CAST(r.{column} AS VARCHAR), 'none')"


def integer(column: str, *, default: str = "none") -> Attribute:
    """Return the attribute of a column of whole numbers."""
    return Attribute(column, _literal(column), f"TRY_CAST(a.s_{column} AS BIGINT)", default)


def limit(column: str) -> Attribute:
    """Return the attribute of a limit of a measurement."""
    return Attribute(column, _literal(column), f"TRY_CAST(a.s_{column} AS DOUBLE)", level="code")


def amount(column: str) -> Attribute:
    """Return the attribute of a quantity: the value of the event; where that has none, zero or null."""
    read = f"CASE WHEN r.number IS NOT NULL THEN 'value' ELSE {_literal(column)} END"
    return Attribute(
        column, read, f"CASE a.s_{column} WHEN 'value' THEN a.value ELSE TRY_CAST(a.s_{column} AS DOUBLE) END", "value"
    )


def time(column: str, date: str, *, is_end: bool = False) -> Attribute:
    """Return the attribute of a column of date and time: it is filled in, or is null."""
    read = (
        f"CASE WHEN r.{date} IS NULL THEN '{ANY}' "
        f"WHEN r.{column} IS NULL OR CAST(r.{column} AS DATE) <> r.{date} THEN 'none' ELSE 'time' END"
    )
    event = 'a."end"' if is_end else "a.time"
    return Attribute(column, read, f"CASE a.s_{column} WHEN 'time' THEN {event} END", "time")


def drug_end_time() -> Attribute:
    """Return the attribute of the date and time that an exposure ends: without a known end that of its start."""
    attribute = time("drug_exposure_end_datetime", "drug_exposure_end_date")
    write = attribute.write.replace("a.time", 'coalesce(a."end", a.time)')
    return Attribute(attribute.column, attribute.read, write, attribute.default)


def category_concept(column: str) -> Attribute:
    """Return the attribute of a concept whose number begins the category."""
    return Attribute(column, "'category'", "TRY_CAST(split_part(a.category, ' ', 1) AS BIGINT)", "category")


def concept(column: str) -> Attribute:
    """Return the attribute of the standard concept: that of the code, or another one."""
    read = f"CASE WHEN r.{column} = r.main_id THEN 'same' ELSE coalesce(CAST(r.{column} AS VARCHAR), '0') END"
    write = f"CASE a.s_{column} WHEN 'same' THEN a.main_id ELSE TRY_CAST(a.s_{column} AS BIGINT) END"
    return Attribute(column, read, write, "same", "code")


def source_concept(column: str) -> Attribute:
    """Return the attribute of the source's concept: that of the code, another one, zero or null."""
    read = (
        f"CASE WHEN r.{column} IS NULL THEN 'none' WHEN r.{column} = r.main_id THEN 'same' "
        f"ELSE CAST(r.{column} AS VARCHAR) END"
    )
    write = f"CASE a.s_{column} WHEN 'same' THEN a.main_id ELSE TRY_CAST(a.s_{column} AS BIGINT) END"
    return Attribute(column, read, write, "0")


def source_value(column: str) -> Attribute:
    """Return the attribute of a source value: the code, a number made of it, another code, or nothing."""
    read = (
        f"CASE WHEN r.{column} IS NULL THEN 'none' WHEN r.{column} = r.main_text THEN 'code' "
        f"WHEN r.{column} = r.main_text || '.0' THEN 'code.0' "
        f"WHEN r.is_kept_code THEN '=' || r.{column} ELSE 'none' END"
    )
    return Attribute(
        column, read, _text(column, "WHEN 'code' THEN a.main_text WHEN 'code.0' THEN a.main_text || '.0'"), "code"
    )


def _text(column: str, cases: str) -> str:
    symbol = f"a.s_{column}"
    return f"CASE {symbol} {cases} ELSE CASE WHEN {symbol} LIKE '=%' THEN substr({symbol}, 2) END END"


def codes(prefix: str) -> tuple[Attribute, ...]:
    """Return the attributes of the concept, the source's concept and value, and the type of a record."""
    return (
        concept(f"{prefix}_concept_id"),
        source_concept(f"{prefix}_source_concept_id"),
        source_value(f"{prefix}_source_value"),
        integer(f"{prefix}_type_concept_id", default=EHR),
    )


def detail() -> Attribute:
    """Return the attribute of the link to a part of a visit: its only part, or none; the episode names other parts."""
    return Attribute(
        "visit_detail_id",
        f"CASE WHEN r.parts = 1 THEN CASE WHEN r.visit_detail_id IS NULL THEN 'none' ELSE 'only' END ELSE '{ANY}' END",
        "CASE WHEN a.s_visit_detail_id <> 'none' OR contains(a.episode, '.') THEN a.part_id END",
    )


def previous(column: str) -> Attribute:
    """Return the attribute of the visit before: the previous one of the person, or none."""
    return Attribute(
        column,
        f"CASE WHEN r.{column} IS NULL AND r.previous_id IS NULL THEN '{ANY}' "
        f"WHEN r.{column} = r.previous_id THEN 'previous' WHEN r.{column} = 0 THEN '0' ELSE 'none' END",
        f"CASE a.s_{column} WHEN 'previous' THEN a.previous_id WHEN '0' THEN 0 END",
        "previous",
    )


def days(column: str) -> Attribute:
    """Return the attribute of a number of days: those up to the end, one more, or another number."""
    between = "date_diff('day', CAST(r.started AS DATE), CAST(coalesce(r.ended, r.started) AS DATE))"
    read = (
        f"CASE WHEN r.{column} IS NULL THEN 'none' WHEN r.{column} = {between} THEN 'days' "
        f"WHEN r.{column} = {between} + 1 THEN 'days+1' ELSE CAST(r.{column} AS VARCHAR) END"
    )
    written = "date_diff('day', CAST(a.time AS DATE), CAST(coalesce(a.\"end\", a.time) AS DATE))"
    write = (
        f"CASE a.s_{column} WHEN 'days' THEN {written} WHEN 'days+1' THEN {written} + 1 "
        f"ELSE TRY_CAST(a.s_{column} AS BIGINT) END"
    )
    return Attribute(column, read, write, "days")


def other_end(column: str) -> Attribute:
    """Return the attribute of a second end date: the end itself, days after the start, or null."""
    read = (
        f"CASE WHEN r.{column} IS NULL THEN CASE WHEN r.ended IS NULL THEN '{ANY}' ELSE 'none' END "
        f"WHEN r.{column} = CAST(r.ended AS DATE) THEN 'end' "
        f"ELSE CAST(date_diff('day', CAST(r.started AS DATE), r.{column}) AS VARCHAR) END"
    )
    write = (
        f"CASE a.s_{column} WHEN 'end' THEN CAST(a.\"end\" AS DATE) "
        f"ELSE CAST(a.time AS DATE) + TRY_CAST(a.s_{column} AS INTEGER) END"
    )
    return Attribute(column, read, write, "end")


def number() -> Attribute:
    """Return the attribute of the number of a measurement: the value, or null where only the source's text has it."""
    return Attribute(
        "value_as_number",
        "CASE WHEN r.value_as_number IS NULL THEN 'none' ELSE 'value' END",
        "CASE a.s_value_as_number WHEN 'value' THEN a.value END",
        "value",
    )


def answer_concept() -> Attribute:
    """Return the attribute of an answer that is a concept: that of the category, another one, zero or null."""
    read = f"CASE WHEN r.answer_from = 'value_as_concept_id' THEN 'category' ELSE {_literal('value_as_concept_id')} END"
    write = (
        "CASE a.s_value_as_concept_id WHEN 'category' THEN TRY_CAST(split_part(a.category, ' ', 1) AS BIGINT) "
        "ELSE TRY_CAST(a.s_value_as_concept_id AS BIGINT) END"
    )
    return Attribute("value_as_concept_id", read, write)


def answer_text(column: str, *, default: str = "none") -> Attribute:
    """Return the attribute of an answer as text: the number, the category, or nothing."""
    read = (
        f"CASE WHEN r.{column} IS NULL THEN 'none' WHEN r.answer = r.{column} THEN 'category' "
        f"WHEN r.{column} = number_text(r.number) AND r.{column} = CAST(r.number AS VARCHAR) THEN 'decimal|number' "
        f"WHEN r.{column} = number_text(r.number) THEN 'number' "
        f"WHEN r.{column} = CAST(r.number AS VARCHAR) THEN 'decimal' ELSE 'none' END"
    )
    write = (
        f"CASE a.s_{column} WHEN 'category' THEN a.category WHEN 'number' THEN number_text(a.value) "
        "WHEN 'decimal' THEN CAST(a.value AS VARCHAR) END"
    )
    return Attribute(column, read, write, default)


def unit() -> tuple[Attribute, ...]:
    """Return the attributes of the unit: of a number that of the code, else zero or null."""
    source = "unit_source_value"
    read = (
        f"CASE WHEN r.{source} IS NULL AND r.unit_text IS NULL THEN '{ANY}' WHEN r.{source} IS NULL THEN 'none' "
        f"WHEN r.number IS NOT NULL AND r.{source} = r.unit_text THEN 'unit' "
        f"WHEN r.is_kept_unit THEN '=' || r.{source} ELSE 'none' END"
    )
    return (
        Attribute(
            "unit", f"CASE WHEN r.number IS NULL THEN '{ANY}' ELSE {_literal('unit_concept_id')} END", "", "", "code"
        ),
        Attribute(
            "unit_concept_id",
            f"CASE WHEN r.number IS NOT NULL THEN 'unit' ELSE {_literal('unit_concept_id')} END",
            "CASE a.s_unit_concept_id WHEN 'unit' THEN coalesce(TRY_CAST(a.s_unit AS BIGINT), "
            "CASE a.s_unit WHEN '' THEN unit_concept(a.unit_text) END) "
            "ELSE TRY_CAST(a.s_unit_concept_id AS BIGINT) END",
            "unit",
        ),
        Attribute(source, read, _text(source, "WHEN 'unit' THEN a.unit_text"), "unit"),
    )
