"""Blocks of bytes through a pipe of tools: fed from Python, each tool bounded in time and memory.

Unlike ``piping``, whose tools read files of the workspace, these tools read what a stranger sent: their
stderr may quote it and is thrown away, and no argument is ever taken from it.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from baekman.errors import WorkerDied
from baekman.files.untrusted import FileFault

BLOCK = 1 << 20
MEMORY_LIMIT = 8 << 30
CPU_SECONDS_BASE = 600
CPU_SECONDS_PER_MEGABYTE = 3

# htslib must fetch no reference over the network, nor from a path that a header names
ENVIRONMENT = {"REF_PATH": ":", "REF_CACHE": ":", "LC_ALL": "C"}


class Pipe:
    """Tools joined by pipes, the first one fed with blocks; made by ``piped``."""

    def __init__(
        self,
        processes: list[subprocess.Popen[bytes]],
        feeder: threading.Thread,
        faults: list[BaseException],
    ) -> None:
        self.processes = processes
        self._feeder = feeder
        self._faults = faults

    def blocks(self) -> Iterator[bytes]:
        """What the last tool writes on stdout."""
        out = self.processes[-1].stdout
        assert out is not None
        while block := out.read1(BLOCK):  # type: ignore[attr-defined]
            yield block

    def finish(self) -> list[int]:
        """Wait for all; the tools' exit codes. Raises what went wrong while the source was read, and ``WorkerDied``."""
        for process in self.processes:
            process.wait()
        self._feeder.join()
        if self._faults:
            raise self._faults[0]
        codes = [process.returncode for process in self.processes]
        if -signal.SIGKILL in codes:  # by nobody here: that says nothing of what was read
            raise WorkerDied
        return codes

    def require_success(self) -> None:
        """``finish``, and ``FileFault`` (``unreadable``) when a tool failed."""
        if any(self.finish()):
            raise FileFault("unreadable", "content that its format does not allow")


@contextmanager
def piped(
    blocks: Iterable[bytes],
    *commands: Sequence[str],
    size: int = 0,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    output: Path | None = None,
) -> Iterator[Pipe]:
    """Start ``commands`` joined by pipes and feed ``blocks`` to the first, in a thread.

    ``size`` (bytes) of the source bounds the time; ``pass_fds`` are open in every tool; the last one writes
    to ``output`` or to ``Pipe.blocks``. Whatever happens, nothing is left running at the end.
    """
    source, sink = os.pipe()
    processes: list[subprocess.Popen[bytes]] = []
    written = output.open("wb") if output else None
    try:
        upstream: int = source
        for number, command in enumerate(commands):
            last = number == len(commands) - 1
            process = subprocess.Popen(
                list(command),
                stdin=upstream,
                stdout=written if last and written else subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **ENVIRONMENT, **(environment or {})},
                pass_fds=tuple(pass_fds),
            )
            _bound(process.pid, size)
            os.close(upstream)
            if process.stdout is not None and not last:
                upstream = os.dup(process.stdout.fileno())
                process.stdout.close()
            processes.append(process)
    except BaseException:
        os.close(sink)
        _stop(processes)
        raise
    finally:
        if written:
            written.close()
    faults: list[BaseException] = []
    feeder = threading.Thread(target=_feed, args=(blocks, sink, faults, processes), daemon=True)
    pipe = Pipe(processes, feeder, faults)
    feeder.start()
    try:
        yield pipe
    finally:
        _stop(processes)
        feeder.join()


def _feed(
    blocks: Iterable[bytes], sink: int, faults: list[BaseException], processes: list[subprocess.Popen[bytes]]
) -> None:
    """Write ``blocks`` to ``sink``; a fault of the source stops the tools: they could take it for the end."""
    try:
        with os.fdopen(sink, "wb", buffering=0) as opened:
            reading = True
            for block in blocks:
                view = memoryview(block)
                while reading and view:
                    try:
                        view = view[opened.write(view) :]
                    except BrokenPipeError:
                        # the tool has seen enough or failed; the source is still read: it is being measured
                        reading = False
    except BaseException as fault:
        faults.append(fault)
        for process in processes:
            process.kill()


def _bound(pid: int, size: int) -> None:
    seconds = CPU_SECONDS_BASE + CPU_SECONDS_PER_MEGABYTE * (size >> 20)
    try:
        # SIGXCPU at the first, so that a SIGKILL is not this limit's
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds + 10))
        resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    except ProcessLookupError:
        pass  # it has already ended


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
