"""A logger plugin of Snakemake that writes the events of a run as lines of JSON, for ``baekman deliver``.

``snakemake --logger baekman --logger-baekman-events 5`` writes to the file descriptor 5; Snakemake's own
messages stay as they are. Each line is an object with the key ``event``:

=============  =====================  =================================================================
``event``      other keys             meaning
=============  =====================  =================================================================
``planned``    ``jobs``               number of jobs by rule, of a dry run or before the first job
``started``    ``job``, ``rule``,     a job starts; ``job`` is its number in this run. A dry run names its
               ``wildcards``          jobs in the same way
``finished``   ``job``                a job succeeded
``failed``     ``job, rule, log``     a job failed; it may be tried again. ``log`` is "" without a log
``progress``   ``done``, ``total``    number of jobs that succeeded, and of all jobs known so far
``error``      ``exception``          Snakemake ends with an exception of this class, e.g. LockException
``notice``     ``subject, message``   a message that a rule file marks with ``notice=SUBJECT``
=============  =====================  =================================================================

No event holds a command, an input or the message of an exception: these may name an institution.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from io import FileIO
from logging import LogRecord
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

__all__ = ["LogHandler", "LogHandlerSettings", "event_of"]


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """The options ``--logger-baekman-…``."""

    events: int | None = field(
        default=None,
        metadata={"help": "File descriptor to write events to.", "required": True, "type": int},
    )


class LogHandler(LogHandlerBase):
    """The handler that Snakemake gives each record, in a thread of its own."""

    def __post_init__(self) -> None:
        """Open the file descriptor; jobs do not inherit it."""
        assert isinstance(self.settings, LogHandlerSettings) and self.settings.events is not None
        os.set_inheritable(self.settings.events, False)
        self._pipe: FileIO | None = FileIO(self.settings.events, "w")

    def emit(self, record: LogRecord) -> None:
        """Write the event of ``record``, if it has one; nothing after the reader is gone."""
        event = event_of(record)
        if event is None or self._pipe is None:
            return
        try:
            # one call: a pipe takes up to PIPE_BUF bytes (4096 on Linux) as a whole
            self._pipe.write(json.dumps(event).encode() + b"\n")
        except BrokenPipeError:  # the reader was stopped, and Snakemake is about to stop
            self._pipe = None

    def close(self) -> None:
        """Close the file descriptor: the reader sees the end of the events."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Return False: Snakemake's own handler goes on writing messages."""
        return False

    @property
    def writes_to_file(self) -> bool:
        """Return False: there is no log file to name at the end of a run."""
        return False

    @property
    def has_filter(self) -> bool:
        """Return True: ``--quiet`` does not stop events."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Return True: no record is formatted."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """Return False."""
        return False


def event_of(record: LogRecord) -> dict[str, Any] | None:
    """Return the event of ``record`` as in the table above; None where it has none that is written."""
    values = vars(record)
    match values.get("event"):
        case LogEvent.RUN_INFO if "stats" in values:
            jobs = {rule: number for rule, number in values["stats"].items() if rule != "total"}
            return {"event": "planned", "jobs": jobs}
        case LogEvent.JOB_INFO:
            wildcards = dict(values["wildcards"] or {})
            return {"event": "started", "job": values["jobid"], "rule": values["rule_name"], "wildcards": wildcards}
        case LogEvent.JOB_FINISHED:
            return {"event": "finished", "job": values["job_id"]}
        case LogEvent.JOB_ERROR:
            log = next(iter(values["log"]), "")
            return {"event": "failed", "job": values["jobid"], "rule": values["rule_name"], "log": log}
        case LogEvent.PROGRESS:
            return {"event": "progress", "done": values["done"], "total": values["total"]}
        case LogEvent.ERROR:
            return {"event": "error", "exception": values["exception"]}
    if "notice" in values:
        return {"event": "notice", "subject": values["notice"], "message": record.getMessage()}
    return None
