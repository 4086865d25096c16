"""``records.yaml``: every fault in words, at once, without a value of it."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from baekman.errors import InputRefused
from baekman.records.intake.sheet import RecordsSheet, read_records_sheet

GOOD = {
    "institution": "Hanbit Hospital",
    "source": "emr",
    "period": "{from: 2020-01-01, to: 2020-12-31}",
    "as_of": "2021-01-05T09:00:00",
    "format": "csv",
    "files": "[events.csv]",
}
TEXT = "a text of 1 to 200 characters without control characters, / or \\"


def sheet(folder: Path, *, present: tuple[str, ...] = ("events.csv",), **keys: str) -> RecordsSheet:
    folder.mkdir(exist_ok=True)
    for name in present:
        (folder / name).write_text("")
    lines = (f"{key}: {value}\n" for key, value in {**GOOD, **keys}.items() if value)
    (folder / "records.yaml").write_text("".join(lines), encoding="utf-8")
    return read_records_sheet(folder)


def refusal(folder: Path, *, present: tuple[str, ...] = ("events.csv",), **keys: str) -> list[str]:
    with pytest.raises(InputRefused) as refused:
        sheet(folder, present=present, **keys)
    return str(refused.value).splitlines()


def test_a_sheet_names_source_days_and_files(tmp_path: Path) -> None:
    assert sheet(tmp_path, delivery="HB-1") == RecordsSheet(
        folder=tmp_path,
        name="HB-1",
        institution="Hanbit Hospital",
        source="emr",
        first=date(2020, 1, 1),
        last=date(2020, 12, 31),
        as_of=datetime(2021, 1, 5, 9),
        format="csv",
        encoding="utf-8",
        files=("events.csv",),
        coverage=None,
    )


def test_a_sheet_may_leave_out_what_the_folder_shows(tmp_path: Path) -> None:
    present = ("b.parquet", "a.parquet", "coverage.csv")
    short = sheet(tmp_path, as_of="", format="", files="", present=present)
    assert (short.format, short.files, short.coverage) == ("parquet", ("a.parquet", "b.parquet"), "coverage.csv")
    assert (short.as_of, short.name) == (datetime(2020, 12, 31), "emr 2020-12-31T00:00:00")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"institution": ""}, "records.yaml: expected the key institution, found none"),
        ({"institution": "[김철수]"}, "records.yaml: institution: expected a text, found a list"),
        ({"institution": "a/b"}, f"records.yaml: institution: expected {TEXT}, found 3 characters of another form"),
        (
            {"institution": "a\u202eb"},
            f"records.yaml: institution: expected {TEXT}, found 3 characters with an invisible character",
        ),
        (
            {"source": "emr of ward 7"},
            "records.yaml: source: expected a word of up to 32 letters, digits, _ or -, beginning with a letter, "
            "found 13 characters of another form",
        ),
        (
            {"period": "2020"},
            "records.yaml: period: expected a mapping, found 4 characters of another form",
        ),
        ({"period": "{from: 2020-01-01}"}, "records.yaml: period: expected the key to, found none"),
        (
            {"period": "{from: 1/1/2020, to: 2020-12-31}"},
            "records.yaml: period.from: expected a date as YYYY-MM-DD, found 8 characters of another form",
        ),
        (
            {"period": "{from: 2020-02-30, to: 2020-12-31}"},
            "records.yaml: period.from: expected a date that exists, found another one",
        ),
        (
            {"period": "{from: 2020-12-31, to: 2020-01-01}"},
            "records.yaml: period.to: expected a day that is not before the first, found an earlier one",
        ),
        (
            {"as_of": "2020-06-01"},
            "records.yaml: period.to: expected a day that is not after as_of, found a later one",
        ),
        (
            {"as_of": "2021-01-05T09:00:00+09:00"},
            "records.yaml: as_of: expected a date and time as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, without a zone, "
            "found 25 characters of another form",
        ),
        (
            {"as_of": "2021-02-30"},
            "records.yaml: as_of: expected a date and time that exist, found another one",
        ),
        (
            {"period": ""},
            "records.yaml: period: expected the days that the source has seen, as a period from and to, or as a "
            "coverage file, found neither",
        ),
        (
            {"format": "xlsx"},
            "records.yaml: format: expected one of csv, parquet, omop, found 4 characters of another form",
        ),
        (
            {"encoding": "utf-16"},
            "records.yaml: encoding: expected one of utf-8, cp949, found 6 characters of another form",
        ),
        (
            {"format": "parquet", "encoding": "cp949", "files": "[a.parquet]"},
            "records.yaml: encoding: expected utf-8, as only files of the format csv may have another, "
            "found another one",
        ),
        (
            {"files": "", "format": "parquet"},
            "records.yaml: files: expected files of the format parquet, found none in the folder",
        ),
        (
            {"format": "", "files": "[a.csv, b.parquet]"},
            "records.yaml: format: expected csv, parquet or omop, or files that all end with .csv or all with "
            ".parquet, found neither",
        ),
        (
            {"coverage": "events.csv"},
            "records.yaml: coverage: expected a file of its own, found one of the files of events",
        ),
        (
            {"contact": "김철수 010-1234-5678"},
            "records.yaml: expected one of the keys delivery, institution, source, period, as_of, format, encoding, "
            "files, coverage, found another key",
        ),
    ],
)
def test_a_fault_is_reported_with_its_key(tmp_path: Path, keys: dict[str, str], message: str) -> None:
    assert refusal(tmp_path, **keys) == [message]


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, institution="", source="a b", format="xlsx", as_of="today")) == 4


def test_a_folder_without_a_sheet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused) as refused:
        read_records_sheet(tmp_path)
    assert str(refused.value) == "records.yaml: expected a plain file in the delivery's folder, found no such file"
