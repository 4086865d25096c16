"""Problems of a registration table: all at once, by file, row and column, without a value."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.consent import Decision, Scope
from baekman.errors import InputRefused
from baekman.registry.registration import COLUMNS
from hypothesis import given
from hypothesis import strategies as st
from support.registrations import read_rows

HEADER = "institution\tspecimen_id\tparticipant\tparticipant_type\tregistered_sex\tconsent\tconsent_from"
ROW = "H\tB1\tp1\trare\tfemale\tgranted\t2025-01-01"
KNOWN = " ".join(COLUMNS)
TEXT = "expected at most 200 printable characters on one line, found"


def write(folder: Path, text: str | bytes, name: str = "r.tsv") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


CASES: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["r.tsv: expected a header, found an empty file; export the table again"]),
    "other encoding": (
        f"{HEADER}\n{ROW}\n".encode() + "병원".encode("cp949"),
        ["r.tsv: expected UTF-8, found other bytes in row 3; save the table as UTF-8 (not EUC-KR or CP949)"],
    ),
    "NUL": (
        f"{HEADER}\n{ROW}\0\n",
        ["r.tsv: expected text, found a NUL character in row 2; export the table again"],
    ),
    "overlong field": (
        f"{HEADER}\n{ROW.replace('B1', 'x' * 10_000_000)}\n",
        ["r.tsv: expected a table, found a malformed or overlong field in row 2; export the table again"],
    ),
    "no header": (
        f"{ROW}\n",
        [
            *(
                f"r.tsv: row 1: expected a column {name}, found none; add it to the header"
                for name in HEADER.split("\t")
            ),
            *(
                f"r.tsv: row 1, field {place}: expected a column of {KNOWN}, found another one; "
                "rename or remove the column"
                for place in range(1, 8)
            ),
        ],
    ),
    "semicolons": (
        f"{HEADER}\n{ROW}\n".replace("\t", ";"),
        ["r.tsv: expected fields separated by tabs or commas, found semicolons; export the table again"],
    ),
    "column twice": (
        f"{HEADER}\tconsent\n{ROW}\tgranted\n",
        [f"r.tsv: row 1, field 8: expected a column of {KNOWN}, found consent a second time; keep one of them"],
    ),
    "too few fields": (
        f"{HEADER}\nH\tB1\n",
        ["r.tsv: row 2: expected 7 fields, found 2; check for a separator inside a field"],
    ),
    "every field wrong": (
        f"{HEADER}\tconsent_to\tscopes\tbirth_year\n\tB\u200b1\tp\x071\tbad\tx\tyes\t01/02/2025\t2025-02-30\tall\t84\n",
        [
            "r.tsv: row 2, column consent: expected one of granted refused withdrawn, found another value; "
            "correct the registration",
            "r.tsv: row 2, column scopes: expected any of genome clinical lifestyle public_record_linkage "
            "commercial_use overseas_use recontact, separated by ;, found another value; correct the registration",
            "r.tsv: row 2, column consent_from: expected a date as YYYY-MM-DD, found another value; "
            "correct the registration",
            "r.tsv: row 2, column consent_to: expected a date as YYYY-MM-DD, found another value; "
            "correct the registration",
            "r.tsv: row 2, column participant_type: expected one of rare severe general, found another value; "
            "correct the registration",
            "r.tsv: row 2, column institution: expected a value, found none; correct the registration",
            f"r.tsv: row 2, column specimen_id: {TEXT} a control or invisible character; correct the registration",
            f"r.tsv: row 2, column participant: {TEXT} a control or invisible character; correct the registration",
            "r.tsv: row 2, column registered_sex: expected one of female male, found another value; "
            "correct the registration",
            "r.tsv: row 2, column birth_year: expected a year of four digits, found another value; "
            "correct the registration",
        ],
    ),
    "consent without a date": (
        f"{HEADER}\n{ROW.replace('2025-01-01', '')}\n",
        [
            "r.tsv: row 2, column consent_from: expected the date from which consent holds, found none; "
            "correct the registration"
        ],
    ),
    "consent ends before it begins": (
        f"{HEADER}\tconsent_to\n{ROW}\t2024-12-31\n",
        [
            "r.tsv: row 2, column consent_to: expected a date not before consent_from, found an earlier one; "
            "correct the registration"
        ],
    ),
    "long label": (
        f"{HEADER}\n{ROW.replace('B1', 'x' * 300)}\n",
        [f"r.tsv: row 2, column specimen_id: {TEXT} 300 characters; correct the registration"],
    ),
    "one barcode, two participants": (
        f"{HEADER}\n{ROW}\n{ROW.replace('p1', 'p2')}\n",
        [
            "r.tsv: row 3, column specimen_id: expected a specimen of one participant, "
            "found the specimen of another participant in row 2 of r.tsv; give each specimen a barcode of its own"
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_problem_is_reported_at_once(case: str, tmp_path: Path) -> None:
    text, expected = CASES[case]
    with pytest.raises(InputRefused) as refused:
        read_rows([write(tmp_path, text)])
    assert [str(problem) for problem in refused.value.problems] == expected


def test_problems_of_every_file_are_reported(tmp_path: Path) -> None:
    bad = write(tmp_path, f"{HEADER}\n{ROW.replace('rare', '?')}\n", "a.tsv")
    with pytest.raises(InputRefused) as refused:
        read_rows([bad, tmp_path / "absent.tsv"])
    assert [str(problem) for problem in refused.value.problems] == [
        "a.tsv: row 2, column participant_type: expected one of rare severe general, found another value; "
        "correct the registration",
        "absent.tsv: expected a readable file, found none; check the path",
    ]


def test_optional_columns_may_be_absent_or_empty_and_columns_in_any_order(tmp_path: Path) -> None:
    (bare,) = read_rows([write(tmp_path, f"{HEADER}\n{ROW}\n")])
    names = list(reversed(COLUMNS))
    values = dict(zip(HEADER.split("\t"), ROW.split("\t"), strict=True))
    line = ",".join(values.get(name, "") for name in names)
    (full,) = read_rows([write(tmp_path, "\ufeff" + ",".join(names) + f"\r\n{line}\r\n", "r.csv")])
    for row in (bare, full):
        assert (row.institution, row.barcode, row.decision) == ("H", "B1", Decision.GRANTED)
        assert (row.scopes, row.consent_to, row.birth_year, row.name) == ((Scope.GENOME,), None, None, "")
        assert row.array_genotypes is None


def test_an_unqualified_refusal_is_of_everything(tmp_path: Path) -> None:
    (row,) = read_rows([write(tmp_path, f"{HEADER}\n{ROW.replace('granted', 'refused')}\n")])
    assert row.scopes == tuple(Scope)


def test_scopes_and_types_are_read_as_people_write_them(tmp_path: Path) -> None:
    text = f"{HEADER}\tscopes\n{ROW.replace('rare', 'Rare disease')}\tClinical; genome\n"
    (row,) = read_rows([write(tmp_path, text)])
    assert (row.participant_type, row.scopes) == ("rare", (Scope.GENOME, Scope.CLINICAL))


def test_a_row_shows_no_value() -> None:
    from baekman.registry.registration import RegistrationRow

    fields = dict.fromkeys(RegistrationRow.__dataclass_fields__, "SECRET")
    assert repr(RegistrationRow(**{**fields, "file": "r.tsv", "row": 2})) == "RegistrationRow(r.tsv, row 2)"  # type: ignore[arg-type]


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_refused_or_read_as_a_table(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("registration")
    for start in (b"", HEADER.encode() + b"\n"):
        try:
            read_rows([write(folder, start + content)])
        except InputRefused as refused:
            assert refused.problems
