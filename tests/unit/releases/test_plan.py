"""The plan: its hash is what reviewers decide on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from baekman.errors import DamagedFile, InputRefused
from baekman.files.digests import sha256_of
from baekman.files.sidecar import sidecar_path, write_checked
from baekman.releases.plan import Check, Column, Plan, SnapshotOf, read_plan, write_plan

PLAN = Plan(
    request={"project": "J0000000000000", "tier": "room"},
    request_hash="a" * 64,
    snapshots={"records": SnapshotOf(number=1, content="b" * 64)},
    members=20,
    members_hash="c" * 64,
    columns=(Column(name="KCD8/E119", kind="event", tier="room", scope="clinical", people=20),),
    counts={"rows": 40},
    small_cells={"KCD8/E108": "KCD8/E10"},
    checks=(Check(code="columns", observed=0, limit=0), Check(code="relatives", observed=2, verdict="told")),
)


def test_a_written_plan_is_read_again_with_its_hash(tmp_path: Path) -> None:
    write_plan(tmp_path, PLAN)
    assert read_plan(tmp_path) == PLAN
    assert read_plan(tmp_path).hash == PLAN.hash


def test_a_changed_plan_has_another_hash() -> None:
    changed = [
        replace(PLAN, members=21),
        replace(PLAN, members_hash="d" * 64),
        replace(PLAN, counts={"rows": 41}),
        replace(PLAN, checks=PLAN.checks[:1]),
        replace(PLAN, snapshots={"records": SnapshotOf(number=1, content="e" * 64)}),
    ]
    assert len({plan.hash for plan in [PLAN, *changed]}) == 6


def test_the_order_of_keys_does_not_change_the_hash() -> None:
    assert replace(PLAN, request=dict(reversed(PLAN.request.items()))).hash == PLAN.hash


def test_an_edited_plan_is_damaged(tmp_path: Path) -> None:
    write_plan(tmp_path, PLAN)
    path = tmp_path / "plan.json"
    path.write_text(path.read_text("utf-8").replace('"members": 20', '"members": 19'), encoding="utf-8")
    with pytest.raises(DamagedFile):
        read_plan(tmp_path)


def test_a_plan_of_another_version_needs_its_sha256(tmp_path: Path) -> None:
    """Only its SHA-256 tells a plan of another version from one that was edited."""
    write_checked(tmp_path / "plan.json", PLAN.text.replace('"version": 1', '"version": 2'))
    other = read_plan(tmp_path)
    assert (other.members, other.hash) == (20, sha256_of(tmp_path / "plan.json")) and other != PLAN
    sidecar_path(tmp_path / "plan.json").unlink()
    with pytest.raises(DamagedFile):
        read_plan(tmp_path)


def test_no_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused) as refusal:
        read_plan(tmp_path / "R0000000000000")
    assert str(refusal.value) == (
        "release: R0000000000000: expected a proposed release, found none of this ID; run `baekman release propose "
        "REQUEST`, which prints the ID"
    )


def test_a_check_has_one_of_three_verdicts() -> None:
    with pytest.raises(ValueError, match="'hold' is none of pass, told, fail"):
        Check(code="columns", verdict="hold")  # type: ignore[arg-type]
