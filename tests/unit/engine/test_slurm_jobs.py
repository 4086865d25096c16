"""Jobs of Slurm: every end is seen, and every wait has words and an end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from baekman.engine import dask_cluster, slurm
from baekman.errors import InputRefused, WorkerDied
from snakemake_executor_plugin_baekman_slurm import Executor, accounts
from snakemake_executor_plugin_baekman_slurm.accounts import Accounts
from snakemake_executor_plugin_baekman_slurm.watching import (
    DONE,
    ENDED,
    FAILED,
    HOPELESS,
    REPEATABLE,
    JobWatch,
    Limits,
    Mark,
    SlurmState,
    states_of,
)
from support import PROJECT

LIMITS = Limits()
HOUR, DAY = 3600.0, 86400.0


@dataclass
class Cluster:
    """A Slurm that is asked every 20 seconds, and the watch over its job 7."""

    now: float = 1e6
    news: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = JobWatch(LIMITS, clock=lambda: self.now)

    def pass_time(
        self, seconds: float, state: str | None = "", reason: str = "None", mark: Mark | None = None, step: float = 20.0
    ) -> tuple[str, str, float]:
        """Let ``seconds`` pass with one answer of Slurm: a state, "" for no record, None for no answer.

        Return the outcome and words of the last judgement, and the seconds that passed until then.
        """
        begin = self.now
        while True:
            if state is None:
                self.watch.note_silence("squeue: error: Unable to contact slurm controller", asked=self.now)
            else:
                jobs = {"7": SlurmState(state=state, reason=reason)} if state else {}
                self.watch.note_answer(jobs, asked=self.now)
            judgement = self.watch.judge("7", mark=mark)
            self.news += self.watch.news()
            if judgement.outcome != "active" or self.now - begin >= seconds:
                return judgement.outcome, judgement.words, self.now - begin
            self.now += step


def test_a_mark_of_success_needs_no_slurm() -> None:
    assert JobWatch().judge("7", mark=DONE).outcome == "done"
    for state in (None, "", "RUNNING", "COMPLETING", "FAILED"):
        assert Cluster().pass_time(DAY, state, mark=DONE)[::2] == ("done", 0)


@pytest.mark.parametrize("state", [None, "", "COMPLETING", "RUNNING", "FAILED"])
def test_a_mark_of_failure_is_believed_within_a_minute(state: str | None) -> None:
    outcome, words, seconds = Cluster().pass_time(DAY, state, mark=FAILED)
    assert outcome == "failed" and "its command failed" in words and seconds <= 60


def test_a_job_that_was_put_back_after_its_mark_is_waited_for() -> None:
    assert Cluster().pass_time(HOUR, "PENDING", "BeginTime", mark=FAILED)[0] == "active"


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_job_that_slurm_ended_fails_within_a_minute_with_its_state(state: str) -> None:
    cluster = Cluster()
    assert cluster.pass_time(HOUR, "RUNNING")[0] == "active"
    outcome, words, seconds = cluster.pass_time(DAY, state)
    assert outcome == "failed" and f"{state}: {ENDED[state]}" in words and seconds <= 60


@pytest.mark.parametrize("state", sorted(REPEATABLE))
def test_a_job_that_slurm_runs_again_is_waited_for(state: str) -> None:
    cluster = Cluster()
    for answer in (state, "PENDING", "RUNNING", state, "PENDING", "RUNNING"):
        assert cluster.pass_time(20, answer, step=10)[0] == "active"
    assert cluster.pass_time(20, "COMPLETED")[0] == "done"


def test_a_job_without_record_or_mark_is_lost_within_a_minute() -> None:
    cluster = Cluster()
    assert cluster.pass_time(HOUR, "RUNNING")[0] == "active"
    outcome, words, seconds = cluster.pass_time(DAY, "")
    assert outcome == "failed" and "no record" in words and seconds <= 60


def test_a_job_that_was_submitted_after_the_question_is_not_lost() -> None:
    watch = JobWatch(LIMITS, clock=lambda: 100.0)
    watch.note_answer({}, asked=99.0)
    assert watch.judge("7", mark=None).outcome == "active" and watch.jobs["7"].odd_since is None


def test_a_silent_slurm_is_reported_each_hour_and_given_up() -> None:
    cluster = Cluster()
    outcome, words, seconds = cluster.pass_time(DAY, None)
    assert outcome == "failed" and seconds == LIMITS.answer
    assert "has not answered since" in words and "Unable to contact slurm controller" in words
    assert len(cluster.news) == 2 and all("its jobs go on" in line for line in cluster.news)


def test_a_silence_that_ends_harms_nothing() -> None:
    cluster = Cluster()
    assert cluster.pass_time(HOUR, "RUNNING")[0] == "active"
    assert cluster.pass_time(HOUR, None)[0] == "active"
    assert cluster.pass_time(HOUR, "RUNNING")[0] == "active"
    assert cluster.news[-1] == "Slurm answers again" and len(cluster.news) == 2
    assert cluster.pass_time(20, "COMPLETED")[0] == "done"


def test_a_long_wait_is_reported_with_its_reason_each_hour_and_has_an_end() -> None:
    cluster = Cluster()
    assert cluster.pass_time(LIMITS.say - 20, "PENDING", "Resources")[0] == "active"
    assert cluster.news == []
    assert cluster.pass_time(HOUR, "PENDING", "Resources")[0] == "active"
    assert len(cluster.news) == 1 and "1 job waits in Slurm since" in cluster.news[0]
    assert cluster.news[0].endswith(": 1 for Resources")
    assert cluster.pass_time(40, "PENDING", "Priority")[0] == "active"
    assert cluster.news[1].endswith(": 1 for Priority")
    outcome, words, _ = cluster.pass_time(8 * DAY, "PENDING", "Priority")
    assert (outcome, words) == ("failed", "it waited in Slurm for 7 days and was cancelled; Slurm's reason is Priority")


def test_the_end_of_a_long_wait_is_reported() -> None:
    cluster = Cluster()
    cluster.pass_time(HOUR, "SUSPENDED", "None")
    assert cluster.news[0].endswith(": 1 for SUSPENDED")
    cluster.pass_time(20, "RUNNING")
    assert cluster.news[-1] == "no job waits in Slurm for long any more"


def test_a_job_whose_processes_never_end_is_reported_and_has_an_end() -> None:
    cluster = Cluster()
    assert cluster.pass_time(HOUR, "COMPLETING")[0] == "active"
    assert cluster.news[0].endswith(": 1 for COMPLETING")
    outcome, words, _ = cluster.pass_time(8 * DAY, "COMPLETING", step=HOUR)
    assert (outcome, words) == (
        "failed",
        "it waited in Slurm for 7 days and was cancelled; Slurm's reason is COMPLETING",
    )


@pytest.mark.parametrize("reason", HOPELESS)
def test_a_job_that_can_never_start_is_given_up_after_minutes(reason: str) -> None:
    outcome, words, seconds = Cluster().pass_time(8 * DAY, "PENDING", reason)
    assert outcome == "failed" and seconds == LIMITS.say and f"Slurm's reason is {reason}" in words


def test_answers_of_squeue_and_sacct_are_read() -> None:
    assert states_of("CLUSTER: one\n7|PENDING|Resources\n8_2|COMPLETED|None\n9|CANCELLED by 1000\n\n") == {
        "7": SlurmState(state="PENDING", reason="Resources"),
        "8_2": SlurmState(state="COMPLETED", reason="None"),
        "9": SlurmState(state="CANCELLED"),
    }


def commands(folder: Path, **bodies: str) -> Path:
    """Write a program of the shell for each of ``bodies``."""
    folder.mkdir()
    for name, body in bodies.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


def executor_with(jobs: str, *, now: Callable[[], float], lines: list[str]) -> Executor:
    """Return an executor that looks at ``jobs``; ``lines`` gets its warnings."""
    executor = Executor.__new__(Executor)
    executor._watch, executor.run_uuid, executor._submitted_job_clusters = JobWatch(clock=now), "run", set()
    executor._accounts = Accounts(clock=now, warn=lines.append)
    for job in jobs:
        executor._watch.judge(job, mark=None)
    return executor


@pytest.mark.parametrize("kind, expected", [("slurmdbd", {"7": "TIMEOUT", "8": "RUNNING"}), ("none", {"8": "RUNNING"})])
def test_a_job_that_left_squeue_is_looked_for_in_the_accounts_and_only_ends_are_believed(
    kind: str, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Job 6 is one of the accounts alone: they do not know its end."""
    folder = commands(
        tmp_path / "bin",
        squeue="echo '8|RUNNING|None'",
        sacct="echo $@ > asked; echo '7|TIMEOUT'; echo '6|RUNNING'",
        scontrol=f"echo 'AccountingStorageType   = accounting_storage/{kind}'",
    )
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    monkeypatch.chdir(tmp_path)
    executor = executor_with("678", now=lambda: 100.0, lines=[])
    assert executor._ask() and executor._watch is not None
    assert {job: state.state for job, state in executor._watch.answer.items()} == expected
    assert kind == "none" or "--name=run --jobs=6,7" in (tmp_path / "asked").read_text()


def test_accounts_that_give_no_answer_are_asked_again_after_a_pause_and_delay_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = commands(
        tmp_path / "bin",
        squeue="true",
        sacct="echo x >> asked; test -e back && echo '7|TIMEOUT' || exec sleep 60",
        scontrol="echo 'AccountingStorageType = accounting_storage/slurmdbd'",
    )
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(accounts, "ANSWER_SECONDS", 0.2)
    now, lines = 100.0, []
    executor = executor_with("7", now=lambda: now, lines=lines)
    watch = executor._watch
    assert watch is not None and executor._ask()
    now += 10.0  # of the question
    assert watch.judge("7", mark=None).outcome == "active"
    assert executor._ask() and (tmp_path / "asked").read_text() == "x\n"
    now += 10.0
    assert executor._ask() and watch.judge("7", mark=None).outcome == "active"
    now += 10.0
    assert watch.judge("7", mark=None).words.startswith("Slurm has no record of it")
    assert (tmp_path / "asked").read_text() == "x\nx\n"
    (tmp_path / "back").touch()
    assert watch.judge("7", mark=None).outcome == "active"
    now += 10.0
    assert executor._ask() and watch.judge("7", mark=None).words.startswith("Slurm's state is TIMEOUT")
    silence = "Slurm's accounts give no answer (sacct: no answer in 0.2 seconds)"
    assert lines == [f"{silence}; a job that ends badly may be reported as lost", "Slurm's accounts answer again"]


def test_the_profiles_of_the_project_name_their_executor(tmp_path: Path) -> None:
    names = {name: slurm.executor_of(PROJECT / "profiles" / name) for name in ("ci", "default", "slurm")}
    assert names == {"ci": "", "default": "", "slurm": "baekman-slurm"}
    (tmp_path / "config.yaml").write_text("executor: slurm\n")
    assert slurm.executor_of(tmp_path) == "slurm" == slurm.executor_of(tmp_path / "config.yaml")
    (tmp_path / "config.v9+.yaml").write_text("executor: cluster-generic\n")
    assert slurm.executor_of(tmp_path) == "cluster-generic"
    assert slurm.executor_of(tmp_path / "absent") == ""


def refusal_of(executor: str) -> str:
    with pytest.raises(InputRefused) as refused:
        slurm.require(executor)
    return str(refused.value)


def test_the_executor_can_be_imported_without_the_plugin() -> None:
    """Snakemake imports every executor, also where no Slurm is wanted."""
    program = (
        "import sys; sys.modules['snakemake_executor_plugin_slurm'] = None\n"
        "import snakemake_executor_plugin_baekman_slurm as plugin\n"
        "try:\n    plugin.Executor(None, None)\nexcept plugin.WorkflowError as error:\n    print(*error.args)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == slurm.MISSING_PLUGIN


@pytest.mark.parametrize("executor", slurm.EXECUTORS)
def test_a_profile_for_slurm_is_refused_where_no_job_can_be_submitted(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "find_spec", lambda name: None)
    assert refusal_of(executor) == (
        "--profile: expected the package snakemake-executor-plugin-slurm, found none; pip install 'baekman[slurm]'"
    )
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(commands(tmp_path / "bin", sbatch="", scancel="", sinfo="exec sleep 60")))
    assert "expected Slurm's commands on PATH, found no squeue; run this on" in refusal_of(executor)
    commands(tmp_path / "more", squeue="")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{tmp_path}/more:/bin:/usr/bin")
    monkeypatch.setattr(slurm, "ANSWER_SECONDS", 0.2)
    assert "an answer of Slurm, found sinfo: no answer in 0.2 seconds; see `scontrol ping`" in refusal_of(executor)
    (tmp_path / "bin" / "sinfo").write_text("#!/bin/sh\necho 'sinfo: error: no controller' >&2\nexit 1\n")
    assert "found sinfo: error: no controller; see" in refusal_of(executor)
    slurm.require("local")
    slurm.require("")


def test_a_wait_for_workers_is_reported_with_its_reason_and_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = commands(tmp_path / "bin", squeue="echo 'PENDING Resources'; echo 'PENDING Resources'")
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    now, workers = 0.0, 0
    wait = slurm.WorkerWait(lambda: workers, lambda: ["7", "8"], clock=lambda: now)
    while now < 2 * HOUR:
        wait.check()
        now += 60.0
    line = "no worker has started for {} minutes; Slurm's reason: 2 PENDING Resources\n"
    assert capsys.readouterr().err == line.format(10) + line.format(70)
    workers = 1
    wait.check()
    workers, now = 0, now + 60.0
    wait.check()
    now += 8 * DAY
    with pytest.raises(WorkerDied, match="no worker has started for"):
        wait.check()


def test_the_walltime_of_workers_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    default = dask_cluster.DASK_WALLTIME
    assert dask_cluster._walltime(default) == "08:00:00"
    assert dask_cluster._walltime("02:00:00") == "02:00:00"
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__WALLTIME", default)
    assert dask_cluster._walltime(default) == default
