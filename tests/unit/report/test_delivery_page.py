"""The report on a delivery: its numbers, its figures, and the page as a browser shows it."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from baekman.call import gate as call_gate
from baekman.gvcf.remarks import MEANINGS
from baekman.intake.reasons import REASON_KINDS
from baekman.pseudonyms import check_character
from baekman.qc import gate
from baekman.qc.metrics import Metrics, write_metrics
from baekman.qc.sex import ObservedSex
from baekman.qc.thresholds import beyond, load_thresholds
from baekman.records.intake import reasons as records
from baekman.report import wording
from baekman.report.delivery import page
from baekman.report.delivery.jobs import costs_by_rule
from baekman.report.multiqc import verdict_columns
from baekman.report.plots import VERDICT_STYLES, plot
from baekman.report.words import Words, translated
from baekman.verdicts import PROCESS_AGAIN, Reason, Verdict, write_verdicts
from baekman.workspace.paths import Workspace
from support.browser import assert_fit, look

DELIVERY = "D0000000000000"
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def participant(number: int) -> str:
    """Return the pseudonym of a participant."""
    body = f"P{number:012d}"
    return body + check_character(body)


def metrics_of(number: int, **values: float) -> Metrics:
    """Return plausible metrics of a specimen, the same for the same number."""
    draw = random.Random(number)
    sex = "male" if number % 2 else "female"
    clean: dict[str, Any] = {
        "mean_autosome_coverage": round(draw.gauss(35, 2), 2),
        **{f"pct_autosomes_{level}x": round(100 - level / 10, 2) for level in (1, 5, 10, 15, 20, 30)},
        "x_autosome_ratio": 0.5 if number % 2 else 1.0,
        "y_autosome_ratio": 0.5 if number % 2 else 0.0,
        "yield_bp_q30": 90_000_000_000,
        "pct_bases_q30": 92.5,
        "cross_contamination_rate": round(abs(draw.gauss(0, 0.002)), 4),
        "pct_reads_duplicated": round(draw.gauss(8, 1), 2),
        "median_insert_size": 420.0,
        "identity_concordance": 0.996,
    }
    return Metrics(
        participant_id=participant(number),
        specimen_id=f"S{number:013d}",
        registered_sex=sex,
        observed_sex=sex,
        values=clean | values,
    )


def delivered(root: Path, specimens: list[Metrics]) -> Workspace:
    """Return a workspace with the verdicts and metrics of one delivery, and benchmarks of its jobs."""
    workspace = Workspace(root)
    home = workspace.delivery(DELIVERY)
    limits = load_thresholds()
    header = "participant_id\tspecimen_id\tentry\tlane\tfile_1\tfile_2\tsex\tarray_genotypes\trecords\n"
    home.path.mkdir(parents=True)
    home.specimens.write_text(
        header + "".join(f"{own.participant_id}\t{own.specimen_id}\tcram\tL1\tx\t\tfemale\t\t1\n" for own in specimens)
    )
    at_intake = [
        Verdict.of(specimen_id=own.specimen_id, participant_id=own.participant_id, gate="intake", reasons=[])
        for own in specimens
    ]
    unregistered = Reason(
        code="not_registered", severity="reject", action="register the specimen, then deliver it again"
    )
    at_intake.append(
        Verdict.of(specimen_id="S9999999999999", participant_id=None, gate="intake", reasons=[unregistered])
    )
    write_verdicts(home.verdicts("intake"), at_intake)
    write_verdicts(home.verdicts("qc"), [gate.judge(own, limits) for own in specimens])
    for own in specimens:
        write_metrics(workspace.participant(own.participant_id).metrics, own)
        benchmark = root / "benchmarks" / "depth" / f"{own.participant_id}.tsv"
        benchmark.parent.mkdir(parents=True, exist_ok=True)
        benchmark.write_text(f"{HEADER}12.5\t0:00:12\t300.25\t0\t0\t0\t0\t0\t0\t20.5\n")
    return workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace with a report; the specimen 3 has low coverage, 4 is contaminated, 5 is of the other sex."""
    specimens = [metrics_of(number) for number in range(3)]
    specimens += [metrics_of(3, mean_autosome_coverage=7.9), metrics_of(4, cross_contamination_rate=0.0973)]
    specimens += [replace(metrics_of(5, x_autosome_ratio=1.0, y_autosome_ratio=0.0), observed_sex="female")]
    workspace = delivered(tmp_path_factory.mktemp("workspace"), specimens)
    html = workspace.delivery(DELIVERY).report / "report.html"
    thresholds = html.parents[1] / "thresholds.yaml"
    thresholds.write_text("{metrics: {mean_autosome_coverage: {hold_below: 25, reject_below: 15}}}\n")
    page.write_delivery_report(workspace, DELIVERY, thresholds=thresholds, html=html)
    return workspace


def test_the_json_has_every_plotted_number(workspace: Workspace) -> None:
    numbers = json.loads((workspace.delivery(DELIVERY).report / "report.json").read_text())
    assert numbers["counts"] == {"accept": 3, "hold": 1, "reject": 3}
    assert numbers["limits"]["mean_autosome_coverage"] == {"hold_below": 25, "reject_below": 15}
    low = numbers["specimens"][3]
    assert (low["verdict"], low["reasons"]) == ("reject", ["low_coverage"])
    assert low["values"]["mean_autosome_coverage"] == 7.9
    assert numbers["reasons"][0]["specimens"] == 1 and {row["code"] for row in numbers["reasons"]} >= {
        *("low_coverage", "contamination", "not_registered"),
    }
    (depth,) = numbers["jobs"]
    assert (depth["stage"], depth["rule"], depth["jobs"]) == ("qc", "depth", 6)
    assert depth["seconds"] == {"min": 12.5, "median": 12.5, "max": 12.5} and depth["cpu_seconds_total"] == 123.0


def test_each_figure_has_a_text_for_readers_who_do_not_see_it_and_names_whom_to_look_at(workspace: Workspace) -> None:
    html = (workspace.delivery(DELIVERY).report / "report.html").read_text()
    labels = re.findall(r'<svg class="plot" role="img" aria-label="([^"]+)"', html)
    assert len(labels) == html.count("<figure>") == 13
    assert "Mean coverage of 6 specimens, from 7.9 to" in html and "reject below 15 ×" in html
    coverage = html.split("<h3>")[2]
    assert "S0000000000003</span> 7.9 ×" in coverage and "S0000000000004" not in coverage.split("<figcaption>")[1]
    assert "S0000000000004</span> 9.73 %" in html
    sexes = '<span lang="ko">남 → 여</span><span lang="en">male → female</span>'
    assert f"S0000000000005</span> {sexes}" in html


def test_a_report_that_is_written_again_lacks_whoever_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "figures_of", lambda numbers: [])
    workspace = delivered(tmp_path, [metrics_of(1), metrics_of(2, mean_autosome_coverage=31.25)])
    home = workspace.delivery(DELIVERY)
    html, thresholds = home.report / "report.html", tmp_path / "thresholds.yaml"
    thresholds.write_text("{metrics: {mean_autosome_coverage: {hold_below: 21}}}\n")
    page.write_delivery_report(workspace, DELIVERY, thresholds=thresholds, html=html)
    assert "31.25" in html.read_text() and "31.25" in html.with_suffix(".json").read_text()
    for name in ("intake", "qc"):
        verdicts = json.loads(home.verdicts(name).read_text())  # type: ignore[arg-type]
        kept = [verdict for verdict in verdicts if verdict["participant"] != participant(2)]
        write_verdicts(home.verdicts(name), [Verdict.from_json(verdict) for verdict in kept])  # type: ignore[arg-type]
    page.write_again(workspace, DELIVERY, html=html)
    for file in (html, html.with_suffix(".json")):
        assert "31.25" not in file.read_text() and "S0000000000002" not in file.read_text()
    limits = json.loads(html.with_suffix(".json").read_text())["limits"]
    assert limits["mean_autosome_coverage"]["hold_below"] == 21, "the limits are no longer those of the run"


def test_a_delivery_without_reads_has_a_report(tmp_path: Path) -> None:
    workspace = delivered(tmp_path, [])
    numbers = page.delivery_numbers(workspace, DELIVERY, limits={})
    html = page.render(numbers)
    assert "No specimen has measured reads" in html and html.count("<figure>") == 1


def test_a_thousand_specimens_are_points_in_a_file_of_less_than_three_megabytes() -> None:
    limits = load_thresholds().metrics
    rows = []
    for number in range(1000):
        own = metrics_of(number)
        is_held = any(beyond(value, limits[name])[0] for name, value in own.values.items() if name in limits and value)
        rows.append(
            {
                "specimen": own.specimen_id,
                "participant": own.participant_id,
                "verdict": "hold" if is_held else "accept",
                "reasons": [],
                "superseded": False,
                "registered_sex": own.registered_sex,
                "observed_sex": own.observed_sex,
                "values": own.values,
            }
        )
    numbers = {
        **{"schema": "1", "delivery": DELIVERY, "limits": limits, "reasons": [], "jobs": []},
        **{"counts": {"accept": 1000, "hold": 0, "reject": 0}, "specimens": rows},
    }
    html = page.render(numbers)
    assert len(html) < 3_000_000
    assert html.count("<use ") > 8 * 1000, "a figure lacks specimens"
    assert html.count('<span class="path">S') < 200, "a figure names too many specimens"


def test_the_verdict_columns_of_multiqc_are_those_of_participants_with_reads(workspace: Workspace) -> None:
    coverage = metrics_of(0).values["mean_autosome_coverage"]
    assert verdict_columns(workspace, DELIVERY, [participant(number) for number in (0, 3, 77)]) == {
        participant(0): {"verdict": "accept", "reasons": "", "coverage": coverage},
        participant(3): {"verdict": "reject", "reasons": "low_coverage", "coverage": 7.9},
    }


def test_a_benchmark_without_numbers_counts_as_a_job(tmp_path: Path) -> None:
    for owner, line in (("P1", "0.5\t0:00:00\t-\t-\t-\t-\t-\t-\t-\tNA\n"), ("P2", "")):
        file = tmp_path / "call_piece" / owner / "1-of-2.tsv"
        file.parent.mkdir(parents=True)
        file.write_text(HEADER + line)
    (row,) = costs_by_rule(tmp_path, ["P1", "P2", "P3"])
    assert (row["jobs"], row["seconds"]["max"], row["memory_mb"]["max"], row["cpu_seconds_total"]) == (1, 0.5, 0, 0)


def test_a_figure_shows_both_languages_escapes_names_and_has_the_same_bytes_each_time() -> None:
    def drawing() -> str:
        with plot("x", alt=Words('"가"', '"a" & b')) as drawn:
            drawn.points([1], [2], name=Words("합격 <1", "accepted <1"), style=VERDICT_STYLES["accept"])
            drawn.label(x=Words("같음", "same"))
        return drawn.svg()

    svg = drawing()
    assert drawing() == svg
    assert 'aria-label="&quot;a&quot; &amp; b / &quot;가&quot;"' in svg
    assert '>accepted &lt;1</text><text lang="ko"' in svg and ">합격 &lt;1</text>" in svg
    assert "http" not in svg and 'id="x-' in svg and "DOCTYPE" not in svg


def test_a_legend_has_room_for_korean_letters() -> None:
    with plot("y", alt=Words("가", "a")) as drawn:
        drawn.points([1], [2], name=Words("부모·자녀, 형제자매", "first"), style=VERDICT_STYLES["accept"])
        drawn.points([1], [3], name=Words("손자", "second"), style=VERDICT_STYLES["hold"])
    places = dict(re.findall(r'<text lang="ko"[^>]* x="([0-9.]+)"[^>]*>(부모|손자)', drawn.svg()))
    second, first = sorted(map(float, places), reverse=True)
    assert second - first > 8 * 8, "eight letters of eight points"


def test_every_reason_metric_and_advice_has_a_korean_form() -> None:
    codes = {*REASON_KINDS, *gate.ORDER, *call_gate.MEANINGS, "decision_outdated"}
    advice = {kind.action for kind in REASON_KINDS.values()} | {action for _, action in gate.CODES.values()}
    advice |= {gate.BREADTH[1], PROCESS_AGAIN, *call_gate.ACTIONS.values()}
    english = {wording.words(code) for code in codes} | advice | {name for name, _, _ in wording.METRICS.values()}
    english |= set(wording.GATES.values()) | set(MEANINGS.values())
    english |= {wording.words(code) for code in records.REASON_KINDS}
    english |= {kind.action for kind in records.REASON_KINDS.values()}
    english |= {wording.words(sex) for sex in (*get_args(ObservedSex), "unknown")}
    assert [text for text in sorted(english) if text and translated(text).ko == text] == []


def test_the_page_fits_a_telephone_and_paper_and_asks_for_nothing(workspace: Workspace, tmp_path: Path) -> None:
    html = (workspace.delivery(DELIVERY).report / "report.html").read_text()
    korean = html.replace('id="show-en" checked', 'id="show-en"').replace('id="show-ko"', 'id="show-ko" checked')
    seen = look({"english": html, "korean": korean}, tmp_path)
    assert_fit(seen, pages=2)
    texts = {page.name: page.text for page in seen}
    assert "Mean coverage" in texts["english"] and "평균 깊이" not in texts["english"]
    assert "평균 깊이" in texts["korean"] and "Mean coverage" not in texts["korean"]
