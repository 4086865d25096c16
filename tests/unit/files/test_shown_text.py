"""Texts from outside on terminals and in spreadsheets."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.files.shown_text import printable, spreadsheet_text
from baekman.report.verdict_table import write_verdict_table
from baekman.verdicts import Reason, Verdict, write_verdicts


@pytest.mark.parametrize("start", list("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))
def test_a_formula_begins_with_a_quote(start: str) -> None:
    assert spreadsheet_text(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("text", ["", "A=1", "chr1", "0/1", "<NON_REF>", "*", "'=1", " =1"])
def test_other_texts_stay(text: str) -> None:
    assert spreadsheet_text(text) == text


def test_control_characters_are_replaced_and_letters_stay() -> None:
    assert printable("a\x1b[31m\x07\r\n\t\x7f\x9b\u202e\u2067b") == f"a\ufffd[31m{8 * chr(0xFFFD)}b"
    assert printable("홍길동 é ≥ 0.5 …") == "홍길동 é ≥ 0.5 …"


def test_verdict_tables_hold_no_formula_and_negative_numbers_stay(tmp_path: Path) -> None:
    reasons = (
        Reason(code="x", severity="hold", metric="m", observed="=1+1", threshold=-2.5, action="-"),
        Reason(code="x", severity="hold", metric="m", observed=-3, threshold="@a", action="b"),
    )
    verdict = Verdict(specimen_id="S1", participant_id="P1", gate="qc", verdict="hold", reasons=reasons)
    write_verdicts(tmp_path / "qc.json", [verdict])
    folder = tmp_path / "D1" / "report"
    folder.mkdir(parents=True)
    write_verdict_table([tmp_path / "qc.json"], tsv=folder / "verdicts.tsv", html=folder / "verdicts.html")
    rows = [line.split("\t") for line in (folder / "verdicts.tsv").read_text().splitlines()]
    columns = [rows[0].index(name) for name in ("observed", "threshold", "action")]
    assert [[row[column] for column in columns] for row in rows[1:]] == [["'=1+1", "-2.5", "'-"], ["-3", "'@a", "b"]]
