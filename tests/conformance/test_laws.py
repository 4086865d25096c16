"""The laws of the cohort store (DESIGN section 5) on fifty real gVCFs."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baekman import cohort
from baekman.engine import Engine
from baekman.members import Member
from baekman.snapshot import numbers, read_snapshot
from baekman.store import Store, create_store, open_store
from baekman.tables import freeze
from store_tools import baekman, hashes, reference_from_gvcfs, write_list

# Kills at random moments and at steps of the work; more of both with a larger BAEKMAN_KILLS.
KILLS = int(os.environ.get("BAEKMAN_KILLS", "6"))
SEED = int(os.environ.get("BAEKMAN_SEED", "1"))
BORDERS = (10_550_000, 10_600_000, 10_650_000)


class Ground:
    """Fifty real gVCFs, the reference that they imply, and stores on it."""

    def __init__(self, folder: Path, gvcfs: Sequence[Path]) -> None:
        self.folder = folder
        self.members = [Member(participant_id=path.name.split(".")[0], gvcf=str(path)) for path in gvcfs]
        self.reference = reference_from_gvcfs(gvcfs, folder / "ref.fa")
        with self.reference.open() as bases:
            length = sum(len(row) - 1 for row in bases if not row.startswith(">"))
        starts, ends = (0, *BORDERS), (*BORDERS, length)
        (folder / "shards.tsv").write_text(
            "shard\tcontig\tstart\tend\n"
            + "".join(f"{n:05d}\tchr22\t{a + 1}\t{b}\n" for n, (a, b) in enumerate(zip(starts, ends, strict=True)))
        )
        self.made = 0

    def store(self) -> Store:
        self.made += 1
        return create_store(
            self.folder / f"cohort-{self.made}", reference=self.reference, shards_file=self.folder / "shards.tsv"
        )

    def frozen(self, store: Store, *, engine: Engine | None = None) -> dict[str, str]:
        """The hashes of every file of a freeze; the freeze itself is deleted."""
        output = store.path.with_name(f"{store.path.name}.freeze")
        freeze(store, output=output, engine=engine)
        found = hashes(output)
        shutil.rmtree(output)
        return found

    def from_scratch(self, members: Sequence[Member]) -> dict[str, str]:
        store = self.store()
        cohort.add(store, batch="all", members=members)
        return self.frozen(store)


@pytest.fixture(scope="module")
def ground(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    gvcfs = sorted((shared_data / "gvcf" / "gatk_1kg50_grch38_chr22").glob("*.g.vcf.gz"))
    assert len(gvcfs) == 50
    return Ground(tmp_path_factory.mktemp("laws"), gvcfs)


@pytest.fixture(scope="module")
def expected(ground: Ground) -> dict[str, str]:
    """The freeze of all fifty, added as one batch by one worker."""
    found = ground.from_scratch(ground.members)
    assert len(found) == 4 + 2 * 50
    return found


@pytest.fixture(scope="module")
def five(ground: Ground) -> Store:
    """A cohort that came in five batches, in a shuffled order of people; tests copy it."""
    people = random.Random(SEED).sample(ground.members, 50)
    store = ground.store()
    for number in range(5):
        cohort.add(store, batch=f"b{number}", members=people[10 * number : 10 * number + 10])
    return store


def copy_of(store: Store, folder: Path) -> Store:
    shutil.copytree(store.path, folder / "cohort")
    return open_store(folder / "cohort")


def traces(store: Store, needles: Sequence[str]) -> list[str]:
    """Files of the store that hold one of ``needles``, in their bytes, their names or their decoded columns."""
    found = []
    for path in sorted(store.path.rglob("*")):
        raw = path.read_bytes() if path.is_file() else b""
        texts = [str(path.relative_to(store.path)).encode(), raw]
        if path.suffix == ".parquet":
            for column in pq.read_table(path).columns:
                if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
                    texts.append("\n".join(map(str, column.unique().to_pylist())).encode())
        if any(needle.encode() in text for needle in needles for text in texts):
            found.append(str(path.relative_to(store.path)))
    return found


# --- 1: adding a batch touches no older batch ----------------------------------------------------------------


def test_adding_a_batch_reads_and_writes_no_byte_of_an_older_batch(ground: Ground) -> None:
    store = ground.store()
    cohort.add(store, batch="old", members=ground.members[:8])

    def state(folder: Path) -> dict[str, tuple[int, int, int]]:
        return {
            str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_size)
            for path in folder.rglob("*")
        }

    old = [store.batch("old"), store.snapshots / "00000001.json", store.sites(1)]
    before = [state(path) if path.is_dir() else path.stat() for path in old]
    content = hashes(store.path)
    # root reads everything, whatever its mode: what is not there cannot be read
    away = ground.folder / "away"
    store.batch("old").rename(away)
    try:
        cohort.add(store, batch="new", members=ground.members[8:16])
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
        cohort.add(store, batch=f"one-{number}", members=[member])
    assert numbers(store) == list(range(1, 51))
    assert ground.frozen(store) == expected


def test_workers_give_the_bytes_of_one(ground: Ground, expected: dict[str, str]) -> None:
    store = ground.store()
    cohort.add(store, batch="first", members=ground.members[25:], engine=Engine(workers=2))
    cohort.add(store, batch="second", members=ground.members[:25], engine=Engine(workers=4))
    assert ground.frozen(store, engine=Engine(workers=9)) == expected


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a Dask scheduler with two workers, each a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    common = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started: list[subprocess.Popen[bytes]] = []

    def start(module: str, *arguments: str) -> None:
        started.append(subprocess.Popen([sys.executable, "-m", module, *arguments], **common))  # type: ignore[call-overload]

    try:
        start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        for _ in range(2):
            start("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard")
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=60)


def test_a_cluster_of_separate_processes_gives_the_bytes_of_one(
    ground: Ground, expected: dict[str, str], scheduler: str, tmp_path: Path
) -> None:
    store = ground.store()
    people = write_list(tmp_path / "list.tsv", [(m.participant_id, Path(m.gvcf)) for m in ground.members])
    baekman("cohort", "add", "--cohort", store.path, "--batch", "b", "--gvcfs", people, "--scheduler", scheduler)
    baekman("cohort", "freeze", "--cohort", store.path, "--output", tmp_path / "out", "--scheduler", scheduler)
    assert hashes(tmp_path / "out") == expected


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
        baekman(*command, "--cohort", "cohort", "--scheduler", scheduler, cwd=here)
    assert hashes(here / "out") == ground.from_scratch(ground.members[:2])
    assert hashes(here / "tables") == hashes(here / "out" / "tables")
    assert sorted(path.name for path in here.iterdir()) == ["cohort", "list.tsv", "out", "tables", "x.bcf", "x.bcf.csi"]


def test_compaction_changes_no_byte_of_a_freeze(
    ground: Ground, five: Store, expected: dict[str, str], tmp_path: Path
) -> None:
    store = copy_of(five, tmp_path)
    snapshot = cohort.compact(store)
    assert [entry.participants for entry in snapshot.batches] == [50]
    assert len(list((store.path / "batches").iterdir())) == 1
    assert ground.frozen(store) == expected
    assert cohort.compact(store) == snapshot


# --- 3: a withdrawal leaves nothing ---------------------------------------------------------------------------


@pytest.mark.parametrize("compacted", [False, True])
def test_after_a_withdrawal_the_cohort_is_as_if_they_had_never_been_there(
    ground: Ground, five: Store, tmp_path: Path, compacted: bool
) -> None:
    store = copy_of(five, tmp_path)
    if compacted:
        cohort.compact(store)
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
    snapshot = cohort.withdraw(store, ids)
    assert snapshot.participants == 38
    assert traces(store, [*ids, *digests]) == []
    # of the older snapshots none that counted them is left
    assert numbers(store) == [snapshot.number]
    assert ground.frozen(store) == ground.from_scratch([member for member in ground.members if member not in gone])
    assert cohort.withdraw(store, ids) == snapshot


def test_snapshots_that_never_counted_them_stay(ground: Ground) -> None:
    store = ground.store()
    cohort.add(store, batch="b0", members=ground.members[:3])
    kept = hashes(store.sites(1))
    cohort.add(store, batch="b1", members=ground.members[3:6])
    cohort.withdraw(store, [ground.members[4].participant_id])
    assert numbers(store) == [1, 3]
    assert hashes(store.sites(1)) == kept
    again = cohort.add(store, batch="b2", members=[ground.members[4]])
    assert again.participants == 6
    assert ground.frozen(store) == ground.from_scratch(ground.members[:6])


def test_everyone_may_withdraw_and_others_join(ground: Ground) -> None:
    store = ground.store()
    cohort.add(store, batch="b0", members=ground.members[:2])
    empty = cohort.withdraw(store, [member.participant_id for member in ground.members[:2]])
    assert (empty.participants, empty.batches) == (0, ())
    cohort.add(store, batch="b0", members=ground.members[2:4])
    assert ground.frozen(store) == ground.from_scratch(ground.members[2:4])


# --- 4: a kill at any instant --------------------------------------------------------------------------------


def _add(path: Path, batch: str, members: list[Member]) -> None:
    cohort.add(open_store(path), batch=batch, members=members)


def _withdraw(path: Path, ids: list[str]) -> None:
    cohort.withdraw(open_store(path), ids)


def _compact(path: Path) -> None:
    cohort.compact(open_store(path))


def _until(step: int, work: Callable[..., None], *arguments: Any) -> None:
    """Do ``work``, but be killed before the ``step``-th change of a name in the file system."""
    done = 0

    def watched(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*args, **options)

        return changed

    for owner, name in ((os, "rename"), (os, "replace"), (os, "link"), (os, "unlink"), (os, "rmdir")):
        setattr(owner, name, watched(getattr(owner, name)))
    for name in ("rename", "replace", "unlink", "mkdir"):
        setattr(Path, name, watched(getattr(Path, name)))
    work(*arguments)


def _process(target: Callable[..., None], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """A process that begins at once, forked from a small server that has the modules but none of our threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["baekman.cohort", "baekman.store", "pyarrow.parquet"])
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


class Scene:
    """A cohort of six, and three ways to go on from there, each with the freeze that it must end in."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.origin = ground.store()
        people = ground.members
        for number in range(3):
            cohort.add(self.origin, batch=f"b{number}", members=people[2 * number : 2 * number + 2])
        self.before = ground.frozen(self.origin)
        ids = [people[0].participant_id, people[3].participant_id]
        self.ways: dict[str, tuple[Callable[..., None], tuple[Any, ...], dict[str, str]]] = {
            "add": (_add, ("b3", people[6:9]), ground.from_scratch(people[:9])),
            "withdraw": (_withdraw, (ids,), ground.from_scratch([people[n] for n in (1, 2, 4, 5)])),
            "compact": (_compact, (), self.before),
        }

    def check(self, store: Store, way: str) -> None:
        """After a kill: the last snapshot is whole, the same command finishes, and nothing unfinished is left."""
        work, arguments, after = self.ways[way]
        last = read_snapshot(store)
        if way != "withdraw":
            assert self.ground.frozen(store) == (self.before if last.participants == 6 else after)
        work(store.path, *arguments)
        assert self.ground.frozen(store) == after
        if way == "withdraw":
            assert traces(store, arguments[0]) == []
        left = [str(path.relative_to(store.path)) for path in store.path.rglob("*") if ".tmp" in path.name]
        left += [str(path.relative_to(store.path)) for path in store.work.glob("*") if path.suffix != ".lock"]
        assert left == []
        shutil.rmtree(store.path)


@pytest.fixture(scope="module")
def scene(ground: Ground) -> Scene:
    return Scene(ground)


@pytest.mark.parametrize("way", ["add", "withdraw", "compact"])
def test_a_kill_at_a_random_moment_loses_nothing(scene: Scene, tmp_path: Path, way: str) -> None:
    work, arguments, _after = scene.ways[way]
    rng = random.Random(SEED)
    store = copy_of(scene.origin, tmp_path / "whole")
    started = time.monotonic()
    process = _process(work, store.path, *arguments)
    process.join()
    duration = time.monotonic() - started
    assert process.exitcode == 0
    killed = 0
    for number in range(KILLS):
        store = copy_of(scene.origin, tmp_path / f"{number}")
        process = _process(work, store.path, *arguments)
        process.join(rng.uniform(0.0, duration))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        scene.check(store, way)
    assert killed


@pytest.mark.parametrize("way", ["add", "withdraw", "compact"])
def test_a_kill_between_any_two_steps_loses_nothing(scene: Scene, tmp_path: Path, way: str) -> None:
    work, arguments, _after = scene.ways[way]
    step, stride, survived = 1, 0, False
    while not survived:
        store = copy_of(scene.origin, tmp_path / f"{step}")
        process = _process(_until, step, work, store.path, *arguments)
        process.join()
        survived = process.exitcode == 0
        assert survived or process.exitcode == -signal.SIGKILL
        scene.check(store, way)
        # every step with many kills, else a sample whose distances never repeat
        stride += 1
        step += max(1, stride * 36 // KILLS)
    assert step > KILLS


def test_two_adds_at_the_same_moment_both_succeed(ground: Ground, tmp_path: Path) -> None:
    store = ground.store()
    processes = [
        _process(_add, store.path, f"b{number}", ground.members[4 * number : 4 * number + 4]) for number in range(3)
    ]
    # the same add once more beside itself
    processes.append(_process(_add, store.path, "b0", ground.members[:4]))
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert numbers(store) == [1, 2, 3]
    assert sorted(entry.name for entry in read_snapshot(store).batches) == ["b0", "b1", "b2"]
    assert ground.frozen(store) == ground.from_scratch(ground.members[:12])
    assert list(store.work.iterdir()) == []
