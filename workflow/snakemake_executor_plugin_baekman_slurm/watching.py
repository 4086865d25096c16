"""The judgement on submitted jobs: from the marks that they leave, the answers of Slurm, and the time that passes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Mark = Literal["done", "failed"]  # what the command of a job leaves at its end
DONE: Mark = "done"
FAILED: Mark = "failed"

# Slurm's states of jobs that ended without success, and the cause or remedy.
ENDED = {
    "BOOT_FAIL": "its node did not start",
    "CANCELLED": "somebody cancelled it, or Slurm did",
    "DEADLINE": "its deadline passed",
    "FAILED": "its command failed",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it needed more memory; raise mem_mb of the rule (set-resources in a profile)",
    "PREEMPTED": "a job of higher priority took its place",
    "REVOKED": "another cluster took it",
    "TIMEOUT": "it needed more time; raise runtime of the rule (set-resources in a profile)",
}
REPEATABLE = {"NODE_FAIL", "PREEMPTED"}  # Slurm may put these jobs back into its queue a moment later
WAITING = {
    *("CONFIGURING", "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT", "STOPPED"),
    "SUSPENDED",
}
LEAVING = "COMPLETING"  # its processes end; on a node that gives no answer that takes until somebody mends it
# Reasons for which a job waits until somebody changes the job or the cluster.
HOPELESS = (
    *("AccountNotAllowed", "BadConstraints", "DependencyNeverSatisfied", "InvalidAccount", "InvalidQOS"),
    *("JobLaunchFailure", "PartitionNodeLimit", "PartitionTimeLimit", "QOSNotAllowed", "requeued held"),
    *("launch failed", "requeued in held state"),
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The bounds of each wait, in seconds.

    ``say``: a job that waits so long is reported, and one that waits for a hopeless reason is given up.
    ``repeat``: between two reports of the same wait. ``pending``: a job that waits so long is given up.
    ``gone``: so long without a record in Slurm and without a mark, a job is lost. ``answer``: so long without an
    answer of Slurm, its jobs are given up. ``silence``: so long without an answer is reported.
    """

    say: float = 600.0
    repeat: float = 3600.0
    pending: float = 7 * 86400.0
    gone: float = 30.0
    answer: float = 7200.0
    silence: float = 60.0


@dataclass(frozen=True, kw_only=True)
class SlurmState:
    """A job in an answer of Slurm: its state, and the reason why it waits."""

    state: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The outcome of a job so far. ``words`` say why it failed; ``is_queued``: Slurm still has it, to be cancelled."""

    outcome: Literal["active", "done", "failed"]
    words: str = ""
    is_queued: bool = False


ACTIVE = Judgement(outcome="active")


@dataclass
class _Job:
    """The knowledge about one job: times of the first look at it, of its wait, and since when it is in some state."""

    first: float
    waits_since: float | None = None
    reason: str = ""
    odd_since: float | None = None  # without a record, or ended in a state that Slurm may take back


@dataclass
class JobWatch:
    """The jobs of one run. Every judgement ends in time, whatever Slurm answers."""

    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.monotonic
    jobs: dict[str, _Job] = field(default_factory=dict)
    answer: Mapping[str, SlurmState] = field(default_factory=dict)
    answered: float | None = None  # the time before the newest answer
    silent_since: float | None = None
    silence: str = ""
    _said: dict[str, float] = field(default_factory=dict)

    def note_answer(self, answer: Mapping[str, SlurmState], *, asked: float) -> None:
        """Note the ``answer`` of Slurm to a question of the time ``asked``."""
        self.answer, self.answered = answer, asked
        self.silent_since = None

    def note_silence(self, error: str, *, asked: float) -> None:
        """Note that Slurm gave an ``error`` or no answer to a question of the time ``asked``."""
        self.silence = error
        if self.silent_since is None:
            self.silent_since = asked

    def judge(self, slurm_id: str, *, mark: Mark | None) -> Judgement:
        """Return the judgement on the job ``slurm_id`` that left ``mark``; a job that ended is forgotten."""
        now = self.clock()
        job = self.jobs.setdefault(slurm_id, _Job(first=now))
        judgement = self._judge(job, slurm_id, mark, now)
        if judgement.outcome != "active":
            del self.jobs[slurm_id]
        return judgement

    def _judge(self, job: _Job, slurm_id: str, mark: Mark | None, now: float) -> Judgement:
        if mark == DONE:
            return Judgement(outcome="done")
        if self.silent_since is not None:
            return self._judge_in_silence(mark, now)
        if self.answered is None or self.answered < job.first:
            return ACTIVE
        known = self.answer.get(slurm_id)
        if known is None:
            return self._judge_gone(job, mark, now)
        if known.state == "COMPLETED":
            return Judgement(outcome="done")
        if known.state in WAITING or (known.state == LEAVING and mark is None):
            return self._judge_waiting(job, known, now)
        job.waits_since = None
        if known.state in ENDED:
            words = f"Slurm's state is {known.state}: {ENDED[known.state]}"
            is_final = known.state not in REPEATABLE or self._is_odd_for(job, now)
            return Judgement(outcome="failed", words=words) if is_final else ACTIVE
        if mark == FAILED:  # Slurm notes the end a moment later
            is_final = self._is_odd_for(job, now)
            return Judgement(outcome="failed", words="its command failed") if is_final else ACTIVE
        job.odd_since = None
        return ACTIVE

    def _judge_in_silence(self, mark: Mark | None, now: float) -> Judgement:
        if mark == FAILED:
            return Judgement(outcome="failed", words="its command failed")
        assert self.silent_since is not None
        if now - self.silent_since < self.limits.answer:
            return ACTIVE
        words = f"Slurm has not answered since {self._moment(self.silent_since)} ({self.silence}); see `scontrol ping`"
        return Judgement(outcome="failed", words=words, is_queued=True)

    def _judge_gone(self, job: _Job, mark: Mark | None, now: float) -> Judgement:
        if mark == FAILED:
            return Judgement(outcome="failed", words="its command failed")
        if not self._is_odd_for(job, now):
            return ACTIVE
        return Judgement(
            outcome="failed", words="Slurm has no record of it, and its command left no result: it is lost"
        )

    def _judge_waiting(self, job: _Job, known: SlurmState, now: float) -> Judgement:
        job.odd_since = None
        job.reason = known.reason if known.reason not in ("", "None") else known.state
        if job.waits_since is None:
            job.waits_since = now
        waits = now - job.waits_since
        is_hopeless = any(reason in known.reason for reason in HOPELESS)
        if waits < (self.limits.say if is_hopeless else self.limits.pending):
            return ACTIVE
        words = f"it waited in Slurm for {_duration(waits)} and was cancelled; Slurm's reason is {job.reason}"
        return Judgement(outcome="failed", words=words, is_queued=True)

    def _is_odd_for(self, job: _Job, now: float) -> bool:
        if job.odd_since is None:
            job.odd_since = now if self.answered is None else self.answered  # an answer may take its time
        return now - job.odd_since >= self.limits.gone

    def news(self) -> Iterator[str]:
        """Yield a line on each long wait that was not reported yet, or was reported long ago."""
        now = self.clock()
        if self.silent_since is not None and now - self.silent_since >= self.limits.silence:
            since = self._moment(self.silent_since)
            line = f"Slurm has not answered since {since} ({self.silence}); its jobs go on, and it is asked again"
            yield from self._once("silence", line, now)
        elif self.silent_since is None and "silence" in self._said:
            del self._said["silence"]
            yield "Slurm answers again"
        waits = [(job.waits_since, job.reason) for job in self.jobs.values() if job.waits_since is not None]
        long = [(since, reason) for since, reason in waits if now - since >= self.limits.say]
        if long:
            reasons = Counter(reason for _, reason in long)
            counts = ", ".join(f"{count} for {reason}" for reason, count in sorted(reasons.items()))
            jobs = "1 job waits" if len(long) == 1 else f"{len(long)} jobs wait"
            since = self._moment(min(since for since, _ in long))
            yield from self._once(f"waits {sorted(reasons)}", f"{jobs} in Slurm since {since}: {counts}", now)
        elif waited := [subject for subject in self._said if subject.startswith("waits")]:
            for subject in waited:
                del self._said[subject]
            yield "no job waits in Slurm for long any more"

    def _once(self, subject: str, line: str, now: float) -> Iterator[str]:
        before = self._said.get(subject)
        if before is None or now - before >= self.limits.repeat:
            self._said[subject] = now
            yield line

    def _moment(self, then: float) -> str:
        """Return the local time of ``then``, a time of the clock."""
        moment = datetime.now().astimezone().timestamp() - (self.clock() - then)
        return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M")


def states_of(lines: str) -> dict[str, SlurmState]:
    """Return the states in the output of ``squeue --format "%i|%T|%r"`` or ``sacct --parsable2``, by Slurm's job ID."""
    states = {}
    for line in lines.splitlines():
        number, _, rest = line.partition("|")
        state, _, reason = rest.partition("|")
        if state:
            states[number.strip()] = SlurmState(state=state.split()[0], reason=reason.strip())
    return states


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:g} {unit}"
    return f"{seconds:.0f} seconds"
