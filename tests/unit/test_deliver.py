"""Runs of Snakemake for a delivery: how they start, how they stop, and the summary of the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from baekman import pseudonyms
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace
from baekman.workspace.runs.failures import Failure, read_failures, write_failures

DELIVERY = "D0000000000000"

# baekman deliver, with a shell script in the place of Snakemake; $4 is the file descriptor for its events
PROGRAM = f"""
import json, os, sys
from pathlib import Path
from baekman import deliver
from baekman.intake.reception import ReceivedDelivery
from baekman.cli import main

deliver.load_config = lambda workspace, file: json.loads(os.environ.get("SETTINGS", "{{}}"))
received = ReceivedDelivery(delivery_id="{DELIVERY}", status="received", verdicts=(), report=Path())
deliver.receive = lambda *_, **__: received
deliver.snakemake_command = lambda *_, **__: ["bash", "-c", Path("snakemake.sh").read_text(), "bash"]
main()
"""

Started = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def started(tmp_path: Path) -> Started:
    """Start ``baekman deliver`` in ``tmp_path`` with ``script`` for Snakemake."""
    (tmp_path / "inbox").mkdir()
    specimens = tmp_path / "w" / "deliveries" / DELIVERY / "specimens.tsv"
    specimens.parent.mkdir(parents=True)
    specimens.touch()

    def start(script: str, **environment: str) -> subprocess.Popen[str]:
        (tmp_path / "snakemake.sh").write_text(script, encoding="utf-8")
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "deliver", "inbox", "--workspace", "w"],
            cwd=tmp_path,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # the tests may run where it is ignored, as below nohup
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )

    return start


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_stops_the_command_stops_snakemake_and_its_jobs(
    started: Started, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    # the job ends a second after the signal, and the command waits for it
    job = "trap 'sleep 1; touch ended; exit' INT; touch running; while true; do sleep 0.1; done"
    running = started(f"trap : INT; bash -c '{job.replace(chr(39), chr(34))}'; touch over")
    while not (tmp_path / "w" / "running").exists():
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(number)
    output = running.communicate(timeout=30)
    assert (tmp_path / "w" / "ended").exists() and (tmp_path / "w" / "over").exists()
    assert (running.returncode, *output) == (code, "", "interrupted: run the same command again to go on\n")


def test_a_stopped_command_does_not_wait_for_a_reader_of_many_events(started: Started, tmp_path: Path) -> None:
    running = started(
        "trap 'yes | head -c 1000000 >&$4; touch over; exit' INT; touch running; while :; do sleep 0.1; done"
    )
    _wait_for(tmp_path / "w" / "running")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)
    assert running.returncode == 130 and (tmp_path / "w" / "over").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems send no signal when a parent is killed")
@pytest.mark.parametrize("is_late", [False, True])
def test_snakemake_and_its_jobs_stop_when_the_command_is_killed(
    started: Started, tmp_path: Path, is_late: bool
) -> None:
    # as in rules/run.smk; ``is_late``: the command is killed before Snakemake gets there
    snakemake = f"""
import pathlib, subprocess, time
from baekman.tools import processes
subprocess.Popen(["bash", "-c", "trap 'touch job-ended; exit' INT; touch running; while true; do sleep 0.1; done"])
while {is_late} and not pathlib.Path("killed").exists():
    time.sleep(0.1)
processes.stop_with_deliver()
pathlib.Path("ready").touch()
time.sleep(60)
"""
    (tmp_path / "snakemake.py").write_text(snakemake)
    running = started(f"exec {sys.executable} ../snakemake.py")
    workspace = tmp_path / "w"
    _wait_for(workspace / "running")
    if not is_late:
        _wait_for(workspace / "ready")
    running.kill()
    running.communicate()
    (workspace / "killed").touch()
    _wait_for(workspace / "job-ended")


def _wait_for(file: Path) -> None:
    """Wait until ``file`` exists, at most a minute."""
    until = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < until, f"no {file.name} after a minute"
        time.sleep(0.05)


def test_a_background_command_that_ignores_ctrl_c_stops_by_sigterm(started: Started, tmp_path: Path) -> None:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        running = started("touch running; sleep 60")
    finally:
        signal.signal(signal.SIGINT, handler)
    while not (tmp_path / "w" / "running").exists():
        assert running.poll() is None
        time.sleep(0.05)
    running.terminate()
    running.communicate(timeout=30)
    assert running.returncode == 143


def test_snakemake_starts_in_the_workspace_and_gets_absolute_paths_in_variables(
    started: Started, tmp_path: Path
) -> None:
    (tmp_path / "registry.key").touch()
    running = started(
        "echo $(pwd -P) $BAEKMAN_REGISTRY_KEY $BAEKMAN_REGISTRY $BAEKMAN_WORKSPACE > seen",
        BAEKMAN_REGISTRY_KEY="registry.key",
        BAEKMAN_REGISTRY="postgresql://host/registry",
        BAEKMAN_WORKSPACE="elsewhere",
    )
    running.communicate()
    workspace = (tmp_path / "w").resolve()
    seen = (workspace / "seen").read_text().split()
    assert seen == [str(workspace), str(workspace.parent / "registry.key"), "postgresql://host/registry"]


def events(*events: dict[str, object]) -> str:
    """Return shell commands that write ``events``, as the logger plugin does."""
    return "".join(f"echo '{json.dumps(event)}' >&$4\n" for event in events)


def test_a_failure_in_no_job_shows_the_last_messages(started: Started) -> None:
    running = started("echo 'WorkflowError:'; echo 'configuration refused'; exit 1")
    stdout, stderr = running.communicate()
    assert (running.returncode, stdout) == (1, f"{DELIVERY}\n")
    assert stderr.splitlines()[1:] == [
        "  | WorkflowError:",
        "  | configuration refused",
        f"not finished: mend the cause and run the same command again; all messages: w/logs/deliver/{DELIVERY}.log",
    ]


def test_the_last_messages_are_of_this_run(started: Started, tmp_path: Path) -> None:
    started("echo before; exit 1").communicate()
    _, stderr = started("exit 1").communicate()
    assert "  | before" not in stderr.splitlines()
    assert (tmp_path / "w" / "logs" / "deliver" / f"{DELIVERY}.log").read_text() == "before\n"


def test_a_failed_job_shows_its_rule_and_the_last_lines_of_its_log(started: Started, tmp_path: Path) -> None:
    failure = {"event": "failed", "job": 3, "rule": "align_reads", "log": "logs/align_reads/P.log"}
    written = "mkdir -p logs/align_reads; seq 20 > logs/align_reads/P.log\n"
    running = started(written + events(failure, failure) + "echo 'a message'; exit 1")
    _, stderr = running.communicate()
    assert stderr.splitlines()[1:-1] == [
        "failed: align_reads (logs/align_reads/P.log)",
        *(f"  | {number}" for number in range(6, 21)),
    ]


def test_a_job_that_succeeds_when_it_is_tried_again_is_no_failure(started: Started) -> None:
    failure = {"event": "failed", "job": 3, "rule": "align_reads", "log": ""}
    running = started(events(failure, {"event": "finished", "job": 3}, {"event": "progress", "done": 1, "total": 1}))
    _, stderr = running.communicate()
    assert running.returncode == 0
    assert stderr.splitlines()[1:2] == ["report  w/deliveries/D0000000000000/report"]


def test_another_run_on_the_same_files_is_reported(started: Started) -> None:
    running = started(events({"event": "error", "exception": "LockException"}) + "exit 1")
    _, stderr = running.communicate()
    assert running.returncode == 1
    assert stderr.splitlines()[1:] == [
        "not finished: another run works on the same files; run the same command again when it has ended"
    ]


def test_a_return_report_that_lacks_the_qc_verdicts_is_reported(started: Started) -> None:
    message = "the return report stays as intake wrote it: registry key: expected a key file, found none"
    running = started(events({"event": "notice", "subject": "return report", "message": message}))
    _, stderr = running.communicate()
    assert running.returncode == 0
    assert message in stderr.splitlines()


def test_the_end_of_a_run_is_notified_and_a_failing_command_fails_no_delivery(started: Started, tmp_path: Path) -> None:
    progress = events({"event": "progress", "done": 1, "total": 1})
    command = ["sh", "-c", "cat > news; env | grep -c ^BAEKMAN_ >> news; exit 7"]
    running = started(progress, SETTINGS=json.dumps({"notify": command}), BAEKMAN_REGISTRY_KEY="secret")
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "note: the command of `notify` ended with exit code 7; the delivery is not affected" in stderr
    document, keys = (tmp_path / "w" / "news").read_text().splitlines()
    news = json.loads(document)
    assert (news["schema"], news["event"], news["delivery"], news["exit_code"]) == ("1", "ended", DELIVERY, 0)
    assert keys == "0"


def test_a_run_with_nothing_to_do_is_not_notified(started: Started, tmp_path: Path) -> None:
    started("", SETTINGS=json.dumps({"notify": ["touch", "news"]})).communicate(timeout=60)
    assert not (tmp_path / "w" / "news").exists()


def test_the_others_go_on_without_a_specimen_of_which_a_job_fails(started: Started, tmp_path: Path) -> None:
    failing, other = pseudonyms.new("P"), pseudonyms.new("P")
    home = Workspace(tmp_path / "w").delivery(DELIVERY)
    columns = {"specimen_id": pseudonyms.new("S"), "entry": "bam", "lane": "L1", "file_1": "x", "file_2": ""}
    specimens.write(
        home.specimens,
        [
            specimens.StagedFiles(participant_id=participant, sex="female", array_genotypes="", **columns)
            for participant in (failing, other)
        ],
    )
    write_failures(home, [Failure(participant_id=other, gate="qc", rule="depth")])  # of an earlier run: tried again
    begin = {"event": "started", "job": 3, "rule": "depth", "wildcards": {"participant": failing}}
    failure = {"event": "failed", "job": 3, "rule": "depth", "log": ""}
    ended = {"event": "notice", "subject": "ended", "message": ""}
    script = f"ls deliveries/{DELIVERY}/failures >> seen; test -e tried && exit 0; touch tried\n"
    running = started(script + events(begin, failure, ended) + "exit 1")
    _, stderr = running.communicate()
    assert running.returncode == 0
    assert f"not processed: {failing}: depth failed ()" in stderr and "1 specimen not processed" in stderr
    assert (tmp_path / "w" / "seen").read_text() == f"{failing}.json\n"
    # without the notice the run was interrupted
    (tmp_path / "w" / "tried").unlink()
    running = started(script + events(begin, failure) + "exit 1")
    assert "not processed" not in running.communicate()[1] and running.returncode == 1
    assert not read_failures(home)
