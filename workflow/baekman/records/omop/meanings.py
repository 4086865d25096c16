"""The OMOP row that each code of a dictionary stands for, as tables that DuckDB joins with events."""

from __future__ import annotations

import re

import pyarrow as pa

from baekman.records.dictionary import Dictionary, Entry
from baekman.records.omop.codes import CONVENTIONS, Meaning, conventions, meaning_of
from baekman.records.omop.mapping import BY_NAME, MAPPINGS, Mapping

# the table of an event with a code that no OMOP delivery brought, by the system of the code
TABLE_OF_SYSTEM = {
    "KCD8": "condition_occurrence",
    "HPO": "condition_occurrence",
    "CANCER": "condition_occurrence",
    "ATC": "drug_exposure",
    "EDI": "procedure_occurrence",
    "DEATH": "death",
}
# type concepts: an electronic health record, a survey filled in by the participant, a registry
TYPE_OF_SCOPE = {"clinical": "32817", "lifestyle": "32862", "public_record_linkage": "32879"}
_VARIANT = re.compile(r"(?::[a-z_]+)?(?:\+[0-9a-f]{8})?$")


def codes_table(dictionary: Dictionary, mapping: Mapping) -> pa.Table:
    """Return the codes that stand for rows of ``mapping``.

    Columns: ``code``, ``kind``, ``main_id`` (the concept), ``main_text`` (its code), ``unit_text``, and
    ``s_<attribute>`` with the symbol that the code decides on, else null.
    """
    columns = [f"s_{attribute.column}" for attribute in mapping.attributes]
    rows = []
    for code, entry in dictionary.entries.items():
        meaning = meaning_of(entry.uri) or _usual(entry)
        if meaning.mapping == mapping.name and not code.startswith(CONVENTIONS):
            symbols = {f"s_{name}": symbol for name, symbol in meaning.symbols.items() if f"s_{name}" in columns}
            rows.append(
                {
                    "code": code,
                    "kind": entry.kind,
                    "main_id": meaning.main_id,
                    "main_text": code_text(code),
                    "unit_text": entry.unit,
                    **symbols,
                }
            )
    schema = [("code", pa.string()), ("kind", pa.string()), ("main_id", pa.int64()), ("main_text", pa.string())]
    return pa.Table.from_pylist(
        rows, schema=pa.schema([*schema, ("unit_text", pa.string()), *((c, pa.string()) for c in columns)])
    )


def conventions_table(dictionary: Dictionary, mapping: Mapping) -> pa.Table:
    """Return the conventions for ``mapping``: ``key`` (of the source), ``kind`` and ``s_<attribute>``."""
    columns = [f"s_{attribute.column}" for attribute in mapping.attributes]
    rows = [
        {"key": key, "kind": kind, **{f"s_{column}": symbol for column, symbol in symbols.items()}}
        for (key, name, kind), symbols in conventions(dictionary).items()
        if name == mapping.name
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in ("key", "kind", *columns)]))


def periods_table(dictionary: Dictionary) -> pa.Table:
    """Return the type concept of the observation periods of each source: ``key`` and ``type``."""
    rows = [
        {"key": key, "type": symbols.get("period_type_concept_id", "0")}
        for (key, name, _), symbols in conventions(dictionary).items()
        if name == "observation_period"
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema([("key", pa.string()), ("type", pa.string())]))


def concepts_table(dictionary: Dictionary) -> pa.Table:
    """Return the concepts that codes of ``dictionary`` stand for: ``concept_id code name vocabulary domain``."""
    domains = {"visit_occurrence": "Visit", "visit_detail": "Visit"}
    rows: dict[int, dict[str, object]] = {}
    for code, entry in dictionary.entries.items():
        meaning = meaning_of(entry.uri)
        if meaning is not None and meaning.main_id and not BY_NAME[meaning.mapping].fixed:
            mapping = meaning.mapping
            rows.setdefault(
                meaning.main_id,
                {
                    "concept_id": meaning.main_id,
                    "code": code_text(code) or str(meaning.main_id),
                    "name": entry.name_en,
                    "vocabulary": code.split("/")[0],
                    "domain": domains.get(mapping, mapping.split("_")[0].title()),
                },
            )
    texts = [(name, pa.string()) for name in ("code", "name", "vocabulary", "domain")]
    return pa.Table.from_pylist(
        [rows[key] for key in sorted(rows)], schema=pa.schema([("concept_id", pa.int64()), *texts])
    )


def code_text(code: str) -> str | None:
    """Return the code without its system and the suffixes of its variant; None for a concept without a code."""
    system, text = code.split("/", 1)
    return None if system == "OMOP" else _VARIANT.sub("", text)


def _usual(entry: Entry) -> Meaning:
    """Return the meaning of a code that no OMOP delivery brought: no concept, the code as the source's value."""
    system, text = entry.code.split("/", 1)
    table = TABLE_OF_SYSTEM.get(system, "")
    if system == "EDI" and text.isdigit() and len(text) == 9:
        table = "drug_exposure"
    if not table or entry.kind == "number":
        table = "measurement" if entry.kind == "number" or system == "LOINC" else "observation"
    mapping = next(mapping for mapping in MAPPINGS if mapping.table == table)
    kind = next((a.column for a in mapping.attributes if a.column.endswith("_type_concept_id")), "")
    symbols = {kind: TYPE_OF_SCOPE[entry.scope]}
    if mapping.fixed:
        symbols["cause_source_value"] = f"={text}"
    return Meaning(mapping.name, 0, symbols)
