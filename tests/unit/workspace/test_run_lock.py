"""The locks of a killed run are removed; a run that is alive keeps its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

from baekman.workspace import run_lock
from baekman.workspace.paths import Workspace


def _run(workspace: Path, joined: Event) -> None:
    run_lock.join(Workspace(workspace))
    joined.set()
    signal.pause()


def test_snakemake_locks_stay_while_their_run_lives_and_go_after_it_is_killed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    joined = context.Event()
    other = context.Process(target=_run, args=(tmp_path, joined))
    other.start()
    assert joined.wait(60)
    lock = tmp_path / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("x\n")
    os.close(run_lock.join(Workspace(tmp_path)))
    assert lock.is_file()
    other.kill()
    other.join()
    os.close(run_lock.join(Workspace(tmp_path)))
    assert not lock.exists()
