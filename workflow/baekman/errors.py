"""The exceptions that the command line tells of in words, and its exit codes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXITS_INTERRUPTED = (129, 130, 143)  # 128 and the number of SIGHUP, SIGINT, SIGTERM, as shells have it


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why an input is refused: what a stranger needs to mend it.

    ``file`` and ``place`` name where (a base name and a row, record or column), never a confidential
    value; ``found`` describes what is there without quoting a confidential field.
    """

    file: str
    place: str = ""
    expected: str
    found: str
    action: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.place}" if self.place else self.file
        line = f"{where}: expected {self.expected}, found {self.found}"
        return f"{line}; {self.action}" if self.action else line


class InputRefused(Exception):
    """Input that baekman refuses. Carries every reason found, one line each; the command line exits with 3."""

    def __init__(self, reasons: Reason | Iterable[Reason]) -> None:
        self.reasons: list[Reason] = [reasons] if isinstance(reasons, Reason) else list(reasons)
        super().__init__("\n".join(str(reason) for reason in self.reasons))


class WorkerDied(Exception):
    """A worker process ended before its task did. The command line exits with 1."""

    def __init__(self) -> None:
        super().__init__("a worker was killed, as happens when memory runs out; run it again with fewer workers")
