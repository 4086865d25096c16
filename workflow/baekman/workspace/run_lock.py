"""Which runs of the workflow are alive in a workspace, and the locks that a killed one left.

Snakemake locks the files that a run works on by files of its own, which outlive a run that was killed: the same
command again would be refused. So every run also holds a lock of the operating system, which dies with it.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_RUNS = Path(".snakemake", "baekman.lock")
LOCKS = Path(".snakemake", "locks")


def join(workspace: Path) -> int:
    """Note that this process runs the workflow in ``workspace``, until it ends; the descriptor that says so.

    When no other run is alive, the locks that Snakemake finds there are nobody's and are removed.
    """
    file = workspace / _RUNS
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        for left in (workspace / LOCKS).glob("*.lock"):
            left.unlink(missing_ok=True)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def clear(workspace: Path) -> None:
    """Remove the locks that Snakemake left in ``workspace``, unless a run is alive."""
    if (workspace / LOCKS).is_dir():
        os.close(join(workspace))
