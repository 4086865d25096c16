"""The schemas of records: events, coverage and firsts. Writers, readers, docs and tests share them.

Rows are sorted by the columns in ``SORT_ORDER`` and then by all others; a null comes after every value.
"""

from __future__ import annotations

import pyarrow as pa

from baekman.columns import Column, Columns, schema_of

SCHEMA_VERSION = "records-2"
READABLE = ("records-1", SCHEMA_VERSION)  # the first has a file of firsts for each bucket

_PARTICIPANT = Column("participant_id", pa.string(), "Pseudonymous ID.")
EVENTS_COLUMNS: Columns = (
    _PARTICIPANT,
    Column("time", pa.timestamp("us"), "Time of the fact.", "local wall time"),
    Column("end", pa.timestamp("us"), "End of a stay or a prescription.", "local wall time", "the fact has no end"),
    Column("code", pa.string(), "`SYSTEM/CODE` of the dictionary."),
    Column("value", pa.float64(), "Number of a code of the kind `number`.", "that of the dictionary", "no number"),
    Column("category", pa.string(), "One of the categories of the dictionary.", "", "no category"),
    Column("source", pa.string(), "Collection that the fact comes from, as `emr`."),
    Column("institution", pa.string(), "Number of the institution, as `I1`; the registry has the name."),
    Column("episode", pa.string(), "Digest of the visit or claim that rows belong to.", "", "the row has none"),
)

COVERAGE_COLUMNS: Columns = (
    _PARTICIPANT,
    Column("source", pa.string(), "Collection that has seen the days."),
    Column("first", pa.date32(), "First day."),
    Column("last", pa.date32(), "Last day, inclusive."),
)
# as batches keep it
_AS_OF = Column("as_of", pa.timestamp("us"), "Time of the extraction that decides these days.", "local wall time")

FIRSTS_COLUMNS: Columns = (
    _PARTICIPANT,
    Column("code", pa.string(), "`SYSTEM/CODE` of the dictionary."),
    Column("n", pa.int64(), "Number of events.", "events"),
    Column("first", pa.timestamp("us"), "First time.", "local wall time"),
    Column("last", pa.timestamp("us"), "Last time.", "local wall time"),
)

EVENTS, COVERAGE, FIRSTS = (schema_of(each) for each in (EVENTS_COLUMNS, COVERAGE_COLUMNS, FIRSTS_COLUMNS))
DATED_COVERAGE = schema_of((*COVERAGE_COLUMNS, _AS_OF))

SORT_ORDER = ("participant_id", "time", "code", "end", "value", "category", "source", "institution", "episode")
KINDS = {"events": EVENTS, "coverage": DATED_COVERAGE, "firsts": FIRSTS}
