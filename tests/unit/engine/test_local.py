"""Tasks on workers of this machine: every task runs once, failures stay as they were, and no worker outlives us."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem, WorkerDied

SLEEPING = """
import pathlib, sys, time
from baekman.engine.local import Engine

def run(index):
    pathlib.Path(sys.argv[1], str(index)).write_text(str(__import__("os").getpid()))
    time.sleep(600)

with Engine(workers=2).open() as map_tasks:
    map_tasks("sleeping", run, 4)
"""


def until(true: Callable[[], bool], *, seconds: float = 30) -> bool:
    """Return whether ``true()`` becomes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


def alive(process: int) -> bool:
    """Return whether a process runs, a child or not; False for a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def sleeper(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """Return a program in its own process group, with both workers in a task, and the workers' process IDs."""
    program = subprocess.Popen(
        [sys.executable, "-c", SLEEPING, str(folder)], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    assert until(lambda: len([path for path in folder.iterdir() if path.stat().st_size]) == 2)
    return program, [int(path.read_text()) for path in folder.iterdir()]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 300])
def test_every_task_is_run_once_and_answers_in_order(tmp_path: Path, workers: int, count: int) -> None:
    def run(index: int) -> str:
        with (tmp_path / f"{index}").open("x") as file:
            file.write(str(os.getpid()))
        return f"done {index}"

    with Engine(workers=workers).open() as map_tasks:
        assert map_tasks("writing", run, count) == [f"done {index}" for index in range(count)]
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(count))
    processes = {path.read_text() for path in tmp_path.iterdir()}
    assert (str(os.getpid()) in processes) == (min(workers, count) == 1)


def test_a_refusal_is_raised_as_it_was_and_the_other_tasks_do_not_begin(tmp_path: Path) -> None:
    reason = Problem(file="gVCF of P1", place="line 7", expected="one", found="two")

    def run(index: int) -> None:
        (tmp_path / f"{index}").touch()
        if index == 299:  # Dask begins with the last
            raise InputRefused(reason)
        time.sleep(0.01)

    with pytest.raises(InputRefused) as refused, Engine(workers=2).open() as map_tasks:
        map_tasks("refusing", run, 300)
    assert refused.value.problems == [reason]
    assert 1 <= len(list(tmp_path.iterdir())) < 100


def test_a_killed_worker_is_reported(tmp_path: Path) -> None:
    def run(index: int) -> None:
        if index == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(WorkerDied, match="fewer workers"), Engine(workers=2).open() as map_tasks:
        map_tasks("dying", run, 2)


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    program, workers = sleeper(tmp_path)
    program.kill()
    program.communicate()
    assert until(lambda: not any(map(alive, workers)))


def test_ctrl_c_ends_everything_at_once(tmp_path: Path) -> None:
    program, workers = sleeper(tmp_path)
    os.killpg(program.pid, signal.SIGINT)
    _, said = program.communicate(timeout=30)
    assert program.returncode == -signal.SIGINT or said.rstrip().endswith("KeyboardInterrupt")
    assert "ForkProcess" not in said
    assert until(lambda: not any(map(alive, workers)))


@pytest.mark.parametrize("step", ["start", "add_call_item_to_queue"])
def test_workers_that_no_thread_can_serve_end_with_the_command(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The pool gets no thread of its own, or that thread gets none."""

    def fail(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(f"concurrent.futures.process._ExecutorManagerThread.{step}", fail)
    before = set(multiprocessing.active_children())
    with pytest.raises(MemoryError), Engine(workers=2).open() as map_tasks:
        map_tasks("squares", int, 4)
    for worker in set(multiprocessing.active_children()) - before:
        worker.join(timeout=30)
    assert not set(multiprocessing.active_children()) - before
