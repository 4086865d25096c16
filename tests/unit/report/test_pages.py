"""Pages for institutions and operators as a browser shows them: telephone, paper, screen; Korean and English."""

from __future__ import annotations

import json
from pathlib import Path

from baekman.files.sidecar import write_checked
from baekman.intake import return_report
from baekman.intake.institution import page
from baekman.records.intake import return_report as records_report
from baekman.report.remarks import write_remarks
from baekman.report.verdict_table import write_verdict_table
from baekman.verdicts import Reason, Verdict, write_verdicts
from baekman.workspace.paths import Workspace
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


def records_returned() -> str:
    """Return the page of a delivery of records with refused rows, a subject on hold and one without registration."""
    report = {
        "institution": "H1",
        "delivery": "R1",
        "receipt": "D0",
        "received": "2026-01-02",
        "deadline": "2026-01-30",
        "source": "emr",
        "period": ["2020-01-01", "2021-01-01"],
        "summary": {"accept": 3, "hold": 1, "reject": 0},
        "counts": {
            "events": {
                "rows": 9,
                "accepted": 6,
                "refused": 1,
                "held": 2,
                "reasons": [{"code": "unit_differs", "column": "unit", "rows": 1}],
            },
            "coverage": {"rows": 0, "accepted": 0, "refused": 0, "held": 0, "reasons": []},
        },
        "unregistered": {"count": 1, "first": ["SUBJ-9"]},
    }
    reasons = [{"code": "before_birth", "column": "time", "rows": 2}]
    held = {"subject": "SUBJ-1", "verdict": "hold", "rows": 2, "accepted": 0, "reasons": reasons}
    return records_report._render(report, [held])


def remarks(folder: Path) -> str:
    """Return the page of remarks on two participants."""
    workspace = Workspace(folder)
    home = workspace.delivery("D1")
    home.batch.parent.mkdir(parents=True)
    counts = {"P1": {"pl_count": 3, "gq_above_99": 1}, "P2": {"pl_count": 1}}
    write_checked(home.batch, json.dumps({"participants": ["P1", "P2"], "remarks": counts}))
    write_remarks(workspace, "D1", html=folder / "remarks.html")
    return (folder / "remarks.html").read_text(encoding="utf-8")


def test_pages_fit_a_telephone_and_paper_and_ask_for_nothing(tmp_path: Path) -> None:
    pages = {"return": returned(), "summary": summary(), "verdicts": verdicts(tmp_path)}
    pages |= {"records": records_returned(), "remarks": remarks(tmp_path)}
    seen = look(pages, tmp_path)
    assert_fit(seen, pages=5)
    texts: dict[str, Seen] = {page.name: page for page in seen}
    report = texts["return"].text
    assert "판독이 15개 이상인 상염색체 염기" in report and "95 % 이상" in report and "범위 부족에 따른 결과" in report
    assert "Rejected" not in report and "파일을 다시 보내 주십시오" in report
    assert "low coverage" in texts["verdicts"].text and "깊이 부족" not in texts["verdicts"].text
    assert "처리 기간" in texts["summary"].text
    records = texts["records"].text
    assert "다른 단위" in records and "값을 사전의 단위로 바꿔 주십시오" in records and "unit differs" not in records
    assert "행 2개 중 0개 합격: 출생 전 (time, 2)" in records and "2 rows" not in records
    assert "GQ above 99: 99" in texts["remarks"].text and "값의 수가" not in texts["remarks"].text
    assert "값의 수가 틀리거나 숫자가 아닌 PL 또는 GL: 결측" in pages["remarks"]
