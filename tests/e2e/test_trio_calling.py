"""Real reads of a trio, called without a workspace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import PROJECT

BENCHMARK = PROJECT / "scripts" / "benchmarks" / "calling.py"


@pytest.mark.slow
def test_the_trio_has_no_mendelian_error_and_bcftools_merges_our_gvcfs(shared_data: Path) -> None:
    command = [sys.executable, str(BENCHMARK), "trio", "--data", str(shared_data / "reads"), "--callers", "bcftools"]
    run = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout)["bcftools"]
    assert figures["sites"] >= 60
    assert figures["mendelian_errors"] == 0
