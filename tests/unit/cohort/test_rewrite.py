"""Batches that are written again: their names, and no remains of the participants who leave."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from baekman.cli.shared.opening import BARE
from baekman.cohort import garbage, rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.batch import BatchPlan, collect, read_participant
from baekman.cohort.gvcf_list import Member
from baekman.cohort.index import find_batches
from baekman.cohort.roster import read_roster
from baekman.cohort.snapshot import numbers, read_snapshot
from baekman.cohort.store import Store, create_store
from baekman.cohort.verify.gvcfs import compare_gvcfs
from baekman.cohort.verify.whole import verify
from baekman.errors import InputRefused
from baekman.tables.files import files_of, reference_path, table_path
from baekman.tables.make import make_tables
from support.kills import Killed, killed
from support.small_cohort import BASES, everyone, member
from support.store_tools import baekman, gvcf_text, hashes, line, write_reference

# --- a rewritten batch takes the place of no other ------------------------------------------------------------


def test_an_id_that_is_not_in_the_cohort_is_reported(store: Store, tmp_path: Path) -> None:
    add_batch(store, batch="b", members=[member(tmp_path, number) for number in range(2)])
    done = baekman("cohort", "withdraw", "P0", "P7", "P7", "--cohort", store.path)
    assert (done.stdout, done.stderr) == ("2\n", f"P7 is not in the cohort\n{BARE}\n")
    again = baekman("cohort", "withdraw", "P0", "--cohort", store.path)
    assert (again.stdout, again.stderr) == ("2\n", f"P0 is not in the cohort\n{BARE}\n")


def test_withdrawals_from_batches_of_the_same_name_keep_everybody_else(store: Store, tmp_path: Path) -> None:
    people = [member(tmp_path, number) for number in range(4)]
    add_batch(store, batch="b1", members=people[:2])
    rewrite.withdraw(store, ["P0"])
    add_batch(store, batch="b1", members=people[2:])
    rewrite.withdraw(store, ["P2"])
    assert everyone(store) == {"P1", "P3"}
    assert verify(store) == []


def test_a_withdrawal_from_two_batches_with_names_that_would_meet_keeps_everybody_else(
    store: Store, tmp_path: Path
) -> None:
    people = [member(tmp_path, number) for number in range(6)]
    for number, name in enumerate(("b", "b.r1", "b.r2")):
        add_batch(store, batch=name, members=people[2 * number : 2 * number + 2])
    rewrite.withdraw(store, ["P0", "P2", "P4"])
    assert everyone(store) == {"P1", "P3", "P5"}
    assert verify(store) == []


def test_a_reader_of_an_older_snapshot_brings_nobody_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [member(tmp_path, number) for number in range(4)]
    add_batch(store, batch="b", members=people)
    older, sweep = read_snapshot(store), garbage.sweep

    def read_and_sweep(*arguments: Any, **options: Any) -> None:
        assert find_batches(store, ["P2"], at=older) == {"P2": "b"}
        sweep(*arguments, **options)

    monkeypatch.setattr(garbage, "sweep", read_and_sweep)
    rewrite.withdraw(store, ["P2"])
    assert b"P2" not in store.participants.read_bytes()
    with pytest.raises(FileNotFoundError):
        find_batches(store, ["P2"], at=older)
    assert (everyone(store), verify(store)) == ({"P0", "P1", "P3"}, [])
    with pytest.raises(InputRefused, match=r"one who is in batch b\.r1"):
        add_batch(store, batch="again", members=people[:1])


def test_two_processes_that_index_a_batch_at_the_same_moment_both_succeed(store: Store, tmp_path: Path) -> None:
    for number in range(30):
        add_batch(store, batch=f"b{number}", members=[member(tmp_path, number)])
    at = read_snapshot(store)
    for _ in range(5):
        store.participants.unlink()
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(find_batches, store, ["P3", "P29"], at=at) for _ in range(8)]
        assert [answer.result() for answer in answers] == [{"P3": "b3", "P29": "b29"}] * 8


def test_compaction_keeps_a_batch_that_has_the_name_of_its_own(store: Store, tmp_path: Path) -> None:
    people = [member(tmp_path, number) for number in range(6)]
    add_batch(store, batch="compact-00000004", members=people[:4])
    for number in (4, 5):
        add_batch(store, batch=f"b{number}", members=[people[number]])
    rewrite.compact(store, below=2)
    assert everyone(store) == {f"P{number}" for number in range(6)}
    assert verify(store) == []


def test_compaction_makes_batches_of_enough_participants_and_no_more(store: Store, tmp_path: Path) -> None:
    people = [member(tmp_path, number) for number in range(8)]
    add_batch(store, batch="large", members=people[:3])
    for number in range(3, 8):
        add_batch(store, batch=f"b{number}", members=[people[number]])
    before = hashes(store.sites(6))
    snapshot = rewrite.compact(store, below=2)
    assert [(entry.name, entry.participants) for entry in snapshot.batches] == [
        ("large", 3), ("b7", 1), ("compact-00000007", 2), ("compact-00000007.r1", 2),
    ]  # fmt: skip
    assert (everyone(store), verify(store)) == ({f"P{number}" for number in range(8)}, [])
    assert hashes(store.sites(7)) == before
    assert rewrite.compact(store, below=2) == snapshot
    assert [entry.participants for entry in rewrite.compact(store, below=4).batches] == [4, 4]


def test_the_last_snapshots_are_kept(store: Store, tmp_path: Path) -> None:
    people = [member(tmp_path, number) for number in range(4)]
    for number, person in enumerate(people):
        add_batch(store, batch=f"b{number}", members=[person])
    latest = read_snapshot(store)
    assert rewrite.compact(store, below=1, keep=3) == latest
    assert numbers(store) == [2, 3, 4]
    assert sorted(path.name for path in (store.path / "sites").iterdir()) == ["00000002", "00000003", "00000004"]
    baekman("cohort", "compact", "--cohort", store.path, "--below", "3", "--keep", "1")
    assert numbers(store) == [5]
    assert (everyone(store), verify(store)) == ({"P0", "P1", "P2", "P3"}, [])
    rewrite.withdraw(store, ["P2"])
    assert (everyone(store), verify(store)) == ({"P0", "P1", "P3"}, [])


def test_a_file_system_without_links_has_copies(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        add_batch(store, batch=f"b{number}", members=[member(tmp_path, number)])
    before = hashes(store.sites(2))
    link = os.link

    def none(source: str, target: str) -> None:
        if str(source).endswith(".parquet"):
            raise OSError(errno.EPERM, "no links")
        link(source, target)

    monkeypatch.setattr(os, "link", none)
    assert hashes(store.sites(rewrite.compact(store).number)) == before


def test_a_compaction_that_was_killed_at_its_end_is_finished_by_the_next(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        add_batch(store, batch=f"b{number}", members=[member(tmp_path, number)])
    with monkeypatch.context() as patch:
        patch.setattr(rewrite, "clean", killed)
        with pytest.raises(Killed):
            rewrite.compact(store)
    assert rewrite.compact(store).number == 3
    assert numbers(store) == [3]
    assert [path.name for path in (store.path / "batches").iterdir()] == ["compact-00000003"]
    assert (everyone(store), verify(store)) == ({"P0", "P1"}, [])


def test_a_batch_takes_the_name_of_a_batch_of_a_killed_withdrawal(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [member(tmp_path, number) for number in range(4)]
    add_batch(store, batch="b", members=people[:2])
    with monkeypatch.context() as patch:
        patch.setattr(rewrite, "clean", killed)
        with pytest.raises(Killed):
            rewrite.withdraw(store, ["P0"])
    add_batch(store, batch="b", members=people[2:])
    assert numbers(store) == [2, 3]
    assert verify(store) == []
    with pytest.raises(InputRefused):
        add_batch(store, batch="again", members=people[2:])
    rewrite.withdraw(store, ["P0"])
    assert everyone(store) == {"P1", "P2", "P3"}


# --- nothing remains of the participants who leave ------------------------------------------------------------


def test_a_filter_that_only_the_withdrawn_had_is_named_no_more(store: Store, tmp_path: Path) -> None:
    people = [member(tmp_path, 0, filter="TheirsAlone"), member(tmp_path, 1, filter="Shared;Odd")]
    add_batch(store, batch="b", members=people)
    snapshot = rewrite.withdraw(store, ["P0"])
    _, names = read_roster(store, snapshot.batches[0].name)
    assert names == ["Shared;Odd"]
    assert verify(store) == []
    assert compare_gvcfs(store, people[1:]) == []


def test_a_filter_of_records_that_made_no_row_is_no_difference(store: Store, tmp_path: Path) -> None:
    """The reader collects FILTER before it knows whether a record has evidence of an ALT."""
    people = [member(tmp_path, 0), member(tmp_path, 1)]
    silent = line(9, "A", "G", "0/0:40:22:22,0:0,60,99", filter="NoRow")
    text = gvcf_text([line(5, "A", "G", "0/1:40:22:11,11:45,0,42"), silent], contigs={"c1": len(BASES)})
    Path(people[1].gvcf).write_text(text)
    add_batch(store, batch="b", members=people)
    snapshot = rewrite.withdraw(store, ["P0"])
    assert read_roster(store, snapshot.batches[0].name)[1] == []
    assert compare_gvcfs(store, people[1:]) == []


def test_a_withdrawal_deletes_the_sites_of_a_killed_add(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_batch(store, batch="b0", members=[member(tmp_path, 0)])
    with monkeypatch.context() as patch:
        patch.setattr("baekman.cohort.commit.create_snapshot", killed)
        with pytest.raises(Killed):
            add_batch(store, batch="b1", members=[member(tmp_path, 1)])
    # and of an add that died while it merged
    working = store.path / "sites" / ".00000003.tmp"
    working.mkdir()
    (store.snapshots / ".0123.tmp").write_text(json.dumps({"participants": 2}))
    rewrite.withdraw(store, ["P1"])
    assert {path.name for path in (store.path / "sites").iterdir()} == {f"{n:08d}" for n in numbers(store)}
    assert [path.name for path in store.snapshots.iterdir()] == ["00000001.json"]
    assert pq.read_table(store.sites(1) / "00000.parquet")["pos"].to_pylist() == [1]


def test_a_withdrawal_while_their_batch_is_read_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [member(tmp_path, number) for number in range(2)]

    def withdrawn_before(store: Store, plan: BatchPlan) -> None:
        rewrite.withdraw(store, ["P1"])
        read_participant(store, plan, 1)  # a worker that is late
        collect(store, plan)

    monkeypatch.setattr("baekman.cohort.add.collect", withdrawn_before)
    with pytest.raises(InputRefused) as refused:
        add_batch(store, batch="b", members=people)
    assert str(refused.value) == (
        "list of gVCFs: expected participants who stay, found one who was withdrawn while their gVCF was read; "
        "leave them out"
    )
    assert list(store.work.iterdir()) == []
    assert numbers(store) == []


def test_the_command_withdraws_from_the_tables_next_to_the_cohort(tmp_path: Path) -> None:
    reference = write_reference(tmp_path / "ref.fa", {"c1": BASES})
    people = [member(tmp_path, number) for number in range(3)]
    people[1] = Member(participant_id="P1", gvcf=people[0].gvcf)  # shares an allele: the table of P0 counts both

    def workspace(name: str, members: Sequence[Member]) -> Path:
        store = create_store(tmp_path / name / "cohort", reference=reference)
        add_batch(store, batch="b", members=members)
        make_tables(store, output=tmp_path / name / "tables")
        return tmp_path / name

    withdrawn = workspace("withdrawn", people)
    baekman("cohort", "withdraw", "P0", "--cohort", withdrawn / "cohort")
    assert hashes(withdrawn / "tables") == hashes(workspace("never", people[1:]) / "tables")


def test_the_command_withdraws_from_tables_of_a_killed_writer(store: Store, tmp_path: Path) -> None:
    add_batch(store, batch="b", members=[member(tmp_path, 0), member(tmp_path, 1)])
    output = tmp_path / "tables"
    make_tables(store, output=output)
    for path in (table_path(output, "P0"), reference_path(output, "P0")):
        path.rename(path.with_name(f".{path.name}.0123.tmp"))
    baekman("cohort", "withdraw", "P0", "--cohort", store.path)
    assert sorted(path for path in output.rglob("*") if path.is_file()) == sorted(files_of(output, "P1"))


def test_tables_next_to_a_store_of_another_name_are_not_its_own(store: Store, tmp_path: Path) -> None:
    add_batch(store, batch="b", members=[member(tmp_path, 0), member(tmp_path, 1)])
    make_tables(store, output=tmp_path / "tables")
    kept = hashes(tmp_path / "tables")
    store.path.rename(tmp_path / "other")
    baekman("cohort", "withdraw", "P0", "--cohort", tmp_path / "other")
    assert hashes(tmp_path / "tables") == kept
