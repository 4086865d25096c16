"""The law that a kill at any instant loses nothing, on fifty real gVCFs."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from baekman.cohort import rewrite
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import numbers, read_snapshot
from baekman.cohort.store import Store, open_store
from support.ground import SEED, Ground, copy_of, traces

# Kills at random moments and at steps of the work; more of both with a larger BAEKMAN_KILLS.
KILLS = int(os.environ.get("BAEKMAN_KILLS", "6"))


def _add(path: Path, batch: str, members: list[Member]) -> None:
    add_batch(open_store(path), batch=batch, members=members)


def _withdraw(path: Path, ids: list[str]) -> None:
    rewrite.withdraw(open_store(path), ids)


def _compact(path: Path) -> None:
    rewrite.compact(open_store(path))


def _until(step: int, work: Callable[..., None], *arguments: Any) -> None:
    """Do ``work``; the process is killed before its ``step``-th change of a name in the file system."""
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
    """Start a process, forked from a small server that has the modules but none of our threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["baekman.cohort.add", "baekman.cohort.store", "pyarrow.parquet"])
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
            add_batch(self.origin, batch=f"b{number}", members=people[2 * number : 2 * number + 2])
        self.before = ground.frozen(self.origin)
        ids = [people[0].participant_id, people[3].participant_id]
        self.ways: dict[str, tuple[Callable[..., None], tuple[Any, ...], dict[str, str]]] = {
            "add": (_add, ("b3", people[6:9]), ground.from_scratch(people[:9])),
            "withdraw": (_withdraw, (ids,), ground.from_scratch([people[n] for n in (1, 2, 4, 5)])),
            "compact": (_compact, (), self.before),
        }

    def check(self, store: Store, way: str) -> None:
        """Check after a kill: the last snapshot is whole, the same command finishes, nothing unfinished is left."""
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
    """Make the scene, which tests copy."""
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
        # every step with many kills, else a sample with distances that never repeat
        stride += 1
        step += max(1, stride * 36 // KILLS)
    assert step > KILLS


def test_two_adds_at_the_same_moment_both_succeed(ground: Ground, tmp_path: Path) -> None:
    store = ground.store()
    processes = [
        _process(_add, store.path, f"b{number}", ground.members[4 * number : 4 * number + 4]) for number in range(3)
    ]
    # the same add twice
    processes.append(_process(_add, store.path, "b0", ground.members[:4]))
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert numbers(store) == [1, 2, 3]
    assert sorted(entry.name for entry in read_snapshot(store).batches) == ["b0", "b1", "b2"]
    assert ground.frozen(store) == ground.from_scratch(ground.members[:12])
    assert list(store.work.iterdir()) == []
