"""One command's stdout read by several commands at the same time."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from baekman.tools.pipes import BLOCK, PipeFailed, tool_name

Words = Sequence[str | Path]
GRACE = 1.0  # seconds that a tool has to end after another failed


def fan_out(source: Words, readers: Mapping[Path, Words]) -> None:
    """Run ``source`` once; each of the ``readers`` reads all of its stdout and writes the file that it stands under.

    Raises ``PipeFailed`` when a command fails or stops reading; none of them runs afterwards.
    """
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for output, command in readers.items():
            with output.open("wb") as sink:
                processes.append(_start(command, stdin=subprocess.PIPE, stdout=sink))
        processes.append(_start(source, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
        is_whole = _copy(processes[-1], processes[:-1])
        for process in processes:
            # a broken pipe is the effect of a failure: all that still run have to end soon
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=None if is_whole and not _has_failed(processes) else GRACE)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    failed = [
        (process.returncode, command)
        for process, command in zip(processes, [*readers.values(), source], strict=True)
        if process.returncode != 0
    ]
    # first a tool that failed by itself, then those that were killed or lost their reader
    failed.sort(key=lambda failure: failure[0] < 0)
    if failed and (failed[0][0] > 0 or is_whole):
        raise PipeFailed(f"{tool_name(failed[0][1])} ended with exit code {failed[0][0]}")
    if not is_whole:
        raise PipeFailed(f"a reader of {tool_name(source)} ended before it")


def _start(command: Words, *, stdin: int, stdout: object) -> subprocess.Popen[bytes]:
    # unbuffered: what a reader that ended did not take is not written again when its pipe is closed
    return subprocess.Popen(list(map(str, command)), stdin=stdin, stdout=stdout, bufsize=0)  # type: ignore[call-overload,no-any-return]


def _copy(source: subprocess.Popen[bytes], readers: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Write the stdout of ``source`` to each reader; return whether all of them took it whole."""
    assert source.stdout is not None
    pipes = [reader.stdin for reader in readers if reader.stdin is not None]
    try:
        while block := source.stdout.read(BLOCK):
            for pipe in pipes:
                view = memoryview(block)
                while view:
                    view = view[pipe.write(view) :]
    except BrokenPipeError:
        return False
    finally:
        source.stdout.close()
        for pipe in pipes:
            pipe.close()
    return True


def _has_failed(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    return any(process.poll() not in (None, 0) for process in processes)
