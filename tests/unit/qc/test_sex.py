from __future__ import annotations

import pytest
from baekman.qc import sex
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("x_ratio", "y_ratio", "finding"),
    [
        (1.0, 0.0, "female"),
        (0.96, 0.01, "female"),
        (0.5, 0.5, "male"),
        (0.51, 0.35, "male"),
        (0.95, 0.05, "female"),  # with a tenth of a man's reads
        (0.55, 0.45, "male"),  # with a tenth of a woman's
        (1.0, 0.5, "ambiguous"),  # XXY
        (0.5, 0.0, "ambiguous"),  # X0, or a Y that is lost
        (0.5, 1.0, "ambiguous"),  # XYY
        (0.75, 0.25, "ambiguous"),  # half and half of a woman and a man
        (0.0, 0.0, "ambiguous"),
        (None, 0.5, "not_assessed"),
        (1.0, None, "not_assessed"),
        (None, None, "not_assessed"),
    ],
)
def test_sex_by_depth(x_ratio: float | None, y_ratio: float | None, finding: str) -> None:
    assert sex.infer(x_ratio=x_ratio, y_ratio=y_ratio) == finding


@given(st.floats(0, 3), st.floats(0, 3))
def test_no_single_chromosome_decides_the_sex(x_ratio: float, y_ratio: float) -> None:
    finding = sex.infer(x_ratio=x_ratio, y_ratio=y_ratio)
    if finding == "female":
        assert x_ratio > 0.7 and y_ratio < 0.1
    if finding == "male":
        assert x_ratio < 0.7 and y_ratio >= 0.2
