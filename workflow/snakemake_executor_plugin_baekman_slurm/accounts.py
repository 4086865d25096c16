"""Slurm's accounts, which know the ends of jobs that ``squeue`` has forgotten; each question to them has an end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from baekman.engine.slurm import NoAnswerError, run

from snakemake_executor_plugin_baekman_slurm.watching import ENDED, SlurmState, states_of

ANSWER_SECONDS = 10.0  # sacct itself waits without end for accounts that hang
PAUSE_SECONDS = 15.0  # after a question without an answer; less than between two questions to squeue in peace
MOST_JOBS = 5000  # in a question; the others are in the next one
FINAL = {"COMPLETED", *ENDED}


@dataclass
class Accounts:
    """The accounts of a Slurm, if it keeps any. ``warn`` gets a line when they go away, and when they are back."""

    clock: Callable[[], float]
    warn: Callable[[str], None]
    _are_kept: bool | None = None
    _silent_since: float | None = None

    def ends(self, jobs: Iterable[str], *, name: str, clusters: Iterable[str] = ()) -> dict[str, SlurmState]:
        """Return the ends of those of ``jobs``, by Slurm's job ID, that the accounts know.

        Only ends are believed: the accounts show a job as running until they learn of its end, which may be never.
        ``name`` is that of the jobs, since Slurm may use a number again. ``clusters`` are those that run the jobs.
        """
        now = self.clock()
        is_paused = self._silent_since is not None and now - self._silent_since < PAUSE_SECONDS
        if is_paused or not self._is_kept():
            return {}
        command = ["sacct", "--allocations", "--parsable2", "--noheader", "--format=JobID,State", f"--name={name}"]
        command += [f"--jobs={','.join(sorted(jobs)[:MOST_JOBS])}"]
        command += [f"--clusters={','.join(clusters)}"] if clusters else []
        try:
            states = states_of(run(command, seconds=ANSWER_SECONDS))
        except NoAnswerError as error:
            if self._silent_since is None:
                self.warn(f"Slurm's accounts give no answer ({error}); a job that ends badly may be reported as lost")
            self._silent_since = now
            return {}
        if self._silent_since is not None:
            self._silent_since = None
            self.warn("Slurm's accounts answer again")
        return {job: state for job, state in states.items() if state.state in FINAL}

    def _is_kept(self) -> bool:
        """Return whether Slurm keeps accounts that ``sacct`` reads."""
        if self._are_kept is None:
            try:
                kind = re.search(r"^AccountingStorageType\s*=\s*(\S+)", run(["scontrol", "show", "config"]), re.M)
            except NoAnswerError:
                return False
            self._are_kept = kind is not None and kind[1] not in ("(null)", "accounting_storage/none")
        return self._are_kept
