"""The dossier: one page in Korean and English with everything that a reviewer decides on, and nobody's ID."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from baekman import data
from baekman.consent import Scope
from baekman.projects.project import IrbApproval, Person, Project
from baekman.records.dictionary import read_dictionary
from baekman.releases.checks.order import NUMBERS
from baekman.releases.dossier import wording
from baekman.releases.dossier.review import changes, review_page
from baekman.releases.plan import Check, Column, Plan, SnapshotOf
from support.browser import assert_fit, look

RELEASE = "R0000000000000"
PROJECT = Project(
    workspace=Path("W"),
    id="J0000000000000",
    purpose=("DUO:0000007",),
    title="당뇨병의 <희귀> 변이",
    diseases=("MONDO:0005148",),
    people=(Person(name="김연구", institution="분당병원"), Person(name="<script>alert(1)</script>")),
    institution="서울대학교",
    commercial=False,
    overseas=True,
    scopes=(Scope.GENOME, Scope.CLINICAL),
    irb=IrbApproval(number="2026-017", date=date(2026, 1, 5), expires=date(2027, 1, 4)),
    digest="a" * 64,
)
REQUEST = {
    "project": PROJECT.id,
    "tier": "room",
    "who": "SELECT participant_id FROM firsts WHERE n > 2 AND n < 9",
    "why": "Rare variants & diabetes",
    "codes": ["KCD8/*"],
    "regions": ["chr20:1-1000"],
    "genotypes": "carriers",
    "snapshots": {"records": 3, "cohort": 2},
    "generalise": {"threshold": 11, "birth_years": 5},
    "shape": "tables",
    "below_qc": "refuse",
}
PLAN = Plan(
    request=REQUEST,
    request_hash="b" * 64,
    snapshots={
        "records": SnapshotOf(number=3, content="c" * 64),
        "cohort": SnapshotOf(number=2, content="d" * 64),
    },
    members=1204,
    members_hash="e" * 64,
    columns=(Column(name="KCD8/E119", kind="event", tier="room", scope="clinical", people=1100),),
    counts={"rows": 54321, "rows_dropped": 12, "values_missing": 0, "missing LOINC/8480-6": 7},
    small_cells={"KCD8/E112": "KCD8/E11", "KCD8/B20": ""},
    checks=(
        Check(code="consent", observed=0, limit=0),
        Check(code="difference", observed=None, limit=11),
        Check(code="relatives", observed="not known", limit=0, verdict="told"),
        Check(code="linkage", observed=0.9987, limit=0, verdict="told"),
        Check(code="sequencing", observed=3, limit=0, verdict="fail"),
    ),
)


DICTIONARY = read_dictionary(data.path("dictionary.tsv"))


class Reader(HTMLParser):
    """The text of a page and the tags that are open; every tag must close."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and data.strip():
            self.texts.append(" ".join(data.split()))


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page() -> str:
    return review_page(RELEASE, PLAN, project=PROJECT, last=None, dictionary=DICTIONARY)


def test_a_reviewer_reads_who_why_and_what_in_both_languages(page: str) -> None:
    texts = read(page).texts
    for expected in (
        *(
            PROJECT.title,
            "김연구 (분당병원), <script>alert(1)</script>",
            "서울대학교",
            "DUO:0000007",
            "Rare variants & diabetes",
        ),
        *("1,204", REQUEST["who"], "2026-017 (2026-01-05 – 2027-01-04)", "예 · yes", "아니요 · no", PLAN.hash),
        *("누구의 자료인가", "Who", "왜", "Why", "무엇을", "What", "점검", "Checks", "54,321", "KCD8/E119", "1,100"),
        *("분석실: 개인 단위, 분석실 안에서만", "room: individual level, stays in the analysis room"),
        *("chr20:1-1000 (carriers)", "MONDO:0005148", "KCD8/*", "fewest members of a released value", "fail the plan"),
    ):
        assert expected in texts, expected


def test_each_check_has_its_number_what_was_observed_its_limit_and_its_verdict(page: str) -> None:
    text = " ".join(read(page).texts)
    for name, observed, limit in (
        (
            "9 다른 과제의 자료와 내용만으로 연결되는 참여자 비율",
            "share of members who can be joined with another project's release by content 99.87%",
            "0 이하 at most 0 심의 필요 for you to decide",
        ),
        (
            "10 오늘의 품질 기준을 통과하지 못한 참여자 수",
            "members with sequencing below today's thresholds 3",
            "0 이하 at most 0 불합격 fails",
        ),
        (
            "7 이전 공개·저위험 배포와 다른 참여자의 최소 수",
            "fewest members by which an earlier open or low-risk release differs 없음 none",
            "11 이상 at least 11 통과 passes",
        ),
        (
            "2 IRB와 자료심의위원회의 결정",
            "decisions of IRB and data review board 아직 없음 not yet",
            "IRB와 자료심의위원회의 승인 an approval by each of both 만들 때 평가 when it is built",
        ),
        (
            "11 완성된 꾸러미의 식별자 검사",
            "scan of the finished package for our IDs 아직 없음 not yet",
            "식별자 없음 no ID of ours 만들 때 평가 when it is built",
        ),
    ):
        assert f"{name} {observed} {limit}" in text


def test_small_cells_show_no_number_of_people(page: str) -> None:
    text = " ".join(read(page).texts)
    names = {"KCD8/E112": "신장 합병증을 동반한 2형 당뇨병 Type 2 diabetes with renal complications"}
    names["KCD8/E11"] = "2형 당뇨병 Type 2 diabetes"
    assert f"KCD8/E112 {names['KCD8/E112']} < 11 KCD8/E11 {names['KCD8/E11']}" in text
    assert "KCD8/B20 < 11 배포하지 않음 not released" in text
    none = review_page(RELEASE, replace(PLAN, small_cells={}), project=PROJECT, last=None)
    assert "No code is held by fewer than 11 members." in read(none).texts


def test_the_page_needs_no_other_file_and_runs_nothing(page: str) -> None:
    reader = read(page)
    assert page.startswith("<!doctype html>")
    assert reader.tags.isdisjoint({"script", "link", "img", "iframe", "object", "form"})
    assert reader.attributes.isdisjoint({"src", "href", "onclick", "style"})
    assert "<script>alert" not in page and "url(" not in page and "http" not in page and "@media print" in page


def test_the_page_fits_a_telephone_and_paper(page: str, tmp_path: Path) -> None:
    assert_fit(look({"dossier": page}, tmp_path), pages=1)


def test_the_first_plan_of_a_project_has_nothing_to_compare_with(page: str) -> None:
    assert "This is the first plan of the project." in read(page).texts


def test_what_changed_since_the_last_plan_is_shown(page: str) -> None:
    now = replace(
        PLAN,
        request={**REQUEST, "codes": ["ATC/*", "KCD8/*"]},
        members=1203,
        members_hash="f" * 64,
        counts={**PLAN.counts, "rows": 54000},
        columns=(),
        checks=(Check(code="sequencing", observed=0, limit=0), *PLAN.checks[:4]),
    )
    shown = {change.name[1]: (change.before[1], change.now[1]) for change in changes(now, PLAN)}
    assert shown == {
        "codes": ("KCD8/*", "ATC/*, KCD8/*"),
        "members": ("1,204", "1,203"),
        "rows of records": ("54,321", "54,000"),
        "code KCD8/E119": ("released", "—"),
        "members with sequencing below today's thresholds": ("fails (3)", "passes (0)"),
    }
    text = " ".join(read(review_page(RELEASE, now, project=PROJECT, last=PLAN)).texts)
    assert f"{PLAN.hash[:12]} → {now.hash[:12]}" in text and "참여자 수 members 1,204 1,203" in text
    same = review_page(RELEASE, PLAN, project=PROJECT, last=PLAN)
    assert "Nothing changed." in read(same).texts


COLUMN = PLAN.columns[0]


@pytest.mark.parametrize(
    ("changed", "name", "before", "now"),
    [
        ({"members_hash": "f" * 64}, "who the members are, or their consent", "e" * 12, "f" * 12),
        (
            {"columns": (replace(COLUMN, low=1.0, high=9.0),)},
            "lowest and highest shown value of KCD8/E119",
            "",
            "1 – 9",
        ),
        (
            {"columns": (replace(COLUMN, tier="open", unit="mg"),)},
            "code KCD8/E119 in the dictionary",
            "event, room, clinical",
            "event, mg, open, clinical",
        ),
        ({"small_cells": {"KCD8/B20": ""}}, "small cell KCD8/E112", "KCD8/E11", "—"),
        ({"small_cells": {**PLAN.small_cells, "KCD8/E112": ""}}, "small cell KCD8/E112", "KCD8/E11", "not released"),
        (
            {"snapshots": {**PLAN.snapshots, "cohort": SnapshotOf(number=2, content="f" * 64)}},
            "content of the snapshot of the cohort",
            "d" * 12,
            "f" * 12,
        ),
        ({"dictionary_hash": "f" * 64}, "dictionary", "", "f" * 12),
        ({"compared": ("R1", "R2")}, "releases that it was compared with", "—", "R1, R2"),
        ({"checks": (*PLAN.checks, Check(code="ends", observed=12))}, wording.check("ends")[1], "—", "passes (12)"),
        ({"checks": PLAN.checks[:-1]}, wording.check("sequencing")[1], "fails (3)", "—"),
        ({"request": {**REQUEST, "why": "더 많이"}}, "why", REQUEST["why"], "더 많이"),
    ],
)
def test_each_part_that_differs_is_a_change(changed: dict[str, Any], name: str, before: str, now: str) -> None:
    (change,) = changes(replace(PLAN, **changed), PLAN)
    assert (change.name[1], change.before[1], change.now[1]) == (name, before, now)
    assert re.search("[가-힣]", change.name[0])


def test_the_order_of_keys_is_no_change() -> None:
    """A plan is read from JSON with sorted keys, and the next one is made from a request."""
    request = {**REQUEST, "generalise": {"birth_years": 5, "threshold": 11}, "snapshots": {"cohort": 2, "records": 3}}
    assert [*changes(replace(PLAN, request=request), PLAN)] == []


def test_numbers_of_members_by_code_are_no_change() -> None:
    """Who leaves takes one from each of their codes: a reader would see the codes of one person."""
    assert [*changes(replace(PLAN, columns=(replace(COLUMN, people=1099),)), PLAN)] == []


@pytest.mark.parametrize("code", list(NUMBERS))
def test_every_check_has_words_in_korean_and_english(code: str) -> None:
    korean, english = wording.check(code)
    assert re.search("[가-힣]", korean) and not re.search("[가-힣_]", english)
