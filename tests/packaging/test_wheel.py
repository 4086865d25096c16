"""A wheel of the package works away from the checkout: the store, the registry, and the workflow."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import PROJECT, delivery_builder
from support.store_tools import block, gvcf_text, line

BASES = "ACGT" * 300
BARCODE = "HB-0001"


@dataclass(frozen=True)
class Installation:
    """A virtual environment that holds the wheel; it borrows the dependencies of the running one."""

    folder: Path

    def run(self, command: str, *arguments: object, cwd: Path) -> str:
        """Run a program of the environment in ``cwd`` and return its stdout; raise AssertionError when it fails."""
        environment = clean_environment() | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "PWD": str(cwd)}
        program = [str(self.folder / "bin" / command), *map(str, arguments)]
        done = subprocess.run(program, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def clean_environment() -> dict[str, str]:
    """Return the environment variables without those that lead Python or baekman back to the checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BAEKMAN"))}


def unpacked_source(folder: Path) -> Path:
    """Make the source distribution of the checkout and unpack it in ``folder``; return the unpacked folder.

    The kernels that are compiled in the checkout go with it. They are those of the sources, or ``baekman`` could not be
    imported here; as copies they are newer than their sources, so that a build does not compile them again.
    """
    copy = folder / "checkout"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", ".snakemake", "build", "demo", "*.egg-info", "__pycache__", "*_cache"
    )
    shutil.copytree(PROJECT, copy, ignore=ignored)
    subprocess.run([sys.executable, "setup.py", "-q", "sdist", "-d", folder], cwd=copy, check=True, capture_output=True)
    (archive,) = folder.glob("baekman-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    source = folder / archive.name.removesuffix(".tar.gz")
    platform = f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    compiled = source / "build" / platform
    if (PROJECT / "build" / "cython").is_dir():
        shutil.copytree(PROJECT / "build" / "cython", source / "build" / "cython", copy_function=shutil.copy)
    for module in (PROJECT / "workflow" / "baekman").rglob("*.so"):
        copy = compiled / module.relative_to(PROJECT / "workflow")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, copy)
    return source


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked source distribution."""
    return unpacked_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def wheel(source: Path) -> Path:
    """Build the wheel from the source distribution."""
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "."]
    done = subprocess.run(command, cwd=source, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = (source / "dist").glob("baekman-*.whl")
    return made


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Install the wheel into a virtual environment of its own."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "bin" / "python",
        "install",
        "--quiet",
        "--no-deps",
        wheel,
    ]
    subprocess.run(command, check=True, env=clean_environment())
    (purelib / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return Installation(folder)


def test_the_package_comes_from_the_new_environment(installed: Installation, tmp_path: Path) -> None:
    """The command that prints the folder of the workflow is that of the page on operating."""
    page = (PROJECT / "docs" / "operating.md").read_text(encoding="utf-8")
    (workflow_folder,) = re.findall(r'^python -c "(.*workflow_folder.*)"$', page, re.M)
    for program in ("import baekman; print(baekman.__file__)", workflow_folder):
        assert Path(installed.run("python", "-c", program, cwd=tmp_path).strip()).is_relative_to(installed.folder)


def test_a_wheel_holds_the_workflow_as_it_is_in_the_repository(wheel: Path) -> None:
    prefix = "baekman/data/workflow/"
    with zipfile.ZipFile(wheel) as packed:
        contents = {
            name.removeprefix(prefix): packed.read(name) for name in packed.namelist() if name.startswith(prefix)
        }
    files = [PROJECT / "Snakefile"]
    files += [file for name in ("rules", "envs", "profiles") for file in (PROJECT / name).rglob("*") if file.is_file()]
    files = [file for file in files if file.suffix != ".pyc"]
    assert contents == {str(file.relative_to(PROJECT)): file.read_bytes() for file in files}


def test_a_source_distribution_holds_every_file_of_the_repository(source: Path) -> None:
    if not (PROJECT / ".git").exists():
        pytest.skip("no repository: this is itself an unpacked source distribution")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    assert not [name for name in listed.split("\0") if name and not (source / name).is_file()]


def test_a_cohort_is_made_asked_and_exported(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "reference.fa").write_text(f">c1\n{BASES}\n", encoding="ascii")
    records = [block(1, 40, "A"), line(41, "A", "G", "0/1:40:22:11,11:45,0,42"), block(42, len(BASES), "C")]
    (tmp_path / "P1.g.vcf").write_text(gvcf_text(records, contigs={"c1": len(BASES)}, sample="P1"), encoding="utf-8")
    (tmp_path / "gvcfs.tsv").write_text("P1\tP1.g.vcf\tfemale\n", encoding="utf-8")

    def baekman(*arguments: object) -> str:
        return installed.run("baekman", *arguments, cwd=tmp_path)

    baekman("cohort", "init", "--cohort", "cohort", "--reference", "reference.fa")
    assert baekman("cohort", "add", "--cohort", "cohort", "--batch", "B1", "--gvcfs", "gvcfs.tsv") == "1\n"
    sites = csv.DictReader(baekman("query", "--cohort", "cohort", "--region", "c1", "--format", "csv").splitlines())
    assert [(site["pos"], site["ref"], site["alt"], site["ac"], site["an"]) for site in sites] == [
        ("41", "A", "G", "1", "2")
    ]
    baekman("export", "--cohort", "cohort", "--format", "vcf", "--output", "cohort.vcf")
    (record,) = [row for row in (tmp_path / "cohort.vcf").read_text().splitlines() if not row.startswith("#")]
    assert record.split("\t")[-1].startswith("0/1")


def test_a_delivery_goes_from_intake_to_tables_with_the_workflow_of_the_wheel(
    installed: Installation, tmp_path: Path
) -> None:
    reference = delivery_builder.write_reference(tmp_path / "reference")
    builder = delivery_builder.DeliveryBuilder(tmp_path / "inbox", reference)
    content = delivery_builder.gvcf_text(reference, sample=BARCODE)
    delivery_builder.write_gvcf(builder.folder / "1.g.vcf.gz", content)
    builder.add(BARCODE, "1.g.vcf.gz", "gvcf")
    builder.finish()
    rows = [delivery_builder.registration(BARCODE, 1)]
    registration = delivery_builder.write_registrations(tmp_path / "registration.tsv", rows)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "config.yaml").write_text(f"reference: {reference}\n", encoding="utf-8")
    installed.run("baekman", "registry", "init", cwd=workspace)
    installed.run("baekman", "registry", "import", registration, cwd=workspace)
    delivery = installed.run("baekman", "deliver", builder.folder, cwd=workspace).strip()
    batch = json.loads((workspace / "deliveries" / delivery / "batch.json").read_text(encoding="utf-8"))
    (participant,) = batch["participants"]
    assert list((workspace / "tables").rglob(f"{participant}.parquet"))
    messages = (workspace / "logs" / "deliver" / f"{delivery}.log").read_text(encoding="utf-8")
    assert str(PROJECT) not in messages.replace(sys.prefix, "")  # the environment may lie in the checkout
