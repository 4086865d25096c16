"""The one order of rows against Python's own sorting."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import pyarrow as pa
from baekman.records.rows.order import is_sorted, sorted_rows
from baekman.records.schema import EVENTS, SORT_ORDER


def test_rows_are_sorted_as_python_sorts_them() -> None:
    draw = random.Random(7)
    pools: dict[str, list[Any]] = {
        "participant_id": ["P2", "P10", "P1"],
        "time": [datetime(1960, 1, 1), datetime(2020, 2, 3, 4, 5), datetime(2020, 2, 3)],
        "code": ["KCD8/I10", "ATC/A", "KCD8/가"],
        "end": [None, datetime(2020, 2, 4), datetime(2021, 1, 1)],
        "value": [None, -1.5, 0.0, 2.0],
        "category": [None, "never", "now"],
        "source": ["claims", "records"],
        "institution": ["I1", "I10", "I2"],
        "episode": [None, "b", "a"],
    }
    for count in (1, 2, 50, 1000):
        rows = [{name: draw.choice(pool) for name, pool in pools.items()} for _ in range(count)]
        expected = sorted(rows, key=lambda row: [(row[name] is None, row[name]) for name in SORT_ORDER])
        result = sorted_rows(pa.Table.from_pylist(rows, EVENTS))
        assert result.to_pylist() == [{name: row[name] for name in EVENTS.names} for row in expected]
        assert is_sorted(result)
