# ruff: noqa: E501 (rows of tables)
"""A small delivery of OMOP CDM 5.4 tables, written out row by row, with what real ones have in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

SUBJECTS = ("subject-a", "subject-b", "subject-c")

# tables as rows of a header and values; a time without a zone, an empty text for null
TABLES: Mapping[str, str] = {
    "person": """
person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,birth_datetime,race_concept_id,ethnicity_concept_id,person_source_value,gender_source_value,gender_source_concept_id,race_source_value,race_source_concept_id,ethnicity_source_concept_id
11,8507,1980,4,9,1980-04-09 00:00:00,0,0,subject-a,M,0,korean,0,0
12,8532,1991,5,,,0,0,subject-b,F,0,korean,0,0
13,8532,2003,,,,0,0,subject-c,F,0,,0,0
""",
    "observation_period": """
observation_period_id,person_id,observation_period_start_date,observation_period_end_date,period_type_concept_id
1,11,2015-01-01,2020-12-31,32817
2,11,2022-01-01,2023-12-31,32817
3,12,2016-03-01,2019-06-30,32817
""",
    "visit_occurrence": """
visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_start_datetime,visit_end_date,visit_end_datetime,visit_type_concept_id,visit_source_concept_id,admitted_from_concept_id,discharged_to_concept_id,preceding_visit_occurrence_id
501,11,9202,2015-02-03,2015-02-03 09:30:00,2015-02-03,2015-02-03 10:15:00,32817,0,0,0,
502,11,9201,2016-05-01,2016-05-01 08:00:00,2016-05-09,2016-05-09 12:00:00,32817,0,0,0,504
504,11,9202,2016-05-01,2016-05-01 08:00:00,2016-05-01,2016-05-01 08:30:00,32817,0,0,0,501
503,12,9202,2017-01-01,2017-01-01 09:00:00,2017-01-01,2017-01-01 09:10:00,32810,0,0,0,
""",
    "visit_detail": """
visit_detail_id,person_id,visit_detail_concept_id,visit_detail_start_date,visit_detail_end_date,visit_detail_type_concept_id,visit_detail_source_concept_id,visit_occurrence_id,preceding_visit_detail_id
9001,11,9201,2016-05-01,2016-05-04,32817,0,502,
9002,11,9201,2016-05-04,2016-05-09,32817,0,502,9001
9003,12,9202,2017-01-01,2017-01-01,32817,0,503,
""",
    "condition_occurrence": """
condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_start_datetime,condition_end_date,condition_type_concept_id,condition_status_concept_id,visit_occurrence_id,visit_detail_id,condition_source_value,condition_source_concept_id
1,11,201826,2015-02-03,2015-02-03 09:40:00,,32817,0,501,,E119,700119
2,11,201826,2016-05-02,2016-05-02 00:00:00,2016-05-09,32817,0,502,9001,E118,700118
3,12,201826,2017-01-01,2017-01-01 09:00:00,,32840,32902,503,9003,E119,700119
4,13,999001,2018-01-01,2018-01-01 00:00:00,,32817,0,,,local text of a doctor,0
""",
    "drug_exposure": """
drug_exposure_id,person_id,drug_concept_id,drug_exposure_start_date,drug_exposure_start_datetime,drug_exposure_end_date,drug_exposure_end_datetime,verbatim_end_date,drug_type_concept_id,refills,quantity,days_supply,sig,route_concept_id,lot_number,visit_occurrence_id,drug_source_value,drug_source_concept_id
1,11,1503297,2015-02-03,2015-02-03 00:00:00,2015-03-05,2015-03-05 00:00:00,2015-03-05,32838,0,60,30,twice a day,4132161,,501,860975,1503297
2,11,1503297,2016-05-09,2016-05-09 00:00:00,2016-05-09,2016-05-09 00:00:00,,32838,0,30,0,,4132161,LOT7788,502,860975,1503297
3,12,1503297,2017-01-01,2017-01-01 00:00:00,2017-03-01,2017-03-01 00:00:00,2017-03-01,32838,2,0,14,,4132161,,503,860975,1503297
""",
    "procedure_occurrence": """
procedure_occurrence_id,person_id,procedure_concept_id,procedure_date,procedure_datetime,procedure_type_concept_id,modifier_concept_id,quantity,visit_occurrence_id,procedure_source_value,procedure_source_concept_id
1,11,4336464,2016-05-03,2016-05-03 13:05:00,32817,0,1,502,,0
2,11,4336464,2016-05-03,2016-05-03 13:05:00,32817,0,1,502,,0
3,12,4336464,2017-01-01,,32817,0,,503,,0
""",
    "device_exposure": """
device_exposure_id,person_id,device_concept_id,device_exposure_start_date,device_exposure_start_datetime,device_type_concept_id,unique_device_id,visit_occurrence_id,device_source_value,device_source_concept_id
1,11,4217646,2016-05-03,2016-05-03 14:00:00,32817,(01)0123,502,,0
""",
    "measurement": """
measurement_id,person_id,measurement_concept_id,measurement_date,measurement_datetime,measurement_time,measurement_type_concept_id,operator_concept_id,value_as_number,value_as_concept_id,unit_concept_id,range_low,range_high,visit_occurrence_id,measurement_source_value,measurement_source_concept_id,unit_source_value,value_source_value
1,11,3004249,2015-02-03,2015-02-03 09:45:00,09:45:00,32817,0,128,0,8876,,,501,8480-6,3004249,mm[Hg],128
2,11,3004249,2016-05-02,2016-05-02 07:00:00,07:00:00,32817,0,131.5,0,8876,,,502,8480-6,3004249,mm[Hg],131.5
3,12,3004249,2017-01-01,2017-01-01 09:05:00,09:05:00,32817,0,117,0,8876,,,503,8480-6,3004249,mm[Hg],117
4,12,3004410,2017-01-01,2017-01-01 09:05:00,09:05:00,32817,4171756,4.0,0,8554,4,6,503,4548-4,3004410,%,4
5,11,3004410,2015-02-03,2015-02-03 09:45:00,09:45:00,32817,0,7.2,0,8554,4,6,501,4548-4,3004410,%,7.2
6,11,3009261,2015-02-03,2015-02-03 09:45:00,09:45:00,32817,0,,9189,0,,,501,5792-7,3009261,,
7,12,3009261,2017-01-01,2017-01-01 09:05:00,09:05:00,32817,0,,0,0,,,503,5792-7,3009261,,Urine glucose test = ++ (finding)
8,12,3000963,2017-01-01,2017-01-01 09:05:00,09:05:00,32817,0,8.1,0,8753,,,503,718-7,3000963,mmol/L,8.1
9,11,3000963,2015-02-03,2015-02-03 09:45:00,09:45:00,32817,0,14.1,0,8713,,,501,718-7,3000963,g/dL,14.1
10,11,3000963,2016-05-03,2016-05-03 09:45:00,09:45:00,32817,0,13.1,0,8713,,,502,718-7,3000963,g/dL,13.1
""",
    "observation": """
observation_id,person_id,observation_concept_id,observation_date,observation_datetime,observation_type_concept_id,value_as_number,value_as_string,value_as_concept_id,qualifier_concept_id,unit_concept_id,visit_occurrence_id,observation_source_value,observation_source_concept_id
1,11,40766362,2015-02-03,2015-02-03 00:00:00,32862,,,45879404,0,0,501,72166-2,40766362
2,12,40766362,2021-01-01,2021-01-01 00:00:00,32862,,a story about a neighbour,0,0,0,,72166-2,40766362
""",
    "death": """
person_id,death_date,death_datetime,death_type_concept_id,cause_concept_id,cause_source_value,cause_source_concept_id
12,2019-06-30,2019-06-30 00:00:00,32815,201826,44054006,201826
""",
    "concept": """
concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,standard_concept,concept_code,valid_start_date,valid_end_date,invalid_reason
201826,Type 2 diabetes mellitus,Condition,SNOMED,Disorder,S,44054006,1970-01-01,2099-12-31,
700119,Type 2 diabetes without complications,Condition,KCD7,KCD7 code,,E11.9,1970-01-01,2099-12-31,
700118,Type 2 diabetes with unspecified complications,Condition,KCD7,KCD7 code,,E11.8,1970-01-01,2099-12-31,
1503297,metformin 500 MG Oral Tablet,Drug,RxNorm,Clinical Drug,S,860975,1970-01-01,2099-12-31,
4336464,Coronary artery bypass graft,Procedure,SNOMED,Procedure,S,232717009,1970-01-01,2099-12-31,
4217646,Cardiac pacemaker,Device,SNOMED,Physical Object,S,72506001,1970-01-01,2099-12-31,
3004249,Systolic blood pressure,Measurement,LOINC,Lab Test,S,8480-6,1970-01-01,2099-12-31,
3004410,Hemoglobin A1c,Measurement,LOINC,Lab Test,S,4548-4,1970-01-01,2099-12-31,
3009261,Glucose in urine,Measurement,LOINC,Lab Test,S,5792-7,1970-01-01,2099-12-31,
3000963,Hemoglobin,Measurement,LOINC,Lab Test,S,718-7,1970-01-01,2099-12-31,
40766362,Tobacco smoking status,Observation,LOINC,Survey,S,72166-2,1970-01-01,2099-12-31,
45879404,Never smoker,Meas Value,LOINC,Answer,S,LA18978-9,1970-01-01,2099-12-31,
9189,Negative,Meas Value,SNOMED,Qualifier Value,S,260385009,1970-01-01,2099-12-31,
9201,Inpatient Visit,Visit,Visit,Visit,S,IP,1970-01-01,2099-12-31,
9202,Outpatient Visit,Visit,Visit,Visit,S,OP,1970-01-01,2099-12-31,
""",
}


def rows_of(table: str) -> list[dict[str, str]]:
    """Return the rows of ``table`` as texts by column."""
    header, *lines = TABLES[table].strip().splitlines()
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


def write_omop(folder: Path, *, parquet: bool = False, **changed: Sequence[Mapping[str, Any]]) -> Path:
    """Write the tables into ``folder`` as CSV or Parquet, with the rows of ``changed`` tables; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        rows = [dict(row) for row in changed.get(table, rows_of(table))]
        columns = list(rows_of(table)[0])
        if parquet:
            values = {name: pa.array([row.get(name) or None for row in rows], pa.string()) for name in columns}
            pq.write_table(pa.table(values), folder / f"{table}.parquet")
        else:
            lines = [",".join(columns), *(",".join(str(row.get(name, "")) for name in columns) for row in rows)]
            (folder / f"{table}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
