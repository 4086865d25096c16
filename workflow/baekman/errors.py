"""The exceptions that the command line reports in words, and its exit codes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXITS_INTERRUPTED = (129, 130, 143)  # 128 and the number of SIGHUP, SIGINT, SIGTERM, as shells have it
# the codes with their meaning, and the next step
EXIT_CODES: dict[tuple[int, ...], tuple[str, str]] = {
    (EXIT_DONE,): (
        "done; specimens may still be held or rejected, and rows of records left out",
        "send `W/return/` to the institutions",
    ),
    (EXIT_FAILED,): (
        "failed: a job, a disk, a permission",
        "read the last lines, mend the cause, run the same command again",
    ),
    (EXIT_USAGE,): ("the command line is wrong", "`baekman COMMAND --help`"),
    (EXIT_REFUSED,): (
        "input refused, one line for each reason",
        "each line says where, what was expected and what to do",
    ),
    EXITS_INTERRUPTED: ("stopped by SIGHUP, Ctrl-C, SIGTERM", "run the same command again"),
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One line of refused input, with everything that a stranger needs to mend it.

    ``file`` (a base name) and ``place`` (a row, record or column) say where, and never hold a confidential value.
    ``found`` describes the input without quoting a confidential field.
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
    """Input that baekman refuses, with every problem in it; the command line prints a line each and exits with 3."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: list[Problem] = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ProblemList:
    """Problems of an input that may have millions of them: the first ``LIMIT`` are kept, the others are counted."""

    LIMIT = 1000

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[tuple[tuple[int, ...], Problem]] = []

    def note(self, *problems: Problem, at: tuple[int, ...]) -> None:
        """Note ``problems``. The list is sorted by ``at``, and those of one place keep the order of their noting."""
        self.count += len(problems)
        self._kept += [(at, problem) for problem in problems]
        if len(self._kept) > 2 * self.LIMIT:
            self._cut()

    def extend(self, other: ProblemList) -> None:
        """Note the problems of ``other``."""
        self.count += other.count
        self._kept += other._kept
        self._cut()

    def __bool__(self) -> bool:
        return self.count > 0

    def refusal(self, *, file: str) -> InputRefused:
        """Return the exception with the problems; the last one, of ``file``, counts those that were not kept."""
        self._cut()
        problems = [problem for _, problem in self._kept]
        if more := self.count - len(problems):
            problems.append(
                Problem(
                    file=file,
                    expected=f"at most the {self.LIMIT} problems above",
                    found=f"{more} more",
                    action="mend these first",
                )
            )
        return InputRefused(problems)

    def _cut(self) -> None:
        self._kept.sort(key=itemgetter(0))
        del self._kept[self.LIMIT :]


class WorkerDied(Exception):
    """A worker process ended before its task did, or never started. The command line exits with 1."""

    def __init__(
        self, message: str = "a worker was killed, as happens when memory runs out; run it again with fewer workers"
    ) -> None:
        super().__init__(message)


class DamagedFile(OSError):
    """A stored file with another content than was written. The command line exits with 1."""

    def __init__(self, path: Path) -> None:
        super().__init__("a stored file is damaged")
        self.filename = str(path)
