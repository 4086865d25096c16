"""What holds for every process of the project: who may read what it writes, and that it ends with who started it."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # of prctl(2)
STARTED_BY = "BAEKMAN_STARTED_BY"  # process ID of the `baekman deliver` that started a Snakemake


def keep_from_others() -> None:
    """Make what is written from here on, by this process and those it starts, readable to owner and group alone.

    A stricter umask stays as it is.
    """
    os.umask(os.umask(0o077) | 0o027)


def close_snakemake_folder(folder: Path) -> None:
    """Take from Snakemake's ``folder``, logs and records what others may do and the group may write (0750, 0640).

    Plain ``snakemake`` makes the logs before it reads a rule, and makes its records writable to the group whatever
    the umask. Environments of conda, and files of another user, stay as they are.
    """
    for pattern in ("*", "log/*", "incomplete/*", "metadata/**/*"):
        for path in (folder, *folder.glob(pattern)):
            with contextlib.suppress(OSError):
                mode = path.lstat().st_mode
                if not stat.S_ISLNK(mode) and mode & 0o027:
                    path.chmod(stat.S_IMODE(mode) & ~0o027)


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
