"""The events of real runs of Snakemake, through the logger plugin."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from baekman import workflow_run
from baekman.workflow_run import FailedJob, WorkflowRun
from baekman.workspace.paths import Workspace
from snakemake_interface_logger_plugins.tests import TestLogHandlerBase
from snakemake_logger_plugin_baekman import LogHandler, LogHandlerSettings

SNAKEFILE = """
rule all:
    input: "good", "flaky", expand("bad.{part}", part=[1, 2])

rule good:
    output: "good"
    shell: "touch {output}"

rule flaky:
    output: "flaky"
    log: "flaky.log"
    retries: 1
    shell: "test -e tried || {{ touch tried; exit 1; }}; touch {output}"

rule bad:
    output: "bad.{part}"
    log: "logs/{part}.log"
    shell: "echo Hanbit > {log}; exit 1"

onerror:
    logger.warning("a notice", extra={"notice": "return report"})
    logger.warning("a wait", extra={"notice": "Slurm"})
"""
COMMAND = (sys.executable, "-m", "snakemake", "--cores", "1", "--keep-going", "--config", "institution=Hanbit")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
    return Workspace(tmp_path)


def test_a_run_reports_progress_failures_and_notices(workspace: Workspace) -> None:
    log = workspace.root / "snakemake.log"
    states = []
    run = workflow_run.run(
        COMMAND, workspace=workspace, log=log, report=lambda run: states.append((run.rule, run.done))
    )
    assert (run.exit_code, run.done, run.total, run.locked) == (1, 2, 5, False)
    assert set(run.failed.values()) == {FailedJob(rule="bad", log=f"logs/{part}.log") for part in (1, 2)}
    assert run.planned == {"all": 1, "good": 1, "flaky": 1, "bad": 2}
    assert (run.unreported, run.cluster, run.counts.cluster) == ("a notice", ["a wait"], "a wait")
    assert {rule for rule, _ in states} == {"", "good", "flaky", "bad"}
    assert [done for _, done in states] == sorted(done for _, done in states)
    text = log.read_text(encoding="utf-8")
    assert "rule flaky:" in text and "Error in rule bad" in text and "a notice" in text
    assert run.last_lines == tuple(text.splitlines()[-15:])


def test_a_plan_counts_jobs_by_rule_and_runs_none(workspace: Workspace) -> None:
    assert workflow_run.plan(COMMAND, workspace=workspace).planned == {"all": 1, "good": 1, "flaky": 1, "bad": 2}
    assert [path.name for path in workspace.root.iterdir() if not path.name.startswith(".")] == ["Snakefile"]
    assert workflow_run.plan([*COMMAND, "--", "nothing"], workspace=workspace).planned == {}


def test_a_locked_workspace_is_reported(workspace: Workspace) -> None:
    locks = workspace.snakemake / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("good\n", encoding="utf-8")
    run = workflow_run.run(COMMAND, workspace=workspace, log=workspace.root / "snakemake.log")
    assert (run.exit_code, run.locked, run.done) == (1, True, 0)


def test_events_hold_no_input_command_or_message(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(WorkflowRun, "note", lambda self, event: events.append(event))
    workflow_run.run(COMMAND, workspace=workspace, log=workspace.root / "snakemake.log")
    assert {event["event"] for event in events} == {
        "planned",
        "started",
        "finished",
        "failed",
        "progress",
        "error",
        "notice",
    }
    assert "Hanbit" not in json.dumps(events) and str(workspace.root) not in json.dumps(events)


def test_a_reader_that_is_gone_stops_no_run(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    handler = LogHandler(None, LogHandlerSettings(events=writer))
    record = logging.makeLogRecord({"notice": "return report", "msg": "a notice"})
    handler.emit(record)
    handler.emit(record)
    handler.close()


class TestInterface(TestLogHandlerBase):
    """Snakemake's own tests of a logger plugin."""

    __test__ = True

    def get_log_handler_cls(self) -> type[LogHandler]:
        return LogHandler

    def get_log_handler_settings(self) -> LogHandlerSettings:
        return LogHandlerSettings(events=os.open(os.devnull, os.O_WRONLY))
