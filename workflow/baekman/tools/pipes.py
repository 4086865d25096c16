"""Commands of other tools joined by pipes: every failure is noticed, and nothing is left running."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from baekman.errors import WorkerDied
from baekman.tools.programs import BUNDLED_PROGRAM

BLOCK = 1 << 20
MEMORY_LIMIT = 8 << 30
CPU_SECONDS_BASE = 600
CPU_SECONDS_PER_MEGABYTE = 3
# htslib must fetch no reference over the network, nor from a path that a header names
_ISOLATED = {"REF_PATH": ":", "REF_CACHE": ":", "LC_ALL": "C"}


class PipeFailed(Exception):
    """A command in a pipe ended with an error; names the tool and its exit code, never its arguments."""


def kind_of(failure: Exception) -> str:
    """Return the kind of ``failure`` without a value: the tool and its exit code, or its class and system error."""
    if isinstance(failure, (WorkerDied, PipeFailed)):
        return str(failure)
    if isinstance(failure, subprocess.CalledProcessError):
        command = failure.cmd.split() if isinstance(failure.cmd, str) else failure.cmd
        return f"{tool_name(command)} ended with exit code {failure.returncode}"
    if isinstance(failure, OSError) and failure.errno:
        return f"{type(failure).__name__}: {os.strerror(failure.errno)}"
    return type(failure).__name__


@dataclass(frozen=True)
class Untrusted:
    """The source of a pipe with bytes from an institution; ``size`` is their number.

    Its tools are bounded in memory and CPU time. Their stderr is discarded, since it may quote the source.
    """

    size: int

    @property
    def cpu_seconds(self) -> int:
        """Return the CPU time of each tool."""
        return CPU_SECONDS_BASE + CPU_SECONDS_PER_MEGABYTE * (self.size >> 20)


class Pipe:
    """Running commands, joined by pipes; made by ``running``."""

    def __init__(self, commands: Sequence[Sequence[str | Path]], untrusted: Untrusted | None) -> None:
        self._commands = [[str(word) for word in command] for command in commands]
        self._untrusted = untrusted
        self._processes: list[subprocess.Popen[bytes]] = []
        self._feeder: threading.Thread | None = None
        self._source_failure: BaseException | None = None

    @property
    def stdout(self) -> IO[bytes]:
        """Return the stdout of the last command, where it does not write to a file."""
        stdout = self._processes[-1].stdout
        assert stdout is not None
        return stdout

    def blocks(self) -> Iterator[bytes]:
        """Yield the stdout of the last command as it comes, in blocks of at most ``BLOCK`` bytes."""
        while block := self.stdout.read1(BLOCK):  # type: ignore[attr-defined]
            yield block

    def finish(self) -> list[int]:
        """Wait for all commands and return their exit codes.

        Raises the error that ended the source, if any. Raises ``WorkerDied`` when a command that reads an untrusted
        source was killed, as that is no statement about the source.
        """
        codes = [process.wait() for process in self._processes]
        if self._feeder is not None:
            self._feeder.join()
        if self._source_failure is not None:
            raise self._source_failure
        if self._untrusted and -signal.SIGKILL in codes:
            raise WorkerDied
        return codes

    def require_success(self) -> None:
        """Wait for all commands; raise ``PipeFailed`` for the first that failed, and what ``finish`` raises."""
        for command, code in zip(self._commands, self.finish(), strict=True):
            if code != 0:
                raise PipeFailed(f"{tool_name(command)} ended with exit code {code}")

    def start(self, source: Iterable[bytes] | None, output: Path | None) -> None:
        """Start the commands and the thread that feeds the first with ``source``."""
        with ExitStack() as opened:
            stdin: int | IO[bytes] = subprocess.DEVNULL
            sink: IO[bytes] | None = None
            if source is not None:
                stdin, end = os.pipe()
                opened.callback(os.close, stdin)
                sink = opened.enter_context(os.fdopen(end, "wb", buffering=0))
            written = opened.enter_context(output.open("wb")) if output is not None else None
            for number, command in enumerate(self._commands, start=1):
                is_last = number == len(self._commands)
                process = self._run(command, stdin, written if written and is_last else subprocess.PIPE)
                if process.stdout is not None and not is_last:
                    # only the next command keeps it open: an early end of the reader reaches the writer
                    opened.callback(process.stdout.close)
                    stdin = process.stdout
            if source is not None and sink is not None:
                self._feeder = threading.Thread(target=self._feed, args=(source, os.dup(sink.fileno())), daemon=True)
                self._feeder.start()

    def stop(self) -> None:
        """Kill the commands that still run, and wait for the thread that feeds them."""
        self._kill()
        for process in self._processes:
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self._feeder is not None:
            self._feeder.join()

    def _run(self, command: Sequence[str], stdin: int | IO[bytes], stdout: int | IO[bytes]) -> subprocess.Popen[bytes]:
        if self._untrusted is None:
            process = subprocess.Popen(command, stdin=stdin, stdout=stdout)
        else:
            environment = {**os.environ, **_ISOLATED}
            process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, env=environment)
            _bound(process.pid, self._untrusted)
        self._processes.append(process)
        return process

    def _feed(self, source: Iterable[bytes], end: int) -> None:
        """Write ``source`` to the first command; when the source fails, kill all: they may take it for its end."""
        with os.fdopen(end, "wb", buffering=0) as sink:
            try:
                reading = True
                for block in source:
                    view = memoryview(block)
                    while reading and view:
                        try:
                            view = view[sink.write(view) :]
                        except BrokenPipeError:
                            reading = False  # the first command has read enough, or it failed
                    if not reading and self._untrusted is None:
                        break
                if hasattr(source, "close"):
                    source.close()
            except BaseException as failure:
                self._source_failure = failure
                self._kill()

    def _kill(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()


@contextmanager
def running(
    *commands: Sequence[str | Path],
    source: Iterable[bytes] | None = None,
    untrusted: Untrusted | None = None,
    output: Path | None = None,
) -> Iterator[Pipe]:
    """Run ``commands`` joined by pipes; when the context ends, none of them runs.

    Args:
        commands: programs with their arguments; each reads the stdout of the one before it.
        source: what the first command reads, written by a thread; None: nothing. When a command ends early, an
            untrusted source is still read to its end, since it is being measured; another source is closed.
        untrusted: bounds of the commands where an institution sent the source.
        output: the file that the last command writes; None: it writes to ``Pipe.stdout``.
    """
    pipe = Pipe(commands, untrusted)
    try:
        pipe.start(source, output)
        yield pipe
    finally:
        pipe.stop()


def piped(*commands: Sequence[str | Path]) -> bytes:
    """Run ``commands`` joined by pipes and return the stdout of the last; their stderr goes to that of this process.

    Raises ``PipeFailed`` when a command fails.
    """
    with running(*commands) as pipe:
        output = pipe.stdout.read()
        pipe.require_success()
    return output


def tool_name(command: Sequence[str | Path]) -> str:
    """Return ``samtools view`` for a bundled tool, ``tool`` for ``/usr/bin/tool …``."""
    words = [str(word) for word in command]
    if BUNDLED_PROGRAM in words:
        first = words.index(BUNDLED_PROGRAM) + 1
        return " ".join(words[first : first + 2])
    return Path(words[0]).name


def _bound(pid: int, untrusted: Untrusted) -> None:
    seconds = untrusted.cpu_seconds
    try:
        # SIGXCPU at the first limit, so that a SIGKILL does not come from it
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds + 10))
        resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    except ProcessLookupError:
        pass  # it has already ended
