"""Real reads through registry, intake and workflow to tables, compared with their truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import PROJECT

SCRIPT = PROJECT / "scripts" / "benchmarks" / "real_deliveries.py"

pytestmark = pytest.mark.slow


def measured(which: str, data: Path, *options: str) -> dict[str, Any]:
    """Run the benchmark of a set; return its figures."""
    command = [sys.executable, str(SCRIPT), which, "--data", str(data / "reads"), "--json", *options]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BAEKMAN_")}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    figures: dict[str, Any] = json.loads(run.stdout)
    return figures


@pytest.fixture(scope="module")
def na12878(shared_data: Path) -> dict[str, Any]:
    """Return the figures of NA12878, who goes from FASTQ to her table once for all tests."""
    return measured("na12878", shared_data)


@pytest.mark.parametrize("calls", ["gvcf", "table"])
def test_calls_of_na12878_are_no_worse_than_the_plain_commands_in_any_column(
    na12878: dict[str, Any], calls: str
) -> None:
    assert na12878["verdicts"] == {"accept": 1}  # by the thresholds of config/qc_thresholds.yaml
    ours, plain = na12878["accuracy"][calls], na12878["accuracy"]["plain"]
    for column in ("snv_recall", "snv_recall_nist", "snv_recall_giab"):
        assert ours[column] >= 0.985, column
    assert len(plain) == 10
    worse = {column: (ours[column], plain[column]) for column in plain if ours[column] < plain[column]}
    assert worse == {}


def test_the_tables_of_the_trio_have_hardly_a_mendelian_error(shared_data: Path) -> None:
    figures = measured("trio", shared_data)
    assert figures["verdicts"] == {"accept": 3}
    assert figures["sites"] >= 65
    # a deletion in a repeat of CA: homozygous in the father, not seen in the child
    assert figures["mendelian_errors"] <= 1


def test_people_at_low_coverage_get_tables_by_thresholds_of_their_own(shared_data: Path) -> None:
    figures = measured("ceu24", shared_data, "--participants", "4")
    assert figures["verdicts"] == {"accept": 4}
    assert figures["tables"] == 4
    assert figures["joint"]["recall"] == 1
    assert figures["joint"]["concordance"] >= 0.97
    assert figures["joint"]["concordance"] > figures["raw"]["concordance"]
