"""What holds for every process of the project: who may read what it writes, and that it ends with who started it."""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of prctl(2)
STARTED_BY = "BAEKMAN_STARTED_BY"  # process ID of the `baekman deliver` that started a Snakemake


def keep_from_others() -> None:
    """Make what is written from here on, by this process and those it starts, readable to owner and group alone.

    A stricter umask stays as it is.
    """
    os.umask(os.umask(0o077) | 0o027)


def end_with(parent: int, *, by: signal.Signals) -> bool:
    """Have this process get the signal ``by`` when ``parent``, which started it, ends (Linux); False where it has."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)
    return os.getppid() == parent


def stop_with_deliver() -> None:
    """Of a Snakemake that ``baekman deliver`` started: have it and its jobs stop as by Ctrl-C when that is killed."""
    parent = os.environ.pop(STARTED_BY, "")
    if not parent or os.getpgrp() != os.getpid():
        return
    signal.signal(signal.SIGHUP, lambda *_: os.killpg(0, signal.SIGINT))
    if not end_with(int(parent), by=signal.SIGHUP):
        os.killpg(0, signal.SIGINT)
