"""Verdicts of a gate: JSON, the worst decision, the gate's mode."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from baekman.verdicts import DECISIONS, Reason, Verdict, decide, merge, read_verdicts, worst, write_verdicts
from hypothesis import given
from hypothesis import strategies as st

scalars = st.one_of(st.none(), st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False))
reasons = st.builds(
    Reason,
    code=st.text(min_size=1),
    severity=st.sampled_from(["note", "hold", "reject"]),
    metric=st.text(),
    observed=scalars.filter(lambda value: not isinstance(value, float) or math.isfinite(value)),
    threshold=st.none(),
    action=st.text(),
)


@given(st.lists(reasons))
def test_a_verdict_survives_json(listed: list[Reason]) -> None:
    verdict = Verdict.of(specimen_id="S1", participant_id="P1", gate="qc", reasons=listed)
    assert Verdict.from_json(verdict.to_json()) == verdict


@given(st.lists(st.sampled_from(DECISIONS)))
def test_the_worst_decision_wins_in_any_order(decisions: list) -> None:
    expected = "reject" if "reject" in decisions else "hold" if "hold" in decisions else "accept"
    assert worst(decisions) == worst(reversed(decisions)) == expected


def test_a_note_changes_no_decision() -> None:
    assert decide([Reason(code="x", severity="note")]) == "accept"


def test_in_report_mode_the_verdict_stays_and_every_specimen_goes_on() -> None:
    verdict = Verdict.of(
        specimen_id="S1", participant_id="P1", gate="qc", reasons=[Reason(code="x", severity="reject")]
    )
    assert verdict.verdict == "reject"
    assert not verdict.passes("enforce")
    assert verdict.passes("report")


def test_verdicts_of_two_gates_merge_to_the_worst() -> None:
    first = Verdict(specimen_id="S1", participant_id="P1", gate="intake", verdict="accept")
    second = Verdict(specimen_id="S1", participant_id="P1", gate="qc", verdict="hold")
    assert merge([first, second]) == {"S1": "hold"}


def test_a_number_that_is_not_finite_is_written_as_null(tmp_path: Path) -> None:
    verdict = Verdict.of(
        specimen_id="S1",
        participant_id=None,
        gate="qc",
        reasons=[Reason(code="x", severity="hold", observed=math.nan)],
    )
    write_verdicts(tmp_path / "qc.json", [verdict])
    assert read_verdicts(tmp_path / "qc.json")[0].reasons[0].observed is None


def test_an_unknown_severity_is_an_error() -> None:
    with pytest.raises(ValueError, match="severity"):
        Reason(code="x", severity="fatal")  # type: ignore[arg-type]
