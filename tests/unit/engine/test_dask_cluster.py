"""Clusters with TLS, and workers that Slurm starts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dask
import pytest
from baekman.engine import dask_cluster
from baekman.engine.dask_cluster import open_cluster
from baekman.engine.local import Engine
from baekman.errors import InputRefused
from support.servers.dask_workers import CERTIFICATE, tls_cluster


@pytest.fixture(scope="module")
def tls_scheduler() -> Iterator[str]:
    """Return the address of a scheduler on this machine that speaks TLS only, with a worker."""
    with tls_cluster(workers=1, processes=False) as address:
        yield address


def test_a_scheduler_with_tls_runs_tasks_with_the_certificate_of_dasks_configuration(
    tls_scheduler: str, tmp_path: Path
) -> None:
    assert tls_scheduler.startswith("tls://")
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": tls_scheduler}))
    for scheduler in (tls_scheduler, str(file)):
        with dask.config.set(CERTIFICATE), Engine(scheduler=scheduler).open() as map_tasks:
            assert map_tasks("squaring", _square, 4) == [0, 1, 4, 9]


def _mode_of_a_file(folder: Path, index: int) -> int:
    path = folder / str(index)
    path.touch()
    return path.stat().st_mode & 0o777


def test_files_of_workers_are_not_for_everybody(tls_scheduler: str, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with dask.config.set(CERTIFICATE), Engine(scheduler=tls_scheduler).open() as map_tasks:
            assert map_tasks("touching", partial(_mode_of_a_file, tmp_path), 2) == [0o640, 0o640]
    finally:
        os.umask(before)


def test_a_scheduler_that_gives_no_answer_is_refused(tls_scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dask_cluster.SETTINGS, "distributed.comm.timeouts.connect", "1s")
    with (
        dask.config.set(CERTIFICATE),
        pytest.raises(InputRefused, match="expected a scheduler that answers, found no answer; start it, or"),
        open_cluster("tls://127.0.0.1:9"),
    ):
        raise AssertionError("there is no cluster")


def _square(index: int) -> int:
    return index * index


def test_slurm_without_the_extra_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(InputRefused) as refused, open_cluster("slurm:2"):
        raise AssertionError("there is no cluster")
    assert str(refused.value) == (
        "--scheduler: expected the package dask-jobqueue with slurm:N, found none;"
        " install baekman[slurm], or give --workers N"
    )
