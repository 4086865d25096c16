"""The processor cores that this process may use; Dask's own count takes a quarter of a second to import."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# quota and period of the processor time of a control group: version 2 in a file, version 1 in two
_FILES = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))


def available_cores(*, root: Path = ROOT) -> int:
    """Return the cores of the affinity of this process, within the limit of its control group; at least 1.

    ``root`` is the file system of control groups; a container sees its own group there.
    """
    cores = len(os.sched_getaffinity(0))
    for names in _FILES:
        try:
            words = [word for name in names for word in (root / name).read_text().split()]
        except OSError:
            continue
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):
            cores = min(cores, -(-int(words[0]) // int(words[1])))
    return max(cores, 1)
