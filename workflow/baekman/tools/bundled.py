"""samtools and bcftools as pysam bundles them, as a process of its own: ``python -P bundled.py bcftools ARGS…``.

One participant's way needs some fifty such processes, so this file imports pysam and nothing else: not even its
own package.
"""

from __future__ import annotations

import importlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pysam import SamtoolsError

STDOUT = "/dev/stdout"
# these close the stdout that pysam hands them, and pysam closes it once more: the process aborts
CLOSES_STDOUT = (("bcftools", "query"), ("bcftools", "consensus"))


def run(tool: str, arguments: Sequence[str]) -> int:
    """Run the bundled ``tool`` in this process; its exit code."""
    subcommand, *rest = arguments
    dispatch = getattr(importlib.import_module(f"pysam.{tool}"), subcommand, None)
    if dispatch is None:
        print(f"the {tool} that is bundled in pysam has no command {subcommand}", file=sys.stderr)
        return 2
    if (tool, subcommand) in CLOSES_STDOUT and not _names_output(rest):
        rest = ["-o", STDOUT, *rest]
    try:
        # by name: told to leave stdout alone, pysam loses what some subcommands have still in their buffer
        with _kept_stdout():
            dispatch(*rest, save_stdout=STDOUT)
    except SamtoolsError as failure:
        # pysam puts what the tool said behind words of its own
        print(failure.value.split("stderr=", 1)[-1].strip(), file=sys.stderr)
        return 1
    return 0


@contextmanager
def _kept_stdout() -> Iterator[None]:
    """Stdout as a pipe where it is a file: opened by name, a file loses what others have written to it."""
    if not stat.S_ISREG(os.fstat(1).st_mode):
        yield
        return
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as cat:
        assert cat.stdin is not None
        file = os.dup(1)
        os.dup2(cat.stdin.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(file, 1)


def _names_output(arguments: Sequence[str]) -> bool:
    return any(word in ("-o", "--output") or word.startswith("--output=") for word in arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
