"""The executor of profiles/slurm: ``snakemake-executor-plugin-slurm`` with ends that are seen and waits that end.

The plugin asks ``sacct`` or ``squeue``, and forgets all of its jobs when the command fails five times in a row, as
``sacct`` does on a Slurm without accounting. A job that Slurm has forgotten is waited for without end. No option
changes that. This executor submits jobs as the plugin does, and judges them by itself (``watching``):

- A job leaves a mark in Snakemake's folder when its command ends. It is seen in seconds, without a record in Slurm.
- ``squeue`` knows a job for ``MinJobAge`` seconds after its end; ``sacct`` knows older ends where Slurm keeps accounts
  (``accounts``).
- Each wait has a limit, and each long one is reported with Slurm's reason.

A job is one batch script: it needs no step of ``srun``, and one start of Snakemake less.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shlex
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baekman.engine.slurm import MISSING_PLUGIN, NoAnswerError, run
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from snakemake_executor_plugin_baekman_slurm.accounts import Accounts
from snakemake_executor_plugin_baekman_slurm.watching import DONE, FAILED, JobWatch, Limits, Mark, states_of

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

LOOK_SECONDS = 2  # between looks at the marks
ASK_SECONDS = 20.0  # between questions to Slurm
SUBMIT_SECONDS = 600.0  # for sbatch, which waits by itself while Slurm has no room
NOTICE = "Slurm"  # subject of the notices for `baekman deliver`

try:
    from snakemake_executor_plugin_slurm import Executor as _SlurmExecutor
    from snakemake_executor_plugin_slurm import ExecutorSettings as _SlurmSettings
    from snakemake_executor_plugin_slurm import common_settings
except ImportError:  # Snakemake imports every executor, also where no Slurm is wanted
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor as _SlurmExecutor
    from snakemake_interface_executor_plugins.settings import CommonSettings
    from snakemake_interface_executor_plugins.settings import ExecutorSettingsBase as _SlurmSettings

    common_settings = CommonSettings(non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False)
    IS_COMPLETE = False
else:
    IS_COMPLETE = True


@dataclass
class ExecutorSettings(_SlurmSettings):  # type: ignore[misc]
    """The options of the plugin, named ``--baekman-slurm-…``, and the limits of waits."""

    say_minutes: int = field(
        default=10,
        metadata={
            "help": "Minutes that a job waits in Slurm before its reason is reported.",
            "env_var": False,
            "type": int,
        },
    )
    pending_hours: int = field(
        default=168,
        metadata={
            "help": "Hours that a job may wait in Slurm before it is cancelled and fails.",
            "env_var": False,
            "type": int,
        },
    )
    answer_minutes: int = field(
        default=120,
        metadata={
            "help": "Minutes without an answer of Slurm after which its jobs count as lost.",
            "env_var": False,
            "type": int,
        },
    )


class Executor(_SlurmExecutor):  # type: ignore[misc]
    """The executor: the plugin's submission, and judgements of its own."""

    _watch: JobWatch | None = None  # the thread that looks starts before __post_init__
    _is_stopping = False
    _submitting = 0
    _asked = float("-inf")
    _accounts: Accounts

    def __init__(self, workflow: Any, logger: Any) -> None:
        if not IS_COMPLETE:
            raise WorkflowError(MISSING_PLUGIN)
        super().__init__(workflow, logger)

    def __post_init__(self, test_mode: bool = False) -> None:
        """Prepare the run; cancel jobs that a killed run of this workspace left in Slurm."""
        # Slurm shows the folder of a job to everybody, and that of the command may be the delivery's.
        self.workflow._workdir_init = str(Path.cwd())
        self.snakefile = str(Path(self.workflow.main_snakefile).resolve())
        super().__post_init__(test_mode)
        self._marks = Path(self.tmpdir)
        self._record = _RunRecord(Path(".snakemake/slurm_runs"), self.run_uuid)
        for name in self._record.left_by_killed_runs():
            self._cancel_run(name)
        settings = self.workflow.executor_settings
        self._watch = JobWatch(
            Limits(
                say=60.0 * settings.say_minutes,
                pending=3600.0 * settings.pending_hours,
                answer=60.0 * settings.answer_minutes,
            )
        )
        self._accounts = Accounts(clock=self._watch.clock, warn=self._warn)

    def additional_general_args(self) -> str:
        """Return no argument: the job's Snakemake runs the rule by itself, not by ``srun``."""
        return ""

    def format_job_exec(self, job: Any) -> str:
        """Return the command of ``job``, which leaves a mark at its end."""
        mark = shlex.quote(str(self._mark_of(job)))
        return f"( {super().format_job_exec(job)} ) && touch {mark}.{DONE} || {{ touch {mark}.{FAILED}; exit 1; }}"

    def get_account_arg(self, job: Any) -> Any:
        """Yield the account of ``job``, if it has one; Slurm checks it, and knows the default one."""
        account = job.resources.get("slurm_account")
        yield f" -A {shlex.quote(str(account))}" if account else ""

    def get_partition_arg(self, job: Any) -> str:
        """Return the partition of ``job``, if it has one; Slurm knows the default one."""
        if job.resources.get("slurm_partition") or self._partitions:
            argument: str = super().get_partition_arg(job)
            return argument
        return ""

    def run_job(self, job: Any) -> None:
        """Submit ``job`` when Slurm answers; nothing once the run is stopping. It runs in a thread of the plugin."""
        self._submitting += 1
        try:
            if self._await_answer():
                timer = threading.Timer(SUBMIT_SECONDS, _end_sbatch)
                timer.daemon = True
                timer.start()
                super().run_job(job)
                timer.cancel()
        finally:
            self._submitting -= 1

    def _await_answer(self) -> bool:
        """Wait until Slurm answers, within the limit; return False when the run is stopping."""
        watch = self._watch
        assert watch is not None
        begin = watch.clock()
        while not self._is_stopping:
            recent = watch.answered is not None and watch.clock() - watch.answered < 3 * ASK_SECONDS
            if (recent and watch.silent_since is None) or self._ask():
                return True
            if watch.clock() - begin > watch.limits.answer:
                return True  # sbatch fails, and its message says why
            for _ in range(int(ASK_SECONDS)):
                time.sleep(0 if self._is_stopping else 1)
        return False

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncIterator[SubmittedJobInfo]:
        """Report the jobs that ended, and yield the others."""
        self.next_seconds_between_status_checks = LOOK_SECONDS
        watch = self._watch
        if watch is None or not (active_jobs or self._submitting):
            return
        marks = self._read_marks()
        has_failed = any(marks.get(self._mark_of(info.job).name) == FAILED for info in active_jobs)
        if has_failed or watch.clock() - self._asked >= ASK_SECONDS:
            await asyncio.to_thread(self._ask)
        for info in active_jobs:
            judgement = watch.judge(str(info.external_jobid), mark=marks.get(self._mark_of(info.job).name))
            if judgement.outcome == "active":
                yield info
            elif judgement.outcome == "done":
                self._remove_log(info)
                self.report_job_success(info)
            else:
                if judgement.is_queued:
                    self._run_scancel(str(info.external_jobid))
                self._report_failure(info, judgement.words)
        for line in watch.news():
            self._warn(line)

    def _warn(self, line: str) -> None:
        self.logger.warning(line, extra={"notice": NOTICE})

    def _report_failure(self, info: SubmittedJobInfo, words: str) -> None:
        """Report that the job failed, to Snakemake and at the end of the log of the rule."""
        line = f"job {info.external_jobid} of Slurm failed: {words}"
        if not words.endswith("its command failed"):  # the log of the rule says why
            for log in getattr(info.job, "log", ()):
                with contextlib.suppress(OSError):
                    path = Path(str(log))
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("a", encoding="utf-8") as text:
                        text.write(line + "\n")
        log = (info.aux or {}).get("slurm_logfile")
        self.report_job_error(info, msg=f"{line}. ", aux_logs=[str(log)] if log else [])

    def _remove_log(self, info: SubmittedJobInfo) -> None:
        log = (info.aux or {}).get("slurm_logfile")
        if log is not None and not self.workflow.executor_settings.keep_successful_logs:
            with contextlib.suppress(OSError):
                Path(log).unlink(missing_ok=True)

    def _mark_of(self, job: Any) -> Path:
        """Return the path of the mark of ``job`` without its ending; each try has one of its own."""
        return self._marks / f"{job.jobid}.{job.attempt}"

    def _read_marks(self) -> dict[str, Mark]:
        """Return the marks by the name of their path without its ending."""
        marks: dict[str, Mark] = {}
        with contextlib.suppress(OSError):
            for entry in os.scandir(self._marks):
                name, _, ending = entry.name.rpartition(".")
                if ending == DONE:
                    marks[name] = DONE
                elif ending == FAILED:
                    marks.setdefault(name, FAILED)
        return marks

    def _ask(self) -> bool:
        """Ask Slurm for the states of the jobs; return whether it answered."""
        watch = self._watch
        assert watch is not None
        self._asked = asked = watch.clock()
        clusters = ["--clusters", ",".join(self._submitted_job_clusters)] if self._submitted_job_clusters else []
        command = ["squeue", "--noheader", "--states=all", "--array", "--user", str(os.getuid()), *clusters]
        try:
            states = states_of(run([*command, "--name", self.run_uuid, "--format", "%i|%T|%r"]))
        except NoAnswerError as error:
            watch.note_silence(str(error), asked=asked)
            return False
        if forgotten := watch.jobs.keys() - states.keys():
            ends = self._accounts.ends(forgotten, name=self.run_uuid, clusters=sorted(self._submitted_job_clusters))
            states = {**ends, **states}
        watch.note_answer(states, asked=asked)
        return True

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel all jobs of the run; those that wait for their submission are not submitted."""
        self._is_stopping = True
        self._cancel_run(self.run_uuid)

    def shutdown(self) -> None:
        """End the run; a job that was submitted while the others were cancelled is cancelled too."""
        was_stopping, self._is_stopping = self._is_stopping, True
        super().shutdown()
        if was_stopping:
            self._cancel_run(self.run_uuid)
        self._record.remove()

    def _cancel_run(self, run: str) -> None:
        self._run_scancel("--name", run, "--user", str(os.getuid()))

    def _run_scancel(self, *words: str) -> None:
        clusters = ["--clusters", ",".join(self._submitted_job_clusters)] if self._submitted_job_clusters else []
        try:
            run(["scancel", *clusters, *words])
        except NoAnswerError as error:
            self._warn(f"jobs could not be cancelled ({error}); later: {shlex.join(['scancel', *words])}")


class _RunRecord:
    """The file of a run whose jobs may be in Slurm: locked while the run lives, left behind when it is killed."""

    def __init__(self, folder: Path, run: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = folder / run
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o640)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def left_by_killed_runs(self) -> list[str]:
        """Return the names of runs that were killed; their files are deleted."""
        names = []
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if path != self._path:
                    with path.open("r+b") as record:
                        fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        path.unlink()
                    names.append(path.name)
        return names

    def remove(self) -> None:
        """Delete the file at the end of the run."""
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def _end_sbatch() -> None:
    """End an sbatch of this process that gives no answer: its job fails, and is tried again."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.name() == "sbatch" and time.time() - child.create_time() >= SUBMIT_SECONDS - 10:
                child.terminate()
