"""The state of a run of the workflow on one delivery, in ``deliveries/<D…>/progress.json``.

``baekman deliver`` writes it from the events of Snakemake's logger plugin, and holds a lock that ends with its
process. ``baekman status`` reads both. The file has numbers by rule and no ID of a participant.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self

from baekman.files.atomic import write_text
from baekman.files.locks import is_held, open_for_lock, try_lock
from baekman.workspace.paths import DeliveryFolder

SCHEMA_VERSION = "1"
WRITE_SECONDS = 1.0  # at most one write in this time
HEARTBEAT_SECONDS = 60.0  # at least one write in this time
SILENT = timedelta(seconds=5 * HEARTBEAT_SECONDS)  # a run on another machine that is silent for so long has ended
_LOCK_TRIES = 50  # `status` holds the lock for a moment

Ending = Literal["done", "failed", "stopped"]


@dataclass(frozen=True, kw_only=True)
class RunCounts:
    """The jobs of a run, by the events of Snakemake.

    Attributes:
        rule: Rule of the job that started last; "" before the first.
        done: Number of jobs that succeeded.
        total: Number of all jobs known so far; the verdicts of the QC gate add jobs.
        planned: Number of jobs by rule, as planned at the beginning.
        finished: Number of jobs that succeeded, by rule.
        running: Number of jobs that were started, or submitted to a cluster, by rule.
        failed: Number of jobs that failed and did not succeed since, by rule.
        cluster: The newest message on the jobs in Slurm; "" without one.
    """

    rule: str = ""
    done: int = 0
    total: int = 0
    planned: Mapping[str, int] = field(default_factory=dict)
    finished: Mapping[str, int] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    cluster: str = ""


@dataclass(frozen=True, kw_only=True)
class RunState:
    """The content of the state file; times are ISO 8601 in UTC.

    Attributes:
        state: ``running``, or how the run ended.
        started: Time at which the run began.
        first_job: Time of the first event of a job; "" before.
        updated: Time of writing.
        host: Name of the machine.
        process: Number of the process there.
        counts: The jobs.
    """

    state: Literal["running"] | Ending
    started: str
    first_job: str
    updated: str
    host: str
    process: int
    counts: RunCounts

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the file."""
        return {"schema": SCHEMA_VERSION, **asdict(self)}


def read_run_state(folder: DeliveryFolder) -> RunState | None:
    """Return the state of the newest run on the delivery in ``folder``; None without a file that can be read."""
    try:
        content = json.loads(folder.run_state.read_text("utf-8"))
        counts = RunCounts(**content.pop("counts"))
        return RunState(counts=counts, **{key: content[key] for key in content if key != "schema"})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def is_alive(folder: DeliveryFolder, state: RunState | None) -> bool:
    """Return whether a run of ``baekman deliver`` works on the delivery in ``folder`` now.

    The lock decides. Where the file system has none, a process of this machine is looked for, and a run on another
    machine is alive while it writes its state.
    """
    held = is_held(folder.run_lock)
    if held is not None:
        return held
    if state is None or state.state != "running":
        return False
    if state.host == platform.node():
        return _has_process(state.process)
    return datetime.now(UTC) - datetime.fromisoformat(state.updated) < SILENT


class RunRecorder:
    """The writer of the state file of one run; a context manager.

    A thread writes what ``note`` got, at most once in ``WRITE_SECONDS``. A state that cannot be written stops no run.
    Nothing is written while another run on the same delivery holds the lock, nor for a run without jobs on a finished
    delivery.
    """

    def __init__(self, folder: DeliveryFolder) -> None:
        self._folder = folder
        now = _now()
        self._state = RunState(
            state="running",
            started=now,
            first_job="",
            updated=now,
            host=platform.node(),
            process=os.getpid(),
            counts=RunCounts(),
        )
        self._descriptor: int | None = None
        self._is_first = False
        self._has_news = False
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_news, name="run state", daemon=True)

    def __enter__(self) -> Self:
        """Take the lock, write the first state and start the thread."""
        self._is_first = self._take_lock()
        if self._is_first:
            if not self._folder.run_manifest.is_file():
                self._write()
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write the last state, ``failed`` or ``stopped`` if ``end`` was not called, and release the lock."""
        if self._state.state == "running":
            self.end("failed" if kind is not None and issubclass(kind, Exception) else "stopped")
        if self._is_first:
            self._ended.set()
            self._thread.join()
            if self._state.counts.total or not self._folder.run_state.is_file() or self._state.state != "done":
                self._write()
        if self._descriptor is not None:
            os.close(self._descriptor)

    def note(self, counts: RunCounts) -> None:
        """Note the jobs of the run."""
        with self._guard:
            is_begun = counts.rule and not self._state.first_job
            first_job = _now() if is_begun else self._state.first_job
            self._state = replace(self._state, counts=counts, first_job=first_job)
            self._has_news = self._has_news or counts.total > 0

    def end(self, state: Ending) -> None:
        """Note the end of the run."""
        with self._guard:
            self._state = replace(self._state, state=state, counts=replace(self._state.counts, running={}))

    def _take_lock(self) -> bool:
        """Return whether this run is the first on the delivery, whose state it writes."""
        try:
            self._descriptor = open_for_lock(self._folder.run_lock)
            for _ in range(_LOCK_TRIES):
                if try_lock(self._descriptor):
                    return True
                time.sleep(0.01)
        except OSError:  # a file system without locks, or without room
            return True
        return False

    def _write_news(self) -> None:
        written = time.monotonic()
        while not self._ended.wait(WRITE_SECONDS):
            is_due = time.monotonic() - written >= HEARTBEAT_SECONDS and self._folder.run_state.is_file()
            if self._has_news or is_due:
                self._write()
                written = time.monotonic()

    def _write(self) -> None:
        with self._guard:
            self._state = replace(self._state, updated=_now())
            state, self._has_news = self._state, False
        with contextlib.suppress(OSError):
            write_text(self._folder.run_state, json.dumps(state.to_json(), indent=1) + "\n", durable=False)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _has_process(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
