"""Recipes of containers and conda, and the citation: valid, and with the dependencies that the package declares."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import rattler_build
import yaml
from baekman import __version__
from packaging.requirements import Requirement
from spython.main.parse.parsers import SingularityParser
from support import PROJECT

CONTAINERS = PROJECT / "resources" / "containers"
DOCKERFILE, APPTAINER = CONTAINERS / "Dockerfile", CONTAINERS / "baekman.def"
CONDA = PROJECT / "resources" / "conda" / "recipe.yaml"
TOOLS = {"bwa", "fastp", "freebayes", "minimap2", "mosdepth", "plink2"}
COMPILING = {"gcc", "libc6-dev", "python3-dev", "python3-venv"}
CONDA_NAMES = {"duckdb": "python-duckdb", "isal": "python-isal"}  # of packages with another name there


def installed_by_apt(script: str) -> set[str]:
    """Return the Debian packages that the commands of ``script`` install."""
    commands = re.findall(r"apt-get install ([^&\n]*)", re.sub(r"\\\n", " ", script))
    return {word for command in commands for word in shlex.split(command) if not word.startswith("-")}


def test_the_dockerfile_passes_its_linter() -> None:
    command = [str(Path(sys.executable).with_name("hadolint")), "--failure-threshold", "style", str(DOCKERFILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_containers_have_the_tools_of_the_machine() -> None:
    tools = set((PROJECT / "envs" / "apt.txt").read_text(encoding="utf-8").split())
    for recipe in (DOCKERFILE, APPTAINER):
        packages = installed_by_apt(recipe.read_text(encoding="utf-8"))
        assert packages - {"libhts3", "python3"} <= tools
        assert packages == TOOLS | COMPILING | {"libhts3", "libhts-dev", "python3", "slurm-client"}


def test_the_apptainer_definition_is_read_by_a_parser_and_its_commands_by_bash() -> None:
    recipe = SingularityParser(str(APPTAINER)).parse()["spython-base"]
    assert recipe.fromHeader == "debian:bookworm-slim"
    for source, target in (pair.split() for pair in recipe.files):
        assert (PROJECT / source).exists() and target == f"/source/{source}"
    script = "\n".join(recipe.install)
    assert subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False).stderr == ""
    assert ".[export,slurm]" in script


def test_the_conda_recipe_renders_with_the_declared_dependencies() -> None:
    (variant,) = rattler_build.Stage0Recipe.from_file(str(CONDA)).render()
    assert (variant.recipe.package.name, str(variant.recipe.package.version)) == ("baekman", __version__)
    run = variant.recipe.to_dict()["requirements"]["run"]
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    expected = {"python": ">=3.11", **dict.fromkeys(TOOLS, "")}
    for requirement in map(Requirement, declared):
        expected[CONDA_NAMES.get(requirement.name, requirement.name)] = str(requirement.specifier)
    present = {name: ",".join(sorted(limits.split(","))) for name, _, limits in (line.partition(" ") for line in run)}
    assert present == {name: ",".join(sorted(limits.split(","))) for name, limits in expected.items()}


def test_the_citation_is_valid_and_of_this_version() -> None:
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    package = find_spec("cffconvert")  # its code needs packages that are not installed
    assert package is not None and package.origin is not None
    schema = json.loads(Path(package.origin).with_name("schemas").joinpath("1.2.0", "schema.json").read_text())
    jsonschema.validate(citation, schema)
    assert citation["version"] == __version__
