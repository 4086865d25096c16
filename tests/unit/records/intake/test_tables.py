"""Files of a delivery: each fault in words, by number of the file, and the same rows from every form."""

from __future__ import annotations

import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman.errors import InputRefused
from baekman.records.intake import subjects, tables
from baekman.records.intake.sheet import RecordsSheet, read_records_sheet
from baekman.records.intake.tables import EVENT_COLUMNS, open_tables, text_schema
from support import record_deliveries

HEADER = "subject_code,time,code,value\n"
ROW = "HB-1,2021-03-04,LOINC/8480-6,120\n"


def delivery(folder: Path, content: str | bytes, **keys: str) -> RecordsSheet:
    record_deliveries.write_delivery(folder, [], **keys)
    (folder / "events.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_records_sheet(folder)


def rows(sheet: RecordsSheet) -> pa.Table:
    return pa.Table.from_batches(open_tables(sheet).event_batches(), schema=text_schema(EVENT_COLUMNS))


def refusal(sheet: RecordsSheet) -> list[str]:
    with pytest.raises(InputRefused) as refused:
        rows(sheet)
    return str(refused.value).splitlines()


def parquet(folder: Path, column: str, values: pa.Array) -> RecordsSheet:
    """Return the sheet of a delivery with a Parquet file of one row that has ``values`` in ``column``."""
    columns = {"subject_code": ["HB-1"], "time": ["2021-03-04"], "code": ["LOINC/8480-6"], column: values}
    sheet = delivery(folder, HEADER + ROW)
    pq.write_table(pa.table(columns), folder / "events.parquet")
    return replace(sheet, format="parquet", files=("events.parquet",))


EXPECTED = {
    **{name: [None] for name in EVENT_COLUMNS},
    **{"subject_code": ["HB-1"], "time": ["2021-03-04"], "code": ["LOINC/8480-6"], "value": ["120"]},
}


@pytest.mark.parametrize(
    "content",
    [
        HEADER + ROW,
        "\ufeff" + HEADER + ROW,
        (HEADER + ROW).replace("\n", "\r\n"),
        (HEADER + ROW).replace("\n", "\r"),
        (HEADER + ROW).replace(",", "\t"),
        HEADER + "\n" + ROW + "\n\n",
        HEADER + '"HB-1","2021-03-04","LOINC/8480-6","120"\n',
    ],
)
def test_csv_is_read_as_spreadsheets_write_it(tmp_path: Path, content: str) -> None:
    assert rows(delivery(tmp_path, content)).to_pydict() == EXPECTED


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (('"1', "2", "3", '"4', "5"), 2),  # two lone quotes: rows 2 to 5 would be one
        (("1", '"2', "3", "4", "5"), 3),  # the last three
        (("1", '"2', "3", '4"', "5"), 3),  # the second quote ends a field
    ],
)
def test_a_lone_quote_swallows_no_row(tmp_path: Path, fields: tuple[str, ...], found: int) -> None:
    content = HEADER + "".join(ROW.replace("120", field) for field in fields)
    message = f'file 1: row {found}: expected fields in quotes that end in their row, with "" for a quote inside'
    for delimiter in (",", "\t"):
        folder = tmp_path / f"{ord(delimiter)}"
        assert refusal(delivery(folder, content.replace(",", delimiter))) == [
            f"{message}, found a lone quote; export the table again"
        ]
    two_lines = HEADER + ROW.replace("120", '"12\n0"') + ROW
    assert rows(delivery(tmp_path / "whole", two_lines))["value"].to_pylist() == ["12\n0", "120"]


def test_cp949_is_read_where_it_is_declared(tmp_path: Path) -> None:
    content = (HEADER + "한-1,2021-03-04,LOINC/8480-6,120\n").encode("cp949")
    assert rows(delivery(tmp_path, content, encoding="cp949"))["subject_code"].to_pylist() == ["한-1"]


@pytest.mark.parametrize(
    ("column", "values", "texts"),
    [
        ("time", pa.array([1614852000123456789], pa.timestamp("ns")), ["2021-03-04 10:00:00.123456"]),
        ("value", pa.array([Decimal("120.50")]), ["120.50"]),
        ("subject_code", pa.array(["HB-1"], pa.string_view()), ["HB-1"]),
        ("subject_code", pa.array([float(2**24 - 1)], pa.float32()), ["16777215"]),
    ],
)
def test_parquet_as_other_programs_write_it_is_read(
    tmp_path: Path, column: str, values: pa.Array, texts: list[str]
) -> None:
    assert rows(parquet(tmp_path, column, values))[column].to_pylist() == texts


def test_parquet_with_other_bytes_than_utf8_is_refused(tmp_path: Path) -> None:
    text = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    for column in ("subject_code", "unit"):
        assert refusal(parquet(tmp_path / column, column, text)) == [
            "file 1: expected a table that can be read to its end, found malformed data; export it again"
        ]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([float(2**24)], pa.float32()),
        pa.array([-float(2**53)]),
        pa.array([float(2**53)]).dictionary_encode(),
    ],
)
def test_floats_that_two_labels_may_share_are_refused(tmp_path: Path, values: pa.Array) -> None:
    assert refusal(parquet(tmp_path, "subject_code", values)) == [
        "file 1: column subject_code: expected text, or whole numbers, found floating-point numbers that have lost "
        "digits; convert the column to text before export"
    ]


def test_parquet_of_plain_types_is_read_as_the_same_text(tmp_path: Path) -> None:
    sheet = delivery(tmp_path, HEADER + ROW)
    table = pa.table({"subject_code": ["HB-1"], "code": ["LOINC/8480-6"], "value": [120.5], "time": [18690]})
    table = table.set_column(3, "time", table["time"].cast(pa.int32()).cast(pa.date32()))
    pq.write_table(table, tmp_path / "events.parquet")
    parquet = replace(sheet, format="parquet", files=("events.parquet",))
    assert rows(parquet).to_pydict() == {**EXPECTED, "value": ["120.5"], "time": ["2021-03-04"]}


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (
            (HEADER + "김철수,2021-03-04,KCD8/I10,\n").encode("cp949"),
            [
                "file 1: expected UTF-8, found other bytes in row 2; save the table as UTF-8, or write `encoding: "
                "cp949` in records.yaml if it is CP949 or EUC-KR"
            ],
        ),
        (HEADER + "HB\0-1,,,\n", ["file 1: expected text, found a NUL character in row 2; export the table again"]),
        (
            "",
            [
                "file 1: header: expected the column subject_code, found none",
                "file 1: header: expected the column time, found none",
                "file 1: header: expected the column code, found none",
            ],
        ),
        (
            "subject_code,time,time,김철수\n",
            [
                "file 1: header: expected the column time, found 2 of them",
                "file 1: header: expected the column code, found none",
                "file 1: header: expected the columns subject_code time end code value unit category episode, found "
                "1 other column; leave them out: there is no column of free text",
            ],
        ),
        (
            HEADER + ROW + "김철수,2021-03-04\n" + ROW,
            ["file 1: row 3: expected 4 fields, as in the header, found 2"],
        ),
        (
            HEADER + "HB-1\n" * 22,
            [
                *(f"file 1: row {row}: expected 4 fields, as in the header, found 1" for row in range(2, 22)),
                "file 1: expected 4 fields, as in the header, found another number in 2 more rows",
            ],
        ),
        (
            (HEADER + ROW).replace(",", ";"),
            ["file 1: expected fields separated by commas or tabs, found semicolons; export the table again"],
        ),
        (
            (HEADER + ROW).encode("utf-16"),
            ["file 1: expected UTF-8, found UTF-16; save the table as UTF-8"],
        ),
    ],
)
def test_a_fault_of_a_file_is_reported_without_its_name(
    tmp_path: Path, content: str | bytes, messages: list[str]
) -> None:
    assert refusal(delivery(tmp_path, content)) == messages


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_rows_of_faults_are_counted_over_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    sound = (HEADER + ROW + "김철수,2021-03-04,KCD8/I10,\n").encode(encoding)
    for block in range(1, 30):
        monkeypatch.setattr(tables, "BLOCK", block)
        for fault, found in ((b"A\xff\n", "other bytes in row 4"), (b"A\0\n", "a NUL character in row 4")):
            place = tmp_path / f"{block}{found[0]}"
            place.mkdir()
            with pytest.raises(InputRefused, match=found):
                open_tables(delivery(place, sound + fault, encoding=encoding))


def test_a_file_of_other_bytes_than_declared_is_refused(tmp_path: Path) -> None:
    content = (HEADER + "김철수,2021-03-04,KCD8/I10,\n").encode()[:-20] + b"\xff\n"
    assert refusal(delivery(tmp_path, content, encoding="cp949")) == [
        "file 1: expected CP949, found other bytes in row 2; export it again"
    ]


def test_a_parquet_file_of_other_types_or_bytes_is_refused(tmp_path: Path) -> None:
    sheet = replace(delivery(tmp_path, HEADER), format="parquet", files=("a.parquet", "b.parquet", "c.parquet"))
    types = {"time": pa.timestamp("us", "Asia/Seoul"), "code": pa.list_(pa.string()), "subject_code": pa.string()}
    pq.write_table(pa.table({name: pa.array([], kind) for name, kind in types.items()}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    pq.write_table(pa.table({"time": [], "code": []}), tmp_path / "c.parquet")
    plain = "text, numbers, or dates and times without a zone, found another type; convert the column before export"
    assert refusal(sheet) == [
        f"file 1: column time: expected {plain}",
        f"file 1: column code: expected {plain}",
        "file 2: expected a Parquet file, found something else; export it again",
        "file 3: header: expected the column subject_code, found none",
    ]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("../events.csv", "a path that could leave the folder"),
        ("absent.csv", "no such file"),
        ("link.csv", "a symbolic link"),
        ("fifo.csv", "a folder, FIFO, socket or device"),
    ],
)
def test_nothing_outside_the_folder_is_opened(tmp_path: Path, name: str, found: str) -> None:
    sheet = replace(delivery(tmp_path / "d", HEADER), files=(name,))
    (tmp_path / "events.csv").write_text(HEADER)
    (tmp_path / "d" / "link.csv").symlink_to(tmp_path / "events.csv")
    os.mkfifo(tmp_path / "d" / "fifo.csv")
    assert refusal(sheet) == [f"file 1: expected a plain file in the delivery's folder, found {found}"]


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    tables = open_tables(delivery(tmp_path, HEADER + ROW))
    (tmp_path / "events.csv").write_text(HEADER + ROW + ROW)
    with pytest.raises(InputRefused) as refused:
        list(tables.event_batches())
    assert str(refused.value) == (
        "file 1: expected a file that nobody writes to while it is read, found another one; do it again"
    )


def test_the_digest_is_of_the_content_and_the_days(tmp_path: Path) -> None:
    sheet = delivery(tmp_path, HEADER + ROW)
    digest = open_tables(sheet).digest
    assert open_tables(replace(sheet, name="another")).digest == digest
    assert open_tables(replace(sheet, source="claims")).digest != digest
    (tmp_path / "events.csv").write_text(HEADER + ROW + ROW)
    assert open_tables(sheet).digest != digest


def test_rows_beyond_the_memory_go_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "MEMORY", "40MB")
    with subjects.working_database(tmp_path, workers=1) as connection:
        spilled = connection.execute("SELECT i, md5(i::VARCHAR) AS text FROM range(1000000) AS t(i) ORDER BY text")
        assert spilled.fetchone() is not None
