"""Joint genotypes of 24 people at low coverage against a call on all their reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from low_coverage import concordance
from support import PROJECT

BENCHMARK = PROJECT / "scripts" / "benchmarks" / "low_coverage.py"


@pytest.mark.slow
def test_joint_genotypes_of_24_people_agree_with_a_call_on_all_their_reads(shared_data: Path) -> None:
    command = [sys.executable, str(BENCHMARK), "--data", str(shared_data / "reads"), "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout)
    joint, raw, carried = figures["joint"], figures["raw"], figures["listed_found"]
    assert joint["sites"] >= 770
    assert joint["recall"] == 1
    assert joint["compared"] >= 0.999
    assert joint["concordance"] >= 0.97
    assert joint["nonreference"] >= 0.96
    assert joint["concordance"] - raw["concordance"] >= 0.1
    sure, everyone = carried["joint, QUAL ≥ 30, GQ ≥ 20"], carried["all reads, QUAL ≥ 20"]
    for name in ("hapmap", "omni"):
        assert sure[name] >= everyone[name], name


def test_concordance_counts_genotypes_that_both_have_and_sites_that_somebody_carries() -> None:
    def copies(*values: int) -> np.ndarray:
        return np.array(values, np.int8)

    expected = {(1, "A", "C"): copies(0, 1, 2), (2, "A", "G"): copies(0, 0, -1), (3, "T", "G"): copies(1, 0, 0)}
    observed = {(1, "A", "C"): copies(0, 2, 2), (2, "A", "G"): copies(0, 1, 1), (9, "T", "G"): copies(1, 1, 1)}
    assert concordance(expected, observed) == {
        "sites": 3,
        "recall": 2 / 3,
        "compared": 5 / 8,
        "concordance": 3 / 5,
        "nonreference": 1 / 3,
    }
