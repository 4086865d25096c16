"""The arrays that Python and the compiled kernels share have the same columns on both sides."""

from __future__ import annotations

from baekman.cohort.dense_genotypes import ROW_FIELDS
from baekman.gvcf.piece import INTERVAL_COLUMNS, ROW_COLUMNS, SEGMENT_COLUMNS
from baekman.kernels.layout import widths


def test_rows_are_as_wide_as_their_names_say() -> None:
    assert widths() == tuple(map(len, (ROW_COLUMNS, INTERVAL_COLUMNS, SEGMENT_COLUMNS, ROW_FIELDS)))
