"""Commands of other tools joined by pipes, each one's failure noticed."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from baekman.tools.programs import BUNDLED_PROGRAM


class PipeFailed(Exception):
    """A command in a pipe ended with an error; names the tool and its exit code, never its arguments."""


def piped(*commands: Sequence[str | Path]) -> bytes:
    """What the last of ``commands`` writes, each reading what the one before it writes.

    What the tools say on stderr goes to ours. Raises ``PipeFailed`` when any of them fails.
    """
    running: list[subprocess.Popen[bytes]] = []
    for command in commands:
        source = running[-1].stdout if running else subprocess.DEVNULL
        process = subprocess.Popen([str(word) for word in command], stdin=source, stdout=subprocess.PIPE)
        if running and running[-1].stdout is not None:
            # ours is closed, so that an early end of the reader reaches the writer
            running[-1].stdout.close()
        running.append(process)
    output, _ = running[-1].communicate()
    for command, process in zip(commands, running, strict=True):
        if process.wait() != 0:
            raise PipeFailed(f"{tool_name(command)} ended with exit code {process.returncode}")
    return output


def tool_name(command: Sequence[str | Path]) -> str:
    """``samtools view`` for the one that pysam bundles; ``tool`` for ``/usr/bin/tool …``."""
    words = [str(word) for word in command]
    if BUNDLED_PROGRAM in words:
        first = words.index(BUNDLED_PROGRAM) + 1
        return " ".join(words[first : first + 2])
    return Path(words[0]).name
