"""Build of the compiled kernels and of a wheel's copy of the workflow; the rest of the package is in pyproject.toml."""

import os
import runpy
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

KERNELS = Path("workflow/baekman/kernels")
STAMP = KERNELS / "built.sha256"
WORKFLOW = ("Snakefile", "rules", "envs", "profiles")
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
SHARED = "baekman.kernels._shared"  # holds what Cython would otherwise put into every module


class BuildKernels(build_ext):
    """Compile the kernels; an in-place build leaves a stamp, which the package compares with its sources."""

    def run(self) -> None:
        """Translate with Cython only here: metadata and source distributions need no C."""
        from Cython.Build import cythonize

        if self.inplace:
            STAMP.unlink(missing_ok=True)
        translated = cythonize(
            self.extensions,
            compiler_directives=DIRECTIVES,
            shared_utility_qualified_name=SHARED,
            build_dir="build/cython",
            nthreads=os.cpu_count() or 1,
        )
        sources = {extension.name: extension.sources for extension in translated}
        for extension in self.extensions:
            extension.sources = sources[extension.name]
        super().run()
        if self.inplace:
            STAMP.write_text(runpy.run_path(str(KERNELS / "__init__.py"))["digest_of_sources"]() + "\n")


class BuildPackage(build_py):
    """Copy the workflow into the built package, where ``baekman.data.workflow_folder`` finds it."""

    def run(self) -> None:
        """Copy nothing for an editable installation: it uses the files of the checkout."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib, "baekman", "data", "workflow")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in WORKFLOW:
            if Path(name).is_dir():
                shutil.copytree(name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(name, folder / name)


def extension(name: str, source: Path) -> Extension:
    """Return one compiled module."""
    return Extension(name, [str(source)], extra_compile_args=FLAGS)


def module_name(source: Path) -> str:
    """Return the dotted name of the module that ``source`` is compiled to."""
    return ".".join(source.relative_to("workflow").with_suffix("").parts)


modules = [extension(module_name(source), source) for source in sorted(KERNELS.rglob("*.pyx"))]
setup(
    ext_modules=[*modules, extension(SHARED, KERNELS / "_shared.c")],
    cmdclass={"build_ext": BuildKernels, "build_py": BuildPackage},
    options={"build_ext": {"parallel": os.cpu_count()}},
)
