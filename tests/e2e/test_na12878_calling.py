"""Real reads: NA12878 through our alignment and calling, beside plain bwa, samtools and bcftools in the same run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "benchmarks" / "calling.py"


def bench(what: str, data: Path) -> dict[str, dict[str, float]]:
    command = [sys.executable, str(BENCH), what, "--data", str(data / "reads"), "--callers", "bcftools", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    figures: dict[str, dict[str, float]] = json.loads(run.stdout)
    return figures


@pytest.mark.slow
def test_calls_of_na12878_are_no_worse_than_the_plain_commands_in_any_column(shared_data: Path) -> None:
    figures = bench("na12878", shared_data)
    ours, plain = figures["bcftools"], figures["plain"]
    for column in ("snv_recall", "snv_recall_nist", "snv_recall_giab"):
        assert ours[column] >= 0.985, column
    accuracy = [column for column in plain if column.startswith(("snv", "indel"))]
    assert len(accuracy) == 10
    worse = {column: (ours[column], plain[column]) for column in accuracy if ours[column] < plain[column]}
    assert worse == {}


@pytest.mark.slow
def test_the_trio_has_no_mendelian_error_and_bcftools_merges_our_gvcfs(shared_data: Path) -> None:
    figures = bench("trio", shared_data)["bcftools"]
    assert figures["sites"] >= 60
    assert figures["mendelian_errors"] == 0
