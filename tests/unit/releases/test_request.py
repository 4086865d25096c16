"""The request of a release: what it asks for, and every fault at once."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from baekman.errors import InputRefused
from baekman.pseudonyms import check_character
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


def test_bounds_are_two_numbers_in_their_order() -> None:
    assert refused(codes=["A/1"], generalise={"bounds": {"A/1": [3, 2]}}) == [
        "request.yaml: generalise.bounds.A/1: expected the lowest value, then the highest, found 3 before 2"
    ]
    assert refused(codes=["A/1"], generalise={"bounds": {"A/1": [3]}}) == [
        "request.yaml: generalise.bounds.A/1: expected two numbers: [lowest, highest], found something else; "
        "docs/releases.md shows every key"
    ]


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
        "request.yaml: top level: expected one of the keys project, tier, recipient, who, why, codes, regions, "
        "genotypes, pgen, snapshots, generalise, shape, below_qc, found colour; docs/releases.md shows every key",
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
        *(
            (
                {"pgen": True, "codes": ["A/1"], **keys},
                "request.yaml: pgen: expected regions and `genotypes: dense`, as a file of plink2 has a value for each "
                f"member, found {found}; leave it out, or ask for dense genotypes",
            )
            for keys, found in (({"regions": ["chr20"]}, "carriers"), ({"genotypes": "dense"}, "no regions"))
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


PUBLIC_KEY = (
    "-----BEGIN CRYPT4GH PUBLIC KEY-----\n"
    "qzoa+IRGxBqpz63FBCDdqLqPDuHYCGbpmpxp7mDKyGg=\n"
    "-----END CRYPT4GH PUBLIC KEY-----\n"
)
NO_KEY = (
    "request.yaml: recipient.public_key: expected a Crypt4GH public key, the three lines of a file .pub, found {}; {}"
)
ELSE = NO_KEY.format("something else", "copy the whole file that `crypt4gh-keygen` made")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"tier": "transfer"},
            "request.yaml: recipient: expected the recipient of the transfer: name and public_key, found none; "
            "docs/releases.md shows every key",
        ),
        *(
            (
                {"tier": tier, "recipient": {"name": "Hong", "public_key": PUBLIC_KEY}},
                f"request.yaml: recipient: expected no recipient in the tier {tier}, which is not encrypted to anyone, "
                "found a recipient; leave it out, or ask for the tier transfer",
            )
            for tier in ("open", "low_risk", "room")
        ),
        (
            {"tier": "transfer", "recipient": {"public_key": PUBLIC_KEY}},
            "request.yaml: recipient: expected the key name, found none; docs/releases.md shows every key",
        ),
        (
            {"tier": "transfer", "recipient": {"name": "Hong"}},
            "request.yaml: recipient: expected the key public_key, found none; docs/releases.md shows every key",
        ),
        (
            {"tier": "transfer", "recipient": {"name": "Hong\nKim", "public_key": PUBLIC_KEY}},
            "request.yaml: recipient.name: expected a name of at most 200 characters in one line, found something "
            "else; docs/releases.md shows every key",
        ),
        (
            {"tier": "transfer", "recipient": {"name": "Hong", "public_key": PUBLIC_KEY, "mail": "x"}},
            "request.yaml: recipient: expected one of the keys name, public_key, found mail; docs/releases.md shows "
            "every key",
        ),
        ({"tier": "transfer", "recipient": {"name": "Hong", "public_key": "ssh-ed25519 AAAA"}}, ELSE),
        ({"tier": "transfer", "recipient": {"name": "Hong", "public_key": PUBLIC_KEY.replace("qz", "q")}}, ELSE),
        # points of small order, and a spelling with the bit that is not part of the number
        *(
            (
                {
                    "tier": "transfer",
                    "recipient": {
                        "name": "Hong",
                        "public_key": PUBLIC_KEY.replace(PUBLIC_KEY.splitlines()[1], b64encode(point).decode()),
                    },
                },
                ELSE,
            )
            for point in (bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\7" * 31 + b"\x87")
        ),
        (
            {"tier": "transfer", "recipient": {"name": "Hong", "public_key": PUBLIC_KEY.replace("PUBLIC", "PRIVATE")}},
            NO_KEY.format("a private key", "the recipient makes another pair: this key is not secret now"),
        ),
    ],
)
def test_a_transfer_alone_has_a_recipient_with_a_key(keys: dict[str, Any], message: str) -> None:
    assert refused(codes=["A/1"], **keys) == [message]


def test_a_recipient_is_written_in_one_spelling_and_read_again(tmp_path: Path) -> None:
    text = "\n" + PUBLIC_KEY.replace("\n", "\r\n") + "\n"
    asked = {**ASKED, "tier": "transfer", "codes": ["A/1"], "recipient": {"name": " Hong ", "public_key": text}}
    request = parse_request(asked, source="request.yaml")
    assert request.to_json()["recipient"] == {"name": "Hong", "public_key": PUBLIC_KEY}
    (tmp_path / "request.yaml").write_text(request.to_yaml(), encoding="utf-8")
    assert read_request(tmp_path / "request.yaml") == request
    assert request.recipient is not None
    key = b64decode(PUBLIC_KEY.splitlines()[1])
    assert request.recipient.fingerprint == hashlib.sha256(key).hexdigest()
    with pytest.raises(InputRefused) as refusal:
        parse_request(
            {**asked, "recipient": {"name": "P" + "0" * 12 + check_character("P" + "0" * 12), "public_key": text}},
            source="request.yaml",
        )
    assert "recipient.name: expected no ID" in str(refusal.value)
