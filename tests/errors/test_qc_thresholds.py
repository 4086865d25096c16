"""Wrong QC thresholds are refused: every fault at once, with key, expected and found value."""

from __future__ import annotations

from pathlib import Path

import pytest
from baekman.errors import InputRefused
from baekman.qc.thresholds import load_thresholds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "metrics: {mean_autosome_coverage: {hold_below: thirty}}",
            "own.yaml: metrics.mean_autosome_coverage.hold_below: expected number or null, "
            "found 'thirty' is not of type 'number', 'null'; config/qc_thresholds.yaml shows every key",
        ),
        (
            "metrics: {pct_bases_q30: {hold_below: 120}}",
            "own.yaml: metrics.pct_bases_q30.hold_below: expected a number of at most 100, "
            "found 120 is greater than the maximum of 100; config/qc_thresholds.yaml shows every key",
        ),
        (
            "metrics: {cross_contamination_rate: {hold_from: 3}}",
            "own.yaml: metrics.cross_contamination_rate.hold_from: expected a number of at most 1, "
            "found 3 is greater than the maximum of 1; config/qc_thresholds.yaml shows every key",
        ),
        (
            "metrics: {mean_autosome_coverage: {hold_from: 30}}",
            "own.yaml: metrics.mean_autosome_coverage: expected only known keys, found Additional properties "
            "are not allowed ('hold_from' was unexpected); config/qc_thresholds.yaml shows every key",
        ),
        (
            "coverage: 30",
            "own.yaml: top level: expected only known keys, found Additional properties are not allowed "
            "('coverage' was unexpected); config/qc_thresholds.yaml shows every key",
        ),
        (
            "- 30",
            "own.yaml: top level: expected object, found [30] is not of type 'object'; "
            "config/qc_thresholds.yaml shows every key",
        ),
        (
            "findings: {contamination_unassessed: note}",
            "own.yaml: findings.contamination_unassessed: expected one of hold, reject, "
            "found 'note' is not one of ['hold', 'reject']; config/qc_thresholds.yaml shows every key",
        ),
        (
            "metrics: {mean_autosome_coverage: {hold_below: 4, reject_below: 5}}",
            "own.yaml: metrics.mean_autosome_coverage: expected reject_below no stricter than hold_below, "
            "found reject_below 5 and hold_below 4; correct one of them",
        ),
        (
            "metrics: {cross_contamination_rate: {hold_from: 0.05, reject_above: 0.03}}",
            "own.yaml: metrics.cross_contamination_rate: expected reject_above no stricter than hold_from, "
            "found reject_above 0.03 and hold_from 0.05; correct one of them",
        ),
        ("metrics: {", "own.yaml: line 1: expected YAML, found something else"),
    ],
)
def test_a_fault_in_thresholds_is_reported(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputRefused) as refused:
        load_thresholds(path)
    assert str(refused.value) == message


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("metrics: {pct_bases_q30: {hold_below: -1}, median_insert_size: {hold_below: x}}")
    with pytest.raises(InputRefused) as refused:
        load_thresholds(path)
    assert len(refused.value.problems) == 2


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputRefused) as refused:
        load_thresholds(tmp_path / "own.yaml")
    assert str(refused.value) == (
        "own.yaml: expected a file of QC thresholds, found no such file; correct qc_thresholds in the configuration"
    )
