"""Reading of OMOP CDM 5.4 tables: codes, units, categories, visits, coverage, and refused input."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from baekman.errors import InputRefused
from baekman.records.dictionary import Dictionary
from baekman.records.omop import reading
from baekman.records.omop.reading import OMOP_EVENTS, Origin, read_omop
from support.omop_round_trip import Events, read_events, starter
from support.omop_tables import rows_of, write_omop

ORIGIN = Origin(institution="H01", source="ehr")


Delivery = tuple[pa.Table, pa.Table, Dictionary]


def in_order(events: pa.Table) -> pa.Table:
    return events.sort_by([(name, "ascending") for name in OMOP_EVENTS.names])


@pytest.fixture(scope="module")
def delivery(events: Events) -> Delivery:
    assert events.delivered is not None
    return in_order(events.delivered[0]), events.delivered[1], events.dictionary


def test_each_row_is_one_event_with_the_code_of_its_concept(delivery: Delivery) -> None:
    events, _, dictionary = delivery
    pressure = [row for row in events.to_pylist() if row["code"] == "LOINC/8480-6"]
    assert [(row["value"], row["unit"], str(row["time"])) for row in pressure] == [
        (128.0, "mm[Hg]", "2015-02-03 09:45:00"),
        (131.5, "mm[Hg]", "2016-05-02 07:00:00"),
        (117.0, "mm[Hg]", "2017-01-01 09:05:00"),
    ]
    entry = dictionary.entry("LOINC/8480-6")
    assert entry is not None and entry.name_ko == "수축기 혈압" and entry.uri is not None
    assert entry.uri.startswith("http://loinc.org/8480-6#omop=")
    codes = set(events["code"].to_pylist())
    assert {"KCD7/E11.9", "KCD7/E11.8", "RxNorm/860975", "Visit/OP", "OMOP/999001", "DEATH/omop"} <= codes
    parent = dictionary.entry("KCD7/E11.9")
    assert parent is not None and parent.parent == "SNOMED/44054006"


def test_rows_of_one_visit_share_its_episode(delivery: Delivery) -> None:
    events, _, _ = delivery
    at_visit = [row for row in events.to_pylist() if str(row["time"]).startswith("2015-02-03")]
    assert len({row["episode"] for row in at_visit}) == 1
    assert "501" not in str({row["episode"] for row in at_visit})


def test_every_event_lies_in_the_coverage_of_its_source(delivery: Delivery) -> None:
    events, coverage, _ = delivery
    seen = [(row["subject_code"], row["source"], row["first"], row["last"]) for row in coverage.to_pylist()]
    for row in events.to_pylist():
        day = row["time"].date()
        assert any(
            (row["subject_code"], row["source"]) == (subject, source) and first <= day <= last
            for subject, source, first, last in seen
        )


def test_no_free_text_is_read(delivery: Delivery) -> None:
    events, coverage, dictionary = delivery
    everything = f"{events.to_pylist()}{coverage.to_pylist()}{dictionary.table.to_pylist()}"
    for text in ("doctor", "neighbour", "twice a day", "LOT7788", "(01)0123"):
        assert text not in everything
    assert "Urine glucose test = ++ (finding)" in everything


def test_the_dictionary_of_a_delivery_reads_the_next_one_the_same_as_parquet(
    delivery: Delivery, tmp_path: Path
) -> None:
    events, _, dictionary = delivery
    again = read_events(write_omop(tmp_path, parquet=True), dictionary)
    assert again.delivered is not None
    assert in_order(again.delivered[0]) == events
    assert again.dictionary.table == dictionary.table


def test_a_row_with_another_unit_keeps_the_code_for_intake_to_refuse(
    delivery: Delivery,
) -> None:
    events, _, _ = delivery
    haemoglobin = [row for row in events.to_pylist() if row["code"].startswith("LOINC/718-7")]
    assert {(row["code"], row["unit"]) for row in haemoglobin} == {("LOINC/718-7", "g/dL"), ("LOINC/718-7", "mmol/L")}


def test_source_values_that_number_rows_or_name_somebody_are_dropped(
    delivery: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = next(row for row in rows_of("measurement") if row["measurement_id"] == "1")
    numbered = [{**one, "measurement_id": f"{n}", "measurement_source_value": f"ORDER-{n}"} for n in range(40)]
    named = [
        {**one, "value_as_number": "", "value_source_value": text}
        for text in ("Hong Gildong (finding)", "Cloudy urine (finding)")
    ]
    unmapped = {**rows_of("condition_occurrence")[3], "condition_concept_id": "0"}
    codes = [(11, "L77"), (12, "L77"), *((13, f"ROW-{n}") for n in range(20))]
    local = [{**unmapped, "person_id": person, "condition_source_value": code} for person, code in codes]
    empty = [{"death_date": ""}]  # a table without a row, as some programs export it
    write_omop(tmp_path, measurement=[*numbered, *named], condition_occurrence=local, death=empty)
    read = read_events(tmp_path)
    assert "DEATH/omop" not in read.table.column("code").to_pylist()
    everything = f"{read.dictionary.table.to_pylist()}{read.table.to_pylist()}"
    assert [text for text in ("ORDER-", "Gildong", "ROW-") if text in everything] == []
    assert "Cloudy urine (finding)" in everything and "%3DL77" in everything
    birth = read.dictionary.entry("OMOP/birth")
    assert birth is not None and birth.tier == "never"
    monkeypatch.setattr(reading, "MOST_PROFILES", 2)
    with pytest.raises(InputRefused) as refusal, read_omop(tmp_path, starter(), origin=ORIGIN):
        pass
    assert str(refusal.value) == (
        "visit_occurrence.csv: expected at most 2 kinds of rows, by concept, unit, type and other columns that have no "
        "time, found more; leave out columns that number or describe single rows"
    )


def test_refused_rows_are_counted_by_file_and_column_all_at_once(tmp_path: Path) -> None:
    deaths = [{"person_id": 12, "death_date": ""}, {"person_id": 99, "death_date": "2019-01-01"}]
    write_omop(tmp_path, death=deaths, visit_detail=[], observation=[{"person_id": 98, "observation_date": "2019"}])
    with pytest.raises(InputRefused) as refusal, read_omop(tmp_path, starter(), origin=ORIGIN):
        pass
    assert [str(problem) for problem in refusal.value.problems] == [
        "observation.csv: column observation_date: expected a date in each row, found 1 rows without",
        "observation.csv: column person_id: expected a person of the table person, found 1 rows of other persons",
        "death.csv: column death_date: expected a date in each row, found 1 rows without",
        "death.csv: column person_id: expected a person of the table person, found 1 rows of other persons",
    ]


def test_persons_without_a_subject_code_or_twice_are_refused(tmp_path: Path) -> None:
    write_omop(tmp_path, person=[*rows_of("person"), {"person_id": 11, "year_of_birth": 1990}])
    with pytest.raises(InputRefused) as refusal, read_omop(tmp_path, starter(), origin=ORIGIN):
        pass
    found = "found 1 rows without or with that of another row"
    assert [str(problem) for problem in refusal.value.problems] == [
        "person.csv: column person_source_value: expected a subject code in each row, found 1 rows without",
        f"person.csv: column person_id: expected a number of its own in each row, {found}",
    ]


@pytest.mark.parametrize(("table", "place"), [("measurement", "column person_id: "), ("concept", "")])
def test_a_table_separated_by_semicolons_is_not_passed_over(tmp_path: Path, table: str, place: str) -> None:
    file = write_omop(tmp_path) / f"{table}.csv"
    file.write_text(file.read_text().replace(",", ";"))
    with pytest.raises(InputRefused) as refusal, read_omop(tmp_path, starter(), origin=ORIGIN):
        pass
    expected = f"expected columns of the table {table}, in CSV separated by commas or tabs, found no"
    assert str(refusal.value).startswith(f"{table}.csv: {place}{expected}")


def test_a_folder_without_persons_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused) as refusal, read_omop(tmp_path, starter(), origin=ORIGIN):
        pass
    assert str(refusal.value) == "person.parquet: expected the table person as Parquet or CSV, found none"
    write_omop(tmp_path)
    (tmp_path / "death.csv").unlink()
    (tmp_path / "death.parquet").write_bytes(b"Hong Gil-dong")
    with pytest.raises(InputRefused) as refusal, read_omop(tmp_path, starter(), origin=ORIGIN):
        pass
    expected = "expected a Parquet or CSV file of an OMOP CDM 5.4 table, found one that cannot be read"
    assert str(refusal.value) == f"death.parquet: {expected}"
