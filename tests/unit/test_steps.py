"""The number of workers for a delivery."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from baekman.engine.local import Engine
from baekman.steps import BYTES_PER_WORKER, worthwhile


@pytest.mark.parametrize(
    ("sizes", "workers"),
    [
        ([], 1),
        ([100_000] * 7, 1),
        ([BYTES_PER_WORKER - 1], 1),
        ([BYTES_PER_WORKER], 2),
        ([BYTES_PER_WORKER // 2] * 5, 3),
        ([1 << 30] * 10, 8),
    ],
)
def test_a_small_delivery_starts_no_workers_and_a_large_one_all(tmp_path: Path, sizes: list[int], workers: int) -> None:
    files = [tmp_path / f"{number}.g.vcf.gz" for number in range(len(sizes))]
    for file, size in zip(files, sizes, strict=True):
        file.touch()
        os.truncate(file, size)
    files.append(tmp_path / "absent")
    assert worthwhile(Engine(workers=8), files) == Engine(workers=workers)
    cluster = worthwhile(Engine(workers=1, scheduler="slurm:40"), files).scheduler
    assert cluster == ("slurm:40" if workers > 1 else None)
