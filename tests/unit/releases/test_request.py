"""The request of a release: what it asks for, and every fault at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from baekman.errors import InputRefused
from baekman.releases.request import PAGE, parse_request, read_request

PROJECT = "J0000000000000"
ASKED: dict[str, Any] = {"project": PROJECT, "tier": "room", "who": "SELECT participant_id FROM participants"}


def refused(**keys: Any) -> list[str]:
    with pytest.raises(InputRefused) as refusal:
        parse_request({**ASKED, **keys}, source="request.yaml")
    return str(refusal.value).splitlines()


@pytest.fixture(autouse=True)
def valid_project(monkeypatch: pytest.MonkeyPatch) -> None:
    from baekman import pseudonyms

    monkeypatch.setitem(ASKED, "project", "J" + "0" * 12 + pseudonyms.check_character("J" + "0" * 12))


def test_defaults_are_the_coarsest_that_the_design_asks_for() -> None:
    request = parse_request({**ASKED, "codes": ["KCD8/E119"]}, source="request.yaml")
    assert (request.threshold, request.birth_years, request.genotypes, request.shape) == (11, 5, "carriers", "tables")
    assert (request.records_snapshot, request.cohort_snapshot, request.below_qc) == (None, None, "refuse")


def test_equal_requests_have_equal_hashes_whatever_the_order_of_codes() -> None:
    first = parse_request({**ASKED, "codes": ["KCD8/E119", "ATC/*"]}, source="a.yaml")
    second = parse_request({**ASKED, "codes": ["ATC/*", "KCD8/E119"], "why": ""}, source="b.yaml")
    other = parse_request({**ASKED, "codes": ["ATC/*"]}, source="b.yaml")
    assert first.hash == second.hash != other.hash


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    asked = {**ASKED, "codes": ["LOINC/8480-6"], "regions": ["chr20:1-1000"], "snapshots": {"records": 3}}
    request = parse_request(asked, source="request.yaml")
    (tmp_path / "request.yaml").write_text(request.to_yaml(), encoding="utf-8")
    assert read_request(tmp_path / "request.yaml") == request


def test_lines_of_a_bed_file_become_regions_from_1() -> None:
    request = parse_request({**ASKED, "regions": "# genes\nchr20\t0\t1000\tgene\nchr21:5-9\n"}, source="request.yaml")
    assert request.regions == ("chr20:1-1000", "chr21:5-9")


def test_every_fault_of_the_schema_is_reported_at_once() -> None:
    assert refused(tier="public", codes=["E119"], generalise={"threshold": 5}, colour="red") == [
        "request.yaml: top level: expected one of the keys project, tier, who, why, codes, regions, genotypes, "
        "snapshots, generalise, shape, below_qc, found colour; docs/releases.md shows every key",
        "request.yaml: codes.0: expected a code SYSTEM/CODE, or SYSTEM/*, found something else; docs/releases.md shows "
        "every key",
        "request.yaml: generalise.threshold: expected a number of at least 11, found 5; docs/releases.md shows every "
        "key",
        "request.yaml: tier: expected one of open, low_risk, room, transfer, found something else; docs/releases.md "
        "shows every key",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"project": "J0000000000001", "codes": ["A/1"]},
            "request.yaml: project: expected a project's ID with its check character, found a wrong check character; "
            "copy it again from `baekman project show`",
        ),
        (
            {"tier": "low_risk", "codes": ["A/1"], "regions": ["chr20"]},
            "request.yaml: regions: expected no regions in the tier low_risk, which has no genotypes, found regions; "
            "leave them out, or ask for the tier room",
        ),
        (
            {"tier": "open", "codes": ["A/1"], "shape": "meds"},
            "request.yaml: shape: expected tables in the tier open, found meds; leave it out, or ask for the tier room",
        ),
        ({}, "request.yaml: codes: expected codes or regions, found neither; name what is needed"),
        (
            {"regions": "chr20\t100\t100\n"},
            "request.yaml: regions, line 1: expected a contig, a start from 0 and an end after it, as in a BED file, "
            "found other values; correct the line",
        ),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(keys: dict[str, Any], message: str) -> None:
    assert refused(**keys) == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "request.yaml: expected a request in YAML, found no file that can be read; " + PAGE),
        ("- a\n", "request.yaml: expected a mapping `key: value`, found something else; " + PAGE),
        ("a: [", "request.yaml: line 1, column 5: expected YAML, found something else"),
    ],
)
def test_a_file_that_is_no_request_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "request.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(InputRefused) as refusal:
        read_request(path)
    assert str(refusal.value) == message
