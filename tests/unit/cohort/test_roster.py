"""The remarks on gVCFs: `cohort add` prints them, and the roster keeps them through withdrawals and compactions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.roster import read_remarks, read_roster, write_roster
from baekman.cohort.snapshot import read_snapshot
from baekman.cohort.store import Store, create_store
from baekman.cohort.verify.gvcfs import compare_gvcfs
from baekman.cohort.verify.whole import verify
from baekman.gvcf.remarks import MEANINGS
from baekman.report.remarks import write_remarks
from baekman.workspace.paths import Workspace
from support.store_tools import baekman, gvcf_text, line, reseal, write_reference

REMARKS = {"P1": {"ps_text": 2}, "P2": {"breakend": 1, "gq_from_gqx": 1}, "P3": {}}
LINES = {
    "P1": [line(pos, "A", "T", "0|1:40:30:x", format="GT:GQ:DP:PS") for pos in (1, 5)],
    "P2": [
        line(1, "A", "A[c1:9[", "0/1:40:30", format="GT:GQ:DP"),
        line(5, "A", "T", "0/1:40:30", format="GT:GQX:DP"),
    ],
    "P3": [line(1, "A", "T", "0/1:40:30", format="GT:GQ:DP")],
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    reference = write_reference(tmp_path / "ref.fa", {"c1": "ACGTACGTAC" * 10})
    return create_store(tmp_path / "cohort", reference=reference)


@pytest.fixture
def members(tmp_path: Path) -> list[Member]:
    people = []
    for name, lines in LINES.items():
        path = tmp_path / f"{name}.g.vcf"
        path.write_text(gvcf_text(lines, contigs={"c1": 100}))
        people.append(Member(participant_id=name, gvcf=str(path)))
    return people


def remarks_in(store: Store) -> dict[str, dict[str, int]]:
    names = [entry.name for entry in read_snapshot(store).batches]
    return {participant: counts for name in names for participant, counts in read_remarks(store, name).items()}


def test_a_compaction_and_a_withdrawal_keep_the_remarks_of_those_who_stay(store: Store, members: list[Member]) -> None:
    for member in members:
        add_batch(store, batch=member.participant_id, members=[member])
    assert remarks_in(store) == {name: counts for name, counts in REMARKS.items() if counts}
    rewrite.compact(store)
    assert remarks_in(store) == {name: counts for name, counts in REMARKS.items() if counts}
    rewrite.withdraw(store, ["P1"])
    assert remarks_in(store) == {"P2": REMARKS["P2"]}
    assert verify(store) == []
    assert compare_gvcfs(store, members[1:]) == []


def test_changed_remarks_are_a_difference_from_the_gvcf(store: Store, members: list[Member]) -> None:
    add_batch(store, batch="b", members=members)
    roster, filters = read_roster(store, "b")
    column = roster.schema.get_field_index("remarks")
    changed = roster.column("remarks").take([2, 1, 0])
    write_roster(store.batch("b"), roster.set_column(column, roster.schema.field(column), changed), filters=filters)
    reseal(store.path)
    assert compare_gvcfs(store, members) == [
        f"participant {name}: the roster's remarks differ from the gVCF" for name in ("P1", "P3")
    ]


def test_add_prints_a_line_for_each_participant_and_kind(store: Store, members: list[Member], tmp_path: Path) -> None:
    listed = tmp_path / "list.tsv"
    listed.write_text("".join(f"{member.participant_id}\t{member.gvcf}\n" for member in members))
    done = baekman("cohort", "add", "--cohort", store.path, "--batch", "b", "--gvcfs", listed)
    *lines, last = done.stderr.splitlines()
    assert done.stdout == "1\n"
    assert lines == [
        f"P1: ps_text 2 ({MEANINGS['ps_text']})",
        f"P2: breakend 1 ({MEANINGS['breakend']})",
    ]
    query = last.split('--sql "')[1].rstrip('"')
    asked = baekman("query", "--cohort", store.path, "--sql", query, "--format", "csv").stdout
    assert sorted(asked.replace('"', "").split()[1:]) == ["P1,ps_text,2", "P2,breakend,1", "P2,gq_from_gqx,1"]


def test_the_report_on_a_delivery_has_the_remarks(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    home = workspace.delivery("D1")
    home.report.mkdir(parents=True)
    remarks = {name: counts for name, counts in REMARKS.items() if counts}
    home.batch.write_text(json.dumps({"delivery": "D1", "participants": sorted(REMARKS), "remarks": remarks}))
    write_remarks(workspace, "D1", html=home.report / "remarks.html")
    rows = (home.report / "remarks.tsv").read_text().splitlines()
    assert rows[:2] == ["participant\tremark\tnumber\tmeaning", f"P1\tps_text\t2\t{MEANINGS['ps_text']}"]
    page = (home.report / "remarks.html").read_text()
    assert "P2" in page and "breakend" in page and "P3" not in page
