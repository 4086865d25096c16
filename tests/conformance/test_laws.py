"""The laws of the cohort store (DESIGN section 5) on fifty real gVCFs."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.snapshot import numbers
from baekman.cohort.store import Store, open_store
from baekman.engine.local import Engine
from baekman.tables.make import make_tables
from support.ground import SEED, Ground, copy_of, hashes_without_batches, traces
from support.store_tools import baekman, hashes, write_list


@pytest.fixture(scope="module")
def expected(ground: Ground) -> dict[str, str]:
    """Return the freeze of all fifty, added as one batch by one worker."""
    freeze = ground.from_scratch(ground.members)
    # sites, variants and reference blocks, the digests of each participant, those of the freeze, and what describes it
    assert len(freeze) == 4 + 2 * 50 + 50 + 1 + 6
    return freeze


@pytest.fixture(scope="module")
def five(ground: Ground) -> Store:
    """Return a cohort that came in five batches, in a shuffled order of people; tests copy it."""
    people = random.Random(SEED).sample(ground.members, 50)
    store = ground.store()
    for number in range(5):
        add_batch(store, batch=f"b{number}", members=people[10 * number : 10 * number + 10])
    return store


# --- 1: adding a batch touches no older batch ----------------------------------------------------------------


def test_adding_a_batch_reads_and_writes_no_byte_of_an_older_batch(ground: Ground) -> None:
    store = ground.store()
    add_batch(store, batch="old", members=ground.members[:8])

    def state(folder: Path) -> dict[str, tuple[int, int, int]]:
        return {
            str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_size)
            for path in folder.rglob("*")
        }

    old = [store.batch("old"), store.snapshots / "00000001.json", store.sites(1)]
    before = [state(path) if path.is_dir() else path.stat() for path in old]
    content = hashes(store.path)
    # root reads everything, whatever its mode: only an absent file cannot be read
    away = ground.folder / "away"
    store.batch("old").rename(away)
    try:
        add_batch(store, batch="new", members=ground.members[8:16])
    finally:
        assert not store.batch("old").exists()
        away.rename(store.batch("old"))
    for path, seen in zip(old, before, strict=True):
        now = state(path) if path.is_dir() else path.stat()
        assert now == seen or (not path.is_dir() and now.st_mtime_ns == seen.st_mtime_ns)  # type: ignore[union-attr]
    after = hashes(store.path)
    changed = {name for name, digest in content.items() if after[name] != digest}
    assert changed <= {"participants.sqlite"}
    assert ground.frozen(store) == ground.from_scratch(ground.members[:16])


# --- 2: the same bytes, however the cohort came together -----------------------------------------------------


def test_five_shuffled_batches_give_the_bytes_of_one(ground: Ground, five: Store, expected: dict[str, str]) -> None:
    assert ground.frozen(five) == expected


def test_fifty_batches_of_one_give_the_bytes_of_one(ground: Ground, expected: dict[str, str]) -> None:
    store = ground.store()
    for number, member in enumerate(random.Random(SEED + 1).sample(ground.members, 50)):
        add_batch(store, batch=f"one-{number}", members=[member])
    assert numbers(store) == list(range(1, 51))
    assert ground.frozen(store) == expected


def test_workers_give_the_bytes_of_one(ground: Ground, expected: dict[str, str]) -> None:
    store = ground.store()
    add_batch(store, batch="first", members=ground.members[25:], engine=Engine(workers=2))
    add_batch(store, batch="second", members=ground.members[:25], engine=Engine(workers=4))
    assert ground.frozen(store, engine=Engine(workers=9)) == expected


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a Dask scheduler with two workers, each a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    folder = tmp_path_factory.mktemp("cluster")
    started: list[subprocess.Popen[bytes]] = []

    def start(module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--no-dashboard"]
        started.append(
            subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
        )

    try:
        start("dask_scheduler", "--host", "127.0.0.1", "--port", str(port))
        for _ in range(2):
            start("dask_worker", address, "--nthreads", "1", "--no-nanny")
        yield address
    finally:
        for process in started:
            process.kill()  # asked to end, a worker waits for a scheduler that has gone
        for process in started:
            process.wait(timeout=60)


def test_a_cluster_of_separate_processes_gives_the_bytes_of_one(
    ground: Ground, expected: dict[str, str], scheduler: str, tmp_path: Path
) -> None:
    store = ground.store()
    people = write_list(tmp_path / "list.tsv", [(m.participant_id, Path(m.gvcf)) for m in ground.members])
    baekman(
        "cohort",
        "add",
        "--cohort",
        store.path,
        "--batch",
        "b",
        "--gvcfs",
        people,
        "--scheduler",
        scheduler,
        "--insecure",
    )
    baekman(
        "cohort", "freeze", "--cohort", store.path, "--output", tmp_path / "out", "--scheduler", scheduler, "--insecure"
    )
    assert hashes_without_batches(tmp_path / "out") == expected


def test_relative_paths_are_those_of_the_command_on_a_cluster_too(
    ground: Ground, scheduler: str, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    ground.store().path.rename(here / "cohort")
    write_list(here / "list.tsv", [(m.participant_id, Path(m.gvcf)) for m in ground.members[:2]])
    for command in (
        ("cohort", "add", "--batch", "b", "--gvcfs", "list.tsv"),
        ("cohort", "verify", "--gvcfs", "list.tsv"),
        ("cohort", "freeze", "--output", "out"),
        ("tables", "--output", "tables"),
        ("export", "--format", "bcf", "--output", "x.bcf"),
    ):
        baekman(*command, "--cohort", "cohort", "--scheduler", scheduler, "--insecure", cwd=here)
    assert hashes_without_batches(here / "out") == ground.from_scratch(ground.members[:2])
    make_tables(open_store(here / "cohort"), output=tmp_path / "expected")
    assert hashes(here / "tables") == hashes(tmp_path / "expected")
    assert sorted(path.name for path in here.iterdir()) == ["cohort", "list.tsv", "out", "tables", "x.bcf", "x.bcf.csi"]


def test_compaction_changes_no_byte_of_a_freeze(
    ground: Ground, five: Store, expected: dict[str, str], tmp_path: Path
) -> None:
    store = copy_of(five, tmp_path)
    snapshot = rewrite.compact(store)
    assert [entry.participants for entry in snapshot.batches] == [50]
    assert len(list((store.path / "batches").iterdir())) == 1
    assert ground.frozen(store) == expected
    assert rewrite.compact(store) == snapshot


# --- 3: a withdrawal leaves nothing ---------------------------------------------------------------------------


@pytest.mark.parametrize("compacted", [False, True])
def test_after_a_withdrawal_the_cohort_is_as_if_they_had_never_been_there(
    ground: Ground, five: Store, tmp_path: Path, compacted: bool
) -> None:
    store = copy_of(five, tmp_path)
    if compacted:
        rewrite.compact(store)
    people = random.Random(SEED).sample(ground.members, 50)  # as in ``five``: ten to a batch
    gone = [people[3], people[25], *people[40:]]  # one of b0, one of b2, all of b4
    ids = [member.participant_id for member in gone]
    digests = [
        row["gvcf_sha256"]
        for path in (store.path / "batches").glob("*/roster.parquet")
        for row in pq.read_table(path).to_pylist()
        if row["participant_id"] in ids
    ]
    assert len(digests) == 12 and traces(store, ids)
    snapshot = rewrite.withdraw(store, ids)
    assert snapshot.participants == 38
    assert traces(store, [*ids, *digests]) == []
    # no older snapshot that counted them is left
    assert numbers(store) == [snapshot.number]
    assert ground.frozen(store) == ground.from_scratch([member for member in ground.members if member not in gone])
    assert rewrite.withdraw(store, ids) == snapshot


def test_snapshots_that_never_counted_them_stay(ground: Ground) -> None:
    store = ground.store()
    add_batch(store, batch="b0", members=ground.members[:3])
    kept = hashes(store.sites(1))
    add_batch(store, batch="b1", members=ground.members[3:6])
    rewrite.withdraw(store, [ground.members[4].participant_id])
    assert numbers(store) == [1, 3]
    assert hashes(store.sites(1)) == kept
    again = add_batch(store, batch="b2", members=[ground.members[4]])
    assert again.participants == 6
    assert ground.frozen(store) == ground.from_scratch(ground.members[:6])


def test_everyone_may_withdraw_and_others_join(ground: Ground) -> None:
    store = ground.store()
    add_batch(store, batch="b0", members=ground.members[:2])
    empty = rewrite.withdraw(store, [member.participant_id for member in ground.members[:2]])
    assert (empty.participants, empty.batches) == (0, ())
    add_batch(store, batch="b0", members=ground.members[2:4])
    assert ground.frozen(store) == ground.from_scratch(ground.members[2:4])
