"""The decisions of persons: in the audit log first, bound to it, and applied to the values that were seen only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from baekman import audit, pseudonyms
from baekman.errors import DamagedFile, InputRefused
from baekman.files.digests import read_sealed, sealed_text
from baekman.verdicts import Reason, Verdict
from baekman.workspace import decisions as module
from baekman.workspace.decisions import (
    OUTDATED,
    SpecimenDecision,
    apply,
    decisions_in_force,
    listed_decisions,
    person,
    record_decisions,
    revision,
)
from baekman.workspace.paths import DeliveryFolder, Workspace
from hypothesis import given
from hypothesis import strategies as st

SPECIMEN, PARTICIPANT = pseudonyms.new("S"), pseudonyms.new("P")
LOW = Reason(code="low_coverage", severity="hold", metric="mean_autosome_coverage", observed=23.125, threshold=30)
VALUES = {"mean_autosome_coverage": 23.125, "pct_reads_duplicated": 7.5}


def held(*reasons: Reason, specimen: str = SPECIMEN) -> Verdict:
    return Verdict.of(specimen_id=specimen, participant_id=PARTICIPANT, gate="qc", reasons=reasons or (LOW,))


def decided(decision: Any = "accept", reason: str = "a parent of a trio", **choice: Any) -> SpecimenDecision:
    verdict = choice.pop("verdict", held())
    return SpecimenDecision(
        specimen_id=verdict.specimen_id,
        participant_id=PARTICIPANT,
        made=person(decision, reason, **choice),
        seen=(verdict,),
        values=VALUES,
    )


@pytest.fixture
def place(tmp_path: Path) -> tuple[Workspace, DeliveryFolder]:
    workspace = Workspace(tmp_path)
    folder = workspace.delivery(pseudonyms.new("D"))
    folder.path.mkdir(parents=True)
    return workspace, folder


def edit(folder: DeliveryFolder, **changes: Any) -> None:
    """Change the first entry and seal the file again, as a person with a text editor and the source could."""
    content = read_sealed(folder.decisions)
    content["decisions"][0] |= changes
    folder.decisions.write_text(sealed_text(content))


def test_a_decision_is_in_the_log_and_in_a_file_of_mode_0640(
    place: tuple[Workspace, DeliveryFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, folder = place
    monkeypatch.setenv("BAEKMAN_ACTOR", "kim")
    assert decisions_in_force(workspace, folder) == {}
    decision = decided()
    assert record_decisions(workspace, folder, [decision]) == [decision]
    assert decisions_in_force(workspace, folder) == {SPECIMEN: decision}
    assert folder.decisions.stat().st_mode & 0o777 == 0o640
    (event,) = audit.events(workspace.root)
    assert (event["action"], event["object"], event["actor"]) == ("hold.accept", SPECIMEN, "kim")
    assert event["input_hash"] == decision.digest


def test_the_event_comes_before_the_effect_and_a_killed_command_is_finished_by_the_same(
    place: tuple[Workspace, DeliveryFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, folder = place
    with monkeypatch.context() as killed:
        killed.setattr(module, "_write", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            record_decisions(workspace, folder, [decided()])
    assert [event["action"] for event in audit.events(workspace.root)] == ["hold.accept"]
    assert not folder.decisions.exists()
    record_decisions(workspace, folder, [decision := decided()])
    with monkeypatch.context() as killed:
        killed.setattr(module, "_write", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            record_decisions(workspace, folder, [decided("reject")], instead=True)
    assert decisions_in_force(workspace, folder) == {}  # the log has a newer decision
    assert listed_decisions(folder) == [decision]


@pytest.mark.parametrize("change", [{"decision": "reject"}, {"reason": "other"}, {"override": True}, {"user": "eve"}])
def test_an_edited_decision_is_noticed(place: tuple[Workspace, DeliveryFolder], change: dict[str, Any]) -> None:
    workspace, folder = place
    record_decisions(workspace, folder, [decided()])
    edit(folder, **change)
    with pytest.raises(InputRefused) as refusal:
        decisions_in_force(workspace, folder)
    (problem,) = refusal.value.problems
    assert (problem.place, problem.expected) == (SPECIMEN, "the decision that is in the audit log")
    record_decisions(workspace, folder, [again := decided("reject")])  # deciding again mends it
    assert decisions_in_force(workspace, folder) == {SPECIMEN: again}


def test_a_file_that_was_edited_without_its_seal_or_cut_is_damaged(place: tuple[Workspace, DeliveryFolder]) -> None:
    workspace, folder = place
    record_decisions(workspace, folder, [decided()])
    whole = folder.decisions.read_text()
    for text in (whole.replace("accept", "reject"), whole[:-9], "", "{}"):
        folder.decisions.write_text(text)
        with pytest.raises(DamagedFile):
            decisions_in_force(workspace, folder)


def test_an_earlier_decision_put_back_is_not_in_force(place: tuple[Workspace, DeliveryFolder]) -> None:
    workspace, folder = place
    record_decisions(workspace, folder, [decided("accept")])
    earlier = folder.decisions.read_bytes()
    record_decisions(workspace, folder, [decided("reject")], instead=True)
    folder.decisions.write_bytes(earlier)
    assert decisions_in_force(workspace, folder) == {}


def test_the_same_decision_again_changes_nothing_and_another_needs_instead(
    place: tuple[Workspace, DeliveryFolder],
) -> None:
    workspace, folder = place
    record_decisions(workspace, folder, [decided()])
    assert record_decisions(workspace, folder, [decided(reason="the same again")]) == []
    assert revision(folder) == 1
    with pytest.raises(InputRefused, match=r"found accept by .*; `baekman hold show`.*--instead"):
        record_decisions(workspace, folder, [decided("reject")])
    assert len(list(audit.events(workspace.root))) == 1
    record_decisions(workspace, folder, [other := decided("reject")], instead=True)
    assert decisions_in_force(workspace, folder)[SPECIMEN] == other
    changed = replace(decided(), values={**VALUES, "pct_reads_duplicated": 9.0})
    assert record_decisions(workspace, folder, [changed]) == [changed]  # a decision on other values
    assert revision(folder) == 3


def test_a_decision_applies_to_its_gate_and_the_values_seen() -> None:
    accept, reject = decided("accept"), decided("reject")
    assert apply(held(), accept, values=VALUES) == replace(held(), verdict="accept", decision=accept.made)
    assert apply(held(), reject, values=VALUES) == replace(held(), verdict="reject", decision=reject.made)
    assert apply(held(), None) == held()
    intake = replace(held(), gate="intake")
    assert apply(intake, accept) == intake  # the person did not see this verdict


def test_a_decision_on_other_values_does_not_apply_silently() -> None:
    lower = replace(LOW, observed=23.0)
    more = Reason(code="duplicates", severity="hold", metric="pct_reads_duplicated", observed=31.0)
    for verdict, values in ((held(lower), VALUES), (held(LOW, more), VALUES), (held(), {"other": 1.0})):
        for decision in ("accept", "reject"):
            judged = apply(verdict, decided(decision), values=values)
            if decision == "reject" and values == VALUES:  # the reads are the same: the limits moved
                assert judged.verdict == "reject"
                continue
            assert (judged.verdict, judged.decision, judged.reasons[-1].code) == ("hold", None, OUTDATED)
    fine = Verdict.of(specimen_id=SPECIMEN, participant_id=PARTICIPANT, gate="qc", reasons=())
    assert apply(fine, decided("accept"), values={}) == fine
    assert apply(fine, decided("reject"), values={}).verdict == "hold"  # a person rejected other reads of it
    assert apply(fine, decided("reject"), values=VALUES).verdict == "reject"
    worse = replace(LOW, severity="reject")
    assert apply(held(worse), decided("accept"), values=VALUES).verdict == "reject"
    assert apply(held(replace(LOW, threshold=40)), decided("accept"), values=VALUES).verdict == "accept"


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=40))
def test_an_entry_is_the_same_after_a_round_trip(value: float, reason: str) -> None:
    decision = replace(decided(reason=reason), values={"metric": value})
    assert SpecimenDecision.from_json(json.loads(json.dumps(decision.to_json()))).digest == decision.digest
