"""Locks of the operating system on files (``flock``): the death of a process releases all that it holds.

A command that has to wait for a lock reports on stderr after some seconds which work it waits for.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_SECONDS = 5.0
POLL_SECONDS = 0.01


@contextmanager
def exclusive(path: Path, *, waits_for: str, mode: int = 0o666, limit: float | None = None) -> Iterator[int]:
    """Hold ``path`` alone until the block ends; yield its descriptor, open for reading and appending.

    The file and its folder are created where they are absent, the file with ``mode`` less the umask. ``waits_for``
    completes "waiting for …" in the message on stderr: name the work, never a path or a value. ``limit`` is the longest
    wait in seconds, without which there is none; after it TimeoutError is raised.
    """
    with _opened(path, mode) as descriptor:
        if limit is None:
            lock(descriptor, waits_for=waits_for)
        else:
            _lock_within(descriptor, limit, waits_for=waits_for)
        yield descriptor


@contextmanager
def shared(path: Path, *, waits_for: str, mode: int = 0o666) -> Iterator[int]:
    """Hold ``path`` together with other shared holders until the block ends; arguments as in ``exclusive``."""
    with _opened(path, mode) as descriptor:
        lock(descriptor, waits_for=waits_for, is_shared=True)
        yield descriptor


@contextmanager
def shared_after(path: Path, clear: Callable[[], object], *, waits_for: str, mode: int = 0o666) -> Iterator[int]:
    """Hold ``path`` as ``shared`` does; call ``clear`` first if nobody else holds it.

    ``clear`` runs under the exclusive lock, so it may delete what killed holders left.
    """
    with _opened(path, mode) as descriptor:
        if try_lock(descriptor):
            clear()
        lock(descriptor, waits_for=waits_for, is_shared=True)
        yield descriptor


@contextmanager
def exclusive_and_removed(path: Path, *, waits_for: str) -> Iterator[int]:
    """Hold ``path`` as ``exclusive`` does, and delete the file when the block ends."""
    while True:
        with exclusive(path, waits_for=waits_for) as descriptor:
            # the holder before may have deleted the file: only the file that others will open counts
            if not _is_at(path, descriptor):
                continue
            try:
                yield descriptor
            finally:
                path.unlink(missing_ok=True)
            return


def lock(descriptor: int, *, waits_for: str, is_shared: bool = False) -> None:
    """Lock an open file until it is closed; wait for other holders, and report so after ``PATIENCE_SECONDS``.

    A lock that ``descriptor`` holds already changes its kind.
    """
    if try_lock(descriptor, is_shared=is_shared):
        return
    report = threading.Timer(PATIENCE_SECONDS, print, [f"waiting for {waits_for}"], {"file": sys.stderr, "flush": True})
    report.daemon = True
    report.start()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX)
    finally:
        report.cancel()
        report.join()  # a fork has no other thread then


def _lock_within(descriptor: int, limit: float, *, waits_for: str) -> None:
    """Lock an open file alone; raise TimeoutError when others hold it for ``limit`` seconds."""
    begun = time.monotonic()
    is_reported = False
    while not try_lock(descriptor):
        waited = time.monotonic() - begun
        if waited > limit:
            raise TimeoutError
        if waited > PATIENCE_SECONDS and not is_reported:
            print(f"waiting for {waits_for}", file=sys.stderr, flush=True)
            is_reported = True
        time.sleep(POLL_SECONDS)


def try_lock(descriptor: int, *, is_shared: bool = False) -> bool:
    """Lock an open file until it is closed, if nobody else holds it; return False at once otherwise."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool | None:
    """Return whether a process holds the lock ``path`` alone; None where that cannot be found out.

    The file is opened for reading only, and locked for a moment, shared.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        return not try_lock(descriptor, is_shared=True)
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def open_for_lock(path: Path, *, mode: int = 0o666) -> int:
    """Open ``path`` for reading and appending, and return the descriptor; create the file and its folder if absent.

    NFS locks a file exclusively only when it is open for writing, and shared only when it is open for reading.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)


@contextmanager
def _opened(path: Path, mode: int) -> Iterator[int]:
    descriptor = open_for_lock(path, mode=mode)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
