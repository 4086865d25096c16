"""Pages for institutions and operators as a browser shows them: telephone, paper, screen; Korean and English."""

from __future__ import annotations

from pathlib import Path

from baekman.intake import return_report
from baekman.intake.institution import page
from baekman.report.verdict_table import write_verdict_table
from baekman.verdicts import Reason, Verdict, write_verdicts
from support.browser import Seen, assert_fit, look

LONG = "HB25-" + "20614-" * 9 + "G"  # a barcode without a place to break


def reason(code: str, **values: object) -> dict[str, object]:
    """Return a reason as in ``return.json``."""
    empty = {"severity": "reject", "metric": "", "observed": None, "threshold": None, "action": "", "files": []}
    return {"gate": "qc", "code": code, **empty, **values}


def returned() -> str:
    """Return the page of a return report with a long barcode and a long file name."""
    low = reason("low_breadth", metric="pct_autosomes_15x", observed=1.4, threshold=95, action="send the file again")
    note = reason("identity_mismatch", severity="note", action="follows from low_breadth", files=[f"{LONG}.fastq.gz"])
    decision = {"gate": "qc", "decision": "accept", "date": "2026-03-09", "reason": "seen", "reads": "merge"}
    specimens = [
        {"specimen": LONG, "verdict": "reject", "reasons": [low, note]},
        {"specimen": "B", "verdict": "accept", "reasons": [], "decisions": [decision]},
    ]
    return return_report.render(
        {
            **{"institution": "한빛병원", "delivery": LONG, "receipt": "D0000000000000", "received": "2026-03-02"},
            **{"deadline": "2026-03-30", "gates": ["intake", "qc"], "extra_files": [f"{LONG}.md5"]},
            **{"specimens": specimens, "summary": {"accept": 1, "hold": 0, "reject": 1}},
        }
    )


def summary() -> str:
    """Return the page of a summary of two years."""
    months = [
        {
            "month": f"{2025 + month // 12}-{month % 12 + 1:02d}",
            "specimens": 1200,
            "verdicts": {"accept": 1100, "hold": 60, "reject": 40},
            "reasons": {"low_coverage": 40, "sex_discordant": 60},
            "coverage": {"specimens": 1200, "low": 28.0, "middle": 33.5, "high": 39.0},
            "turnaround_days": {"specimens": 1160, "middle": 3.5, "high": 9.0},
        }
        for month in range(24)
    ]
    return page.render({"institution": LONG, "made": "2026-12-01", "months": months})


def verdicts(folder: Path) -> str:
    """Return the page of the verdicts of a delivery."""
    rejected = Reason(
        code="low_coverage", severity="reject", metric="mean_autosome_coverage", observed=7.9, threshold=20
    )
    verdict = Verdict.of(specimen_id="S1", participant_id="P1", gate="qc", reasons=[rejected])
    write_verdicts(folder / "qc.json", [verdict])
    html = folder / "D0" / "report" / "verdicts.html"
    write_verdict_table([folder / "qc.json"], tsv=html.with_suffix(".tsv"), html=html)
    return html.read_text(encoding="utf-8")


def test_pages_fit_a_telephone_and_paper_and_ask_for_nothing(tmp_path: Path) -> None:
    seen = look({"return": returned(), "summary": summary(), "verdicts": verdicts(tmp_path)}, tmp_path)
    assert_fit(seen, pages=3)
    texts: dict[str, Seen] = {page.name: page for page in seen}
    report = texts["return"].text
    assert "판독이 15개 이상인 상염색체 염기" in report and "95 % 이상" in report and "범위 부족에 따른 결과" in report
    assert "Rejected" not in report and "파일을 다시 보내 주십시오" in report
    assert "low coverage" in texts["verdicts"].text and "깊이 부족" not in texts["verdicts"].text
    assert "처리 기간" in texts["summary"].text
