"""The rows of a book and their drawing: everything in them is random, and nothing is derived."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman import pseudonyms

RECORD_KEY_BYTES = 16
ROWS = pa.schema(
    [
        ("participant_id", pa.string()),
        ("project_id", pa.string()),
        ("date_shift_days", pa.int32()),
        ("record_key", pa.binary(RECORD_KEY_BYTES)),
    ]
)
LONGEST_SHIFT = 366  # days, in both directions; no shift is 0
PAGES = 256
_VALUES = np.zeros(256, np.int64)
_VALUES[np.frombuffer(pseudonyms.ALPHABET.encode(), np.uint8)] = np.arange(32)


def draw(participants: pa.Array) -> pa.Table:
    """Return a new row (``ROWS``) for each of ``participants``, from the system's random source."""
    count = len(participants)
    width = pa.binary(pseudonyms.LENGTH)
    project_ids = _array(width, pseudonyms.new_column("X", count)).cast(pa.binary()).cast(pa.string())
    random = np.frombuffer(secrets.token_bytes(8 * count), np.uint64) % np.uint64(2 * LONGEST_SHIFT)
    shift = random.astype(np.int32) - LONGEST_SHIFT
    shift[shift >= 0] += 1
    keys = _array(pa.binary(RECORD_KEY_BYTES), np.frombuffer(secrets.token_bytes(RECORD_KEY_BYTES * count), "S16"))
    return pa.table([participants, project_ids, _array(pa.int32(), shift), keys], schema=ROWS)


def by_page(participants: pa.Array) -> Iterator[tuple[int, pa.Array]]:
    """Yield the number of each page with its ``participants``."""
    pages = pages_of(participants)
    for page in np.unique(pages):
        yield int(page), participants.take(_array(pa.int64(), np.flatnonzero(pages == page)))


def _array(kind: pa.DataType, values: npt.NDArray[Any]) -> pa.Array:
    """Return ``values`` as an Arrow array without nulls; ``pa.array`` would import pandas for them."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def pages_of(participants: pa.Array) -> npt.NDArray[np.int64]:
    """Return the number of the page of each participant: that of the buckets of a record store with 256 of them."""
    if not len(participants):
        return np.zeros(0, np.int64)
    letters = np.array(participants.to_pylist(), f"S{pseudonyms.LENGTH}").view(np.uint8)
    pairs = letters.reshape(len(participants), pseudonyms.LENGTH)[:, 1:3]
    return (_VALUES[pairs[:, 0]] * 32 + _VALUES[pairs[:, 1]]) * PAGES // 1024
