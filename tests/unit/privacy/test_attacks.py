"""Attacks that no other test has: the ladder of contamination, a swap within one sex, and values in failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from baekman import cli
from baekman.cli.shared import groups
from baekman.qc import gate as qc_gate
from baekman.qc.metrics import Metrics, Number
from baekman.qc.mixture import estimate
from baekman.qc.pileup import Counts
from baekman.qc.thresholds import load_thresholds
from baekman.verdicts import Verdict
from typer.testing import CliRunner

SECRET = "홍길동 850101-2345678"
GOOD: dict[str, Number] = {
    "mean_autosome_coverage": 34.2,
    "pct_autosomes_15x": 98.1,
    "pct_autosomes_20x": 95.0,
    "x_autosome_ratio": 0.99,
    "y_autosome_ratio": 0.001,
    "yield_bp_q30": 104_000_000_000,
    "pct_bases_q30": 91.2,
    "pct_reads_duplicated": 8.3,
    "median_insert_size": 412.0,
    "cross_contamination_rate": 0.0004,
    "identity_concordance": 0.9981,
    "identity_nonreference_concordance": 0.9972,
}


def judged(**values: Number) -> Verdict:
    metrics = Metrics(
        participant_id="P0", specimen_id="S0", registered_sex="female", observed_sex="female", values=GOOD | values
    )
    return qc_gate.judge(metrics, load_thresholds())


def reads_of_two(share: float, *, sites: int = 10_000, depth: float = 30) -> tuple[Counts, np.ndarray]:
    """Return allele counts of a genome; ``share`` of the reads are of another person."""
    rng = np.random.default_rng(20)
    frequency = rng.uniform(0.05, 0.95, sites)
    own, others = rng.binomial(2, frequency) / 2, rng.binomial(2, frequency) / 2
    error = 0.001
    alt = (1 - share) * own + share * others
    seen = [share * (1 - error) + (1 - share) * error / 3 for share in (1 - alt, alt)]
    drawn = rng.multinomial(rng.poisson(depth, sites), np.stack([*seen, 1 - sum(seen)], axis=1))
    counts = Counts(ref=drawn[:, :1], alt=drawn[:, 1:2], other=drawn[:, 2], error=np.array([error]))
    return counts, frequency


@pytest.mark.parametrize(
    ("percent", "decision"), [(0.5, "accept"), (1.5, "hold"), (2.9, "hold"), (3.1, "reject"), (10, "reject")]
)
def test_each_step_of_the_ladder_of_contamination_gets_its_verdict(percent: float, decision: str) -> None:
    counts, frequency = reads_of_two(percent / 100)
    estimated = estimate(counts, frequency=frequency)
    assert estimated.alpha == pytest.approx(percent / 100, rel=0.1)
    verdict = judged(cross_contamination_rate=estimated.alpha)
    assert verdict.verdict == decision
    assert [reason.code for reason in verdict.reasons] == ([] if decision == "accept" else ["contamination"])


def test_a_failed_estimate_of_contamination_accepts_nobody() -> None:
    counts, frequency = reads_of_two(0.1, sites=50)
    estimated = estimate(counts, frequency=frequency)
    assert (estimated.alpha, estimated.failure) == (None, "too_few_sites")
    metrics = Metrics(
        participant_id="P0",
        specimen_id="S0",
        registered_sex="female",
        observed_sex="female",
        values=GOOD | {"cross_contamination_rate": None},
        unassessed={"cross_contamination_rate": estimated.failure or ""},
    )
    verdict = qc_gate.judge(metrics, load_thresholds())
    assert (verdict.verdict, [reason.code for reason in verdict.reasons]) == ("hold", ["contamination_unassessed"])


def test_only_the_array_reveals_a_swap_within_one_sex() -> None:
    """Unrelated people agree at about two thirds of common sites; all else of such a specimen is perfect."""
    verdict = judged(identity_concordance=0.66, identity_nonreference_concordance=0.45)
    assert (verdict.verdict, [reason.code for reason in verdict.reasons]) == ("reject", ["identity_mismatch"])
    text = json.dumps(verdict.to_json())
    assert "another participant" not in text and text.count("P0") == 1


FAILURES = {
    "arrow": lambda: pa.array([SECRET]).cast(pa.int64()),
    "json": lambda: json.loads(f'{{"name": {SECRET}'),
    "key": lambda: {}[SECRET],
    "os": lambda: Path(f"/nowhere/{SECRET}").read_bytes(),
    "subprocess": lambda: subprocess.run(["false", SECRET], check=True),
    "chained": lambda: chained(),
}


def chained() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as failure:
        raise RuntimeError(SECRET) from failure


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_shows_its_kind_and_no_value(
    failure: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BAEKMAN_TRACEBACK", raising=False)
    monkeypatch.setattr(cli, "app", FAILURES[failure])
    monkeypatch.setattr("baekman.cli.shared.groups.register", lambda app, first: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    output = capfd.readouterr()
    assert (ended.value.code, output.out) == (1, "")
    assert output.err.startswith("failed: ") and output.err.count("\n") == 1
    assert not any(part in output.err for part in (*SECRET.split(), "nowhere"))


@pytest.mark.parametrize("words", [("deliver",), ("receive",), ("watch",), ("registry", "import"), ("leakscan",)])
def test_a_folder_that_may_not_be_read_is_not_named(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / SECRET).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # root may read all
    groups.register(cli.app)
    options = ["--identifiers", "list"] if words == ("leakscan",) else []
    ran = CliRunner().invoke(cli.app, [*words, SECRET, *options])
    assert ran.exit_code != 0
    assert not any(part in ran.output + str(ran.exception) for part in SECRET.split())
    if words[0] in ("deliver", "receive", "watch"):
        assert ran.exit_code == 2 and "may not be read; give the user who runs this access" in ran.output


@pytest.mark.parametrize(
    "words",
    [
        ("deliver", SECRET),
        ("receive", SECRET),
        ("watch", SECRET, "--once"),
        ("withdraw", SECRET),
        ("registry", "import", SECRET),
        ("leakscan", SECRET, "--identifiers", SECRET),
    ],
    ids=lambda words: words[0] + words[-1].strip("-")[:4] if words[0] == "registry" else words[0],
)
def test_a_value_typed_by_mistake_is_not_repeated(words: tuple[str, ...], tmp_path: Path) -> None:
    """Logs of cron and shells keep stderr; a delivery's path names its institution."""
    program = Path(sys.executable).parent / "baekman"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BAEKMAN_")}
    made = subprocess.run([program, *words], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert made.returncode in (2, 3)
    assert not any(part in made.stdout + made.stderr for part in SECRET.split())
