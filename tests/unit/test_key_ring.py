"""Keys: fixed bytes for fixed keys, so that a store of an earlier version opens; nothing shows a key."""

from __future__ import annotations

import hmac

import pytest
from baekman.errors import InputRefused
from baekman.key_ring import Key, KeyRing

FIXED = Key(bytes(range(32)))
SEALED = bytes.fromhex(
    "c4d75b50000000000000000000000000d0f401747cfc41dfa088af56c103efcb"
    "1d51f43a03cdcfcfa045c9723e06cb0bb1d75b9613b4660312dad678"
)


def test_a_fixed_key_makes_the_bytes_of_earlier_versions() -> None:
    ring = KeyRing([FIXED])
    assert ring.current.hex() == "c4d75b50"
    assert ring.blind_index("specimen", "서울병원", "BAR-0001") == (
        "debda01eda91c3fa9b2670065919fed5632eed47fba1a29e37a6683c6f65ba7f"
    )
    assert ring.blind_index("delivery", "x") == "ef518f8a49695963cf67e153625901707d87446a85fc361e93143f9f936ac94c"
    assert ring.unseal(SEALED, identity="specimens S1") == {"a": "홍", "b": [1, None]}


def test_a_value_is_sealed_with_fresh_bytes_for_its_record_only() -> None:
    ring = KeyRing([FIXED])
    first, second = (ring.seal({"a": "홍"}, identity="specimens S1") for _ in range(2))
    assert first != second
    assert ring.unseal(second, identity="specimens S1") == {"a": "홍"}
    for sealed, identity in ((first, "specimens S2"), (first[:-1] + bytes([first[-1] ^ 1]), "specimens S1"), (b"", "")):
        with pytest.raises(InputRefused, match="expected a value sealed for this record"):
            ring.unseal(sealed, identity=identity)


def test_nothing_shows_a_key() -> None:
    key = Key.new()
    ring = KeyRing([key])
    for text in (repr(key), repr(ring), str(key)):
        assert key.master.hex() not in text and repr(key.master) not in text


def test_the_blind_index_is_an_hmac_of_the_parts_with_their_lengths() -> None:
    key = Key.new()
    message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in ("specimen", "가", "B-1"))
    expected = hmac.new(key.derived("index"), message, "sha256").hexdigest()
    assert KeyRing([key]).blind_index("specimen", "\u1100\u1161", "B-1") == expected


def test_a_blind_index_does_not_depend_on_those_before_it() -> None:
    ring = KeyRing([FIXED])
    assert {ring.blind_index("specimen", "서울병원", "BAR-0001") for _ in range(3)} == {
        KeyRing([FIXED]).blind_index("specimen", "서울병원", "BAR-0001")
    }
