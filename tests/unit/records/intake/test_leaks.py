"""Nothing of a person leaves a delivery of records: canaries in every place, and a scan of every byte after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from baekman.errors import InputRefused
from baekman.privacy.leak_patterns import Matcher, matcher_of
from baekman.privacy.leakscan import scan
from baekman.records.intake import receive as receiving
from baekman.records.intake.receive import receive_records
from baekman.records.store import create_store
from baekman.registry.confidential import read_identifiers
from baekman.registry.importing import import_registrations
from baekman.registry.records import create_registry
from baekman.workspace.paths import Workspace
from support.delivery_builder import write_registrations
from support.record_deliveries import registration, row, small_dictionary, write_delivery

INSTITUTION = "Qwyzbit 큐와이병원"
NAMES = ("김쿼즈마", "이뷁솔", "Wexlyn Qhoi")
NUMBERS = ("840229-2234567", "7203151234560")
SUBJECTS = ("QXSUBJ-000417", "QXSUBJ-000418", "큐와이-000419")
WORDS = {
    "unregistered": "QXNOBODY-77",
    "delivery": "QXDELIVERY of ward 7",
    "folder": "inbox-of-qwyzbit",
    "file": "QXFILE-records",
    "phone": "010-9876-4321",
    "e-mail": "qxnurse@qwyzbit.example",
    "visit": "QXVISIT-2021-0417",
    "text": "QXTEXT lives with her sister",
    "local code": "QXLOCAL/E11-ward",
    "unit": "QXUNIT/dL",
    "column": "QXCOLUMN",
    "source": "QXSOURCE ward",
}
CANARIES = (INSTITUTION, *NAMES, *NUMBERS, *SUBJECTS, *WORDS.values())


@pytest.fixture
def matcher(tmp_path: Path) -> Matcher:
    listed = tmp_path / "identifiers.txt"
    listed.write_text("".join(f"{value}\n" for value in CANARIES), encoding="utf-8")
    return matcher_of(read_identifiers(listed))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "W")
    registry, _ = create_registry(workspace.root)
    rows = [
        registration(number, institution=INSTITUTION, participant=SUBJECTS[number], name=NAMES[number])
        for number in range(len(SUBJECTS))
    ]
    rows[0]["resident_registration_number"] = NUMBERS[0]
    import_registrations(registry, [write_registrations(tmp_path / "registration.tsv", rows)])
    create_store(workspace.root, dictionary=small_dictionary(), buckets=1)
    return workspace


def delivery(folder: Path, **sheet: str) -> Path:
    """Write a delivery with a canary in each column, and good rows of two subjects."""
    day = "2021-03-04"
    texts = [*NAMES, *NUMBERS, *SUBJECTS, *WORDS.values()]
    rows = [row(SUBJECTS[number], day, "KCD8/I10", episode=WORDS["visit"].replace(" ", "")) for number in (0, 1)]
    rows += [row(WORDS["unregistered"], day, "KCD8/I10"), row(NAMES[0], day, "KCD8/I10")]
    for text in texts:
        rows += [
            row(SUBJECTS[0], text, "KCD8/I10"),
            row(SUBJECTS[0], day, "KCD8/I10", end=text),
            row(SUBJECTS[0], day, text),
            row(SUBJECTS[0], day, "LOINC/8480-6", value=text),
            row(SUBJECTS[0], day, "LOINC/8480-6", value="120", unit=text),
            row(SUBJECTS[0], day, "SURVEY/smoking_status", category=text),
            row(SUBJECTS[0], day, "KCD8/I10", episode=text),
        ]
    here = folder / WORDS["folder"]
    keys = {"institution": INSTITUTION, "delivery": WORDS["delivery"], "files": f"[{WORDS['file']}.csv]", **sheet}
    write_delivery(here, rows, **keys)
    (here / "events.csv").rename(here / f"{WORDS['file']}.csv")
    return here


def leaks(workspace: Workspace, matcher: Matcher) -> list[str]:
    found = scan([workspace.root], matcher=matcher, exclude=[workspace.registry, workspace.returned])
    assert not found.unread
    return [f"{leak.place} in {leak.file}" for leak in found.leaks]


def test_no_canary_is_outside_of_registry_and_return_report(
    workspace: Workspace, matcher: Matcher, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    received = receive_records(delivery(tmp_path), workspace=workspace)
    assert received.counts["events"]["accepted"] > 2  # also the visit numbers that have the form of one
    assert leaks(workspace, matcher) == []
    assert capfd.readouterr() == ("", "")
    # the scan does find what the report for the institution may have
    assert scan([workspace.returned], matcher=matcher).leaks
    report = "".join(path.read_text("utf-8") for path in workspace.returned.rglob("return.*"))
    for value in (*NAMES[1:], *NUMBERS, WORDS["phone"], WORDS["text"], WORDS["visit"], WORDS["file"]):
        assert value not in report


def test_no_canary_is_left_by_a_killed_reception(
    workspace: Workspace, matcher: Matcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any, **keywords: Any) -> None:
        # what lies on the disk at this moment stays there when the process is killed
        assert list(workspace.records.rglob("rows.parquet"))
        assert leaks(workspace, matcher) == []
        raise KeyboardInterrupt

    monkeypatch.setattr(receiving, "add_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        receive_records(delivery(tmp_path), workspace=workspace)
    assert leaks(workspace, matcher) == []


@pytest.mark.parametrize(
    ("sheet", "header"),
    [
        ({"source": WORDS["source"]}, ""),
        ({"institution": WORDS["text"]}, ""),
        ({WORDS["column"]: NAMES[0]}, ""),
        ({"period": NUMBERS[0]}, ""),
        ({"files": f"[{WORDS['file']}.csv, {NAMES[1]}.csv]"}, ""),
        ({}, f"{WORDS['column']},{NAMES[0]}\n"),
        ({}, f"subject_code,time,code\n{SUBJECTS[0]},{NAMES[0]}\n{NUMBERS[0]}\n"),
        ({}, f"subject_code,time,code\n{NAMES[0]}\0\n"),
        ({}, "subject_code,time,code\n" + '"' + NAMES[0] + "\n"),
    ],
)
def test_no_refusal_shows_a_canary(
    workspace: Workspace, matcher: Matcher, tmp_path: Path, sheet: dict[str, str], header: str
) -> None:
    folder = delivery(tmp_path, **sheet)
    if header:
        (folder / f"{WORDS['file']}.csv").write_text(header, encoding="utf-8")
    with pytest.raises(InputRefused) as refused:
        receive_records(folder, workspace=workspace)
    assert list(matcher.find(str(refused.value).encode())) == []
    assert leaks(workspace, matcher) == []
