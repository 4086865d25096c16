"""The lock that each run of the workflow holds in its workspace.

Snakemake locks the files of a run by files of its own. These outlive a run that was killed, and Snakemake would
refuse the same command. So every run also holds a lock of the operating system, which ends with the process.
"""

from __future__ import annotations

import os
from pathlib import Path

from baekman.files.locks import lock, open_for_lock, try_lock
from baekman.workspace.paths import Workspace


def snakemake_locks(workspace: Workspace) -> Path:
    """Return the folder of Snakemake's own locks."""
    return workspace.snakemake / "locks"


def join(workspace: Workspace) -> int:
    """Hold the lock of runs in ``workspace``, which several runs share, until this process ends.

    Snakemake's own locks are removed when no other run is alive.

    Returns:
        The file descriptor of the lock; closing it releases the lock.
    """
    descriptor = open_for_lock(workspace.snakemake / "baekman.lock")
    if try_lock(descriptor):
        for stale in snakemake_locks(workspace).glob("*.lock"):
            stale.unlink(missing_ok=True)
    lock(descriptor, waits_for="the start of another run in this workspace", is_shared=True)
    return descriptor


def clear(workspace: Workspace) -> None:
    """Remove Snakemake's locks in ``workspace``, unless a run is alive."""
    if snakemake_locks(workspace).is_dir():
        os.close(join(workspace))
