"""A run of Snakemake in a process of its own: how it starts, what its events report, and how it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from baekman.tools.environment import forget_places
from baekman.tools.processes import STARTED_BY, stopping
from baekman.workspace.paths import Workspace
from baekman.workspace.run_state import RunCounts

LAST_LINES = 15
LOCKED = "LockException"  # Snakemake's exception where another run has locked the same files
STAGED_FILE = "staged_file"  # the rule of a job that needs a staged file which is gone
RETURN_REPORT = "return report"  # subject of the notice that the return report lacks the QC verdicts
CLUSTER = "Slurm"  # subject of notices of the executor: what its jobs wait for
ENDED = "ended"  # subject of the notice that every job has run that could

# Variables that may hold a path, relative to the folder of the command.
PATH_VARIABLES = {"BAEKMAN_REGISTRY", "BAEKMAN_REGISTRY_KEY", "BAEKMAN_TABLES_KEY", "BAEKMAN_SCHEDULER"}

_TAIL_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class FailedJob:
    """A job that failed.

    ``log`` is the path of its log in the workspace, "" without a log. ``participant``: the one whose job it was, "" for
    a job that many specimens share.
    """

    rule: str
    log: str
    participant: str = ""


@dataclass
class WorkflowRun:
    """The state of a run, as its events report it (``snakemake_logger_plugin_baekman`` has their table).

    ``rule``: of the job that started last. ``done`` of ``total`` jobs succeeded. ``failed``: by the number of the
    job, without those that succeeded when they were tried again. ``planned``: number of jobs by rule.
    ``running``: rule of each job that was started or submitted, by number. ``finished``: number of jobs by rule.
    ``staged``: the names of the staged files that a plan lacks, by participant. ``participants``: that of each job of
    one specimen, by number. ``has_ended``: Snakemake ended by itself, when no job was left that could run; False after
    an interruption. ``locked``: another run works on the same files. ``unreported``: why the return report lacks the QC
    verdicts.
    ``cluster``: what jobs of Slurm waited for, in the order of time.
    ``exit_code`` and ``last_lines`` (of Snakemake's messages) are set when the run has ended.
    """

    rule: str = ""
    done: int = 0
    total: int = 0
    failed: dict[int, FailedJob] = field(default_factory=dict)
    planned: Mapping[str, int] = field(default_factory=dict)
    running: dict[int, str] = field(default_factory=dict)
    finished: Counter[str] = field(default_factory=Counter)
    staged: dict[str, set[str]] = field(default_factory=dict)
    participants: dict[int, str] = field(default_factory=dict)
    has_ended: bool = False
    locked: bool = False
    unreported: str = ""
    cluster: list[str] = field(default_factory=list)
    exit_code: int = 0
    last_lines: tuple[str, ...] = ()

    def note(self, event: Mapping[str, Any]) -> None:
        """Note one event."""
        match event:
            case {"event": "planned", "jobs": jobs}:
                self.planned = jobs
            case {"event": "started", "rule": rule, **rest}:
                self.rule = rule
                self.running[rest.get("job", 0)] = rule
                self.participants[rest.get("job", 0)] = rest.get("wildcards", {}).get("participant", "")
                if rule == STAGED_FILE:
                    wildcards = rest["wildcards"]
                    self.staged.setdefault(wildcards["participant"], set()).add(wildcards["file"])
            case {"event": "finished", "job": number}:
                self.failed.pop(number, None)
                self.finished[self.running.pop(number, "")] += 1
            case {"event": "failed", "job": number, "rule": rule, "log": log}:
                self.running.pop(number, None)
                self.failed[number] = FailedJob(rule=rule, log=log, participant=self.participants.get(number, ""))
            case {"event": "progress", "done": done, "total": total}:
                self.done, self.total = done, total
            case {"event": "error", "exception": exception}:
                self.locked = self.locked or exception == LOCKED
            case {"event": "notice", "subject": subject} if subject == ENDED:
                self.has_ended = True
            case {"event": "notice", "subject": subject, "message": message} if subject == RETURN_REPORT:
                self.unreported = message
            case {"event": "notice", "subject": subject, "message": message} if subject == CLUSTER:
                self.cluster.append(message)

    @property
    def counts(self) -> RunCounts:
        """The numbers that the state file of a run has."""
        return RunCounts(
            rule=self.rule,
            done=self.done,
            total=self.total,
            planned=dict(self.planned),
            finished=dict(self.finished),
            running=dict(Counter(self.running.values())),
            failed=dict(Counter(job.rule for job in self.failed.values())),
            cluster=self.cluster[-1] if self.cluster else "",
        )


def run(
    command: Sequence[str],
    *,
    workspace: Workspace,
    log: Path,
    report: Callable[[WorkflowRun], None] = lambda run: None,
) -> WorkflowRun:
    """Run Snakemake by ``command`` to its end; its messages are appended to ``log``.

    ``report`` is called with the run after each event.
    """
    state = WorkflowRun()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a+b") as messages:
        begin = messages.seek(0, os.SEEK_END)
        with _started(command, folder=workspace.root, messages=messages) as (process, events):
            for event in events:
                state.note(event)
                report(state)
            state.exit_code = process.wait()
        state.last_lines = tuple(_last_lines(messages, begin=begin))
    return state


def plan(command: Sequence[str], *, workspace: Workspace) -> WorkflowRun:
    """Return the state of a dry run of ``command``; nothing is ``planned`` when Snakemake cannot plan."""
    state = WorkflowRun()
    dry_run = [*command, "--dry-run"]
    with _started(dry_run, folder=workspace.root, messages=subprocess.DEVNULL) as (process, events):
        for event in events:
            state.note(event)
        process.wait()
    return state


@contextmanager
def _started(
    command: Sequence[str], *, folder: Path, messages: IO[bytes] | int
) -> Iterator[tuple[subprocess.Popen[bytes], Iterable[Mapping[str, Any]]]]:
    """Start Snakemake; yield its process and its events, which end when it does.

    When this process is stopped, Snakemake and its jobs are stopped as by Ctrl-C, and waited for. When this process
    is killed, Snakemake stops by itself (``processes.stop_with_deliver``). ``baekman deliver`` starts it in the
    workspace: its log holds the folder it was started in, which may be the delivery's.
    """
    reader, writer = os.pipe()
    with os.fdopen(reader, encoding="utf-8") as lines:
        try:
            process = _start(
                [*command, "--logger", "baekman", "--logger-baekman-events", str(writer)],
                folder=folder,
                messages=messages,
                events=writer,
            )
        finally:
            os.close(writer)
        # a full pipe without a reader would hold Snakemake up
        with stopping(process, before_wait=lines.close):
            yield process, map(json.loads, lines)


def _start(command: Sequence[str], *, folder: Path, messages: IO[bytes] | int, events: int) -> subprocess.Popen[bytes]:
    """Start ``command`` in a process group of its own; it inherits the file descriptor ``events``."""
    environment = {name: value for name, value in os.environ.items() if name != "BAEKMAN_WORKSPACE"}
    for name in PATH_VARIABLES & environment.keys():
        if Path(environment[name]).exists():
            environment[name] = str(Path(environment[name]).resolve())
    environment[STARTED_BY] = str(os.getpid())
    # The folder of the command may be the delivery's, and jobs inherit the environment.
    forget_places(environment)
    environment["PWD"] = str(folder.resolve())
    # A background command of a shell ignores Ctrl-C, and a process that it starts would inherit that.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            process_group=0,
            pass_fds=(events,),
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=subprocess.STDOUT,
        )
    finally:
        signal.signal(signal.SIGINT, interrupt)


def _last_lines(messages: IO[bytes], *, begin: int) -> list[str]:
    """Return the last lines of ``messages`` after the byte ``begin``."""
    end = messages.seek(0, os.SEEK_END)
    messages.seek(max(begin, end - _TAIL_BYTES))
    return messages.read().decode(errors="replace").splitlines()[-LAST_LINES:]
