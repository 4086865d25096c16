"""The schemas of records: events, coverage and firsts. Writers, readers, docs and tests share them.

Rows are sorted by the columns in ``SORT_ORDER`` and then by all others; a null comes after every value.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = "records-2"
READABLE = ("records-1", SCHEMA_VERSION)  # the first has a file of firsts for each bucket

# A dated fact. ``time`` and ``end`` are local wall time without a zone; ``code`` is SYSTEM/CODE of the dictionary.
# ``value`` has the unit of the dictionary, ``category`` is one of its categories. ``source`` is the collection that
# the fact comes from, ``episode`` groups the rows of one visit or claim.
EVENTS = pa.schema(
    [
        pa.field("participant_id", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("us"), nullable=False),
        pa.field("end", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("category", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("institution", pa.string(), nullable=False),
        pa.field("episode", pa.string()),
    ]
)

# The days of a participant that a source has seen; ``first`` and ``last`` are both inclusive.
COVERAGE = pa.schema(
    [
        pa.field("participant_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("first", pa.date32(), nullable=False),
        pa.field("last", pa.date32(), nullable=False),
    ]
)

# Coverage as batches keep it: with the date and time of the extraction that decides these days.
DATED_COVERAGE = COVERAGE.append(pa.field("as_of", pa.timestamp("us"), nullable=False))

# A row per participant and code: the number of events, and the first and the last time.
FIRSTS = pa.schema(
    [
        pa.field("participant_id", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("first", pa.timestamp("us"), nullable=False),
        pa.field("last", pa.timestamp("us"), nullable=False),
    ]
)

SORT_ORDER = ("participant_id", "time", "code", "end", "value", "category", "source", "institution", "episode")
KINDS = {"events": EVENTS, "coverage": DATED_COVERAGE, "firsts": FIRSTS}
