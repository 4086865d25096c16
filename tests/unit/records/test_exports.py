"""Records as MEDS and as phenopackets, judged by the packages that define both."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman.records.export.frames import Shards
from baekman.records.export.meds import write_meds
from baekman.records.export.phenopackets import write_phenopackets
from baekman.records.schema import COVERAGE, EVENTS
from meds import CodeMetadataSchema, DataSchema, DatasetMetadataSchema
from support.omop_round_trip import Events, starter

DAY = date(2026, 1, 2)


def event(participant: str, day: str, code: str, **values: Any) -> dict[str, Any]:
    origin = {"source": "ehr", "institution": "H01"}
    return {"participant_id": participant, "time": datetime.fromisoformat(day), "code": code, **origin, **values}


@pytest.fixture(scope="module")
def events() -> Events:
    rows = [
        event("P-1", "2015-01-02", "KCD8/E119"),
        event("P-1", "2016-03-04", "KCD8/E119"),
        event("P-1", "2015-01-02", "HPO/0001250"),
        event("P-1", "2014-01-02", "HPO/0000252"),
        event("P-1", "2015-01-02", "LOINC/8480-6", value=121.0),
        event("P-2", "2015-01-02", "LOINC/8480-6", value=131.0, episode="V1"),
        event("P-2", "2015-01-02", "SURVEY/supplements", category="yes"),
        event("P-2", "2019-01-02", "DEATH/C18"),
        event("P-3", "2015-01-02", "HPO/0001250"),
    ]
    days = [
        {"participant_id": f"P-{number}", "source": "ehr", "first": date(2014, 1, 1), "last": date(2020, 12, 31)}
        for number in (1, 2, 3, 4)
    ]
    return Events(starter(), pa.Table.from_pylist(rows, EVENTS), pa.Table.from_pylist(days, COVERAGE))


def test_meds_is_valid_and_has_every_event(events: Events, tmp_path: Path) -> None:
    assert write_meds(events, tmp_path / "meds", salt="fixed") == 4
    tables = [pq.read_table(path) for path in sorted((tmp_path / "meds" / "data").iterdir())]
    for table in tables:
        DataSchema.validate(table)
        numbers = [row["subject_id"] for row in table.to_pylist()]
        assert numbers == sorted(numbers)
    rows = [row for table in tables for row in table.to_pylist()]
    assert len(rows) == events.table.num_rows + 1  # a death of MEDS
    assert {(row["code"], row["numeric_value"], row["unit"]) for row in rows if row["numeric_value"]} == {
        ("LOINC/8480-6", 121.0, "mm[Hg]"),
        ("LOINC/8480-6", 131.0, "mm[Hg]"),
    }
    assert [(row["code"], f"{row['time']}") for row in rows if row["code"].startswith("MEDS")] == [
        ("MEDS_DEATH", "2019-01-02 00:00:00")
    ]
    codes = pq.read_table(tmp_path / "meds" / "metadata" / "codes.parquet")
    CodeMetadataSchema.validate(codes)
    assert {row["code"] for row in rows} <= set(codes.column("code").to_pylist())
    DatasetMetadataSchema.validate(json.loads((tmp_path / "meds" / "metadata" / "dataset.json").read_text()))


def test_meds_keeps_the_days_that_were_seen_without_an_event(events: Events, tmp_path: Path) -> None:
    write_meds(events, tmp_path / "meds")
    subjects = pq.read_table(tmp_path / "meds" / "subjects.parquet").to_pylist()
    number = {row["participant_id"]: row["subject_id"] for row in subjects}
    seen = [row for path in (tmp_path / "meds" / "coverage").iterdir() for row in pq.read_table(path).to_pylist()]
    assert {row["subject_id"] for row in seen} == set(number.values())
    without_event = next(row for row in seen if row["subject_id"] == number["P-4"])
    assert (without_event["first"], without_event["last"]) == (date(2014, 1, 1), date(2020, 12, 31))


def test_numbers_of_subjects_change_with_each_export_and_hold_no_id(events: Events, tmp_path: Path) -> None:
    numbers = []
    for name in ("a", "b"):
        write_meds(events, tmp_path / name)
        numbers.append(set(pq.read_table(tmp_path / name / "subjects.parquet").column("subject_id").to_pylist()))
        for path in (tmp_path / name).rglob("*.parquet"):
            assert (b"P-1" in path.read_bytes()) == (path.name == "subjects.parquet")
    assert not numbers[0] & numbers[1]


def test_phenopackets_are_valid_and_have_terms_and_diseases(events: Events, tmp_path: Path) -> None:
    from google.protobuf.json_format import Parse
    from phenopackets import Phenopacket

    assert write_phenopackets(events, tmp_path / "packets", day=DAY) == 2
    lines = (tmp_path / "packets" / "phenopackets.jsonl").read_text(encoding="utf-8").splitlines()
    packets = {packet.id: packet for packet in (Parse(line, Phenopacket()) for line in lines)}
    assert sorted(packets) == ["P-1", "P-3"]
    first = packets["P-1"]
    assert [feature.type.id for feature in first.phenotypic_features] == ["HP:0000252", "HP:0001250"]
    assert [feature.type.label for feature in first.phenotypic_features] == ["Microcephaly", "Seizure"]
    assert [(disease.term.id, disease.onset.timestamp.ToJsonString()) for disease in first.diseases] == [
        ("KCD8:E119", "2015-01-02T00:00:00Z")
    ]
    assert first.meta_data.phenopacket_schema_version == "2.0"
    assert sorted(resource.namespace_prefix for resource in first.meta_data.resources) == ["HP", "KCD8"]
    assert not packets["P-3"].diseases


def test_phenopackets_are_one_file_next_to_the_days_that_were_seen(events: Events, tmp_path: Path) -> None:
    write_phenopackets(events, tmp_path / "packets", day=DAY)
    assert sorted(path.name for path in (tmp_path / "packets").iterdir()) == ["coverage.parquet", "phenopackets.jsonl"]
    seen = pq.read_table(tmp_path / "packets" / "coverage.parquet").to_pylist()
    assert [row["participant_id"] for row in seen] == ["P-1", "P-3"]


def test_no_file_of_meds_has_fewer_subjects_than_a_shard_must_have(tmp_path: Path) -> None:
    schema = pa.schema([("subject_id", pa.int64())])
    for subjects in range(1, 12):
        folder = tmp_path / f"{subjects}"
        (folder / "data").mkdir(parents=True)
        shards = Shards(folder, {"data": schema}, least=3)
        for number in range(subjects):
            shards.add({"data": pa.table([[number]], schema=schema)}, subjects=1)
        shards.finish()
        sizes = [pq.read_table(path).num_rows for path in (folder / "data").iterdir()]
        assert sum(sizes) == subjects
        assert min(sizes) >= 3 or len(sizes) == 1
