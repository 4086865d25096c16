"""The tools that baekman calls: which one is used, and its version.

samtools and bcftools come twice: as binaries on PATH and bundled in pysam. The newer one is used, here and
nowhere else.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from baekman.errors import InputRefused, Problem

BUNDLED = ("samtools", "bcftools")
BUNDLED_PROGRAM = str(Path(__file__).with_name("bundled.py"))
# tool -> arguments that make it tell its version (bwa says it on stderr when called bare)
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
    "tabix": ("--version",),
}
PACKAGES = ("baekman", "snakemake", "multiqc", "pysam", "pyarrow", "numpy", "dask", "duckdb", "polars")
_VERSION = re.compile(r"\d+(?:\.\d+)+\S*")


def command(tool: str) -> list[str]:
    """How to start ``tool`` (a process of its own); for samtools and bcftools the newest that is there.

    Raises ``InputRefused`` when it is not installed.
    """
    if tool in BUNDLED:
        return [str(shutil.which(tool))] if _newest_is_on_path(tool) else _bundled_command(tool)
    return [require(tool)]


def require(tool: str) -> str:
    """Where ``tool`` lies on PATH; raises ``InputRefused`` when it does not."""
    found = shutil.which(tool)
    if found is None:
        raise InputRefused(
            Problem(
                file="PATH",
                place=tool,
                expected=f"the tool {tool}",
                found="none",
                action="install it (envs/apt.txt on Debian, envs/baekman.yaml with conda)",
            )
        )
    return found


def find_own_commands() -> None:
    """Put the folder of this Python on PATH: what this process starts finds ``baekman`` and ``multiqc``."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))


def versions() -> dict[str, str]:
    """Version of every tool and package that is there, by name; what is absent has no key."""
    import importlib.metadata

    found = {name: version for name in BUNDLED if (version := _version_in_use(name))}
    for tool, arguments in VERSION_ARGUMENTS.items():
        if path := shutil.which(tool):
            found[tool] = _ask_version(path, arguments)
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    found["python"] = ".".join(map(str, sys.version_info[:3]))
    return dict(sorted(found.items()))


def _bundled_command(tool: str) -> list[str]:
    return [sys.executable, "-P", BUNDLED_PROGRAM, tool]


@functools.cache
def _newest_is_on_path(tool: str) -> bool:
    path = shutil.which(tool)
    return path is not None and _numbers(_ask_version(path, ("--version",))) > _numbers(_bundled_version(tool))


def _version_in_use(tool: str) -> str:
    path = shutil.which(tool)
    if path and _newest_is_on_path(tool):
        return _ask_version(path, ("--version",))
    return _bundled_version(tool)


def _bundled_version(tool: str) -> str:
    import pysam.version

    versions_of = {
        "samtools": pysam.version.__samtools_version__,
        "bcftools": pysam.version.__bcftools_version__,
    }
    return str(versions_of[tool])


def _ask_version(path: str, arguments: Sequence[str]) -> str:
    """The first thing that looks like a version in what ``path`` says; "" if it says none."""
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


def _numbers(version: str) -> tuple[int, ...]:
    """``1.16.1`` as (1, 16, 1): versions compare by number."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def run_newest(tool: str, arguments: Sequence[str]) -> NoReturn:
    """Run the newest ``tool`` (samtools or bcftools) in place of this process."""
    words = command(tool)
    os.execv(words[0], [*words, *arguments])
