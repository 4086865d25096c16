"""Workers that Slurm starts."""

from __future__ import annotations

import sys

import pytest
from baekman.engine.dask_cluster import open_cluster
from baekman.errors import InputRefused


def test_slurm_without_the_extra_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(InputRefused) as refused, open_cluster("slurm:2"):
        raise AssertionError("there is no cluster")
    assert str(refused.value) == (
        "--scheduler: expected the package dask-jobqueue with slurm:N, found none;"
        " install baekman[slurm], or give --workers N"
    )
