"""The judgement on rows against a slow and obvious one in Python, over rows of sound and faulty cells."""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman import data
from baekman.files.spreadsheets import cell_fault, is_empty_word, is_error_cell
from baekman.privacy.personal_shapes import find_identifiers
from baekman.records.dictionary import Dictionary, read_dictionary
from baekman.records.intake import judging
from baekman.records.intake.delivered_rows import EVENT_ROW, DeliveredRows
from baekman.records.intake.judging import ROWS_FILE, judge_rows
from baekman.records.intake.reasons import faults_in
from baekman.records.intake.sheet import read_records_sheet
from baekman.records.intake.subjects import SUBJECTS, working_database
from baekman.records.intake.tables import text_schema
from support.record_deliveries import write_delivery

# subject code -> number, participant, year of birth, consent to clinical, lifestyle, public_record_linkage
PEOPLE: dict[str, tuple[int, str | None, int | None, bool, bool, bool]] = {
    "HB-0": (0, "P0", 1970, True, True, True),
    "HB-1": (1, "P1", None, True, False, True),
    "HB-2": (2, "P2", 2015, False, True, False),
    "HB-3": (3, None, None, False, False, False),
    "1.23E+11": (4, None, None, False, False, False),
}
BAD = (
    "#N/A",
    "#REF!",
    "＃N/A",
    "Err:502",
    "NA",
    "null",
    "-",
    "900101-1234567",
    "010-1234-5678",
    "a@b.kr",
    "free words",
    "김철수",
    "1.5E+10",
)
POOLS: dict[str, tuple[str, ...]] = {
    "subject_code": (*PEOPLE, " HB-0 "),
    "time": (
        "2012-05-06",
        "2020-02-29",
        "20200101",
        "2020-05-06T10:11",
        "2019-02-29",
        "2031-01-01",
        "3-Mar",
        "",
        "2020/1/1",
    ),
    "end": ("", "", "2020-06-01", "2012-05-05", "soon"),
    "code": (
        "KCD8/I10",
        "LOINC/8480-6",
        "SURVEY/smoking_status",
        "SURVEY/sleep_hours",
        "DEATH/death",
        "X/1",
        *BAD[:6],
        "",
    ),
    "value": ("", "", "120", "7.5", "-1", "1e300", "inf", "nan", "1_000", "never", *BAD),
    "unit": ("", "", "mm[Hg]", "h", "kPa", "#VALUE!"),
    "category": ("", "", "never", "current", "Never", *BAD),
    "episode": ("", "V1", "V 1", "V-2020-0001", "x" * 65, *BAD),
}


def moment(text: str) -> datetime | None:
    if re.fullmatch(r"[0-9]{8}", text):
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    try:
        return datetime.fromisoformat(text) if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        return None


def number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def text_fault(text: str, column: str) -> set[tuple[str, str]]:
    if is_error_cell(text) or is_empty_word(text):
        return {("spreadsheet_error", column)}
    return {("identifier_shape" if find_identifiers(text.encode()) else "free_text", column)}


def judged(row: dict[str, str], dictionary: Dictionary) -> set[tuple[str, str]]:
    cells = {name: text.strip(" ") for name, text in row.items()}
    code, subject = cells["code"], cells["subject_code"]
    _, participant, birth_year, *consent = PEOPLE[subject]
    if participant is None:
        return {("spreadsheet_error" if cell_fault(subject) else "not_registered", "subject_code")}
    entry = dictionary.entry(code)
    if entry is None:
        refused = {reason for reason, _ in text_fault(code, "code")} if code else set()
        return {((refused - {"free_text"} or {"unknown_code"}).pop(), "code")}
    if not consent[("clinical", "lifestyle", "public_record_linkage").index(entry.scope)]:
        return {("no_consent_for_scope", "code")}
    faults: set[tuple[str, str]] = set()
    time, end = moment(cells["time"]), moment(cells["end"])
    if time is None:
        faults.add(("spreadsheet_error", "time"))
    else:
        if birth_year is not None and time.year < birth_year:
            faults.add(("before_birth", "time"))
        if not date(2010, 1, 1) <= time.date() <= date(2024, 12, 31):
            faults.add(("out_of_range", "time"))
    if cells["end"] and end is None:
        faults.add(("spreadsheet_error", "end"))
    if time is not None and end is not None and end < time:
        faults.add(("out_of_range", "end"))
    value, category = cells["value"], cells["category"]
    if entry.kind == "category" and not category:
        value, category = "", value
    if value and number(value) is None:
        faults |= text_fault(value, "value")
    elif value and entry.kind != "number":
        faults.add(("unit_differs", "value"))
    elif entry.kind == "number" and cells["unit"] in ("", entry.unit):
        amount = number(value) if value else None
        assert entry.low is not None and entry.high is not None
        if amount is None or not math.isfinite(amount) or not entry.low <= amount <= entry.high:
            faults.add(("out_of_range", "value"))
    if cells["unit"] and cells["unit"] != entry.unit:
        faults.add(("spreadsheet_error" if is_error_cell(cells["unit"]) else "unit_differs", "unit"))
    if category and category not in entry.categories:
        faults |= text_fault(category, "category")
    elif entry.kind == "category" and not category:
        faults.add(("out_of_range", "category"))
    episode = cells["episode"]
    if episode and cell_fault(episode):
        faults.add(("spreadsheet_error", "episode"))
    elif episode and find_identifiers(episode.encode()):
        faults.add(("identifier_shape", "episode"))
    elif episode and not re.fullmatch(r"\S{1,64}", episode):
        faults.add(("free_text", "episode"))
    return faults


def taken(
    row: dict[str, str], dictionary: Dictionary
) -> tuple[int, datetime, str, float | None, str | None, int | None]:
    """Return a sound row as it is written."""
    cells = {name: value.strip() for name, value in row.items()}
    entry = dictionary.entry(cells["code"])
    assert entry is not None
    sid, participant = PEOPLE[cells["subject_code"]][:2]
    value = float(cells["value"]) if entry.kind == "number" else None
    category = (cells["category"] or cells["value"]) if entry.kind == "category" else None
    episode = int(hashlib.sha256(f"s{participant} {cells['episode']}".encode()).hexdigest()[:12], 16)
    time = datetime.fromisoformat(cells["time"])
    return sid, time, cells["code"], value, category, episode if cells["episode"] else None


def test_rows_are_judged_as_a_slow_account_judges_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "BLOCK_ROWS", 1000)  # the rows of four blocks
    draw = random.Random(20)
    rows = []
    for _ in range(4000):
        # most cells are sound, so that rows with one fault and with none are among them
        sound = {"subject_code": "HB-0", "time": "2020-05-06", "code": draw.choice(POOLS["code"][:4])}
        rows.append({n: draw.choice(pool) if draw.random() < 0.3 else sound.get(n, "") for n, pool in POOLS.items()})
    dictionary = read_dictionary(data.path("dictionary.tsv"))
    batch = pa.RecordBatch.from_pylist(rows, schema=text_schema(EVENT_ROW))
    slices = [batch.slice(first, 300) for first in range(0, len(rows), 300)]
    delivered = DeliveredRows(
        dictionary=dictionary, event_batches=lambda _: slices, coverage_batches=lambda _: [], has_coverage=False
    )
    sheet = replace(
        read_records_sheet(write_delivery(tmp_path / "D", [])), first=date(2010, 1, 1), last=date(2024, 12, 31)
    )
    people = pa.Table.from_pylist(
        [dict(zip(SUBJECTS.names, (sid, code, *rest), strict=True)) for code, (sid, *rest) in PEOPLE.items()], SUBJECTS
    )
    with working_database(tmp_path, workers=1) as connection:
        connection.register("people", people)
        connection.execute("CREATE TABLE subjects AS SELECT * FROM people")
        judge_rows(connection, delivered, sheet=sheet, secret="s", folder=tmp_path)
    written = pq.read_table(tmp_path / ROWS_FILE).to_pylist()
    expected = Counter((PEOPLE[row["subject_code"].strip()][0], frozenset(judged(row, dictionary))) for row in rows)
    assert Counter((each["sid"], frozenset(faults_in(each["mask"]))) for each in written) == expected
    assert len(expected) > 150 and expected[0, frozenset()] > 100
    sound = Counter(taken(row, dictionary) for row in rows if not judged(row, dictionary))
    names = ("sid", "began", "code", "value", "category", "episode")
    assert Counter(tuple(each[name] for name in names) for each in written if not each["mask"]) == sound
    # a row with a fault keeps nothing but its day
    kept = [each for each in written if each["mask"]]
    assert {each[name] for each in kept for name in ("end", "code", "value", "category", "episode")} == {None}
