"""Builds the compiled kernels; everything else of the package is in pyproject.toml."""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

FOLDER = Path("workflow/baekman/kernels")
STAMP = FOLDER / "built.sha256"
STAMP.unlink(missing_ok=True)
sys.path.insert(0, "workflow")
from baekman.kernels import digest_of_sources  # noqa: E402

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
}
# No contraction of a * b + c: the same input gives the same bytes on every machine.
FLAGS = ["-O3", "-fwrapv", "-ffp-contract=off", "-g0"]
SHARED = "baekman.kernels._shared"  # what Cython would put into every module otherwise


def extension(name: str, source: Path) -> Extension:
    """One compiled module."""
    return Extension(name, [str(source)], extra_compile_args=FLAGS)


modules = [extension(f"baekman.kernels.{source.stem}", source) for source in sorted(FOLDER.glob("*.pyx"))]
setup(
    ext_modules=cythonize(
        [*modules, extension(SHARED, FOLDER / "_shared.c")],
        compiler_directives=DIRECTIVES,
        shared_utility_qualified_name=SHARED,
        build_dir="build/cython",
        nthreads=os.cpu_count() or 1,
    ),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
STAMP.write_text(digest_of_sources() + "\n")
