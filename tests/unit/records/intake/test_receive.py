"""The reception of records: each reason, counts that add up, coverage, idempotence and kills."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from baekman import audit
from baekman.cli.records import init
from baekman.errors import InputRefused
from baekman.records import reading
from baekman.records.dictionary import read_dictionary
from baekman.records.intake import home as homes
from baekman.records.intake import receive as receiving
from baekman.records.intake.receive import ReceivedRecords, receive_records
from baekman.records.snapshot import read_snapshot
from baekman.records.store import create_store, open_store
from baekman.registry.importing import import_registrations
from baekman.registry.records import create_registry, open_registry
from baekman.registry.subjects import resolve_subjects
from baekman.workspace.paths import Workspace
from support import record_deliveries
from support.delivery_builder import write_registrations
from support.omop_tables import rows_of, write_omop
from support.record_deliveries import (
    INSTITUTION,
    registration,
    row,
    small_dictionary,
    subject,
    write_delivery,
    write_table,
)

SYSTOLIC, DIAGNOSIS, SMOKING = "LOINC/8480-6", "KCD8/I10", "SURVEY/smoking_status"
DAY = "2021-03-04"
SUBJECTS = 40
NO_CLINICAL = 39

# a fault of one row -> the reason and the column; the subject of each has a good row on another day
FAULTS: list[tuple[dict[str, str], tuple[str, str]]] = [
    ({"code": "LOINC/0000-0"}, ("unknown_code", "code")),
    ({"code": ""}, ("unknown_code", "code")),
    ({"code": "#REF!"}, ("spreadsheet_error", "code")),
    ({"code": "900101-1234567"}, ("identifier_shape", "code")),
    ({"code": SYSTOLIC, "value": "16", "unit": "kPa"}, ("unit_differs", "unit")),
    ({"code": DIAGNOSIS, "value": "1"}, ("unit_differs", "value")),
    ({"code": DIAGNOSIS, "unit": "mg"}, ("unit_differs", "unit")),
    ({"code": SYSTOLIC, "value": "16", "unit": "#NAME?"}, ("spreadsheet_error", "unit")),
    ({"code": SYSTOLIC, "value": "301"}, ("out_of_range", "value")),
    ({"code": SYSTOLIC, "value": "39.9"}, ("out_of_range", "value")),
    ({"code": SYSTOLIC, "value": "nan"}, ("out_of_range", "value")),
    ({"code": SYSTOLIC}, ("out_of_range", "value")),
    ({"code": SMOKING}, ("out_of_range", "category")),
    ({"time": "2019-12-31"}, ("out_of_range", "time")),
    ({"time": "2025-01-01"}, ("out_of_range", "time")),
    ({"end": "2021-03-03"}, ("out_of_range", "end")),
    ({"code": SYSTOLIC, "value": "about 120"}, ("free_text", "value")),
    ({"code": SMOKING, "category": "smokes when with friends"}, ("free_text", "category")),
    ({"category": "severe"}, ("free_text", "category")),
    ({"episode": "visit to the ward"}, ("free_text", "episode")),
    ({"code": SMOKING, "category": "900101-1234567"}, ("identifier_shape", "category")),
    ({"code": SYSTOLIC, "value": "010-1234-5678"}, ("identifier_shape", "value")),
    ({"episode": "kim@hospital.kr"}, ("identifier_shape", "episode")),
    ({"code": SYSTOLIC, "value": "#N/A"}, ("spreadsheet_error", "value")),
    ({"code": SMOKING, "category": "NA"}, ("spreadsheet_error", "category")),
    ({"episode": "1.23E+11"}, ("spreadsheet_error", "episode")),
    ({"time": "3-Mar"}, ("spreadsheet_error", "time")),
    ({"time": "2021-02-30"}, ("spreadsheet_error", "time")),
    ({"time": "2021-03-04T10:00+09:00"}, ("spreadsheet_error", "time")),
    ({"end": "tomorrow"}, ("spreadsheet_error", "end")),
    ({"time": "1930-01-01"}, ("before_birth", "time")),
]
HELD = ("before_birth", "after_death")
AFTER_DEATH = 37
DELIVERED = len(FAULTS) + 3


@dataclass(frozen=True)
class Ward:
    """A workspace with subjects, and the folder of its deliveries."""

    folder: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "W")

    def receive(self, delivery: Path) -> ReceivedRecords:
        return receive_records(delivery, workspace=self.workspace)

    def deliver(self, name: str, rows: Iterable[dict[str, str]], **sheet: str) -> ReceivedRecords:
        return self.receive(write_delivery(self.folder / name, rows, **sheet))

    def ids(self) -> dict[str, str]:
        codes = [subject(number) for number in range(SUBJECTS)]
        subjects = resolve_subjects(open_registry(self.workspace.root), INSTITUTION, codes)
        return {found.participant_id: code for code, found in zip(codes, subjects, strict=True) if found}

    def table(self, kind: str) -> list[dict[str, Any]]:
        """Return the resolved rows of everybody, by subject code."""
        store, codes = open_store(self.workspace.root), self.ids()
        snapshot = read_snapshot(store)
        tables = [getattr(reading, kind)(store, snapshot, bucket) for bucket in reading.buckets(store)]
        rows = pa.concat_tables(tables).to_pylist() if tables else []
        named = [{"subject": codes[each.pop("participant_id")], **each} for each in rows]
        return sorted(named, key=lambda each: [str(value) for value in each.values()])

    def report(self, name: str) -> Any:
        return json.loads((self.workspace.returned / INSTITUTION / name / "return.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    registry, _ = create_registry(folder / "W")
    rows = [registration(number) for number in range(SUBJECTS)]
    rows[NO_CLINICAL]["scopes"] = "genome;lifestyle"
    import_registrations(registry, [write_registrations(folder / "registration.tsv", rows)])
    create_store(folder / "W", dictionary=small_dictionary("DEATH/death", "DEATH/I21", "LOINC/718-7"), buckets=2)
    return folder


@pytest.fixture
def ward(empty: Path, tmp_path: Path) -> Ward:
    shutil.copytree(empty, tmp_path / "ward")
    return Ward(tmp_path / "ward")


def faulty_rows() -> list[dict[str, str]]:
    rows = [row(subject(number), "2022-05-06 09:30", DIAGNOSIS, episode="E1") for number in range(len(FAULTS))]
    rows += [row(subject(n), fields.get("time", DAY), DIAGNOSIS) | fields for n, (fields, _) in enumerate(FAULTS)]
    rows += [
        row("HB-99999", DAY, DIAGNOSIS),
        row("#N/A", DAY, DIAGNOSIS),
        row(subject(NO_CLINICAL), DAY, DIAGNOSIS),
        row(subject(NO_CLINICAL), DAY, SMOKING, category="never"),
        row(subject(AFTER_DEATH), "2022-01-01", "DEATH/I21"),
        row(subject(AFTER_DEATH), "2022-01-01 23:59", DIAGNOSIS),
        row(subject(AFTER_DEATH), "2022-01-02", DIAGNOSIS),
        row(subject(38), "20210304", SYSTOLIC, value="1.2E+2", unit="mm[Hg]"),
        row(subject(38), "2021-03-04T09:30:15", SMOKING, value="current", end="2021-03-05"),
    ]
    return rows


@pytest.fixture(scope="module")
def faulty(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Ward:
    folder = tmp_path_factory.mktemp("faulty")
    shutil.copytree(empty, folder, dirs_exist_ok=True)
    ward = Ward(folder)
    ward.deliver("D-1", faulty_rows())
    return ward


@pytest.fixture(scope="module")
def subjects(faulty: Ward) -> dict[str, dict[str, Any]]:
    return {each["subject"]: each for each in faulty.report("D-1")["subjects"]}


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=["-".join(fault) for _, fault in FAULTS])
def test_a_row_with_a_fault_is_refused_with_reason_and_column(subjects: dict[str, dict[str, Any]], number: int) -> None:
    (code, column) = FAULTS[number][1]
    verdict = subjects[subject(number)]
    assert {"code": code, "column": column, "rows": 1} in verdict["reasons"]
    if code in HELD:
        assert (verdict["verdict"], verdict["accepted"]) == ("hold", 0)
    else:
        assert (verdict["verdict"], verdict["rows"], verdict["accepted"]) == ("accept", 2, 1)
        assert len(verdict["reasons"]) == 1


def test_a_row_after_death_holds_the_participant(subjects: dict[str, dict[str, Any]]) -> None:
    assert subjects[subject(AFTER_DEATH)] == {
        "subject": subject(AFTER_DEATH),
        "verdict": "hold",
        "rows": 3,
        "accepted": 0,
        "reasons": [{"code": "after_death", "column": "time", "rows": 1}],
    }


def test_rows_of_a_scope_without_consent_are_refused_and_others_go_on(
    subjects: dict[str, dict[str, Any]], faulty: Ward
) -> None:
    assert subjects[subject(NO_CLINICAL)]["reasons"] == [{"code": "no_consent_for_scope", "column": "code", "rows": 1}]
    assert [each["code"] for each in faulty.table("events") if each["subject"] == subject(NO_CLINICAL)] == [SMOKING]


def test_a_row_without_a_subject_stops_no_other(ward: Ward) -> None:
    received = ward.deliver("D-1", [row(subject(1), DAY, DIAGNOSIS), {}, row("", DAY, DIAGNOSIS)])
    events = received.counts["events"]
    assert (events["rows"], events["accepted"], events["refused"]) == (3, 1, 2)


def test_subjects_without_registration_are_listed_for_the_institution(faulty: Ward) -> None:
    assert faulty.report("D-1")["unregistered"] == {"count": 2, "first": ["#N/A", "HB-99999"]}
    reasons = faulty.report("D-1")["counts"]["events"]["reasons"]
    assert {"code": "not_registered", "column": "subject_code", "rows": 1} in reasons
    assert {"code": "spreadsheet_error", "column": "subject_code", "rows": 1} in reasons


def test_every_delivered_row_is_accepted_refused_or_held(faulty: Ward) -> None:
    counts = faulty.report("D-1")["counts"]["events"]
    assert counts["rows"] == len(faulty_rows())
    assert counts["rows"] == counts["accepted"] + counts["refused"] + counts["held"]
    assert counts["accepted"] == len(faulty.table("events"))
    assert counts["held"] == 3  # the good row before birth, and two of the dead
    assert faulty.report("D-1")["summary"] == {"accept": DELIVERED - 2, "hold": 2, "reject": 0}


def test_accepted_rows_are_what_was_delivered(faulty: Ward) -> None:
    kept = [each for each in faulty.table("events") if each["subject"] == subject(38)]
    shown = [(str(each["time"]), str(each["end"]), each["code"], each["value"], each["category"]) for each in kept]
    assert shown == [
        ("2021-03-04 00:00:00", "None", SYSTOLIC, 120.0, None),
        ("2021-03-04 09:30:15", "2021-03-05 00:00:00", SMOKING, None, "current"),
    ]
    assert {(each["source"], each["institution"]) for each in faulty.table("events")} == {("emr", "I1")}


def test_an_episode_is_another_word_for_each_participant(faulty: Ward) -> None:
    episodes = [each["episode"] for each in faulty.table("events") if str(each["time"]) == "2022-05-06 09:30:00"]
    assert len(set(episodes)) == len(episodes) > 20
    assert all(len(episode) == 12 and episode != "E1" for episode in episodes)


def test_a_day_with_nothing_but_faults_of_data_was_not_seen(faulty: Ward) -> None:
    coverage = faulty.table("coverage")
    pieces = {number: [] for number in range(SUBJECTS)}  # type: dict[int, list[tuple[date, date]]]
    for each in coverage:
        pieces[int(each["subject"][3:])].append((each["first"], each["last"]))
    whole = [(date(2020, 1, 1), date(2024, 12, 31))]
    cut = [(date(2020, 1, 1), date(2021, 3, 3)), (date(2021, 3, 5), date(2024, 12, 31))]
    for number, (_, (code, column)) in enumerate(FAULTS):
        if code in HELD:
            assert pieces[number] == []
        elif column == "code" or column == "time":  # an unknown code, or no day that was covered
            assert pieces[number] == whole, FAULTS[number]
        else:
            assert pieces[number] == cut, FAULTS[number]
    assert pieces[NO_CLINICAL] == whole
    assert pieces[AFTER_DEATH] == []


def test_nothing_of_a_subject_is_in_verdicts_and_no_pseudonym_in_the_report(faulty: Ward) -> None:
    (verdicts,) = (faulty.workspace.records / "deliveries").glob("D*/verdicts.json")
    ids = faulty.ids()
    listed = json.loads(verdicts.read_text())
    assert [each["participant"] for each in listed] == sorted(set(ids) & {each["participant"] for each in listed})
    assert len(listed) == DELIVERED
    for path in faulty.workspace.returned.rglob("return.*"):
        assert not any(participant in path.read_text("utf-8") for participant in ids)
        assert "HB-99999" in path.read_text("utf-8")


def test_the_same_delivery_again_changes_nothing(ward: Ward) -> None:
    first = ward.deliver("D-1", record_deliveries.generated_rows(5))
    before = {path: path.stat().st_mtime_ns for path in ward.workspace.records.rglob("*.*")}
    again = ward.receive(ward.folder / "D-1")
    assert (first.status, again.status) == ("received", "same")
    assert again == ReceivedRecords(**{**vars(first), "status": "same"})
    assert {path: path.stat().st_mtime_ns for path in ward.workspace.records.rglob("*.*")} == before
    assert [event["action"] for event in audit.events(ward.workspace.root)].count("records.receive") == 1


def test_the_name_of_a_delivery_with_other_content_is_refused(ward: Ward) -> None:
    ward.deliver("D-1", record_deliveries.generated_rows(2))
    with pytest.raises(InputRefused) as refused:
        ward.deliver("D-1", record_deliveries.generated_rows(3))
    assert str(refused.value) == (
        "records.yaml: delivery: expected a name that no delivery of other content has had, found the name of a "
        "delivery that was received with other content; give the corrected delivery a name of its own"
    )


def test_a_refused_delivery_may_come_again_under_its_name(ward: Ward) -> None:
    folder = write_delivery(ward.folder / "D-1", record_deliveries.generated_rows(2))
    content = (folder / "events.csv").read_text()
    (folder / "events.csv").write_text(content + "HB-00001,2021-03-04\n")
    with pytest.raises(InputRefused) as refused:
        ward.receive(folder)
    row_number = content.count("\n") + 1
    assert str(refused.value) == f"file 1: row {row_number}: expected 8 fields, as in the header, found 2"
    (folder / "events.csv").write_text(content)
    assert ward.receive(folder).status == "received"


def test_an_institution_that_registered_nobody_is_refused(ward: Ward) -> None:
    with pytest.raises(InputRefused) as refused:
        ward.deliver("D-1", record_deliveries.generated_rows(2), institution="Hanbit Hosp.")
    assert str(refused.value) == (
        "records.yaml: institution: expected an institution that has registered participants, under the name of its "
        "registration table, found one that has registered nobody; correct the name, or import its registration first; "
        "then give the same delivery again"
    )


class Killed(BaseException):
    """The end of a process at some instant."""


STEPS = ("make_subjects", "judge_rows", "add_batch", "after add_batch", "write_return_report", "write_summary")


def test_a_killed_reception_is_finished_by_the_same_command(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = write_delivery(ward.folder / "D-1", record_deliveries.generated_rows(3))
    for step in STEPS:
        name = step.removeprefix("after ")
        module: Any = homes if name == "write_summary" else receiving
        original = getattr(module, name)

        def killed(*args: Any, after: bool = step.startswith("after"), run: Any = original, **keywords: Any) -> None:
            if after:
                run(*args, **keywords)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(module, name, killed)
            with pytest.raises(Killed):
                ward.receive(delivery)
    received = ward.receive(delivery)
    assert received.status == "received"
    assert received.counts["events"]["accepted"] == len(ward.table("events")) == received.counts["events"]["rows"]
    assert read_snapshot(open_store(ward.workspace.root)).number == 1
    assert not list((ward.workspace.records / "deliveries").glob(".work/*"))
    assert ward.report("D-1")["summary"] == {"accept": 3, "hold": 0, "reject": 0}


def test_a_coverage_file_states_the_days_of_the_subjects_that_it_lists(ward: Ward) -> None:
    rows = [row(subject(number), day, DIAGNOSIS) for number in (0, 1) for day in ("2021-01-01", "2021-06-01")]
    folder = write_delivery(ward.folder / "D-1", rows, coverage="days.csv", as_of="2025-01-01")
    columns = ("subject_code", "first", "last")
    days = [
        (subject(0), "2021-01-01", "2021-02-01"),
        (subject(0), "2021-02-02", "2021-03-01"),
        (subject(2), "20210101", "2021-12-31"),
        (subject(3), "2021-01-01", "2020-12-31"),
        (subject(3), "2021-01-01", "2025-01-02"),
        (subject(3), "Jan-21", ""),
        ("HB-99999", "2021-01-01", "2021-02-01"),
    ]
    write_table(folder / "days.csv", [dict(zip(columns, each, strict=True)) for each in days], columns=columns)
    received = ward.receive(folder)
    assert [(each["subject"], str(each["time"])[:10]) for each in ward.table("events")] == [
        (subject(0), "2021-01-01"),
        (subject(1), "2021-01-01"),
        (subject(1), "2021-06-01"),
    ]
    assert [(each["subject"], str(each["first"]), str(each["last"])) for each in ward.table("coverage")] == [
        (subject(0), "2021-01-01", "2021-03-01"),
        (subject(1), "2020-01-01", "2024-12-31"),
        (subject(2), "2021-01-01", "2021-12-31"),
    ]
    assert received.counts["events"]["reasons"] == [{"code": "out_of_range", "column": "time", "rows": 1}]
    assert received.counts["coverage"] == {
        "rows": 7,
        "accepted": 3,
        "refused": 4,
        "held": 0,
        "reasons": [
            {"code": "not_registered", "column": "subject_code", "rows": 1},
            {"code": "out_of_range", "column": "last", "rows": 2},
            {"code": "spreadsheet_error", "column": "first", "rows": 1},
            {"code": "spreadsheet_error", "column": "last", "rows": 1},
        ],
    }


def test_a_later_delivery_replaces_the_days_that_it_covers(ward: Ward) -> None:
    ward.deliver("D-1", [row(subject(0), day, SYSTOLIC, value="120") for day in ("2021-01-01", "2024-01-01")])
    later = {"as_of": "2025-02-01", "period": "{from: 2024-01-01, to: 2025-01-31}"}
    ward.deliver("D-2", [row(subject(0), "2024-01-01", SYSTOLIC, value="130")], **later)
    assert [(str(each["time"])[:10], each["value"]) for each in ward.table("events")] == [
        ("2021-01-01", 120.0),
        ("2024-01-01", 130.0),
    ]


def test_a_delivery_without_an_accepted_row_replaces_nothing(ward: Ward) -> None:
    ward.deliver("D-1", [row(subject(0), "2021-01-01", SYSTOLIC, value="120")])
    ward.deliver("D-2", [row(subject(0), "2021-01-01", SYSTOLIC, value="about 130")], as_of="2025-02-01")
    assert [each["value"] for each in ward.table("events")] == [120.0]
    assert ward.report("D-2")["summary"] == {"accept": 0, "hold": 0, "reject": 1}


def test_a_death_of_an_earlier_delivery_holds_later_rows(ward: Ward) -> None:
    ward.deliver("D-1", [row(subject(0), "2022-01-01", "DEATH/death")], source="death_registry")
    ward.deliver("D-2", [row(subject(n), "2022-01-02", DIAGNOSIS) for n in (0, 1)])
    assert [each["subject"] for each in ward.table("events") if each["source"] == "emr"] == [subject(1)]
    assert ward.report("D-2")["subjects"][0]["reasons"] == [{"code": "after_death", "column": "time", "rows": 1}]


def test_a_delivery_reads_no_rows_of_older_batches(ward: Ward) -> None:
    """Memory and time of a delivery do not grow with the store: its older rows cannot even be read here."""
    ward.deliver("D1", [row(subject(number), DAY, DIAGNOSIS) for number in range(SUBJECTS - 1)])
    store = open_store(ward.workspace.root)
    for path in store.batches.rglob("*.parquet"):
        path.write_bytes(b"unreadable")
    received = ward.deliver("D2", [row(subject(1), "2022-01-01", DIAGNOSIS)])
    assert (received.status, received.counts["events"]["accepted"]) == ("received", 1)


def test_a_correction_of_a_death_is_not_compared_with_the_death_before(ward: Ward) -> None:
    ward.deliver("D-1", [row(subject(0), "2022-01-01", "DEATH/death")], source="death_registry")
    rows = [row(subject(0), "2023-01-01", "DEATH/death")]
    ward.deliver("D-2", rows, source="death_registry", as_of="2025-02-01")
    assert [str(each["time"])[:10] for each in ward.table("events")] == ["2023-01-01"]


def test_the_order_of_rows_and_the_form_of_the_file_change_no_byte(ward: Ward, tmp_path: Path) -> None:
    rows = list(record_deliveries.generated_rows(6))
    shutil.copytree(ward.folder, tmp_path / "other")
    other = Ward(tmp_path / "other")
    ward.deliver("D-1", rows)
    other.deliver("D-1", rows[::-1])
    entries = [read_snapshot(open_store(each.workspace.root)).batches[0] for each in (ward, other)]
    assert entries[0].digest == entries[1].digest
    assert entries[0].rows == len(rows)


def test_a_withdrawal_erases_the_verdicts_on_the_participant(faulty: Ward, tmp_path: Path) -> None:
    shutil.copytree(faulty.folder, tmp_path / "copy")
    workspace = Workspace(tmp_path / "copy" / "W")
    (path,) = (workspace.records / "deliveries").glob("D*/verdicts.json")
    before = json.loads(path.read_text())
    leaver = before[3]["participant"]
    assert homes.erase_verdicts(workspace, {leaver}) == [path]
    assert json.loads(path.read_text()) == [each for each in before if each["participant"] != leaver]
    assert homes.erase_verdicts(workspace, {leaver}) == []


@pytest.fixture
def omop(ward: Ward) -> Path:
    """Return a delivery of OMOP tables; its persons are registered."""
    persons = rows_of("person")
    rows = [registration(100 + n, participant=each["person_source_value"]) for n, each in enumerate(persons)]
    for each, person in zip(rows, persons, strict=True):
        each["birth_year"] = person["year_of_birth"]
    table = write_registrations(ward.folder / "omop.registration.tsv", rows)
    import_registrations(open_registry(ward.workspace.root), [table])
    folder = write_omop(ward.folder / "O-1")
    text = f"institution: {INSTITUTION}\nsource: ehr\nas_of: 2023-01-01\nformat: omop\n"
    (folder / "records.yaml").write_text(text, encoding="utf-8")
    return folder


def test_omop_tables_are_received_by_the_subject_codes_of_person(ward: Ward, omop: Path) -> None:
    counts = ward.receive(omop).counts
    assert counts["events"]["reasons"] == [
        {"code": "after_death", "column": "time", "rows": 1},  # of the person 12, who is held
        {"code": "unit_differs", "column": "unit", "rows": 1},
    ]
    assert counts["events"]["rows"] == counts["events"]["accepted"] + counts["events"]["held"] + 2 > 40
    store = open_store(ward.workspace.root)
    snapshot = read_snapshot(store)
    events = pa.concat_tables(reading.events(store, snapshot, bucket) for bucket in reading.buckets(store))
    assert len(events) == counts["events"]["accepted"]
    assert set(events["source"].to_pylist()) == {"ehr", "ehr.outside"}
    assert set(events["code"].to_pylist()) <= set(read_dictionary(store.dictionary).codes)


def test_a_link_among_omop_tables_is_refused(ward: Ward, omop: Path) -> None:
    (omop / "death.csv").rename(ward.folder / "death.csv")
    (omop / "death.csv").symlink_to(ward.folder / "death.csv")
    with pytest.raises(InputRefused) as refused:
        ward.receive(omop)
    names = sorted(path.name for path in omop.iterdir() if path.name != "records.yaml")
    assert str(refused.value) == (
        f"file {names.index('death.csv') + 1}: expected a plain file in the delivery's folder, found a symbolic link"
    )


def test_codes_that_are_added_to_the_dictionary_are_known_from_then_on(ward: Ward) -> None:
    header = small_dictionary().splitlines()[0]
    file = ward.folder / "more.tsv"
    child = "KCD8/I109\t고혈압\tHypertension, other\tevent\t\t\t\t\tclinical\troom\tKCD8/I10\t"
    file.write_text(f"{header}\n{child}\n", encoding="utf-8")
    init(workspace=ward.workspace.root, dictionary=file, buckets=2)
    received = ward.deliver("D-1", [row(subject(0), DAY, code) for code in ("KCD8/I10", "KCD8/I109", "KCD8/I11")])
    assert received.counts["events"]["accepted"] == 2
    file.write_text(f"{header}\n{child.replace('clinical', 'lifestyle')}\n", encoding="utf-8")
    with pytest.raises(InputRefused) as refused:
        init(workspace=ward.workspace.root, dictionary=file, buckets=2)
    assert str(refused.value) == (
        "dictionary.tsv: KCD8/I109, column scope: expected the meaning that the dictionary of the store has, found "
        "another one; give the new meaning a code of its own"
    )
