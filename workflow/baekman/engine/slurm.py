"""Slurm as seen from the machine that submits: its commands, asked within a time, and what a profile needs of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from baekman.errors import InputRefused, Problem, WorkerDied

EXECUTOR = "baekman-slurm"  # the executor of profiles/slurm
OTHER_EXECUTOR = "slurm"  # the plugin's own, which loses its jobs when Slurm's command of states fails
EXECUTORS = (EXECUTOR, OTHER_EXECUTOR)
ADVICE = (
    "executor: slurm waits for ever where Slurm keeps no accounts, or gives no answer for some minutes; "
    "write executor: baekman-slurm into the profile (docs/operating.md)"
)
PLUGIN = "snakemake_executor_plugin_slurm"
COMMANDS = ("sbatch", "squeue", "scancel")
ANSWER_SECONDS = 30.0
PROFILE_FILE = re.compile(r"(?:config|profile)(?:\.v(\d+)\+)?\.yaml")
INSTALL = "pip install 'baekman[slurm]'"
MISSING_PLUGIN = f"profiles/slurm needs the package snakemake-executor-plugin-slurm: {INSTALL}"


class NoAnswerError(Exception):
    """A command of Slurm that failed, was not found, or gave no answer in time."""


def run(command: Sequence[str], *, seconds: float | None = None) -> str:
    """Return the output of a ``command`` of Slurm, which has ``seconds`` for it (``ANSWER_SECONDS``).

    Raises:
        NoAnswerError: With the last line of its messages, or how long it gave no answer.
    """
    seconds = ANSWER_SECONDS if seconds is None else seconds
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"{command[0]}: no answer in {seconds:g} seconds") from None
    except OSError:
        raise NoAnswerError(f"{command[0]}: not found") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{command[0]}: exit code {done.returncode}"]
        raise NoAnswerError(lines[-1])
    return done.stdout


def executor_of(profile: Path) -> str:
    """Return the executor that the folder or file ``profile`` of Snakemake names; "" without one."""
    import yaml

    versions = {0: profile} if profile.is_file() else {}
    for path in profile.glob("*.yaml"):
        if name := PROFILE_FILE.fullmatch(path.name):
            versions[int(name[1] or 0)] = path
    if not versions:
        return ""
    try:
        settings = yaml.safe_load(versions[max(versions)].read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError):
        return ""  # Snakemake says what is wrong with it
    return str(settings.get("executor", "")) if isinstance(settings, dict) else ""


def require(executor: str) -> None:
    """Check that jobs can be submitted, where ``executor`` is one of Slurm.

    Raises:
        InputRefused: The plugin or a command is not there, or Slurm does not answer.
    """
    if executor not in EXECUTORS:
        return
    if find_spec(PLUGIN) is None:
        raise _refusal("the package snakemake-executor-plugin-slurm", "none", INSTALL)
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    if missing:
        action = "run this on a machine that submits jobs, or without this profile"
        raise _refusal("Slurm's commands on PATH", f"no {', no '.join(missing)}", action)
    try:
        run(["sinfo", "--noheader", "--format", "%P"])
    except NoAnswerError as error:
        raise _refusal("an answer of Slurm", str(error), "see `scontrol ping`; run the same command again") from None


def _refusal(expected: str, found: str, action: str) -> InputRefused:
    return InputRefused(Problem(file="--profile", expected=expected, found=found, action=action))


class WorkerWait:
    """The watch over a wait for workers that are jobs of Slurm: it is reported with Slurm's reason, and has an end."""

    def __init__(
        self,
        count: Callable[[], int],
        jobs: Callable[[], Sequence[str]],
        *,
        say: float = 600.0,
        repeat: float = 3600.0,
        limit: float = 7 * 86400.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch the number of workers and the IDs of their jobs; report after ``say`` seconds, end after ``limit``."""
        self._count, self._jobs, self._clock = count, jobs, clock
        self._say, self._repeat, self._limit = say, repeat, limit
        self._since: float | None = None
        self._due = say

    def check(self) -> None:
        """Report the wait on stderr when it is long.

        Raises:
            WorkerDied: It is too long.
        """
        now = self._clock()
        if self._count():
            self._since = None
            return
        if self._since is None:
            self._since, self._due = now, self._say
        waits = now - self._since
        if waits < self._due:
            return
        self._due += self._repeat
        line = f"no worker has started for {waits / 60:.0f} minutes; Slurm's reason: {self._reasons()}"
        if waits >= self._limit:
            raise WorkerDied(line)
        print(line, file=sys.stderr, flush=True)

    def _reasons(self) -> str:
        jobs = self._jobs()
        if not jobs:
            return "it took no job"
        try:
            states = run(["squeue", "--noheader", "--jobs", ",".join(jobs), "--format", "%T %r"]).splitlines()
        except NoAnswerError as error:
            return str(error)
        return ", ".join(f"{count} {state}" for state, count in Counter(states).items()) or "its jobs ended at once"
