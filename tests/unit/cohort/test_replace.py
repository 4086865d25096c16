"""A replacement: one snapshot in which participants have only their new gVCFs; older snapshots stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch, add_or_wait
from baekman.cohort.gvcf_list import Member
from baekman.cohort.index import find_batches
from baekman.cohort.roster import read_roster
from baekman.cohort.settings import BatchSettings
from baekman.cohort.snapshot import numbers, read_snapshot
from baekman.cohort.store import Store, create_store, open_store
from baekman.cohort.verify.gvcfs import compare_gvcfs
from baekman.cohort.verify.whole import verify
from baekman.errors import InputRefused
from baekman.export.write import Content
from baekman.freezes.freeze import freeze
from baekman.gvcf.thresholds import GvcfRules
from baekman.tables.make import make_tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import generated_gvcfs
from support.exports import exported
from support.ground import hashes_without_batches, traces
from support.kills import Killed, killed, killed_before
from support.small_cohort import BASES, everyone, member
from support.store_tools import baekman, block, gvcf_text, hashes, line, write_list, write_reference

OLD, NEW = "only-the-old", "only-the-new"


def again(folder: Path, number: int, *, sex: str = "unknown") -> Member:
    """Write a second gVCF of participant ``P<number>``: another allele, an allele of P0, a block and a filter."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{number}.again.g.vcf"
    lines = [
        line(1, "A", "G", "0/1:40:22:11,11:45,0,42"),
        block(30, 60, BASES[29]),
        line(4 * number + 65, "A", "C", "1/1:50:22:0,22:450,50,0", filter=NEW),
    ]
    path.write_text(gvcf_text(lines, contigs={"c1": len(BASES)}))
    return Member(participant_id=f"P{number}", gvcf=str(path), sex=sex)


def empty(folder: Path) -> Store:
    folder.mkdir()
    return create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", {"c1": BASES}))


def outputs(store: Store, folder: Path) -> dict[str, Any]:
    """Return the hashes of sites and tables of a freeze, the exports and the roster of the latest snapshot."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    freeze(store, output=folder / "freeze")
    content: dict[str, Any] = hashes_without_batches(folder / "freeze")
    for mode in ("called", "raw", "joint"):
        of_mode = Content(mode=mode, by_position=False, without=frozenset())
        content[mode] = exported(store, folder, of_mode, name=f"{mode}.vcf", form="vcf").read_bytes()
    rosters = [read_roster(store, entry.name)[0] for entry in read_snapshot(store).batches]
    rows = [{**row, "sample": 0} for roster in rosters for row in roster.to_pylist()]
    content["roster"] = sorted(rows, key=lambda row: str(row["participant_id"]))
    assert verify(store) == []
    return content


@pytest.fixture
def people(tmp_path: Path) -> list[Member]:
    return [member(tmp_path, 0, filter=OLD), *(member(tmp_path, number) for number in range(1, 5))]


@pytest.fixture
def cohort(tmp_path: Path, people: list[Member]) -> Store:
    """Return a cohort of P0, P1 and P2 in one batch and P3 in another."""
    store = empty(tmp_path / "w")
    add_batch(store, batch="b1", members=people[:3])
    add_batch(store, batch="b2", members=people[3:4])
    return store


def only_new(folder: Path, members: Sequence[Member]) -> dict[str, Any]:
    store = empty(folder)
    add_batch(store, batch="all", members=members)
    return outputs(store, folder / "out")


# --- the law ---------------------------------------------------------------------------------------------------


def test_a_replacement_equals_a_cohort_that_had_only_the_new_gvcf(
    cohort: Store, people: list[Member], tmp_path: Path
) -> None:
    new = [again(tmp_path, 0), again(tmp_path, 3)]
    before = {number: hashes(cohort.sites(number)) for number in numbers(cohort)}
    snapshot = rewrite.replace_batch(cohort, batch="r1", members=new)
    assert [(entry.name, entry.participants) for entry in snapshot.batches] == [("b1.r1", 2), ("r1", 2)]
    assert (snapshot.number, snapshot.participants, everyone(cohort)) == (3, 4, {f"P{n}" for n in range(4)})
    present = [new[0], people[1], people[2], new[1]]
    assert outputs(cohort, tmp_path / "out") == only_new(tmp_path / "fresh", present)
    assert compare_gvcfs(cohort, present) == []
    # the same again changes nothing, and the older snapshots stay
    assert rewrite.replace_batch(cohort, batch="r1", members=new) == snapshot
    assert {number: hashes(cohort.sites(number)) for number in (1, 2)} == before
    assert find_batches(cohort, ["P0"], at=read_snapshot(cohort, 1)) == {"P0": "b1"}
    # and again: the next version, in the batch of the first
    newest = rewrite.replace_batch(cohort, batch="r2", members=[people[0]])
    assert [entry.name for entry in newest.batches] == ["b1.r1", "r1.r1", "r2"]
    assert outputs(cohort, tmp_path / "out") == only_new(tmp_path / "fresh2", [*people[:3], new[1]])


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(gvcfs=st.lists(generated_gvcfs.gvcfs(), min_size=3, max_size=3), sex=st.sampled_from(["male", "female"]))
def test_generated_gvcfs_replace_each_other(gvcfs: list[list[str]], sex: str, tmp_path: Path) -> None:
    folder = tmp_path / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    reference = write_reference(folder / "ref.fa", generated_gvcfs.CONTIGS)
    lengths = {name: len(bases) for name, bases in generated_gvcfs.CONTIGS.items()}
    members = []
    for number, lines in enumerate(gvcfs):
        path = folder / f"{number}.g.vcf"
        path.write_text(gvcf_text(lines, contigs=lengths))
        members.append(Member(participant_id=f"P{number % 2}", gvcf=str(path), sex=sex))
    replaced, fresh = (create_store(folder / name, reference=reference) for name in ("replaced", "fresh"))
    add_batch(replaced, batch="b", members=members[:2])
    rewrite.replace_batch(replaced, batch="r", members=[members[2]])
    add_batch(fresh, batch="b", members=members[1:])
    assert outputs(replaced, folder / "out") == outputs(fresh, folder / "out2")


def test_a_member_without_a_sex_keeps_theirs(tmp_path: Path) -> None:
    store = empty(tmp_path / "w")
    old = member(tmp_path, 0)
    add_batch(store, batch="b", members=[Member(participant_id="P0", gvcf=old.gvcf, sex="female")])
    for _ in range(2):
        snapshot = rewrite.replace_batch(store, batch="r", members=[again(tmp_path, 0)])
        assert (snapshot.number, snapshot.females) == (2, 1)
    assert rewrite.replace_batch(store, batch="r2", members=[again(tmp_path, 0, sex="male")]).females == 0


# --- older snapshots, withdrawals, compaction ------------------------------------------------------------------


def test_older_snapshots_are_read_as_before(cohort: Store, people: list[Member], tmp_path: Path) -> None:
    older = read_snapshot(cohort, 2)
    make_tables(cohort, output=tmp_path / "before", snapshot=older)
    rewrite.replace_batch(cohort, batch="r1", members=[again(tmp_path, 0)])
    add_batch(cohort, batch="b3", members=[people[4]])
    make_tables(cohort, output=tmp_path / "after", snapshot=older)
    assert hashes(tmp_path / "after") == hashes(tmp_path / "before")
    # a withdrawal of another participant deletes only the snapshots that count them
    rewrite.withdraw(cohort, ["P4"])
    assert (numbers(cohort), verify(cohort)) == ([1, 2, 3, 5], [])
    make_tables(cohort, output=tmp_path / "later", snapshot=read_snapshot(cohort, 2))
    assert hashes(tmp_path / "later") == hashes(tmp_path / "before")
    assert verify(cohort) == []


def test_a_withdrawal_removes_both_versions(cohort: Store, people: list[Member], tmp_path: Path) -> None:
    new = again(tmp_path, 0)
    rewrite.replace_batch(cohort, batch="r1", members=[new, again(tmp_path, 3)])
    digests = [row["gvcf_sha256"] for name in ("b1", "r1") for row in read_roster(cohort, name)[0].to_pylist()[:1]]
    assert len(set(digests)) == 2 and traces(cohort, [OLD]) and traces(cohort, [digests[0]])
    rewrite.withdraw(cohort, ["P0"])
    assert traces(cohort, ["P0", OLD, *digests]) == []
    assert numbers(cohort) == [4]
    assert outputs(cohort, tmp_path / "out") == only_new(tmp_path / "fresh", [*people[1:3], again(tmp_path, 3)])


def test_a_withdrawal_that_was_killed_removes_both_versions_later(
    cohort: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite.replace_batch(cohort, batch="r1", members=[again(tmp_path, 0)])
    with monkeypatch.context() as patch:
        patch.setattr(rewrite, "clean", killed)
        with pytest.raises(Killed):
            rewrite.withdraw(cohort, ["P0"])
    rewrite.withdraw(cohort, ["P0"])
    assert (traces(cohort, ["P0", OLD]), numbers(cohort), verify(cohort)) == ([], [4], [])


def test_a_compaction_that_keeps_one_snapshot_deletes_the_old_version(cohort: Store, tmp_path: Path) -> None:
    rewrite.replace_batch(cohort, batch="r1", members=[again(tmp_path, 0)])
    before = outputs(cohort, tmp_path / "out")
    rewrite.compact(cohort, below=1)
    assert numbers(cohort) == [1, 2, 3]
    rewrite.compact(cohort, keep=1)
    assert (numbers(cohort), traces(cohort, [OLD])) == ([4], [])
    assert outputs(cohort, tmp_path / "out") == before


# --- kills and other writers -----------------------------------------------------------------------------------


def test_a_kill_at_any_instant_leaves_the_old_or_the_new_snapshot(
    cohort: Store, people: list[Member], tmp_path: Path
) -> None:
    new = [again(tmp_path, 0), again(tmp_path, 3)]
    before = hashes(cohort.sites(2))
    after = hashes(rewritten(cohort, tmp_path / "whole", new).sites(3))
    step, was_killed, states = 1, True, set()
    while was_killed:
        store = copied(cohort, tmp_path / "copy")
        was_killed = killed_before(step, partial(rewrite.replace_batch, store, batch="r1", members=new))
        snapshot = read_snapshot(store)
        states.add(snapshot.number)
        assert hashes(store.sites(snapshot.number)) == (before if snapshot.number == 2 else after)
        if step % 4 == 0:
            assert verify(store) == []
        if step % 3 == 0:  # a withdrawal comes first, and then the command is refused
            rewrite.withdraw(store, ["P0"])
            assert traces(store, ["P0", OLD]) == []
            with pytest.raises(InputRefused, match="participants of the latest snapshot"):
                rewrite.replace_batch(store, batch="r1", members=new)
            assert traces(store, ["P0"]) == []
        else:
            assert rewrite.replace_batch(store, batch="r1", members=new).number == 3
            assert hashes(store.sites(3)) == after
            assert list(store.work.iterdir()) == []
        step += 11
    assert states == {2, 3} and step > 40


def copied(store: Store, folder: Path) -> Store:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(store.path, folder / "cohort")
    return open_store(folder / "cohort")


def rewritten(store: Store, folder: Path, members: Sequence[Member]) -> Store:
    copy = copied(store, folder)
    rewrite.replace_batch(copy, batch="r1", members=members)
    return copy


def test_a_withdrawal_while_the_new_gvcf_is_read_leaves_nothing(
    cohort: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from baekman.cohort.batch import collect

    def withdrawn_before(store: Store, plan: Any) -> None:
        rewrite.withdraw(store, ["P0"])
        collect(store, plan)

    monkeypatch.setattr("baekman.cohort.add.collect", withdrawn_before)
    with pytest.raises(InputRefused, match="one who was withdrawn while their gVCF was read"):
        rewrite.replace_batch(cohort, batch="r1", members=[again(tmp_path, 0)])
    assert (traces(cohort, ["P0", OLD]), list(cohort.work.iterdir())) == ([], [])


def test_two_replacements_at_the_same_moment_both_succeed(cohort: Store, tmp_path: Path) -> None:
    new = {"r1": [again(tmp_path, 0), again(tmp_path, 3)], "r2": [again(tmp_path / "o", 0), again(tmp_path / "o", 1)]}
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(rewrite.replace_batch, cohort, batch=name, members=new[name]) for name in new]
        assert sorted(each.result().number for each in done) == [3, 4]
    assert (everyone(cohort), read_snapshot(cohort).participants) == ({"P0", "P1", "P2", "P3"}, 4)
    assert verify(cohort) == []


# --- what is refused -------------------------------------------------------------------------------------------


def test_who_is_not_in_the_snapshot_is_refused_with_the_next_step(cohort: Store, tmp_path: Path) -> None:
    rules = BatchSettings(rules=GvcfRules(), least=5)
    add_or_wait(cohort, batch="w1", members=[member(tmp_path, 6)], settings=rules)
    rows = [(each.participant_id, each.gvcf, "") for each in (again(tmp_path, n) for n in (1, 6, 7))]
    listed = write_list(tmp_path / "new.tsv", rows)
    done = baekman("cohort", "replace", "--cohort", cohort.path, "--batch", "r1", "--gvcfs", listed, check=False)
    assert done.returncode == 3
    message = "refused: list of gVCFs: participant {}: expected participants of the latest snapshot, found one who {}"
    assert done.stderr.splitlines()[-2:] == [
        message.format("P6", "waits in batch w1; add those who wait with `baekman cohort add --now` first"),
        message.format("P7", "is not in it; leave them out, and add them with `baekman cohort add`"),
    ]
    assert (numbers(cohort), list(cohort.work.iterdir())) == ([1, 2], [])


@pytest.mark.parametrize("name", ["b2", "b1"])
def test_the_name_of_a_batch_is_taken_once(name: str, cohort: Store, people: list[Member], tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=f"the name {name} with other members"):
        rewrite.replace_batch(cohort, batch=name, members=[again(tmp_path, 1)])
    rewrite.replace_batch(cohort, batch="r1", members=[again(tmp_path, 0), again(tmp_path, 3)])
    # older snapshots have these batches still
    for change in (
        partial(add_batch, cohort, batch=name, members=[people[4]]),
        partial(rewrite.replace_batch, cohort, batch=name, members=[again(tmp_path, 1)]),
    ):
        with pytest.raises(InputRefused, match=f"the name {name} of a batch that only older snapshots have"):
            change()
    # the name that a batch would get when it is written again
    rewrite.replace_batch(cohort, batch="b1.r2", members=[again(tmp_path, 1)])
    assert [entry.name for entry in read_snapshot(cohort).batches] == ["b1.r3", "r1", "b1.r2"]
    assert (everyone(cohort), verify(cohort)) == ({"P0", "P1", "P2", "P3"}, [])


# --- the command -----------------------------------------------------------------------------------------------


def test_the_command_prints_the_snapshot_and_tables_follow(tmp_path: Path) -> None:
    store = empty(tmp_path / "w")
    add_batch(store, batch="b", members=[member(tmp_path, number) for number in range(3)])
    tables = ("tables", "--cohort", store.path, "--output", tmp_path / "tables")
    baekman(*tables)
    new = again(tmp_path, 2)
    listed = write_list(tmp_path / "new.tsv", [(new.participant_id, new.gvcf, "female")])
    done = baekman("cohort", "replace", "--cohort", store.path, "--batch", "r1", "--gvcfs", listed)
    assert done.stdout == "2\n"
    baekman(*tables)
    fresh = empty(tmp_path / "fresh")
    add_batch(
        fresh, batch="b", members=[*(member(tmp_path, number) for number in range(2)), again(tmp_path, 2, sex="female")]
    )
    baekman("tables", "--cohort", fresh.path, "--output", tmp_path / "expected")
    assert hashes(tmp_path / "tables") == hashes(tmp_path / "expected")
    listed_snapshots = baekman("cohort", "snapshots", "--cohort", store.path).stdout.splitlines()
    assert [json.loads(row)["batches"] for row in listed_snapshots] == [["b"], ["b.r1", "r1"]]
