"""Registration tables of any length: read a part at a time; a bounded number of problems is reported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from baekman.errors import InputRefused, ProblemList
from baekman.files.delimited import DelimitedTable
from baekman.registry import importing, registration_files
from baekman.registry.importing import import_registrations
from baekman.registry.listing import participant_rows
from baekman.registry.records import Registry
from baekman.registry.registration import RegistrationRow
from baekman.registry.registration_files import open_registrations
from sqlalchemy import event
from support.registrations import FIRST, array, read_rows, table


def people(count: int) -> list[str]:
    return [FIRST.replace("BAR-0001", f"BAR-{n:04d}").replace("SUBJ-1", f"SUBJ-{n}") for n in range(count)]


def messages(registry: Registry, files: list[Path]) -> list[str]:
    with pytest.raises(InputRefused) as refused:
        import_registrations(registry, files)
    return [str(problem) for problem in refused.value.problems]


def test_no_more_rows_than_a_part_are_read_before_they_are_written(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "ROWS_PER_PART", 4)
    read, written, waiting = 0, 0, []
    fields_at = DelimitedTable.fields_at

    def counted(self: DelimitedTable, offset: int) -> list[str]:
        nonlocal read
        read += 1
        waiting.append(read - written)
        return fields_at(self, offset)

    @event.listens_for(registry.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        nonlocal written
        if statement.startswith("INSERT INTO consent_events"):
            written += len(parameters) if isinstance(parameters, list) else 1

    monkeypatch.setattr(DelimitedTable, "fields_at", counted)
    assert import_registrations(registry, [table(tmp_path, *people(30))]).participants == 30
    assert (read, written, max(waiting)) == (30, 30, 4)


def test_the_first_pass_keeps_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration_files, "_ROWS_PER_WRITE", 3)
    kept = []
    add = registration_files._RowIndex.add

    def noted(self: registration_files._RowIndex, file: int, offset: int, row: RegistrationRow) -> None:
        add(self, file, offset, row)
        kept.append(len(self._waiting))

    monkeypatch.setattr(registration_files._RowIndex, "add", noted)
    with open_registrations([table(tmp_path, *people(20))]) as tables:
        assert tables.count == 20
    assert max(kept) < 3


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_rows_of_a_participant_come_together_in_any_order_of_the_table(size: int, tmp_path: Path) -> None:
    first, second, third = people(3)
    again = [row.replace("BAR-", "TWO-") for row in (first, second)]
    files = [table(tmp_path, first, second, name="a.tsv"), table(tmp_path, third, *reversed(again), name="b.tsv")]
    with open_registrations(files) as tables:
        parts = [[(row.file, row.row) for row in part] for part in tables.parts(size)]
    assert [place for part in parts for place in part] == [
        ("a.tsv", 2), ("b.tsv", 4), ("a.tsv", 3), ("b.tsv", 3), ("b.tsv", 2)
    ]  # fmt: skip
    assert [len(part) for part in parts] == {1: [2, 2, 1], 3: [4, 1], 100: [5]}[size]


@pytest.mark.parametrize("size", [1, 100])
def test_conflicts_are_reported_in_the_order_of_the_rows(
    size: int, on_sqlite: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "ROWS_PER_PART", size)
    first, second, third = people(3)
    import_registrations(on_sqlite, [table(tmp_path, third)])
    conflicting = [row.replace("BAR-", "TWO-").replace("female", "male") for row in (first, second)]
    file = table(tmp_path, first, second, third.replace("1984", "1985"), *reversed(conflicting))
    value, action = "expected this participant's value in", "found another value; correct the table"
    assert messages(on_sqlite, [file]) == [
        f"registration.tsv: row 4, column birth_year: {value} the registry, {action}, or import it with --correct",
        f"registration.tsv: row 5, column registered_sex: {value} row 3 of registration.tsv, {action}",
        f"registration.tsv: row 6, column registered_sex: {value} row 2 of registration.tsv, {action}",
    ]
    assert len(list(participant_rows(on_sqlite))) == 1


def test_the_first_of_very_many_problems_are_reported_and_the_rest_counted(
    on_sqlite: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProblemList, "LIMIT", 3)
    rest = "registration tables: expected at most the 3 problems above, found 4 more; mend these first"
    by_themselves = [row.replace("rare", "?") for row in people(7)]
    lines = messages(on_sqlite, [table(tmp_path, *by_themselves)])
    assert [line.split(",")[0] for line in lines[:3]] == [f"registration.tsv: row {row}" for row in (2, 3, 4)]
    assert lines[3:] == [rest]
    import_registrations(on_sqlite, [table(tmp_path, *people(7))])
    with_the_registry = [row.replace("1984", "1985") for row in people(7)]
    lines = messages(on_sqlite, [table(tmp_path, *with_the_registry)])
    assert [line.split(",")[0] for line in lines[:3]] == [f"registration.tsv: row {row}" for row in (2, 3, 4)]
    assert lines[3:] == [rest]


def test_a_subject_code_of_very_many_rows_is_refused(
    on_sqlite: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration_files, "MOST_ROWS", 3)
    rows = [row.split("\tSUBJ", 1)[0] + "\tSUBJ-X\t" + row.split("\t", 3)[3] for row in people(4)]
    assert messages(on_sqlite, [table(tmp_path, people(9)[8], *rows)]) == [
        "registration.tsv: row 3, column participant: expected at most 3 rows of one participant, found 4; "
        "give each participant a subject code of their own"
    ]


def test_a_table_that_changes_during_an_import_is_refused(on_sqlite: Registry, tmp_path: Path) -> None:
    file = table(tmp_path, *people(3))
    message = "expected a table that nobody writes to while it is read, found another one; do it again"
    for change in (file.read_bytes() + b"\n", file.read_bytes().replace(b"rare", b"????")):
        with pytest.raises(InputRefused, match=message), open_registrations([file]) as tables:
            file.write_bytes(change)
            list(tables.parts(2))
        table(tmp_path, *people(3))


def test_a_pipe_is_refused(on_sqlite: Registry) -> None:
    reading, writing = os.pipe()
    try:
        lines = messages(on_sqlite, [Path(f"/dev/fd/{reading}")])
    finally:
        os.close(reading)
        os.close(writing)
    assert lines == [f"{reading}: expected a file, found a pipe; save the table to a file: it is read more than once"]


def test_a_refused_table_leaves_no_array(on_sqlite: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "ROWS_PER_PART", 1)
    array(tmp_path / "array.vcf", "BAR-0000")
    first, second = people(2)
    file = table(tmp_path, first + "array.vcf", second, second.replace("female", "male"))
    assert len(messages(on_sqlite, [file])) == 1
    assert not list(tmp_path.rglob("*.vcf.gz"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_and_offsets_do_not_depend_on_line_ends(end: str, tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    lines = ["h1,h2", "서울,1", "", '"a' + end + 'b",2', "c,3"]
    file.write_bytes(b"\xef\xbb\xbf" + end.join(lines).encode())
    with DelimitedTable(file) as opened:
        records = list(opened.records())
        assert opened.header == ["h1", "h2"]
        assert [(row, fields) for row, _, fields in records] == [
            (2, ["서울", "1"]), (4, [f"a{end}b", "2"]), (6, ["c", "3"])
        ]  # fmt: skip
        for _, offset, fields in [*reversed(records), *records]:
            assert opened.fields_at(offset) == fields


def test_rows_read_again_equal_those_of_the_first_pass(tmp_path: Path) -> None:
    rows = read_rows([table(tmp_path, *people(5))])
    assert [row.barcode for row in rows] == [f"BAR-{n:04d}" for n in range(5)]
    assert [row.number for row in rows] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("label", ["#N/A", "NA", "-", "1.23E+11", "1-Mar"])
def test_labels_that_a_spreadsheet_replaced_make_no_person_of_two(
    registry: Registry, tmp_path: Path, label: str
) -> None:
    rows = [row.replace("\tSUBJ-0\t", f"\t{label}\t").replace("\tSUBJ-1\t", f"\t{label}\t") for row in people(2)]
    lines = messages(registry, [table(tmp_path, *rows)])
    assert len(lines) == 2 and all("column participant: expected a value as it was assigned" in line for line in lines)
