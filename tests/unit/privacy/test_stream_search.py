"""The search for identifiers in the blocks of a delivered text: all are found, and nothing else."""

from __future__ import annotations

import time
import unicodedata

import pytest
from baekman.kernels.delivered.screen import may_have_shape
from baekman.privacy import stream_search
from baekman.privacy.stream_search import IdentifierSearch, found_in
from hypothesis import given
from hypothesis import strategies as st

REGISTERED = ["김한빛", "Kim Hanbit", "HB-SUBJ-17", "850101-2345678", "1101"]


def search(text: bytes, size: int = 10_000, barcode: str = "HB-SUBJ-17-B1") -> set[str]:
    identifiers = IdentifierSearch(REGISTERED, barcode=barcode)
    for start in range(0, len(text), size):
        identifiers.feed(text[start : start + size])
    identifiers.finish()
    return identifiers.found


@pytest.mark.parametrize(
    "name",
    [
        "A00123:45:HXXX:1:1101:10004:1000",
        "SRR1234567.12345678/1",
        "HWI-ST1276:71:C1162ACXX:1:1101:1208:2458 1:N:0:CGATGT",
        "HG001_NA12878_ERR2716153_HiSeqX.sra.246751153",
        "V300012345L1C001R0010000012",
        "E100001117L1C001R00300000010/2",
        "m64011_190830_220126/1/ccs",
        "HB-SUBJ-17-B1:7:1101",
    ],
)
def test_read_names_of_instruments_hold_no_identifier(name: str) -> None:
    assert search(name.encode() + b"\n") == set()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("r1 김한빛", "registered"),
        ("r1 " + unicodedata.normalize("NFD", "김한빛"), "registered"),
        ("@RG SM:x LB:KIM_HANBIT", "registered"),
        ("kim.hanbit.fastq", "registered"),
        ("hb-subj-17:1:1", "registered"),
        ("r1 850101-2345678", "registered"),
        ("r1 900101-1999999", "resident_registration_number"),
        ("call 010-1234-5678", "telephone"),
        ("by ward@hospital.kr", "e_mail"),
    ],
)
def test_identifiers_are_found(text: str, kind: str) -> None:
    assert kind in search(text.encode())


@given(st.integers(1, 40), st.integers(0, 30))
def test_a_block_border_hides_nothing(size: int, before: int) -> None:
    text = b"x" * before + b"\nread Kim Hanbit\nread 010-1234-5678\n"
    assert search(text, size) == {"registered", "telephone"}


def test_a_subject_code_is_a_finding_only_outside_the_barcode() -> None:
    assert found_in("HB-SUBJ-17-B1_R1.fastq.gz", REGISTERED, barcode="HB-SUBJ-17-B1") == set()
    assert found_in("HB-SUBJ-17_R1.fastq.gz", REGISTERED, barcode="HB-SUBJ-17-B1") == {"registered"}
    assert found_in("x.fastq.gz", REGISTERED, barcode="") == set()


def test_a_line_without_an_end_is_searched_in_bounded_memory() -> None:
    identifiers = IdentifierSearch(REGISTERED, barcode="A")
    for _ in range(50):
        identifiers.feed(b"y" * (1 << 20))
    assert len(identifiers._rest) <= 1 << 20


@given(st.text("01259 -._)*xX+@a:\n", max_size=60))
def test_the_quick_look_misses_no_candidate(text: str) -> None:
    data = text.encode()
    if stream_search._CANDIDATE.search(data):
        assert may_have_shape(data)


@given(st.sampled_from(REGISTERED[:4]), st.sampled_from(["", "x ", "x:", "HB-SUBJ-17-B1 "]), st.data())
def test_the_quick_look_misses_no_registered_word(word: str, before: str, data: st.DataObject) -> None:
    separator = data.draw(st.sampled_from([" ", "_", "-", ".", "\t", ""]))
    case = data.draw(st.sampled_from([str.upper, str.lower, str]))
    form = data.draw(st.sampled_from(["NFC", "NFD"]))
    written = unicodedata.normalize(form, case(word).replace(" ", separator))
    assert search(f"{before}{written}\n".encode()) >= {"registered"}


def test_read_names_are_searched_as_fast_as_they_are_decompressed() -> None:
    names = "".join(f"A00123:45:HXXXDSX:1:{1101 + i % 999}:{i * 7 % 32000}:{i} 1:N:0:ACGT\n" for i in range(200_000))
    text = names.encode()
    identifiers = IdentifierSearch(REGISTERED, barcode="HB-SUBJ-17-B1")
    begun = time.process_time()
    identifiers.feed(text)
    assert identifiers.found == set()
    assert len(text) / (time.process_time() - begun) > 15e6  # bytes a second; a pattern alone does 6


def test_a_barcode_that_is_part_of_a_name_hides_nothing() -> None:
    assert search(b"r1 Kim Hanbit\n", barcode="a") == {"registered"}
    assert search(b"r1 Kim Hanbit\n", barcode="Kim") == {"registered"}
