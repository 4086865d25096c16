"""Corrections: an event counts only if no newer batch covers its day.

The batch with the newest ``as_of`` that covers a day of a participant and a source replaces what others say of it.
Several batches with one ``as_of`` may cover a day. Then the rows of each code stay as the batch has them whose rows
have the greatest digest. So the order of arrival, and the division into batches, never count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import concat, filtered
from baekman.records.rows.covered_days import CoveredDays, covered_days, days_of
from baekman.records.rows.order import sorted_rows
from baekman.records.schema import EVENTS

_TIED_ROWS = """
WITH texts AS (
  SELECT participant_id, source, day, code, batch, row, to_json({'t': epoch_us(time), 'e': epoch_us("end"),
    'v': value, 'c': category, 'i': institution, 'n': episode})::VARCHAR AS text FROM tied),
digests AS (
  SELECT participant_id, source, day, code, batch, sha256(string_agg(text, chr(10) ORDER BY text)) AS digest
  FROM texts GROUP BY ALL),
winners AS (
  SELECT * FROM digests
  QUALIFY row_number() OVER (PARTITION BY participant_id, source, day, code ORDER BY digest DESC, batch) = 1)
SELECT batch, row FROM tied SEMI JOIN winners USING (participant_id, source, day, code, batch) ORDER BY batch, row
"""


def resolved(events: Sequence[pa.Table], coverages: Sequence[pa.Table]) -> pa.Table:
    """Return the events that count, sorted, of the batches of one bucket.

    ``events`` (schema EVENTS) and ``coverages`` (schema DATED_COVERAGE) have a table of each batch, in one order.
    """
    with_rows = sum(table.num_rows > 0 for table in events)
    if len(coverages) > 1 and with_rows:
        days = covered_days(coverages)
        if not days.is_disjoint:
            events = _standing(events, coverages, days)
    if with_rows == 1 and len(coverages) == 1:
        return next(table for table in events if table.num_rows)
    return sorted_rows(concat([table for table in events if table.num_rows], EVENTS))


def _standing(events: Sequence[pa.Table], coverages: Sequence[pa.Table], days: CoveredDays) -> list[pa.Table]:
    """Return the events of each batch that no other batch replaces."""
    kept, ties = [], []
    for table, coverage in zip(events, coverages, strict=True):
        keys = (table.column("participant_id"), table.column("source"), days_of(table.column("time")))
        segments = days.segments_of(*keys)
        inside = segments >= 0
        newest = np.where(inside, days.newest[segments], 0)
        is_kept = inside & (_as_of(coverage, *keys) == newest)
        kept.append(is_kept)
        ties.append(is_kept & (np.where(inside, days.winners[segments], 0) > 1))
    if any(tie.any() for tie in ties):
        _break_ties(events, kept, ties)
    return [filtered(table, keep) for table, keep in zip(events, kept, strict=True)]


def _as_of(
    coverage: pa.Table, participants: pa.ChunkedArray, sources: pa.ChunkedArray, days: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the ``as_of`` of a batch for each of its events; a compacted batch has several."""
    values = np.unique(np.asarray(coverage.column("as_of").cast(pa.int64())))
    if len(values) <= 1:
        return np.full(len(days), values[0] if len(values) else 0, np.int64)
    own = covered_days([coverage])
    segments = own.segments_of(participants, sources, days)
    return np.where(segments >= 0, own.newest[segments], -1)


def _break_ties(
    events: Sequence[pa.Table], kept: list[npt.NDArray[np.bool_]], ties: Sequence[npt.NDArray[np.bool_]]
) -> None:
    """Set ``kept`` to false for the tied rows that lose."""
    import duckdb

    parts = []
    for batch, (table, tie) in enumerate(zip(events, ties, strict=True)):
        rows = np.flatnonzero(tie)
        part = filtered(table, tie)
        part = part.append_column("day", pa.array(days_of(part.column("time"))))
        part = part.append_column("batch", pa.array(np.full(len(rows), batch, np.int64)))
        parts.append(part.append_column("row", pa.array(rows)))
        kept[batch][rows] = False
    with duckdb.connect() as connection:
        connection.register("tied", pa.concat_tables(parts))
        winners = connection.sql(_TIED_ROWS).to_arrow_table()
    batches, rows = (np.asarray(winners.column(name)) for name in ("batch", "row"))
    for batch in np.unique(batches):
        kept[batch][rows[batches == batch]] = True
