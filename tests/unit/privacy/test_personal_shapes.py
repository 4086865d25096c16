"""Identifiers of persons in headers, names and comments are seen; names of machines and references are none."""

from __future__ import annotations

import unicodedata

import pytest
from baekman.privacy.personal_shapes import PersonalShape, find_identifiers
from hypothesis import given
from hypothesis import strategies as st


def kinds(text: str, *confidential: str) -> list[str]:
    return [shape.kind for shape in find_identifiers(text.encode(), confidential)]


@pytest.mark.parametrize("seventh", "0123456789")
@pytest.mark.parametrize("form", ["{}-{}", "{}{}", "{} {}", "{} - {}", "{}\u2013{}", "{}_{}"])
def test_a_resident_number_of_every_kind_is_seen(seventh: str, form: str) -> None:
    text = "@CO patient " + form.format("840229", seventh + "234567") + " here"
    assert find_identifiers(text.encode()) == [PersonalShape(12, "resident_registration_number")]


@pytest.mark.parametrize(
    "text", ["홍길동840229-2234567", "840229-2234567님", "id=900101-1******", "９００１０１-１２３４５６７"]
)
def test_a_resident_number_is_seen_next_to_hangul_masked_and_in_wide_digits(text: str) -> None:
    assert kinds(text) == ["resident_registration_number"]


@pytest.mark.parametrize(
    "text",
    [
        "8413011234567",  # no thirteenth month
        "840230-1234567",  # no 30th of February
        "18402291234567",  # fourteen digits
        "84022912345678",
        "AS:840229-1234567x",
        "A00123:8402291234567:1101",  # a field of a read name
    ],
)
def test_other_numbers_are_no_resident_number(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize(
    "text",
    ["010-1234-5678", "01012345678", "+82 10-1234-5678", "+82-2-123-4567", "02-123-4567", "(031) 123-4567"],
)
def test_a_telephone_number_is_seen(text: str) -> None:
    assert kinds(f"call {text} now") == ["telephone"]


def test_an_e_mail_address_is_seen() -> None:
    assert kinds("mail gildong.hong@hospital.example.kr!") == ["e_mail"]


def test_sequence_machinery_is_no_identifier() -> None:
    text = "\n".join(
        [
            "@HD\tVN:1.6\tSO:coordinate",
            "@SQ\tSN:chr1\tLN:248956422\tM5:6aef897c3d6ff0c78aff06ac189178dd",
            "@RG\tID:H0164.2\tPL:ILLUMINA\tPU:H0164ALXX140820.2\tLB:Solexa-272222\tDT:2014-08-20T00:00:00-0400",
            "@PG\tID:bwa\tPN:bwa\tVN:0.7.17-r1188",
            "@A01234:123:HXXXXDSXX:1:1101:10000:1000 1:N:0:ATCGATCG+GGCCTTAA",
            "SRR1234567.1012345678 length=101",
            "m64011_190830_220126/101320731/ccs",
            "##fileDate=20240131",
            "##contig=<ID=20,length=63025520,assembly=b37>",
            "550e8400-e29b-41d4-a716-446655440000",
        ]
    )
    assert kinds(text) == []


@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16-le", "utf-16-be"])
def test_a_registered_name_is_seen_in_every_encoding(encoding: str) -> None:
    data = "prefix ".encode(encoding) + "홍길동".encode(encoding)
    assert [shape.kind for shape in find_identifiers(data, ["홍길동"])] == ["registered"]


def test_a_registered_name_is_seen_decomposed_and_in_another_case() -> None:
    assert kinds(unicodedata.normalize("NFD", "홍길동"), "홍길동") == ["registered"]
    assert kinds("HONG GILDONG", "Hong Gildong") == ["registered"]


def test_a_registered_code_counts_only_where_it_stands_alone() -> None:
    assert kinds("/data/AB12_1.fq", "AB12") == ["registered"]
    assert kinds("XAB123", "AB12") == []
    assert kinds("P1", "P1") == []


@given(before=st.binary(max_size=40), after=st.binary(max_size=40))
def test_bytes_that_are_no_text_hide_no_identifier(before: bytes, after: bytes) -> None:
    data = before + b" 840229-2234567 " + after
    expected = PersonalShape(len(before) + 1, "resident_registration_number")
    assert expected in find_identifiers(data)
