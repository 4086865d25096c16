"""The tools that baekman starts: where each comes from, and its version.

samtools and bcftools are those that pysam bundles, in the version that the package pins, so that a result does not
depend on the machine. Every other tool comes from PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from baekman.errors import InputRefused, Problem

BUNDLED = ("samtools", "bcftools")
BUNDLED_PROGRAM = str(Path(__file__).with_name("bundled.py"))
# tool -> the arguments with which it prints its version (bwa prints it on stderr when called without arguments)
VERSION_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "bwa": (),
    "bwa-mem2": ("version",),
    "minimap2": ("--version",),
    "mosdepth": ("--version",),
    "freebayes": ("--version",),
    "gatk": ("--version",),
    "run_deepvariant": ("--version",),
    "fastp": ("--version",),
    "plink2": ("--version",),
    "verifybamid2": ("--version",),
}
PACKAGES = ("baekman", "snakemake", "multiqc", "pysam", "pyarrow", "numpy", "dask", "duckdb", "polars")
_VERSION = re.compile(r"\d+(?:\.\d+)+\S*")


def command(tool: str) -> list[str]:
    """Return the words that start ``tool`` as a process: pysam's samtools or bcftools, any other tool from PATH.

    Raises:
        InputRefused: the tool is not on PATH.
    """
    return [sys.executable, "-P", BUNDLED_PROGRAM, tool] if tool in BUNDLED else [require(tool)]


def require(tool: str) -> str:
    """Return the path of ``tool``, which is looked up on PATH.

    Raises:
        InputRefused: the tool is not on PATH.
    """
    path = shutil.which(tool)
    if path is None:
        raise InputRefused(
            Problem(
                file="PATH",
                place=tool,
                expected=f"the tool {tool}",
                found="none",
                action="install it (envs/apt.txt on Debian, envs/baekman.yaml with conda)",
            )
        )
    return path


def find_own_commands() -> None:
    """Put the folder of this Python on PATH: the processes that this one starts find ``baekman`` and ``multiqc``."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))


def versions() -> dict[str, str]:
    """Return the version of each tool and package, by name; those that are not installed have no key."""
    import importlib.metadata

    by_name = _bundled_versions()
    for tool, arguments in VERSION_ARGUMENTS.items():
        if path := shutil.which(tool):
            by_name[tool] = _ask_version(path, arguments)
    for package in PACKAGES:
        try:
            by_name[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    by_name["python"] = ".".join(map(str, sys.version_info[:3]))
    return dict(sorted(by_name.items()))


def version(tool: str) -> str:
    """Return the version of ``tool``; "" if it prints none. Raises ``InputRefused`` when it is not on PATH."""
    return _bundled_versions()[tool] if tool in BUNDLED else _ask_version(require(tool), VERSION_ARGUMENTS[tool])


def _bundled_versions() -> dict[str, str]:
    import pysam.version

    return {"samtools": pysam.version.__samtools_version__, "bcftools": pysam.version.__bcftools_version__}


def _ask_version(path: str, arguments: Sequence[str]) -> str:
    """Return the first version number that ``path`` prints; "" if it prints none."""
    answer = subprocess.run(
        [path, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    )
    match = _VERSION.search(answer.stdout) or _VERSION.search(answer.stderr)
    return match.group() if match else ""
