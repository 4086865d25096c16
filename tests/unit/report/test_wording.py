"""The wording of reports: units, the direction of a limit, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from baekman.intake import return_report
from baekman.qc.thresholds import beyond, load_thresholds
from baekman.report import target_regions, wording
from baekman.report.verdict_table import write_verdict_table
from baekman.verdicts import Gate, Reason, Verdict, write_verdicts
from baekman.workspace.paths import Workspace


def reason(metric: str, observed: object, threshold: object, severity: str = "reject", action: str = "") -> Any:
    return {"metric": metric, "observed": observed, "threshold": threshold, "severity": severity, "action": action}


@pytest.mark.parametrize(
    ("metric", "observed", "threshold", "severity", "texts"),
    [
        ("mean_autosome_coverage", 7.9, 20, "reject", ("7.9 ×", "at least 20 ×")),
        ("mean_autosome_coverage", 27.96, 30, "hold", ("27.96 ×", "at least 30 ×")),
        ("cross_contamination_rate", 0.0973, 0.03, "reject", ("9.73 %", "at most 3 %")),
        ("cross_contamination_rate", 0.015, 0.01, "hold", ("1.5 %", "below 1 %")),
        ("pct_reads_duplicated", 20, 20, "hold", ("20 %", "below 20 %")),
        ("pct_autosomes_15x", 1.4, 95, "note", ("1.4 %", "at least 95 %")),
        ("yield_bp_q30", 67_210_000_000, 85e9, "hold", ("67.21 Gb", "at least 85 Gb")),
        ("median_insert_size", 198, 250, "hold", ("198 bp", "at least 250 bp")),
        ("observed_sex", "female", "male", "hold", ("female", "male")),
        ("cross_contamination_rate", "no_reads", None, "note", ("no reads", "")),
        ("specimens", 2, 1, "hold", ("2", "1")),
        ("file", "a file_1 of our own", None, "reject", ("a file_1 of our own", "")),
    ],
)
def test_a_value_has_its_unit_and_a_limit_its_direction(
    metric: str, observed: object, threshold: object, severity: str, texts: tuple[str, str]
) -> None:
    texts_of_reason = wording.value(metric, observed), wording.expected(reason(metric, observed, threshold, severity))
    assert texts_of_reason == texts


def _broken_limits() -> Iterator[tuple[str, float, dict[str, float]]]:
    for metric, limits in load_thresholds().metrics.items():
        for key, limit in limits.items():
            if limit is not None:
                for observed in (limit * 0.9, limit, limit * 1.1):
                    yield metric, observed, {key: limit}


@pytest.mark.parametrize(("metric", "observed", "limits"), list(_broken_limits()))
def test_the_direction_is_that_of_the_limit_that_was_broken(
    metric: str, observed: float, limits: dict[str, float]
) -> None:
    severity, limit = beyond(observed, limits)
    if severity is not None:
        (key,) = limits
        side = {"hold_below": "at least", "reject_below": "at least", "hold_from": "below", "reject_above": "at most"}
        assert wording.expected(reason(metric, observed, limit, severity)).startswith(side[key])


def test_every_metric_of_the_gate_has_a_name_and_a_unit() -> None:
    for metric in load_thresholds().metrics:
        assert wording.is_measured(metric), metric
        assert wording.metric(metric) != wording.words(metric) or metric == "median_insert_size"


def test_each_action_is_listed_once_with_all_its_specimens() -> None:
    again, register = reason("", None, None, action="send it again"), reason("", None, None, action="register it")
    note = reason("", None, None, "note", "follows from low_coverage")
    actions = wording.to_do(
        [
            {"specimen": "A", "verdict": "reject", "reasons": [register, again, note]},
            {"specimen": "B", "verdict": "reject", "reasons": [again, again]},
            {"specimen": "C", "verdict": "accept", "reasons": [note]},
        ]
    )
    assert list(actions.items()) == [("send it again", ["A", "B"]), ("register it", ["A"])]


def report(*specimens: tuple[str, str, list[Any]], gates: Sequence[str] = ("intake", "qc")) -> dict[str, Any]:
    """Return the contents of ``return.json``."""
    rows = [{"specimen": barcode, "verdict": verdict, "reasons": reasons} for barcode, verdict, reasons in specimens]
    return {
        "institution": "Hanbit <Hospital>",
        "delivery": "HB-1",
        "receipt": "D0000000000000",
        "received": "2026-03-02",
        "deadline": "2026-03-30",
        "gates": list(gates),
        "extra_files": [],
        "specimens": rows,
        "summary": {
            verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("accept", "hold", "reject")
        },
    }


def low(severity: str = "reject") -> dict[str, Any]:
    coverage = reason("mean_autosome_coverage", 7.9, 20, severity, action="sequence more")
    return {"gate": "qc", "code": "low_coverage", "files": [], **coverage}


def test_the_return_report_begins_with_the_actions_and_links_to_each_specimen() -> None:
    page = return_report.render(report(("A-1", "accept", [low("note")]), ("A-2", "reject", [low()])))
    begin, details = page.split("Rejected: please act", 1)
    assert "Sequence more</" in begin and '<a href="#specimen-2">A-2</a>' in begin
    assert 'id="specimen-2"' in details
    # without room for the table's head, as on a telephone, each cell shows the name of its column
    assert 'data-name="Observed">7.9 ×</td>' in details
    assert 'data-name="Expected"><span lang="ko">20 × 이상</span><span lang="en">at least 20 ×</span></td>' in details
    accepted = details.split('<span lang="en">Accepted</span></h2>', 1)[1]
    assert "A-1<br>" in accepted and "low coverage" in accepted, "the note of an accepted specimen is missing"
    assert "Please answer by" in begin and "30 March 2026" in begin


@pytest.mark.parametrize("gates", [("intake",), ("intake", "qc")])
def test_a_delivery_that_was_accepted_whole_asks_for_nothing(gates: Sequence[str]) -> None:
    page = return_report.render(report(("A-1", "accept", []), gates=gates))
    assert "Nothing: every specimen was accepted" in page and "Please answer by" not in page
    assert ("quality control follows" in page) == ("so far" in page) == ("qc" not in gates)


def test_sentences_on_all_specimens_of_a_return_report_are_in_both_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Workspace(tmp_path).participant("P1").metrics
    metrics.parent.mkdir(parents=True)
    metrics.touch()
    read = SimpleNamespace(details={"targets": {"regions": 2, "bases": 1500, "padding": 100}})
    monkeypatch.setattr(target_regions, "read_metrics", lambda _: read)
    monkeypatch.setattr(target_regions.specimens, "read", lambda _: [SimpleNamespace(participant_id="P1")])
    english = target_regions.targets_sentence(Workspace(tmp_path), "D1")
    page = return_report.render({**report(("A-1", "accept", [])), "targets": english, "reporting": ["qc"]})
    assert f'<span lang="en">{english}</span>' in page
    assert "대상 영역 2개(1,500 염기)" in page and "주변 100 염기" in page
    assert "판정 때문에 보류된 검체는 없다" in page and "nobody was held back for a verdict" in page


def test_the_table_joins_the_verdicts_of_both_gates_and_begins_with_the_rejected(tmp_path: Path) -> None:
    def verdict_of(specimen: str, gate: Gate, *reasons: Reason) -> Verdict:
        return Verdict.of(specimen_id=specimen, participant_id=f"P{specimen}", gate=gate, reasons=reasons)

    note, rejected = Reason(code="reference_differs", severity="note"), Reason(code="low_coverage", severity="reject")
    write_verdicts(tmp_path / "intake.json", [verdict_of("S1", "intake"), verdict_of("S2", "intake", note)])
    write_verdicts(tmp_path / "qc.json", [verdict_of("S1", "qc"), verdict_of("S2", "qc", rejected)])
    folder = tmp_path / "D0000000000000" / "report"
    files = [tmp_path / "intake.json", tmp_path / "qc.json"]
    write_verdict_table(files, tsv=folder / "verdicts.tsv", html=folder / "verdicts.html")
    page = (folder / "verdicts.html").read_text()
    assert "D0000000000000</h1>" in page
    assert [page.count(f">{specimen} ") for specimen in ("S1", "S2")] == [1, 1]
    assert page.index("low coverage") < page.index("S1") and "reference differs" in page
    assert page.count("<b>1</b>") == 2 and page.count("<b>0</b>") == 1
