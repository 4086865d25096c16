"""The samtools and bcftools that pysam bundles, as a program: ``python -P bundled.py bcftools ARGUMENTS…``.

One participant needs about fifty such processes. To start fast, this file imports nothing of its own package, and
of pysam the tools alone.
"""

from __future__ import annotations

import importlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from types import ModuleType

STDOUT = "/dev/stdout"
# These commands close the stdout that pysam gives them. pysam closes it a second time, and the process aborts.
CLOSES_STDOUT = (("bcftools", "query"), ("bcftools", "consensus"))


def run(tool: str, arguments: Sequence[str]) -> int:
    """Run the bundled ``tool`` in this process; return its exit code."""
    from pysam.utils import SamtoolsError

    subcommand, *rest = arguments
    dispatch = getattr(importlib.import_module(f"pysam.{tool}"), subcommand, None)
    if dispatch is None:
        print(f"the {tool} that is bundled in pysam has no command {subcommand}", file=sys.stderr)
        return 2
    if (tool, subcommand) in CLOSES_STDOUT and not _names_output(rest):
        rest = ["-o", STDOUT, *rest]
    try:
        # Stdout is passed by name: otherwise pysam loses bytes that some commands still hold in their buffer.
        with _kept_stdout():
            dispatch(*rest, save_stdout=STDOUT)
    except SamtoolsError as failure:
        # pysam writes a text of its own before the tool's message
        print(failure.value.split("stderr=", 1)[-1].strip(), file=sys.stderr)
        return 1
    return 0


@contextmanager
def _kept_stdout() -> Iterator[None]:
    """Make stdout a pipe where it is a file: pysam opens it by name, which would empty the file."""
    if not stat.S_ISREG(os.fstat(1).st_mode):
        yield
        return
    import subprocess

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


def _skip_package_init() -> None:
    """Import no more of pysam than is asked for: its ``__init__`` loads ten modules that are not needed here."""
    spec = PathFinder.find_spec("pysam")
    if spec is not None and spec.submodule_search_locations is not None:
        package = ModuleType("pysam")
        package.__path__ = spec.submodule_search_locations
        sys.modules["pysam"] = package


if __name__ == "__main__":
    _skip_package_init()
    sys.exit(run(sys.argv[1], sys.argv[2:]))
