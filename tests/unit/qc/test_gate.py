"""The gate's verdicts: limits, findings, causes, and thresholds of a configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from baekman import pseudonyms
from baekman.qc import gate as gate_module
from baekman.qc.delivery import judge_delivery
from baekman.qc.gate import judge
from baekman.qc.metrics import Handover, Metrics, Number, write_metrics
from baekman.qc.thresholds import DEFAULTS as DEFAULTS_FILE
from baekman.qc.thresholds import Thresholds, beyond, load_thresholds
from baekman.verdicts import Verdict, read_verdicts
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from baekman.workspace.specimens import StagedFiles
from hypothesis import given
from hypothesis import strategies as st

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
DEFAULTS = load_thresholds()


def specimen(
    *,
    registered: str = "female",
    observed: str = "female",
    unassessed: dict[str, str] | None = None,
    **values: Number,
) -> Metrics:
    unassessed = unassessed or {}
    return Metrics(
        participant_id="P0",
        specimen_id="S0",
        registered_sex=registered,
        observed_sex=observed,
        values=GOOD | values | dict.fromkeys(unassessed, None),
        unassessed=unassessed,
    )


def reasons_of(verdict: Verdict) -> list[tuple[str, str]]:
    return [(reason.code, reason.severity) for reason in verdict.reasons]


def test_a_good_specimen_is_accepted_without_a_reason() -> None:
    verdict = judge(specimen(), DEFAULTS)
    assert (verdict.verdict, verdict.reasons) == ("accept", ())
    assert (verdict.gate, verdict.specimen_id, verdict.participant_id) == ("qc", "S0", "P0")


@pytest.mark.parametrize(
    ("metrics", "decision", "reasons"),
    [
        # at the limits
        (specimen(mean_autosome_coverage=30.0), "accept", []),
        (specimen(mean_autosome_coverage=29.99), "hold", [("low_coverage", "hold")]),
        (specimen(mean_autosome_coverage=19.99), "reject", [("low_coverage", "reject")]),
        (specimen(pct_autosomes_20x=89.9), "hold", [("low_breadth", "hold")]),
        (specimen(pct_autosomes_15x=94.9), "hold", [("low_breadth", "hold")]),
        (specimen(pct_bases_q30=79.9), "hold", [("low_q30", "hold")]),
        (specimen(cross_contamination_rate=0.0099), "accept", []),
        (specimen(cross_contamination_rate=0.01), "hold", [("contamination", "hold")]),
        (specimen(cross_contamination_rate=0.03), "hold", [("contamination", "hold")]),
        (specimen(cross_contamination_rate=0.0301), "reject", [("contamination", "reject")]),
        (specimen(pct_reads_duplicated=19.99), "accept", []),
        (specimen(pct_reads_duplicated=20.0), "hold", [("duplicates", "hold")]),
        (specimen(median_insert_size=249.0), "hold", [("short_insert", "hold")]),
        (specimen(identity_concordance=0.99), "accept", []),
        (specimen(identity_concordance=0.9899), "hold", [("identity_mismatch", "hold")]),
        (specimen(identity_concordance=0.90), "hold", [("identity_mismatch", "hold")]),
        (specimen(identity_concordance=0.8999), "reject", [("identity_mismatch", "reject")]),
        (
            specimen(identity_concordance=0.97, identity_nonreference_concordance=0.4),
            "reject",
            [("identity_mismatch", "reject")],
        ),
        (specimen(registered="male"), "hold", [("sex_discordant", "hold")]),
        (specimen(observed="ambiguous"), "hold", [("sex_ambiguous", "hold")]),
        (specimen(registered="unknown"), "accept", []),
        # one cause, one reason; its consequences are notes
        (
            specimen(
                mean_autosome_coverage=7.9,
                pct_autosomes_15x=1.4,
                pct_autosomes_20x=0.0,
                identity_concordance=0.9856,
                identity_nonreference_concordance=0.9734,
            ),
            "reject",
            [("low_coverage", "reject"), ("identity_mismatch", "note"), ("low_breadth", "note")],
        ),
        (
            specimen(
                mean_autosome_coverage=2.1,
                pct_autosomes_15x=0.0,
                unassessed={"cross_contamination_rate": "too_shallow", "identity_concordance": "too_few_sites"},
            ),
            "reject",
            [
                ("low_coverage", "reject"),
                ("low_breadth", "note"),
                ("contamination_unassessed", "note"),
                ("identity_unassessed", "note"),
            ],
        ),
        (
            specimen(cross_contamination_rate=0.0973, identity_concordance=0.9244),
            "reject",
            [("contamination", "reject"), ("identity_mismatch", "note")],
        ),
        (
            specimen(cross_contamination_rate=0.15, identity_concordance=0.88),
            "reject",
            [("contamination", "reject"), ("identity_mismatch", "note")],
        ),
        # two causes stay two reasons
        (
            specimen(cross_contamination_rate=0.02, identity_concordance=0.88),
            "reject",
            [("identity_mismatch", "reject"), ("contamination", "hold")],
        ),
        (
            specimen(cross_contamination_rate=0.1, identity_concordance=0.45),
            "reject",
            [("identity_mismatch", "reject"), ("contamination", "reject")],
        ),
        (
            specimen(registered="male", identity_concordance=0.45),
            "reject",
            [("identity_mismatch", "reject"), ("sex_discordant", "hold")],
        ),
        # the estimator was asked and failed: never accepted
        (
            specimen(unassessed={"cross_contamination_rate": "at_boundary"}),
            "hold",
            [("contamination_unassessed", "hold")],
        ),
        (
            specimen(unassessed={"identity_concordance": "too_few_sites"}),
            "hold",
            [("identity_unassessed", "hold")],
        ),
        # a metric that cannot be assessed is a note and no failure
        (
            specimen(
                observed="not_assessed",
                unassessed={
                    "cross_contamination_rate": "no_sites_configured",
                    "identity_concordance": "no_array",
                    "observed_sex": "no_x_or_y",
                },
            ),
            "accept",
            [
                ("contamination_unassessed", "note"),
                ("identity_unassessed", "note"),
                ("sex_unassessed", "note"),
            ],
        ),
    ],
)
def test_verdicts(metrics: Metrics, decision: str, reasons: list[tuple[str, str]]) -> None:
    verdict = judge(metrics, DEFAULTS)
    assert (verdict.verdict, reasons_of(verdict)) == (decision, reasons)


def test_a_reason_has_observation_threshold_and_action() -> None:
    (reason,) = judge(specimen(cross_contamination_rate=0.0973), DEFAULTS).reasons
    assert reason.to_json() == {
        "code": "contamination",
        "severity": "reject",
        "metric": "cross_contamination_rate",
        "observed": 0.0973,
        "threshold": 0.03,
        "action": "re-extract and re-sequence from another aliquot of the participant's specimen",
    }


def test_every_reason_that_holds_or_rejects_has_an_action() -> None:
    assert all(action for _, action in (*gate_module.CODES.values(), gate_module.BREADTH))
    assert {code for code, _ in (*gate_module.CODES.values(), gate_module.BREADTH)} <= set(gate_module.ORDER)


VALUES = st.fixed_dictionaries(
    {
        "mean_autosome_coverage": st.one_of(st.none(), st.floats(0, 60)),
        "pct_autosomes_20x": st.floats(0, 100),
        "cross_contamination_rate": st.one_of(st.none(), st.floats(0, 0.5)),
        "pct_reads_duplicated": st.floats(0, 100),
        "identity_concordance": st.one_of(st.none(), st.floats(0, 1)),
    }
)


@given(
    values=VALUES,
    observed=st.sampled_from(["female", "male", "ambiguous", "not_assessed"]),
    failure=st.sampled_from(["too_few_sites", "too_shallow", "at_boundary", "too_uncertain"]),
)
def test_consequences_as_notes_let_no_specimen_pass(values: dict[str, Number], observed: str, failure: str) -> None:
    unassessed = {"cross_contamination_rate": failure} if values["cross_contamination_rate"] is None else {}
    metrics = specimen(observed=observed, unassessed=unassessed, **values)
    breaks = any(
        (value := metrics.values.get(metric)) is not None and beyond(value, limits)[0]
        for metric, limits in DEFAULTS.metrics.items()
    )
    fails = breaks or unassessed or observed in ("male", "ambiguous")
    assert (judge(metrics, DEFAULTS).verdict == "accept") is not bool(fails)


@given(value=st.floats(0, 100), limit=st.floats(0, 100))
def test_limits_apply_as_their_names_say(value: float, limit: float) -> None:
    assert (beyond(value, {"hold_below": limit})[0] == "hold") == (value < limit)
    assert (beyond(value, {"reject_below": limit})[0] == "reject") == (value < limit)
    assert (beyond(value, {"hold_from": limit})[0] == "hold") == (value >= limit)
    assert (beyond(value, {"reject_above": limit})[0] == "reject") == (value > limit)
    assert beyond(value, {"hold_below": None, "reject_above": None}) == (None, None)


def test_the_default_thresholds() -> None:
    limits = {
        metric: {key: limit for key, limit in of.items() if limit is not None}
        for metric, of in DEFAULTS.metrics.items()
    }
    assert limits == {
        "mean_autosome_coverage": {"hold_below": 30, "reject_below": 20},
        "pct_autosomes_15x": {"hold_below": 95},
        "pct_autosomes_20x": {"hold_below": 90},
        "pct_bases_q30": {"hold_below": 80},
        "yield_bp_q30": {},
        "cross_contamination_rate": {"hold_from": 0.01, "reject_above": 0.03},
        "pct_reads_duplicated": {"hold_from": 20},
        "median_insert_size": {"hold_below": 250},
        "identity_concordance": {"hold_below": 0.99, "reject_below": 0.9},
        "identity_nonreference_concordance": {"reject_below": 0.8},
    }


def own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_own_file_changes_single_values(tmp_path: Path) -> None:
    thresholds = load_thresholds(
        own(
            tmp_path,
            "metrics:\n  mean_autosome_coverage: {hold_below: 25}\n  pct_autosomes_10x: {hold_below: 99}\n"
            "  median_insert_size: {hold_below: null}\nfindings: {sex_discordant: reject}\n",
        )
    )
    changed = dict(DEFAULTS.metrics)
    changed["mean_autosome_coverage"] = {"hold_below": 25, "reject_below": 20}
    changed["median_insert_size"] = {"hold_below": None, "reject_below": None}
    changed["pct_autosomes_10x"] = {"hold_below": 99}
    assert thresholds == Thresholds(metrics=changed, findings=DEFAULTS.findings | {"sex_discordant": "reject"})
    verdict = judge(specimen(registered="male", median_insert_size=100.0, pct_autosomes_10x=98.0), thresholds)
    assert reasons_of(verdict) == [("sex_discordant", "reject"), ("low_breadth", "hold")]


def test_a_default_rejects_nothing_that_an_own_file_accepts(tmp_path: Path) -> None:
    thresholds = load_thresholds(
        own(
            tmp_path,
            "metrics:\n  mean_autosome_coverage: {hold_below: 2}\n  cross_contamination_rate: {hold_from: 0.05}\n",
        )
    )
    assert thresholds.metrics["mean_autosome_coverage"] == {"hold_below": 2, "reject_below": None}
    assert thresholds.metrics["cross_contamination_rate"] == {"hold_from": 0.05, "reject_above": None}


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_thresholds(own(tmp_path, "# nothing yet\n")) == DEFAULTS


def staged(participant_id: str, specimen_id: str) -> StagedFiles:
    return StagedFiles(
        participant_id=participant_id,
        specimen_id=specimen_id,
        entry="gvcf",
        lane="L1",
        file_1="x.g.vcf.gz",
        file_2="",
        sex="female",
        array_genotypes="",
    )


@pytest.mark.parametrize("gate", ["enforce", "report"])
def test_a_delivery_is_judged_in_the_order_of_specimens(tmp_path: Path, gate: Literal["enforce", "report"]) -> None:
    workspace = Workspace(tmp_path)
    delivery_id = pseudonyms.new("D")
    good, poor, lost = sorted(pseudonyms.new("P") for _ in range(3))
    first, second, third = sorted(pseudonyms.new("S") for _ in range(3))
    table = workspace.delivery(delivery_id).specimens
    table.parent.mkdir(parents=True)
    rows = ((good, second, 34.0, 100), (poor, first, 12.0, 100), (lost, third, 34.0, 99))
    specimens.write(table, [staged(participant_id, specimen_id) for participant_id, specimen_id, *_ in rows])
    for participant_id, specimen_id, coverage, reads in rows:
        path = workspace.participant(participant_id).metrics
        path.parent.mkdir(parents=True)
        metrics = Metrics(
            participant_id=participant_id,
            specimen_id=specimen_id,
            registered_sex="female",
            observed_sex="female",
            values=GOOD | {"mean_autosome_coverage": coverage},
            handover=Handover(unit="reads", observed=reads, expected=100),
        )
        write_metrics(path, metrics)
    output, accepted = tmp_path / "qc.json", tmp_path / "accepted.tsv"
    judge_delivery(workspace, delivery_id, thresholds=DEFAULTS_FILE, gate=gate, output=output, accepted=accepted)
    verdicts = [(verdict.specimen_id, verdict.verdict) for verdict in read_verdicts(output)]
    assert verdicts == [(first, "reject"), (second, "accept"), (third, "hold")]
    # whoever lost reads never goes on
    passed = [good] if gate == "enforce" else [good, poor]
    lines = [f"{participant_id}\tparticipants/{participant_id}/calls.g.vcf.gz\tfemale\n" for participant_id in passed]
    assert accepted.read_text() == "".join(lines)
    # a later delivery brought other reads of one: what was said of those of this delivery stands
    specimens.note_delivery(workspace, pseudonyms.new("D"), [good])
    workspace.participant(good).metrics.unlink()
    before = output.read_bytes()
    judge_delivery(workspace, delivery_id, thresholds=DEFAULTS_FILE, gate=gate, output=output, accepted=accepted)
    assert (output.read_bytes(), accepted.read_text()) == (before, "".join(lines[1:]))


@pytest.mark.parametrize(("unit", "code"), [("reads", "reads_lost"), ("records", "records_lost")])
@pytest.mark.parametrize("observed", [99, 101])
def test_lost_or_repeated_reads_hold_a_specimen(unit: str, code: str, observed: int) -> None:
    whole = replace(specimen(), handover=Handover(unit=unit, observed=100, expected=100))
    assert judge(whole, DEFAULTS).verdict == "accept"
    verdict = judge(replace(whole, handover=Handover(unit=unit, observed=observed, expected=100)), DEFAULTS)
    (reason,) = verdict.reasons
    assert (reason.code, reason.severity, reason.metric) == (code, "hold", unit)
    assert (reason.observed, reason.threshold) == (observed, 100)
    assert verdict.is_incomplete and not judge(specimen(), DEFAULTS).is_incomplete
