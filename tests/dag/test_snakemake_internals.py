"""The attributes that rule files use of the installed Snakemake, whichever version it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake
import snakemake_internals as internals
from snakemake.exceptions import WorkflowError

SNAKEFILE = f"""
import json, sys
from pathlib import Path
sys.path.insert(0, {str(Path(internals.__file__).parent)!r})
import snakemake_internals as internals

internals.check(workflow)
if internals.is_main_process(workflow):
    seen = dict(options=dict(internals.config_options(workflow)), file=str(internals.config_file(workflow)))
    Path("seen.json").write_text(json.dumps(seen))
    internals.set_config_for_jobs(workflow, "delivery", "D0")
    internals.lift_core_limit(workflow)

rule job:
    output: "job.json"
    threads: 4096
    run:
        values = dict(config=config, is_main=internals.is_main_process(workflow))
        Path(output[0]).write_text(json.dumps(values))
"""
# A queue of a cluster, which runs each job at once and keeps its script
SUBMIT = '#!/bin/bash\necho $1 > threads\ncp "$2" submitted.sh\nbash "$2" > job.log 2>&1\necho 1\n'


@pytest.fixture(autouse=True)
def _command_line_of_snakemake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["snakemake"])
    internals.command_line.cache_clear()


@pytest.mark.parametrize("folder", ["2026_11", "0042", "1e5", "true", "null", "2026-11-01", "[x]", "a=b"])
def test_a_value_is_read_as_typed(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setattr(
        sys, "argv", ["snakemake", "qc", "--config", f"delivery={folder}", "workspace=W", "--cores", "1"]
    )
    internals.command_line.cache_clear()
    assert (internals.typed_value("delivery"), internals.typed_value("workspace")) == (folder, "W")
    assert internals.typed_value("caller") is None


def workflow_without(missing: str = "") -> SimpleNamespace:
    """Return a stand-in for Snakemake's workflow with all attributes that are used but ``missing``."""
    workflow = SimpleNamespace()
    for name in internals.ATTRIBUTES:
        *parents, last = name.split(".")
        place = workflow
        for parent in parents:
            place.__dict__.setdefault(parent, SimpleNamespace())
            place = getattr(place, parent)
        if name != missing:
            setattr(place, last, None)
    return workflow


def run_snakemake(folder: Path, *arguments: str) -> str:
    """Run Snakemake in ``folder`` and return its messages."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_job_on_another_machine_gets_the_pseudonymous_delivery_and_all_its_threads(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
    (tmp_path / "profiles" / "default").mkdir(parents=True)
    (tmp_path / "profiles" / "default" / "config.yaml").write_text("cores: 1\n", encoding="utf-8")
    (tmp_path / "settings.yaml").write_text("caller: gatk\n", encoding="utf-8")
    submit = tmp_path / "submit"
    submit.write_text(SUBMIT, encoding="utf-8")
    submit.chmod(0o755)
    run_snakemake(
        tmp_path,
        *("--configfile", "settings.yaml", "--config", "delivery=inbox/Hanbit", "aligner=minimap2", "--jobs", "1"),
        *("--executor", "cluster-generic", "--cluster-generic-submit-cmd", f"{submit} {{threads}}"),
        *("--seconds-between-status-checks", "1"),
    )
    seen = json.loads((tmp_path / "seen.json").read_text())
    options = {"delivery": "inbox/Hanbit", "aligner": "minimap2"}
    assert seen == {"options": options, "file": str(tmp_path / "settings.yaml")}
    assert json.loads((tmp_path / "job.json").read_text()) == {
        "config": {"delivery": "D0", "aligner": "minimap2", "caller": "gatk"},
        "is_main": False,
    }
    assert (tmp_path / "threads").read_text() == "4096\n"
    assert "Hanbit" not in (tmp_path / "submitted.sh").read_text()


def test_the_installed_version_is_one_of_those_tested() -> None:
    first, last = (numbers_of(version) for version in internals.TESTED_VERSIONS.split(" to "))
    assert first <= numbers_of(snakemake.__version__) <= last


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the first two numbers of ``version``."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


@pytest.mark.parametrize("name", internals.ATTRIBUTES)
def test_a_missing_attribute_is_named_with_what_to_do(name: str) -> None:
    internals.check(workflow_without())
    with pytest.raises(WorkflowError) as error:
        internals.check(workflow_without(name))
    assert str(error.value) == (
        f"Snakemake {snakemake.__version__} has no workflow.{name}; "
        f"install a Snakemake from {internals.TESTED_VERSIONS}, or change rules/snakemake_internals.py"
    )


def test_a_missing_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict.fromkeys(set(internals.OPTIONS) - {"dryrun"})
    monkeypatch.setattr(internals, "command_line", lambda: Namespace(**options))
    with pytest.raises(WorkflowError, match="has no option dryrun;"):
        internals.check(workflow_without())


@pytest.mark.parametrize(
    ("arguments", "is_planning"),
    [
        ("-n", True),
        ("--cores 1 -np", True),
        ("--lint", True),
        ("--unlock", True),
        ("--summary", True),
        ("--dag", True),
        ("--cores 1", False),
        ("--touch --cores 1", False),
        ("", False),
    ],
)
def test_planning_differs_from_running(arguments: str, is_planning: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["snakemake", *arguments.split()])
    assert internals.is_planning() is is_planning


WHILE_RUNNING = """
import os, sys
sys.path.insert(0, {rules!r})
import snakemake_internals as internals
from baekman.tools import processes

internals.check(workflow)
processes.keep_from_others()
internals.keep_records_within_umask()
processes.close_snakemake_folder(Path(".snakemake"))

rule all:
    input: "modes.txt"

rule first:
    output: "first.txt"
    shell: "touch {{output}}"

rule second:
    input: "first.txt"
    output: "modes.txt"
    shell:  # Snakemake writes the records of the first job while this one begins
        "for i in $(seq 100); do"
        " [ $(find .snakemake/metadata .snakemake/incomplete -type f | wc -l) -ge 2 ] && break; sleep 0.1; done; "
        "find .snakemake -type f -printf '%m %P\\\\n' > {{output}}"
"""


def test_records_are_closed_to_others_while_the_run_is_under_way(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(
        WHILE_RUNNING.format(rules=str(Path(internals.__file__).parent)), encoding="utf-8"
    )
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    modes = dict(reversed(row.split(" ", 1)) for row in (tmp_path / "modes.txt").read_text().splitlines())
    assert any(name.startswith("metadata/") for name in modes) and any(name.startswith("incomplete/") for name in modes)
    assert {name: mode for name, mode in modes.items() if mode != "640"} == {}
