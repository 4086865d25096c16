"""The monthly summary of an institution: its own specimens only, by month, without pseudonyms."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from baekman.intake.institution import page
from baekman.qc.metrics import Metrics, write_metrics
from baekman.registry import verdict_history
from baekman.registry.importing import import_registrations
from baekman.registry.records import Registry
from baekman.registry.verdict_history import note_delivery, record_verdicts
from baekman.verdicts import Gate, Reason, Verdict
from baekman.workspace.paths import Workspace
from support.registrations import FIRST, SECOND, table

OTHER = FIRST.replace("서울", "부산").replace("BAR-0001", "BUSAN-1").replace("SUBJ-1", "B-1")
LOW = Reason(code="low_coverage", severity="reject", metric="mean_autosome_coverage", observed=7.9, threshold=20)


@pytest.fixture
def delivered(on_sqlite: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Return a registry: in January one specimen fails, in March it comes again and another is held at intake."""
    import_registrations(on_sqlite, [table(tmp_path, FIRST, SECOND, OTHER)])

    def judge(
        time: str, delivery: str, gate: Gate, barcode: str, *reasons: Reason, institution: str = "서울병원"
    ) -> None:
        monkeypatch.setattr(verdict_history, "now", lambda: time)
        record = on_sqlite.specimen(institution, barcode)
        assert record is not None
        ids = {"specimen_id": record.specimen_id, "participant_id": record.participant_id}
        delivery_id, _ = note_delivery(on_sqlite, institution, delivery, "aa")
        record_verdicts(on_sqlite, delivery_id, [Verdict.of(**ids, gate=gate, reasons=reasons)])

    judge("2026-01-30T00:00:00+00:00", "one", "intake", "BAR-0001")
    judge("2026-02-01T12:00:00+00:00", "one", "qc", "BAR-0001", LOW)
    judge("2026-03-02T00:00:00+00:00", "two", "intake", "BAR-0001")
    judge("2026-03-03T00:00:00+00:00", "two", "qc", "BAR-0001")
    held = Reason(code="mate_wrong", severity="hold")
    judge("2026-03-02T00:00:00+00:00", "two", "intake", "BAR-0002", held)
    judge("2026-03-02T00:00:00+00:00", "three", "intake", "BUSAN-1", LOW, institution="부산병원")
    return on_sqlite


def test_each_month_has_the_specimens_of_this_institution_only(delivered: Registry, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "W")
    record = delivered.specimen("서울병원", "BAR-0001")
    assert record is not None
    write_metrics(
        workspace.participant(record.participant_id).metrics,
        Metrics(
            participant_id=record.participant_id,
            specimen_id=record.specimen_id,
            registered_sex="female",
            observed_sex="female",
            values={"mean_autosome_coverage": 31.7},
        ),
    )
    digests: list[str] = []
    html = tmp_path / "summary.html"
    page.write_summary(delivered, "서울병원", workspace=workspace, html=html, record=digests.append)
    numbers = json.loads(html.with_suffix(".json").read_text("utf-8"))
    assert numbers["months"] == [
        {
            "month": "2026-01",
            "specimens": 1,
            "verdicts": {"accept": 0, "hold": 0, "reject": 1},
            "reasons": {"low_coverage": 1},
            "coverage": {"specimens": 0, "low": None, "middle": None, "high": None},
            "turnaround_days": {"specimens": 1, "middle": 2.5, "high": 2.5},
        },
        {
            "month": "2026-03",
            "specimens": 2,
            "verdicts": {"accept": 1, "hold": 1, "reject": 0},
            "reasons": {"mate_wrong": 1},
            "coverage": {"specimens": 1, "low": 31.5, "middle": 31.5, "high": 31.5},
            "turnaround_days": {"specimens": 1, "middle": 1.0, "high": 1.0},
        },
    ]
    text = html.read_text("utf-8")
    for hidden in (record.specimen_id, record.participant_id, "BAR-0001", "SUBJ-1", "부산", "BUSAN"):
        assert hidden not in text and hidden not in json.dumps(numbers, ensure_ascii=False)
    assert text.count("<figure>") == 4 and len(digests) == 1
    assert ">0.2</text>" not in text and ">0.25</text>" not in text, "specimens are whole"
    assert stat.S_IMODE(html.stat().st_mode) == stat.S_IMODE(html.with_suffix(".json").stat().st_mode) == 0o600


def test_an_institution_without_deliveries_has_an_empty_summary(on_sqlite: Registry, tmp_path: Path) -> None:
    import_registrations(on_sqlite, [table(tmp_path, FIRST)])
    html = tmp_path / "summary.html"
    page.write_summary(on_sqlite, "서울병원", workspace=Workspace(tmp_path), html=html)
    assert "No specimen was inspected yet" in html.read_text("utf-8")
