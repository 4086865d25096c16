"""The stdout of one pipe read by several pipes at the same time."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from baekman.tools.pipes import BLOCK, PipeFailed, tool_name

Words = Sequence[str | Path]
GRACE = 1.0  # seconds that a tool has to end after another failed
LOOK = 0.25  # seconds between two looks at all tools


def fan_out(source: Sequence[Words], readers: Mapping[Path, Sequence[Words]]) -> None:
    """Run the pipe ``source`` once; each pipe of ``readers`` reads all of its stdout and writes the file of its key.

    A pipe is a list of commands. Raises ``PipeFailed`` when a command fails or stops reading; none of them runs
    afterwards.
    """
    started: list[tuple[subprocess.Popen[bytes], Words]] = []
    try:
        pipes = []
        for output, commands in readers.items():
            with output.open("wb") as sink:
                pipes.append(_start(commands, started, stdin=subprocess.PIPE, sink=sink))
        sources: list[tuple[subprocess.Popen[bytes], Words]] = []
        _start(source, sources, stdin=subprocess.DEVNULL, sink=subprocess.PIPE)
        started += sources
        is_whole = _copy(sources[-1][0].stdout, pipes)
        _wait(started, is_whole=is_whole)
    finally:
        for process, _ in started:
            process.kill()
            process.wait()
    failed = [(process.returncode, command) for process, command in started if process.returncode != 0]
    # first a tool that failed by itself, then those that were killed or lost their reader
    failed.sort(key=lambda failure: failure[0] < 0)
    if failed and (failed[0][0] > 0 or is_whole):
        raise PipeFailed(f"{tool_name(failed[0][1])} ended with exit code {failed[0][0]}")
    if not is_whole:
        raise PipeFailed(f"a reader of {tool_name(source[-1])} ended before it")


def _start(
    commands: Sequence[Words],
    started: list[tuple[subprocess.Popen[bytes], Words]],
    *,
    stdin: int,
    sink: IO[bytes] | int,
) -> IO[bytes] | None:
    """Start the commands of a pipe, add them to ``started``, and return the stdin of the first."""
    first: IO[bytes] | None = None
    taken: IO[bytes] | int | None = stdin
    for number, command in enumerate(commands, start=1):
        stdout = sink if number == len(commands) else subprocess.PIPE
        # unbuffered: what a reader that ended did not take is not written again when its pipe is closed
        process = subprocess.Popen(list(map(str, command)), stdin=taken, stdout=stdout, bufsize=0)
        started.append((process, command))
        if number == 1:
            first = process.stdin
        else:
            taken.close()  # type: ignore[union-attr]  # the pipe before it, of which the child has a copy
        taken = process.stdout
    return first


def _copy(source: IO[bytes] | None, readers: Sequence[IO[bytes] | None]) -> bool:
    """Write ``source`` to each reader; return whether all of them took it whole."""
    assert source is not None
    pipes = [pipe for pipe in readers if pipe is not None]
    try:
        while block := source.read(BLOCK):
            for pipe in pipes:
                view = memoryview(block)
                while view:
                    view = view[pipe.write(view) :]
    except BrokenPipeError:
        return False
    finally:
        source.close()
        for pipe in pipes:
            pipe.close()
    return True


def _wait(started: Sequence[tuple[subprocess.Popen[bytes], Words]], *, is_whole: bool) -> None:
    """Wait for all tools; after a failure, of which a broken pipe is an effect too, no longer than ``GRACE``.

    A tool closes its stdout before it fails, so the failure of any of them may come while others are waited for.
    """
    last = None if is_whole else time.monotonic() + GRACE
    while running := [process for process, _ in started if process.poll() is None]:
        if last is None and _has_failed(started):
            last = time.monotonic() + GRACE
        if last is not None and time.monotonic() > last:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            running[0].wait(timeout=LOOK)


def _has_failed(started: Sequence[tuple[subprocess.Popen[bytes], Words]]) -> bool:
    return any(process.poll() not in (None, 0) for process, _ in started)
