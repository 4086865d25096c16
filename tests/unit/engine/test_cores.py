"""The cores that a process may use: its affinity, and the limit of its control group."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from baekman.cli import app
from baekman.cli.shared import groups
from baekman.engine.cores import available_cores
from baekman.engine.local import Engine
from typer.testing import CliRunner


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "250000 100000"}, 3),
        ({"cpu.max": "1000 100000"}, 1),
        ({"cpu.max": "9900000 100000"}, 8),
        ({"cpu.max": "damaged"}, 8),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_cores_are_those_of_the_affinity_within_the_limit_of_the_group(
    files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert available_cores(root=tmp_path) == cores


def test_a_command_uses_all_cores_unless_it_says_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen: list[int] = []

    def opened(_path: Path, *, workers: int, **_options: object) -> None:
        chosen.append(Engine(workers=workers).workers)
        raise SystemExit

    monkeypatch.setattr("baekman.api.opening.open_cohort", opened)
    groups.register(app)
    command = ["cohort", "compact", "--cohort", str(tmp_path)]
    for options, variable in (([], None), ([], "3"), (["--workers", "5"], "3")):
        CliRunner().invoke(app, [*command, *options], env={"BAEKMAN_WORKERS": variable})
    assert chosen == [available_cores(), 3, 5]
