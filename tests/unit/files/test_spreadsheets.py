"""Labels that a spreadsheet has replaced, and labels that only look so."""

from __future__ import annotations

import pytest
from baekman.files.spreadsheets import cell_fault

ERROR, EMPTY = "the error cell of a spreadsheet", "a word for an empty cell"
NUMBER, DATE = "a number in scientific notation, which has lost its digits", "a date"


@pytest.mark.parametrize(
    ("fault", "labels"),
    [
        (
            ERROR,
            ["#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#n/a", "＃N/A", "#값!", "#######"],
        ),
        (ERROR, ["#이름?", "Err:502", "#SPILL!"]),
        (EMPTY, ["NA", "N/A", "n.a.", "NaN", "NULL", "none", "-", "--", ".", "?", "없음", "－"]),
        (NUMBER, ["1.23E+11", "1E+05", "2,5E+12", "1.2e+10"]),
        (
            DATE,
            [
                "1-Mar",
                "01-Sep",
                "Mar-01",
                "1-Mar-26",
                "2026-03-01",
                "2026/3/1",
                "3/1/2026",
                "3월 1일",
                "2026-03-01 00:00:00",
            ],
        ),
        (
            "",
            [
                "HB-0001",
                "0042",
                "NA12878",
                "1E5",
                "A-1",
                "#17",
                "S-2026-03-01",
                "Nam-01",
                "12-345",
                "나라",
                "",
                "2026_11",
            ],
        ),
    ],
)
def test_labels(fault: str, labels: list[str]) -> None:
    assert {label: cell_fault(label) for label in labels} == dict.fromkeys(labels, fault)
