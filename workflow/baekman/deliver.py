"""One delivery from intake to tables: intake here, the rest in Snakemake, then what became of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baekman import data, withdrawal
from baekman import verdicts as verdict
from baekman.config.loading import load_config
from baekman.intake import receive as intake
from baekman.tools.processes import STARTED_BY
from baekman.verdicts import Decision, Verdict
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace

LOG_LINES = 15

# what may be given by a path, which is meant from the folder of the command
PATH_VARIABLES = {"BAEKMAN_REGISTRY", "BAEKMAN_REGISTRY_KEY", "BAEKMAN_TABLES_KEY", "BAEKMAN_SCHEDULER"}

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much

_STEPS = re.compile(r"^(\d+) of (\d+) steps")
_RULE = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$")
_FAILED = re.compile(r"^Error in (?:rule|checkpoint) (\w+)")
_LOG = re.compile(r"^\s+log: (\S+)")
_LOCKED = re.compile(r"^LockException")
_UNREPORTED = re.compile(r"^the return report stays as ")
_STAGED_FILE = re.compile(r"^staged_file +\d+$", re.M)  # in the job counts of a dry run


@dataclass(frozen=True, kw_only=True)
class FailedRule:
    """A job that failed: its rule, where its log lies in the workspace, and the log's last lines."""

    rule: str
    log: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a delivery; ``failed`` is empty when every job ran, ``jobs`` is how many ran.

    ``locked``: another run works on the same files. ``unreported``: why the return report lacks the QC verdicts.
    ``last_lines``: of Snakemake's messages.
    """

    delivery_id: str
    jobs: int
    verdicts: tuple[Verdict, ...]
    failed: tuple[FailedRule, ...]
    exit_code: int
    locked: bool
    unreported: str
    last_lines: tuple[str, ...]

    @property
    def decisions(self) -> dict[str, Decision]:
        """Specimen ID -> the worst decision of both gates."""
        return verdict.merge(self.verdicts)


@dataclass
class _Watched:
    """What Snakemake's messages have told so far."""

    done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    locked: bool = False
    unreported: str = ""
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))


def deliver(
    delivery: Path,
    *,
    workspace: Path,
    config: Path | None = None,
    profile: str | None = None,
    cores: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Outcome:
    """Receive the delivery in the folder ``delivery`` and run its workflow to the tables.

    Run again it takes up where it stopped, or does nothing; reads that were used and deleted are staged anew where
    a job needs them after all. Raises ``InputRefused`` for a malformed delivery or configuration; a failed job is
    no exception but in the outcome.
    """
    settings: Mapping[str, Any] = load_config(workspace, config)

    def receive(*, again: bool) -> intake.Receipt:
        return intake.receive(
            delivery,
            workspace=Workspace(workspace),
            config=settings,
            again=again,
            progress=lambda done, total: progress("intake", done, total),
        )

    receipt = receive(again=False)
    log = Workspace(workspace).deliver_log(receipt.delivery_id)
    command = snakemake_command(receipt.delivery_id, workspace=workspace, config=config, profile=profile, cores=cores)
    if receipt.status == "same" and _needs_staged_files(command, workspace / "deliveries" / receipt.delivery_id):
        receive(again=True)
    watched = _Watched()
    exit_code = _run(command, workspace=workspace, log=log, watched=watched, progress=progress)
    failed = tuple(_failed_rules(watched.failed, workspace))
    if watched.done or failed:
        withdrawal.sweep_after(Workspace(workspace), receipt.delivery_id)
    return Outcome(
        delivery_id=receipt.delivery_id,
        jobs=watched.done,
        verdicts=tuple(verdicts_of(workspace / "deliveries" / receipt.delivery_id)),
        failed=failed,
        exit_code=exit_code,
        locked=watched.locked,
        unreported=watched.unreported,
        last_lines=tuple(watched.last_lines),
    )


def snakemake_command(
    delivery_id: str, *, workspace: Path, config: Path | None, profile: str | None, cores: int | None
) -> list[str]:
    """How Snakemake is started for a delivery that was received."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(data.workflow_folder() / "Snakefile"), "--nocolor"]
    command += ["--directory", str(workspace.resolve())]
    command += ["--profile", str(_profile(profile))] if profile else []
    command += ["--cores", str(cores)] if cores else []
    command += ["--configfile", str(config.resolve())] if config else []
    return [*command, "--config", f"delivery={delivery_id}"]


def verdicts_of(folder: Path) -> Iterator[Verdict]:
    """The verdicts of both gates of the delivery whose folder in the workspace is ``folder``."""
    for gate in ("intake", "qc"):
        file = folder / "verdicts" / f"{gate}.json"
        if file.is_file():
            yield from verdict.read_verdicts(file)


def _needs_staged_files(command: Sequence[str], folder: Path) -> bool:
    """Whether jobs are planned that need staged files which were used and deleted."""
    staged = [folder.parents[1] / file for row in specimens.read(folder / "specimens.tsv") for file in row.files]
    if all(file.is_file() for file in staged):
        return False
    plan = subprocess.run(
        [*command, "--dry-run"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return bool(_STAGED_FILE.search(plan.stdout))


def _profile(profile: str) -> Path:
    """A profile by its path, or by its name in ``profiles/``."""
    path = Path(profile)
    return path.resolve() if path.exists() else data.workflow_folder() / "profiles" / path.name


def _run(command: Sequence[str], *, workspace: Path, log: Path, watched: _Watched, progress: Progress) -> int:
    """Run Snakemake, keep all that it says in ``log`` and read its progress from it; its exit code."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as kept, _started(command, workspace) as process:
        assert process.stdout is not None
        rule, total = "", 0
        for line in process.stdout:
            kept.write(line)
            watched.last_lines.append(line.rstrip())
            if match := _RULE.match(line):
                rule = match[1]
            elif match := _STEPS.match(line):
                watched.done, total = int(match[1]), int(match[2])
            elif match := _FAILED.match(line):
                watched.failed.append((match[1], ""))
            elif (match := _LOG.match(line)) and watched.failed and not watched.failed[-1][1]:
                watched.failed[-1] = (watched.failed[-1][0], match[1])
            elif _LOCKED.match(line):
                watched.locked = True
            elif _UNREPORTED.match(line):
                watched.unreported = line.rstrip()
            progress(rule or "planning", watched.done, total)
        return process.wait()


@contextmanager
def _started(command: Sequence[str], workspace: Path) -> Iterator[subprocess.Popen[str]]:
    """Snakemake, which is stopped with all of its jobs as by Ctrl-C, and waited for, when this process is stopped.

    Where this process is killed, it stops by itself (``processes.stop_with_deliver``).
    It is started in the workspace: it notes in its log where it was started, which may be the delivery's folder.
    """
    environment = {name: value for name, value in os.environ.items() if name != "BAEKMAN_WORKSPACE"}
    for name in PATH_VARIABLES & environment.keys():
        if Path(environment[name]).exists():
            environment[name] = str(Path(environment[name]).resolve())
    environment[STARTED_BY] = str(os.getpid())
    # a shell's background command ignores Ctrl-C, and so would what it starts
    by_ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command,
        cwd=workspace,
        env=environment,
        process_group=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    signal.signal(signal.SIGINT, by_ctrl_c)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number, handler in before.items():
            if handler is signal.SIG_DFL:  # `nohup` ignores SIGHUP
                signal.signal(number, _exit_by_signal)
        yield process
    except BaseException:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_by_signal(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # as shells have it


def _failed_rules(failed: Sequence[tuple[str, str]], workspace: Path) -> Iterator[FailedRule]:
    """Each failed job once, though Snakemake may try it several times."""
    for rule, log in dict.fromkeys(failed):
        file = workspace / log
        lines = file.read_text(errors="replace").splitlines() if log and file.is_file() else []
        yield FailedRule(rule=rule, log=log, lines=tuple(lines[-LOG_LINES:]))
