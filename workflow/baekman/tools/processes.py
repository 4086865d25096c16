"""Rules for every process of the project: permissions of its files, and its end with the process that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1  # of prctl(2)
STARTED_BY = "BAEKMAN_STARTED_BY"  # holds the process ID of the `baekman` that started a Snakemake


def keep_from_others() -> None:
    """Set the umask so that only owner and group can read the files that this process and its children write.

    A stricter umask stays unchanged.
    """
    os.umask(os.umask(0o077) | 0o027)


def close_snakemake_folder(folder: Path) -> None:
    """Limit the permissions of Snakemake's ``folder``, its logs and records, to 0750 and 0640.

    Plain ``snakemake`` creates the logs before it reads a rule. Environments of conda, and files of another user, stay
    unchanged.
    """
    for pattern in ("*", "log/*", "incomplete/*", "metadata/**/*"):
        for path in (folder, *folder.glob(pattern)):
            with contextlib.suppress(OSError):
                mode = path.lstat().st_mode
                if not stat.S_ISLNK(mode) and mode & 0o027:
                    path.chmod(stat.S_IMODE(mode) & ~0o027)


def end_with(parent: int, *, by: signal.Signals) -> bool:
    """Ask Linux to send this process the signal ``by`` when ``parent``, which started it, ends.

    Returns False where the parent has ended already.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)
    return os.getppid() == parent


def exit_by_signal(number: int, _frame: object) -> None:
    """Handle a signal: leave all blocks, then end with the exit code that shells use."""
    raise SystemExit(128 + number)


def stop_with_deliver() -> None:
    """Stop this Snakemake and its jobs as by Ctrl-C when the ``baekman deliver`` that started it is killed."""
    parent = os.environ.pop(STARTED_BY, "")
    if not parent or os.getpgrp() != os.getpid():
        return
    signal.signal(signal.SIGHUP, lambda *_: os.killpg(0, signal.SIGINT))
    if not end_with(int(parent), by=signal.SIGHUP):
        os.killpg(0, signal.SIGINT)


@contextmanager
def stopping(process: subprocess.Popen[bytes], *, before_wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Stop the group of ``process`` when this process is stopped, by Ctrl-C or a signal, and wait for it.

    ``before_wait`` is called in between.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number, handler in handlers.items():
            if handler is signal.SIG_DFL:  # `nohup` ignores SIGHUP
                signal.signal(number, exit_by_signal)
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGINT)
        before_wait()
        process.wait()
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
