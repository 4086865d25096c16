"""The dictionary: each fault of a file in words, growth without a change of meaning, and the starter."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman import data
from baekman.errors import InputRefused
from baekman.records.dictionary import DICTIONARY_SCHEMA, Dictionary, Entry, read_dictionary, write_dictionary
from baekman.records.dictionary_rows import COLUMNS
from hypothesis import given, settings
from hypothesis import strategies as st

SYSTOLIC = {
    "code": "LOINC/8480-6",
    "name_ko": "수축기 혈압",
    "name_en": "Systolic blood pressure",
    "kind": "number",
    "unit": "mm[Hg]",
    "low": "40",
    "high": "300",
    "scope": "clinical",
    "tier": "low_risk",
}
DIABETES = {
    "code": "KCD8/E11",
    "name_ko": "2형 당뇨병",
    "name_en": "Type 2 diabetes",
    "kind": "event",
    "scope": "clinical",
    "tier": "low_risk",
}
SMOKING = {
    "code": "SURVEY/smoking_status",
    "name_ko": "흡연 상태",
    "name_en": "Smoking status",
    "kind": "category",
    "categories": "never|former|current",
    "scope": "lifestyle",
    "tier": "low_risk",
}
KINDS = "one of event, number, category"
SCOPES = "one of clinical, lifestyle, public_record_linkage"
SCOPES = "one of clinical, lifestyle, public_record_linkage"


def write(folder: Path, *rows: dict[str, str], header: tuple[str, ...] = COLUMNS) -> Path:
    path = folder / "dictionary.tsv"
    lines = ["\t".join(header), *("\t".join(row.get(column, "") for column in header) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refusal(path: Path) -> list[str]:
    with pytest.raises(InputRefused) as refused:
        read_dictionary(path)
    return str(refused.value).splitlines()


def entries(path: Path) -> Dictionary:
    return read_dictionary(path)


def test_a_dictionary_is_one_table_sorted_by_code(tmp_path: Path) -> None:
    dictionary = entries(write(tmp_path, SYSTOLIC, DIABETES, SMOKING))
    assert dictionary.table.schema == DICTIONARY_SCHEMA
    assert dictionary.codes == ("KCD8/E11", "LOINC/8480-6", "SURVEY/smoking_status")
    assert dictionary.entry("LOINC/8480-6") == Entry(
        code="LOINC/8480-6",
        name_ko="수축기 혈압",
        name_en="Systolic blood pressure",
        kind="number",
        unit="mm[Hg]",
        low=40.0,
        high=300.0,
        scope="clinical",
        tier="low_risk",
    )
    assert dictionary.table["categories"].to_pylist() == [None, None, ["never", "former", "current"]]
    assert dictionary.entry("LOINC/0") is None


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    expected = entries(write(tmp_path, SYSTOLIC, SMOKING)).table
    assert entries(write(tmp_path, SYSTOLIC, SMOKING, header=COLUMNS[::-1])).table == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"code": "8480-6"}, "code: expected SYSTEM/CODE of letters, digits and . _ : + -, found something else"),
        ({"code": ""}, "code: expected SYSTEM/CODE of letters, digits and . _ : + -, found nothing"),
        ({"name_ko": ""}, "name_ko: expected a name of 1 to 200 characters without |, found nothing"),
        ({"name_en": "a|b"}, "name_en: expected a name of 1 to 200 characters without |, found something else"),
        ({"kind": "text"}, f"kind: expected {KINDS}, found something else"),
        ({"kind": ""}, f"kind: expected {KINDS}, found nothing"),
        ({"unit": "mm Hg"}, "unit: expected a unit of UCUM, found something else"),
        ({"low": "a"}, "low: expected a number, or nothing, found something else"),
        ({"high": "inf"}, "high: expected a number, or nothing, found something else"),
        ({"high": "40"}, "high: expected more than low, found no more"),
        ({"categories": "a|b"}, "categories: expected nothing, as the kind is number, found something"),
        (
            {"scope": "genome"},
            "scope: expected one of clinical, lifestyle, public_record_linkage, found something else",
        ),
        ({"tier": "secret"}, "tier: expected one of open, low_risk, room, never, found something else"),
        ({"parent": "LOINC/0"}, "parent: expected a code of the dictionary, found none of its codes"),
        ({"parent": "LOINC/8480-6"}, "parent: expected a parent above the code, found a circle of parents"),
        ({"uri": "8480-6"}, "uri: expected an address (https://, http:// or urn:), found something else"),
    ],
)
def test_a_fault_of_a_number_is_reported_with_row_and_column(tmp_path: Path, row: dict[str, str], message: str) -> None:
    assert refusal(write(tmp_path, SMOKING, {**SYSTOLIC, **row})) == [f"dictionary.tsv: row 3, column {message}"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"unit": "1"}, "unit: expected nothing, as the kind is category, found something"),
        ({"low": "1"}, "low: expected nothing, as the kind is category, found something"),
        ({"categories": ""}, "categories: expected categories of 1 to 100 characters, separated by |, found nothing"),
        (
            {"categories": "a||b"},
            "categories: expected categories of 1 to 100 characters, separated by |, found something else",
        ),
        ({"categories": "a|b|a"}, "categories: expected each category once, found a category again"),
        ({"kind": "event"}, "categories: expected nothing, as the kind is event, found something"),
    ],
)
def test_a_fault_of_categories_is_reported_with_row_and_column(
    tmp_path: Path, row: dict[str, str], message: str
) -> None:
    assert refusal(write(tmp_path, {**SMOKING, **row})) == [f"dictionary.tsv: row 2, column {message}"]


def test_every_fault_is_reported_at_once_in_the_order_of_rows(tmp_path: Path) -> None:
    twice = {**DIABETES, "tier": "x"}
    assert refusal(write(tmp_path, DIABETES, {**SYSTOLIC, "kind": "x", "scope": ""}, twice)) == [
        f"dictionary.tsv: row 3, column kind: expected {KINDS}, found something else",
        f"dictionary.tsv: row 3, column scope: expected {SCOPES}, found nothing",
        "dictionary.tsv: row 4, column tier: expected one of open, low_risk, room, never, found something else",
        "dictionary.tsv: row 4, column code: expected each code once, found the code of row 2 again",
    ]


@pytest.mark.parametrize("code", ["KCD8/E1", "KCD8/E1191234", "KCD8/e11", "KCD8/E11.9"])
def test_a_code_of_kcd_has_a_letter_and_two_to_five_digits(tmp_path: Path, code: str) -> None:
    assert refusal(write(tmp_path, {**DIABETES, "code": code})) == [
        "dictionary.tsv: row 2, column code: expected a letter and two to five digits, as KCD8/E119, or a block, as "
        "KCD8/E10-E14, found something else"
    ]


def test_a_header_without_a_column_is_refused(tmp_path: Path) -> None:
    header = (*(column for column in COLUMNS if column != "tier"), "note")
    assert refusal(write(tmp_path, SYSTOLIC, header=header)) == [
        "dictionary.tsv: row 1: expected the column tier, found none",
        "dictionary.tsv: row 1: expected the columns code name_ko name_en kind unit low high categories scope tier "
        "parent uri, found 1 other column",
    ]


def test_a_row_of_another_width_and_an_empty_table_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert refusal(path) == ["dictionary.tsv: expected a row for each code, found a header only"]
    path.write_text(path.read_text() + "LOINC/8480-6\t수축기 혈압\n", encoding="utf-8")
    assert refusal(path) == [
        "dictionary.tsv: row 2: expected 12 fields, found 2; separate the fields by tabs, and leave none out"
    ]


def test_a_dictionary_grows_by_codes_categories_and_labels(tmp_path: Path) -> None:
    known = entries(write(tmp_path, SYSTOLIC, SMOKING))
    more = {**SMOKING, "categories": "never|former|current|not known", "name_en": "Smoking"}
    merged = known.merged(entries(write(tmp_path, more, DIABETES)))
    assert merged.codes == ("KCD8/E11", "LOINC/8480-6", "SURVEY/smoking_status")
    smoking = merged.entry("SURVEY/smoking_status")
    assert smoking is not None
    assert (smoking.categories, smoking.name_en) == (("never", "former", "current", "not known"), "Smoking")
    assert merged.merged(known.merged(merged)).table == merged.table


def test_a_known_code_never_changes_its_meaning(tmp_path: Path) -> None:
    known = entries(write(tmp_path, SYSTOLIC, SMOKING))
    changed = write(tmp_path, {**SYSTOLIC, "unit": "kPa", "tier": "open"}, {**SMOKING, "categories": "never|current"})
    with pytest.raises(InputRefused) as refused:
        known.merged(entries(changed))
    meaning = "expected the meaning that the dictionary of the store has, found another one; "
    action = "give the new meaning a code of its own"
    assert str(refused.value).splitlines() == [
        f"dictionary.tsv: LOINC/8480-6, column unit: {meaning}{action}",
        f"dictionary.tsv: LOINC/8480-6, column tier: {meaning}{action}",
        f"dictionary.tsv: SURVEY/smoking_status, column categories: {meaning}{action}",
    ]


def test_a_parent_may_be_in_the_known_dictionary(tmp_path: Path) -> None:
    known = entries(write(tmp_path, DIABETES))
    child = write(tmp_path, {**DIABETES, "code": "KCD8/E119", "parent": "KCD8/E11"})
    assert known.merged(read_dictionary(child, known=known)).codes == ("KCD8/E11", "KCD8/E119")
    assert len(refusal(child)) == 1


@settings(max_examples=30, deadline=None)
@given(
    bounds=st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)).filter(lambda pair: pair[0] < pair[1]),
    categories=st.lists(st.text("abc 가나+-", min_size=1).map(str.strip).filter(bool), min_size=1, unique=True),
)
def test_a_written_dictionary_is_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, bounds: tuple[float, float], categories: list[str]
) -> None:
    number = Entry(
        code="X/1", name_ko="가", name_en="a", kind="number", unit="1", low=bounds[0], high=bounds[1], scope="clinical",
        tier="room",
    )  # fmt: skip
    survey = Entry(
        code="X/2", name_ko="가", name_en="a", kind="category", categories=tuple(categories), scope="lifestyle",
        tier="open", parent="X/1", uri="urn:x",
    )  # fmt: skip
    dictionary = Dictionary.of({entry.code: entry for entry in (survey, number)})
    path = tmp_path_factory.mktemp("dictionary") / "dictionary.tsv"
    write_dictionary(dictionary, path)
    assert read_dictionary(path).table == dictionary.table


def test_the_starter_has_what_its_users_begin_with() -> None:
    starter = read_dictionary(data.path("dictionary.tsv"))
    systems = {code.split("/")[0] for code in starter.codes}
    assert systems == {"LOINC", "KCD8", "EDI", "ATC", "SURVEY", "DEATH", "CANCER", "HPO"}
    for code in ("LOINC/8480-6", "LOINC/8462-4", "LOINC/1558-6", "LOINC/4548-4", "LOINC/2093-3", "LOINC/2085-9"):
        entry = starter.entry(code)
        assert entry is not None
        assert entry.kind == "number" and entry.low is not None and entry.high is not None
    words = " ".join(entry.code for entry in starter.entries.values() if entry.code.startswith("SURVEY/"))
    assert all(word in words for word in ("diet_", "exercise_", "sleep_", "smoking_", "alcohol_"))


def test_a_rare_code_of_the_starter_rolls_up_to_its_chapter() -> None:
    starter = read_dictionary(data.path("dictionary.tsv"))
    for system, tops in (("KCD8", 22), ("ATC", 9), ("HPO", 1)):
        roots = [
            code for code in starter.codes if code.startswith(system + "/") and starter.entries[code].parent is None
        ]
        assert len(roots) == tops
    # who reads a child may read its parent, and both need the same consent
    order = ("open", "low_risk", "room", "never")
    for entry in starter.entries.values():
        parent = starter.entry(entry.parent) if entry.parent else None
        if parent is not None:
            assert order.index(parent.tier) <= order.index(entry.tier), entry.code
            assert parent.scope == entry.scope, entry.code
