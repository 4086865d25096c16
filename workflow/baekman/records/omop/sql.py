"""The DuckDB functions that reading and writing of OMOP tables share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

# A code, as opposed to a text: short, without blanks. The shapes of resident registration numbers and of telephone
# numbers are none.
_CODE = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,19}"
_NUMBER_OF_A_PERSON = r"^[0-9]{6}[-._]?[0-9]{7}$|^0[0-9]{1,2}[-.]?[0-9]{3,4}[-.]?[0-9]{4}$"
# A unit as the dictionary has it.
_UNIT = r"[!-{}~]{1,40}"
# A code of the source for sex, race or ethnicity.
_WORD = r"[A-Za-z가-힣][A-Za-z가-힣_-]{0,19}"
# Answers that are terms: those of SNOMED CT by their semantic tag, in small letters as its terms are (a name has a
# second capital), and the words of laboratories.
_TERM = (
    r"[A-Z][a-z]+(?: (?:[a-z][a-z-]{0,24}|[A-Z]{1,5}|[0-9]{1,3}|[=+/<>%.,-]{1,4})){0,12} "
    r"[(](?:finding|qualifier value|disorder|procedure|substance|organism|situation|observable entity)[)]"
)
_ANSWERS: tuple[str, ...] = (
    "abnormal",
    "detected",
    "high",
    "low",
    "negative",
    "normal",
    "nonreactive",
    "non-reactive",
    "not detected",
)
_ANSWERS += ("positive", "reactive", "trace", "+", "++", "+++", "++++", "+-", "-", "양성", "음성", "정상")
# UCUM codes with their concepts in the OMOP vocabularies
UNITS = {
    "%": 8554,
    "/min": 8541,
    "10*3/uL": 8848,
    "10*6/uL": 8815,
    "[pH]": 8482,
    "cm": 8582,
    "fL": 8583,
    "g/L": 8636,
    "g/dL": 8713,
    "kg": 9529,
    "kg/m2": 9531,
    "mg/dL": 8840,
    "mg/g": 8723,
    "mm[Hg]": 8876,
    "mmol/L": 8753,
    "pg": 8564,
    "pg/mL": 8845,
    "ug/L": 8748,
    "ug/dL": 8837,
}


def define_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Define the functions that attributes and mappings use on ``connection``."""
    answers = ", ".join(f"'{answer}'" for answer in _ANSWERS)
    units = " ".join(f"WHEN '{unit}' THEN {concept}" for unit, concept in UNITS.items())
    for function in (
        f"is_code(t) AS regexp_full_match(t, '{_CODE}') AND NOT regexp_matches(t, '{_NUMBER_OF_A_PERSON}')",
        f"is_unit(t) AS regexp_full_match(t, '{_UNIT}')",
        "is_decimal(t) AS coalesce(regexp_full_match(t, '[+-]?[0-9]{1,7}([.][0-9]{1,6})?'), false)",
        f"is_word(t) AS coalesce(regexp_full_match(t, '{_WORD}'), false)",
        f"is_term(t) AS length(t) <= 100 AND regexp_full_match(t, '{_TERM}')",
        f"is_answer(t) AS coalesce(is_term(t) OR lower(t) IN ({answers}), false)",
        "number_text(x) AS CASE WHEN x = trunc(x) AND abs(x) < 1e15 THEN CAST(CAST(x AS BIGINT) AS VARCHAR) "
        "ELSE CAST(x AS VARCHAR) END",
        f"unit_concept(t) AS CASE t {units} END",
        "conventions_key(institution, source) AS substr(sha256(institution || chr(10) || "
        "regexp_replace(source, '[.]outside$', '')), 1, 12)",
    ):
        connection.execute(f"CREATE OR REPLACE TEMP MACRO {function}")
