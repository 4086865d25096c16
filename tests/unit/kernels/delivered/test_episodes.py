"""Digests of episodes against ``hashlib``, at every length of the secret, and their text."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from baekman.arrow import column, string_parts
from baekman.kernels.delivered.episodes import NOTHING, OTHER, digest_episodes
from baekman.records.rows.episodes import episode_texts

PEOPLE = ["P0123456789ABX", "P", "P" * 64]
PLAIN = ["C12345678", "z" * 64, *(f"V{10**length}" for length in range(8, 40))]
OTHERS = ["", "C1234567", "1C2345678", "C-2345678", "C12345678 ", "C1234567\u00e9", "z" * 65, "{2345678A", "@2345678A"]


@pytest.mark.parametrize("portable", [True, False])
@pytest.mark.parametrize("length", [0, 1, 31, 32, 63, 64, 65, 127, 128, 200])
def test_digests_are_those_of_hashlib(length: int, portable: bool) -> None:
    secret = "0123456789abcdef" * 13
    names = [*PLAIN, *OTHERS]
    pairs = [(person, name) for person in range(-1, len(PEOPLE)) for name in range(-1, len(names))]
    digests = np.empty(len(pairs), np.int64)
    members = np.array(pairs, np.int64).T.copy()
    parts = (*string_parts(column(PEOPLE)), *string_parts(column(names)))
    digest_episodes(secret[:length].encode(), *parts, members, digests, portable=portable)
    expected = []
    for person, name in pairs:
        if person < 0 or name < 0:
            expected.append(NOTHING)
        elif names[name] in OTHERS:
            expected.append(OTHER)
        else:
            text = f"{secret[:length]}{PEOPLE[person]} {names[name]}"
            expected.append(int(hashlib.sha256(text.encode()).hexdigest()[:12], 16))
    assert digests.tolist() == expected


def test_the_text_of_a_digest_has_twelve_digits() -> None:
    numbers = [0, 1, 0xABC, 2**48 - 1, 0x0123456789AB]
    whole = pa.chunked_array([pa.array(numbers, pa.int64())])
    assert episode_texts(whole).to_pylist() == [f"{number:012x}" for number in numbers]
    some = pa.chunked_array([pa.array([*numbers, None, 7], pa.int64())])
    assert episode_texts(some).to_pylist() == [*(f"{number:012x}" for number in numbers), None, f"{7:012x}"]
    assert episode_texts(whole.slice(0, 0)).to_pylist() == []
