"""The mapping between rows of OMOP CDM 5.4 and events, in both directions.

An OMOP row becomes one event. Time, end, value, category and visit have columns of their own. The other columns
are *attributes*: each is read as a short symbol and written from it. The symbol of an attribute is

- that of the institution's source for the whole table (``level`` delivery: the type concept, zero or null), or
- that of the code (``level`` code: the concept, the unit), or else
- that of a code of its own, a variant of the code (see ``baekman.records.omop.codes``).
"""

from __future__ import annotations

from dataclasses import dataclass

from baekman.records.omop.attributes import (
    EHR,
    Attribute,
    amount,
    answer_concept,
    answer_text,
    category_concept,
    codes,
    days,
    detail,
    drug_end_time,
    integer,
    limit,
    number,
    other_end,
    previous,
    source_concept,
    source_value,
    time,
    unit,
)


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """The mapping of one table, or of one fact of a person.

    Reading has these columns next to those of the table: ``main_id`` (the concept that the code names), ``main_text``
    (its code, null when that is no code of a dictionary), ``started`` and ``ended`` (timestamps), ``number``,
    ``unit_text``, ``answer`` (text) and ``answer_from`` (the column that it came from). ``is_kept_code`` and
    ``is_kept_unit`` say whether the source's text may be kept.

    Writing has ``main_id``, ``main_text``, ``unit_text`` and the columns of EVENTS.
    """

    name: str
    table: str
    concept: str
    start: str
    start_time: str
    end: str = ""
    end_time: str = ""
    is_open: str = ""  # SQL: the row has no end, whatever its end date says
    number: str = ""
    answers: tuple[str, ...] = ()
    fixed: str = ""  # the code, when no concept names it
    name_ko: str = ""  # of a fixed code
    name_en: str = ""
    category: str = ""  # SQL of the category of a fixed code
    attributes: tuple[Attribute, ...] = ()

    @property
    def source_concept(self) -> str:
        """The column of the source's concept; "" where the table has none."""
        if not self.concept or self.table == "person":
            return ""
        return self.concept.removesuffix("_concept_id") + "_source_concept_id"

    @property
    def source_text(self) -> str:
        """The column of the source's code; "" where the mapping keeps none."""
        if not self.concept:
            return ""
        return self.concept.removesuffix("_concept_id") + "_source_value"

    @property
    def by_column(self) -> dict[str, Attribute]:
        """The attributes by column."""
        return {attribute.column: attribute for attribute in self.attributes}


_VISIT_ENDS = (
    integer("admitted_from_concept_id"),
    integer("discharged_to_concept_id"),
)


_NAMES = {
    "birth": ("출생", "Birth, as exact as it is known"),
    "gender": ("성별 (OMOP)", "Sex at birth (OMOP)"),
    "race": ("인종 (OMOP)", "Race (OMOP)"),
    "ethnicity": ("민족 (OMOP)", "Ethnicity (OMOP)"),
}


def _fact(name: str, *, category: str, attributes: tuple[Attribute, ...] = ()) -> Mapping:
    return Mapping(
        name=f"person_{name}",
        table="person",
        concept=f"{name}_concept_id" if attributes else "",
        start="born",
        start_time="birth_datetime",
        fixed=f"OMOP/{name}",
        name_ko=_NAMES[name][0],
        name_en=_NAMES[name][1],
        category=category,
        attributes=attributes,
    )


def _person_fact(name: str) -> Mapping:
    """Return the mapping of sex, race or ethnicity: the category is the concept's number and the code of the source."""
    category = (
        f"CAST(coalesce(r.{name}_concept_id, 0) AS VARCHAR) || CASE WHEN q.value IS NOT NULL "
        f"THEN ' ' || q.value ELSE '' END"
    )
    return _fact(
        name,
        category=category,
        attributes=(
            category_concept(f"{name}_concept_id"),
            integer(f"{name}_source_concept_id", default="0"),
            Attribute(f"{name}_source_value", "'category'", "nullif(split_part(a.category, ' ', 2), '')", "category"),
        ),
    )


_BORN = (
    "CASE WHEN r.birth_datetime IS NOT NULL THEN CASE WHEN r.month_of_birth IS NULL THEN 'time year' "
    "WHEN r.day_of_birth IS NULL THEN 'time month' ELSE 'time' END "
    "WHEN r.day_of_birth IS NOT NULL THEN 'day' WHEN r.month_of_birth IS NOT NULL THEN 'month' ELSE 'year' END"
)

MAPPINGS: tuple[Mapping, ...] = (
    _fact("birth", category=_BORN),
    _person_fact("gender"),
    _person_fact("race"),
    _person_fact("ethnicity"),
    Mapping(
        name="visit_occurrence",
        table="visit_occurrence",
        concept="visit_concept_id",
        start="visit_start_date",
        start_time="visit_start_datetime",
        end="visit_end_date",
        end_time="visit_end_datetime",
        attributes=(
            *codes("visit"),
            *_VISIT_ENDS,
            time("visit_start_datetime", "visit_start_date"),
            time("visit_end_datetime", "visit_end_date", is_end=True),
            previous("preceding_visit_occurrence_id"),
        ),
    ),
    Mapping(
        name="visit_detail",
        table="visit_detail",
        concept="visit_detail_concept_id",
        start="visit_detail_start_date",
        start_time="visit_detail_start_datetime",
        end="visit_detail_end_date",
        end_time="visit_detail_end_datetime",
        attributes=(
            *codes("visit_detail"),
            *_VISIT_ENDS,
            time("visit_detail_start_datetime", "visit_detail_start_date"),
            time("visit_detail_end_datetime", "visit_detail_end_date", is_end=True),
            previous("preceding_visit_detail_id"),
        ),
    ),
    Mapping(
        name="condition_occurrence",
        table="condition_occurrence",
        concept="condition_concept_id",
        start="condition_start_date",
        start_time="condition_start_datetime",
        end="condition_end_date",
        end_time="condition_end_datetime",
        attributes=(
            *codes("condition"),
            integer("condition_status_concept_id"),
            time("condition_start_datetime", "condition_start_date"),
            time("condition_end_datetime", "condition_end_date", is_end=True),
            detail(),
        ),
    ),
    Mapping(
        name="drug_exposure",
        table="drug_exposure",
        concept="drug_concept_id",
        start="drug_exposure_start_date",
        start_time="drug_exposure_start_datetime",
        # an exposure without a known end ends when it starts: so OMOP has it
        end="drug_exposure_end_date",
        is_open="k.verbatim_end_date IS NULL AND k.drug_exposure_end_date = k.drug_exposure_start_date",
        end_time="drug_exposure_end_datetime",
        number="nullif(quantity, 0)",
        attributes=(
            *codes("drug"),
            integer("route_concept_id"),
            integer("refills"),
            amount("quantity"),
            days("days_supply"),
            other_end("verbatim_end_date"),
            time("drug_exposure_start_datetime", "drug_exposure_start_date"),
            drug_end_time(),
            Attribute(  # a lot number is kept only where it says nothing
                "lot_number",
                "CASE WHEN r.lot_number IN ('0', '0.0') THEN '=' || r.lot_number ELSE 'none' END",
                "CASE WHEN a.s_lot_number LIKE '=%' THEN substr(a.s_lot_number, 2) END",
            ),
            detail(),
        ),
    ),
    Mapping(
        name="procedure_occurrence",
        table="procedure_occurrence",
        concept="procedure_concept_id",
        start="procedure_date",
        start_time="procedure_datetime",
        end="procedure_end_date",
        end_time="procedure_end_datetime",
        number="nullif(quantity, 0)",
        attributes=(
            *codes("procedure"),
            integer("modifier_concept_id"),
            amount("quantity"),
            time("procedure_datetime", "procedure_date"),
            time("procedure_end_datetime", "procedure_end_date", is_end=True),
            detail(),
        ),
    ),
    Mapping(
        name="device_exposure",
        table="device_exposure",
        concept="device_concept_id",
        start="device_exposure_start_date",
        start_time="device_exposure_start_datetime",
        end="device_exposure_end_date",
        end_time="device_exposure_end_datetime",
        number="nullif(quantity, 0)",
        attributes=(
            *codes("device"),
            amount("quantity"),
            integer("unit_concept_id"),
            integer("unit_source_concept_id"),
            time("device_exposure_start_datetime", "device_exposure_start_date"),
            time("device_exposure_end_datetime", "device_exposure_end_date", is_end=True),
            detail(),
        ),
    ),
    Mapping(
        name="measurement",
        table="measurement",
        concept="measurement_concept_id",
        start="measurement_date",
        start_time="measurement_datetime",
        number="coalesce(value_as_number, CASE WHEN is_decimal(value_source_value) "
        "THEN CAST(value_source_value AS DOUBLE) END)",
        answers=("value_as_concept_id", "value_source_value"),
        attributes=(
            *codes("measurement"),
            number(),
            integer("operator_concept_id"),
            answer_concept(),
            answer_text("value_source_value", default="category"),
            *unit(),
            integer("unit_source_concept_id"),
            limit("range_low"),
            limit("range_high"),
            time("measurement_datetime", "measurement_date"),
            Attribute(
                "measurement_time",
                "CASE r.measurement_time WHEN strftime(r.started, '%Y-%m-%d') THEN 'date' "
                "WHEN strftime(r.started, '%H:%M:%S') THEN 'time' ELSE 'none' END",
                "CASE a.s_measurement_time WHEN 'date' THEN strftime(a.time, '%Y-%m-%d') "
                "WHEN 'time' THEN strftime(a.time, '%H:%M:%S') END",
            ),
            detail(),
        ),
    ),
    Mapping(
        name="observation",
        table="observation",
        concept="observation_concept_id",
        start="observation_date",
        start_time="observation_datetime",
        number="value_as_number",
        answers=("value_as_concept_id", "value_as_string", "value_source_value"),
        attributes=(
            *codes("observation"),
            answer_concept(),
            answer_text("value_as_string", default="category"),
            answer_text("value_source_value"),
            integer("qualifier_concept_id"),
            *unit(),
            time("observation_datetime", "observation_date"),
            detail(),
        ),
    ),
    Mapping(
        name="death",
        table="death",
        concept="cause_concept_id",
        start="death_date",
        start_time="death_datetime",
        fixed="DEATH/omop",
        name_ko="사망 (OMOP)",
        name_en="Death with its cause (OMOP)",
        category="coalesce(CAST(r.cause_concept_id AS VARCHAR) || coalesce(' ' || r.main_code, ''), 'none')",
        attributes=(
            category_concept("cause_concept_id"),
            source_concept("cause_source_concept_id"),
            source_value("cause_source_value"),
            integer("death_type_concept_id", default=EHR),
            time("death_datetime", "death_date"),
        ),
    ),
)
BY_NAME = {mapping.name: mapping for mapping in MAPPINGS}
