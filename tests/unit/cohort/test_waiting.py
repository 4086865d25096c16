"""Batches of fewer participants than ``cohort.min_batch`` wait for others; then one snapshot has all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch, add_or_wait, count_waiting
from baekman.cohort.gvcf_list import Member, read_waiting
from baekman.cohort.settings import BatchSettings
from baekman.cohort.snapshot import Snapshot, numbers, read_snapshot
from baekman.cohort.store import Store, create_store
from baekman.cohort.verify.whole import verify
from baekman.errors import DamagedFile, InputRefused
from baekman.gvcf.thresholds import GvcfRules
from baekman.tables import make as tables
from support.ground import traces
from support.kills import killed_before
from support.small_cohort import BASES, everyone, member
from support.store_tools import gvcf_text, hashes, line, write_reference


def empty(folder: Path) -> Store:
    folder.mkdir()
    return create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", {"c1": BASES}))


def add(store: Store, batch: str, members: Sequence[Member], least: int = 3, denied: Sequence[str] = ()) -> Snapshot:
    settings = BatchSettings(rules=GvcfRules(), least=least)
    return add_or_wait(store, batch=batch, members=members, settings=settings, denied=lambda: denied)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return empty(tmp_path / "w")


@pytest.fixture
def members(tmp_path: Path) -> list[Member]:
    return [member(tmp_path, number) for number in range(6)]


def added_by_snapshot(store: Store) -> list[int]:
    counts = [read_snapshot(store, number).participants for number in numbers(store)]
    return [later - earlier for earlier, later in zip([0, *counts], counts, strict=False)]


def test_small_batches_wait_and_come_in_together(store: Store, members: list[Member]) -> None:
    assert add(store, "b1", members[:1]).number == 0
    assert add(store, "b2", members[1:2]).number == 0
    assert (count_waiting(store), everyone(store)) == (2, set())
    snapshot = add(store, "b3", members[2:4])
    assert [(entry.name, entry.participants) for entry in snapshot.batches] == [("b3", 4)]
    assert (count_waiting(store), added_by_snapshot(store)) == (0, [4])
    assert add(store, "b4", members[4:]).number == 1
    assert added_by_snapshot(store) == [4]
    assert add(store, "b5", [member(Path(members[0].gvcf).parent, 7)], least=1).participants == 7
    assert (list(store.waiting.iterdir()), verify(store)) == ([], [])


def test_the_same_batch_again_changes_nothing(store: Store, members: list[Member]) -> None:
    for _ in range(2):
        assert add(store, "b1", members[:2]).number == 0
        assert count_waiting(store) == 2
    for _ in range(2):
        assert add(store, "b3", members[2:4]).number == 1
    assert hashes(store.waiting) == {}


def test_a_freeze_has_the_bytes_of_a_cohort_without_waiting(tmp_path: Path, members: list[Member]) -> None:
    waited, at_once = empty(tmp_path / "waited"), empty(tmp_path / "at_once")
    for number, each in enumerate(members):
        add(waited, f"b{number}", [each], least=6)
        add_batch(at_once, batch=f"b{number}", members=[each])
    assert (len(numbers(waited)), len(numbers(at_once))) == (1, 6)
    assert hashes(waited.sites(1)) == hashes(at_once.sites(6))
    for store in (waited, at_once):
        tables.make_tables(store, output=store.path.parent / "tables")
    rows = [
        tables.row_counts(store, store.path.parent / "tables", sorted(everyone(store))) for store in (waited, at_once)
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 6


def test_a_withdrawn_member_who_waits_leaves_no_byte(store: Store, members: list[Member]) -> None:
    add(store, "b1", members[:2])
    rewrite.withdraw(store, ["P0"])
    assert traces(store, ["P0"]) == []
    assert [each.member.participant_id for each in read_waiting(store.waiting)] == ["P1"]
    rewrite.withdraw(store, ["P1"])
    assert (traces(store, ["P1"]), list(store.waiting.iterdir()), numbers(store)) == ([], [], numbers(store))
    assert add(store, "b2", members[2:4]).number == read_snapshot(store).number
    assert everyone(store) == set()


def test_a_denied_member_waits_no_longer_and_is_not_added(store: Store, members: list[Member]) -> None:
    add(store, "b1", members[:2])
    assert add(store, "b2", members[2:3], denied=["P0"]).number == 0
    assert (count_waiting(store), traces(store, ["P0"])) == (2, [])
    add(store, "b3", members[3:4], denied=["P0"])
    assert everyone(store) == {"P1", "P2", "P3"}


def test_a_batch_that_would_be_refused_does_not_wait(store: Store, members: list[Member], tmp_path: Path) -> None:
    bad = tmp_path / "bad.g.vcf"
    bad.write_text(gvcf_text([line(5, "T", "G", "0/1:40:22:11,11:45,0,42")], contigs={"c1": len(BASES)}))
    with pytest.raises(InputRefused):
        add(store, "b1", [Member(participant_id="P9", gvcf=str(bad))])
    assert (count_waiting(store), traces(store, ["P9"])) == (0, [])
    add(store, "b1", members[:1])
    with pytest.raises(InputRefused, match="one who waits in batch b1"):
        add(store, "b2", members[:1])
    Path(members[0].gvcf).unlink()
    with pytest.raises(InputRefused, match="batch b1: participant P0: expected the gVCF of a participant who waits"):
        add(store, "b2", members[1:3])
    rewrite.withdraw(store, ["P0"])
    assert add(store, "b2", members[1:4]).participants == 3


def test_a_store_that_moved_finds_the_gvcfs_that_moved_with_it(tmp_path: Path) -> None:
    store = empty(tmp_path / "w")
    add(store, "b1", [member(tmp_path / "w", 0)])
    (tmp_path / "w").rename(tmp_path / "v")
    moved = create_store(tmp_path / "v" / "cohort", reference=tmp_path / "v" / "ref.fa")
    add(moved, "b2", [member(tmp_path / "v", number) for number in (1, 2)])
    assert everyone(moved) == {"P0", "P1", "P2"}


def test_a_damaged_list_of_those_who_wait_is_noticed(store: Store, members: list[Member]) -> None:
    add(store, "b1", members[:1])
    path = store.waiting / "b1.json"
    path.write_bytes(path.read_bytes().replace(b"P0", b"P8"))
    assert verify(store) == ["waiting/b1.json: cannot be read; delete it, and add batch b1 again"]
    with pytest.raises(DamagedFile):
        add(store, "b2", members[1:3])


def test_a_kill_at_any_instant_leaves_all_members_once(tmp_path: Path, members: list[Member]) -> None:
    """The same command again finishes, and no snapshot adds fewer than three."""
    step = 0
    is_killed = True
    while is_killed:
        step += 3
        store = empty(tmp_path / f"w{step}")
        is_killed = False
        for batch, own in (("b1", members[:1]), ("b2", members[1:2]), ("b3", members[2:3])):
            work = partial(add, store, batch, own)
            if killed_before(step, work):
                is_killed = True
                assert all(count >= 3 for count in added_by_snapshot(store)[1:])
                work()
        assert everyone(store) == {"P0", "P1", "P2"}, step
        assert added_by_snapshot(store)[-1] == 3
        assert (count_waiting(store), list(store.waiting.iterdir())) == (0, [])
        assert verify(store) == []
    assert step > 9
