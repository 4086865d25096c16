"""The declared dependencies are those that the code imports, and requirements.txt pins all of them."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import PROJECT

DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = {name: tuple(map(Requirement, lines)) for name, lines in DECLARED["project"]["optional-dependencies"].items()}
CORE = tuple(map(Requirement, DECLARED["project"]["dependencies"]))
USERS = (*CORE, *EXTRAS["export"], *EXTRAS["slurm"])
BUILD = tuple(map(Requirement, DECLARED["build-system"]["requires"]))


def pins_in(name: str) -> dict[str, str]:
    """Return the version of each package of a requirements file."""
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line[0] != "#")


PINS = pins_in("requirements.txt")
# imported by tests alone; some pin other versions of our dependencies
ORACLES = {canonicalize_name(name) for name in pins_in("requirements-oracles.txt")}

# used without an import of ours
RUN_AS_PROGRAMS = {"multiqc", "cython-lint", "import-linter", "mypy", "ruff", "snakefmt", "vcztools"}
LOADED_BY_OTHERS = {
    "mkdocs-material": "MkDocs, for the theme of the pages",
    "mkdocstrings-python": "MkDocs, for the page of the Python API",
    "psycopg": "SQLAlchemy, for a PostgreSQL URL",
    "pytest-xdist": "pytest, for -n",
    "snakemake-executor-plugin-cluster-generic": "Snakemake, for a test of jobs on other machines",
    "snakemake-executor-plugin-slurm": "Snakemake, for profiles/slurm",
}
# run with a Python of its own: scripts/benchmarks/hail_combiner.py
NOT_DECLARED = {"hail"}


def names_of(requirements: Iterable[Requirement]) -> set[str]:
    """Return the distributions that ``requirements`` name."""
    return {canonicalize_name(requirement.name) for requirement in requirements}


def imported(*folders: str) -> set[str]:
    """Return the distributions of the modules that Python files and rules in ``folders`` import; not our own."""
    files = [file for folder in folders for suffix in ("py", "smk") for file in (PROJECT / folder).rglob(f"*.{suffix}")]
    places = [PROJECT / place for place in ("workflow", "rules", "tests", "scripts", "scripts/benchmarks")]
    own = {path.stem for place in places for path in place.glob("*.py")}
    own |= {path.parent.name for place in places for path in place.glob("*/__init__.py")}
    own |= {path.parent.name for path in (PROJECT / "scripts").glob("*/*.py")}
    modules = {module for file in files for module in modules_of(file)} - sys.stdlib_module_names - own - NOT_DECLARED
    distributions = packages_distributions()
    return {canonicalize_name(name) for module in modules for name in distributions[module]}


def modules_of(file: Path) -> Iterator[str]:
    """Generate the top-level modules that ``file`` imports; of a rules file, those of its Python imports."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".smk":
        text = "\n".join(line.strip() for line in text.splitlines() if line.strip().startswith(("import ", "from ")))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def needed(requirements: Iterable[Requirement]) -> set[str]:
    """Return ``requirements`` and all that they need in turn, on this Python and system."""
    waiting, seen, names = list(requirements), set(), set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        names.add(canonicalize_name(requirement.name))
        for line in requires(requirement.name) or ():
            inner = Requirement(line)
            extras = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(inner)
    return names


def test_the_package_imports_what_it_declares_and_nothing_else() -> None:
    imports = imported("workflow", "rules")
    assert imports <= names_of(USERS)
    assert names_of(USERS) - imports <= RUN_AS_PROGRAMS | LOADED_BY_OTHERS.keys()


def test_tests_and_scripts_import_what_developers_install_and_nothing_else() -> None:
    imports = imported("tests", "scripts") - ORACLES
    assert imports <= names_of((*USERS, *EXTRAS["dev"]))
    assert names_of(EXTRAS["dev"]) - imports <= RUN_AS_PROGRAMS | LOADED_BY_OTHERS.keys()


def test_the_list_of_pinned_packages_is_complete_and_holds_no_other() -> None:
    """``scripts/setup_venv.sh`` installs the list without resolving anything."""
    requirements = [*USERS, *EXTRAS["dev"], *BUILD]
    assert {canonicalize_name(name) for name in PINS} == needed(requirements)


@pytest.mark.parametrize("requirement", [*USERS, *EXTRAS["dev"], *BUILD], ids=str)
def test_a_pin_lies_in_the_declared_range(requirement: Requirement) -> None:
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])
