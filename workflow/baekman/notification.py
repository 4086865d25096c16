"""News of deliveries for the command of the setting ``notify``, as a JSON document on its standard input.

docs/operating.md, "Notifications", has the keys. No document has a name of a delivery, an institution or a person, nor
a path of a delivery.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from baekman.errors import InputRefused
from baekman.workspace.paths import Workspace
from baekman.workspace.waiting import Waiting

SCHEMA_VERSION = "1"
SECONDS = 60.0  # after which the command is killed
MOST = 1000  # entries of a list in a document
_WARNING = "note: the command of `notify` {}; the delivery is not affected"


class Notifier:
    """Starts the command ``notify`` of ``settings`` in ``workspace`` for each piece of news; without one it is mute.

    A command that fails, or takes longer than ``SECONDS``, gives a warning on stderr. It gets no key: the variables
    ``BAEKMAN_…`` are taken out of its environment.
    """

    def __init__(self, settings: Mapping[str, Any], *, workspace: Workspace) -> None:
        self._command: Sequence[str] = settings.get("notify") or ()
        self._workspace = workspace

    def ended(
        self, delivery_id: str, *, exit_code: int, verdicts: Mapping[str, int], failed: Mapping[str, int]
    ) -> None:
        """Report that the run on a delivery ended; ``verdicts`` and ``failed`` are numbers of specimens and jobs."""
        values = {"delivery": delivery_id, "exit_code": exit_code, "verdicts": dict(verdicts), "failed": dict(failed)}
        self._send("ended", values)

    def decision_needed(self, delivery_id: str, waiting: Sequence[Waiting]) -> None:
        """Report the specimens of a delivery that wait for a person, if there are any."""
        if waiting:
            listed = [asdict(specimen) for specimen in waiting[:MOST]]
            self._send("decision_needed", {"delivery": delivery_id, "count": len(waiting), "waiting": listed})

    def refused(self, refusal: InputRefused, *, folder: Path) -> None:
        """Report that the delivery in ``folder`` is refused; its number in the file system stands for it."""
        with contextlib.suppress(OSError):
            problems = [str(problem) for problem in refusal.problems]
            values = {"folder": folder.stat().st_ino, "count": len(problems), "problems": problems[:MOST]}
            self._send("refused", values)

    def _send(self, event: str, values: Mapping[str, Any]) -> None:
        if not self._command:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        document = {"schema": SCHEMA_VERSION, "event": event, "time": now, "delivery": None, **values}
        if trouble := _run(self._command, json.dumps(document).encode() + b"\n", folder=self._workspace.root):
            print(_WARNING.format(trouble), file=sys.stderr, flush=True)


def _run(command: Sequence[str], text: bytes, *, folder: Path) -> str:
    """Run ``command`` in ``folder`` with ``text`` on its standard input; return what went wrong, else ""."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BAEKMAN_")}
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return f"cannot be started ({os.strerror(error.errno or 0)})"
    try:
        process.communicate(text, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"took longer than {SECONDS:g} seconds and was killed"
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return f"ended with exit code {process.returncode}" if process.returncode else ""
