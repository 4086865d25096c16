"""The targets of ``make`` that pages name: each runs what a test, or the check of a change, runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support import PROJECT
from support.pages import blocks, commands

PAGES = ("README.md", "CONTRIBUTING.md")
# each command of the pages, the words that its recipe has, and who runs the same: a file and its words
RUNS = {
    "make demo": ("scripts/demo.sh", "tests/e2e/test_demo_genome.py", 'PROJECT / "scripts" / "demo.sh"'),
    "make venv": ("scripts/setup_venv.sh", ".ci/run", "make tools venv"),
    "make lint": ("ruff check .", ".ci/run", "make lint"),
    "make test": ("python -m pytest -n 3", ".ci/run", "make test"),
    'make test PYTEST_ARGUMENTS="-k config"': ("python -m pytest -n 3", ".ci/run", "make test"),
    "make reference": (
        "python scripts/documentation/reference.py",
        "tests/docs/test_reference.py",
        "for path, text in reference.pages()",
    ),
    "make docs": (
        "mkdocs build --strict --quiet",
        "tests/docs/test_site.py",
        '"mkdocs", "build", "--strict", "--quiet"',
    ),
    "make format": ("ruff format .", "tests/docs/test_make.py", '"make", "format"'),
}
OTHERS = {". .venv/bin/activate"}  # a test of the demo reads pages in such an environment


def test_each_target_of_the_pages_runs_what_a_test_runs(tmp_path: Path) -> None:
    typed = [
        command.strip()
        for page in PAGES
        for block in blocks((PROJECT / page).read_text(encoding="utf-8"))
        if block.language == "console" and block.text.startswith("make ")
        for command in commands(block.text)
    ]
    assert set(typed) == RUNS.keys() | OTHERS
    for command, (words, file, same) in RUNS.items():
        dry = f"{command} --dry-run VENV={tmp_path / 'venv'}"  # an environment that is not there is made first
        done = subprocess.run(dry, shell=True, cwd=PROJECT, capture_output=True, text=True, check=True)
        assert words in done.stdout, command
        assert same in (PROJECT / file).read_text(encoding="utf-8"), command


def test_make_format_rewrites_a_file_in_the_style_of_the_project(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "setup.py", "Snakefile"):
        shutil.copy(PROJECT / name, tmp_path)
    for name in ("rules", "scripts", "workflow/baekman/kernels", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(PROJECT / "workflow" / "Snakefile", tmp_path / "workflow")
    (tmp_path / ".venv" / "bin" / "activate").write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')
    for name in ("requirements.txt", "requirements-oracles.txt", ".venv/.packages", ".venv/.ready"):
        (tmp_path / name).touch()
    for name in ("setup_tools.sh", "find_compiler.sh"):  # the machine has everything
        (tmp_path / "scripts" / name).write_text("#!/bin/sh\n")
        (tmp_path / "scripts" / name).chmod(0o755)
    (tmp_path / "ugly.py").write_text("# noqa: D100\nimport os, sys\nprint( sys.argv )\n")
    (tmp_path / "rules" / "ugly.smk").write_text("rule a:\n  output: 'b'\n  shell: 'touch {output}'\n")
    environment = {**os.environ, "RUFF_NO_CACHE": "true"}
    done = subprocess.run(
        ["make", "format"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "ugly.py").read_text() == "# noqa: D100\nimport sys\n\nprint(sys.argv)\n"
    assert (tmp_path / "rules" / "ugly.smk").read_text() == (
        'rule a:\n    output:\n        "b",\n    shell:\n        "touch {output}"\n'
    )
