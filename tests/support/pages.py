"""The pages of the documentation, run as a reader runs them: files are written, commands run, answers compared.

A page has these blocks:

- a block after a line that begins with a file's path in backquotes and ends with a colon is the content of this file;
- ``console``: one command a line, or over several lines within quotes; ``baekman`` runs in this process. A comment
  begins with two blanks and ``#``;
- ``text`` after ``console``: all that the last ``console`` block printed, stdout before stderr or after
  it. Blanks between words do not count. ``…`` stands for any text, and a line of ``…`` for any lines. A text that
  begins with ``refused:`` is of a command that ends with 3;
- a comment ``minutes`` before ``console``: the commands take minutes or need a Slurm; a reader with time runs them
  (``make test-cluster``);
- ``pycon``: a session of Python, compared by doctest. All sessions of a page share their names.
"""

from __future__ import annotations

import contextlib
import doctest
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baekman.cli import app
from baekman.cli.shared.groups import register
from baekman.errors import InputRefused
from support import PROJECT
from typer.testing import CliRunner

_FENCE = re.compile(
    r"(?:^`(?P<file>[\w./-]+\.\w+)`[^\n]*:\n\n|^<!-- (?P<mark>minutes): [^\n]+ -->\n)?"
    r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_COMMENT = re.compile(r"(?m)(?:^|\s{2,})# .*$")
_ID = re.compile(r"\b[DPRS][0-9A-Z]{13}\b")
_ROW_OF_ID = re.compile(r"S[0-9A-Z]{13} (?:accept|hold|reject) |P[0-9A-Z]{13} ")
_DOCTEST = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: The word after the fence.
        text: The lines of the block.
        line: The number of the fence's line.
        file: The path of the file that the block shows.
        mark: ``minutes``, of the comment before the block.
    """

    language: str
    text: str
    line: int
    file: str | None = None
    mark: str | None = None


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [
        Block(
            match["language"],
            match["text"],
            text[: match.start("language")].count("\n") + 1,
            match["file"],
            match["mark"],
        )
        for match in _FENCE.finditer(text)
    ]


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a console block; an open quote or a backslash at the end of a line continues a command."""
    command = ""
    for line in _COMMENT.sub("", text).splitlines():
        command = f"{command}\n{line}" if command else line
        with contextlib.suppress(ValueError):
            shlex.split(command)
            if not command.endswith("\\"):
                yield command
                command = ""
    assert not command, f"a command without an end: {command}"


def agrees(shown: str, printed: str) -> dict[str, str] | None:
    """Compare what a page shows with what was printed.

    Returns:
        The IDs of the page that were not printed, each with the ID in its place; None without agreement.
    """
    new: set[str] = set()

    def group(match: re.Match[str]) -> str:
        shown_id = match[0]
        if shown_id in printed:
            return shown_id
        if shown_id in new:
            return f"(?P={shown_id})"
        new.add(shown_id)
        return f"(?P<{shown_id}>{shown_id[0]}[0-9A-Z]{{13}})"

    pattern = "".join(
        "(?:.*\n)*?" if words == "…" else re.escape(words).replace("…", ".*?") + "\n" for words in _lines(shown)
    )
    match = re.fullmatch(_ID.sub(group, pattern), "".join(f"{words}\n" for words in _lines(printed)))
    return match.groupdict() if match else None


def _lines(text: str) -> list[str]:
    """Return the words of each line. Neighbouring lines that begin with an ID are sorted by what follows it.

    IDs are random, and decide only between lines that are the same otherwise.
    """
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    runs = itertools.groupby(lines, key=lambda words: _ROW_OF_ID.match(words) is not None)
    return [words for is_run, run in runs for words in (sorted(run, key=_without_id) if is_run else run)]


def _without_id(words: str) -> tuple[str, str]:
    identifier, _, rest = words.partition(" ")
    return rest, identifier


@dataclass(frozen=True)
class Printed:
    """What a command printed on stdout and on stderr."""

    stdout: str
    stderr: str = ""


@dataclass
class Reader:
    """Somebody who types a page in ``folder``.

    Attributes:
        folder: The working directory.
        names: What stands in the page, and what stands for it here, such as IDs. New IDs join when they are printed.
        done: Commands that were run before, and what they printed.
        has_time: Whether blocks that take minutes are run too.
        compared: The number of answers that were compared.
    """

    folder: Path
    names: dict[str, str] = field(default_factory=dict)
    done: Mapping[str, str] = field(default_factory=dict)
    has_time: bool = False
    compared: int = 0

    def read(self, page: str, *, only: str | tuple[str, ...] = "") -> None:
        """Do what the page ``docs/<page>`` shows; raise AssertionError at the first block that is not true.

        ``only``: the beginnings of the ``console`` blocks that are read, where others of the page need another place.
        """
        session: dict[str, Any] = {}
        printed: list[Printed] | None = None
        shown_blocks = blocks((PROJECT / "docs" / page).read_text(encoding="utf-8"))
        with contextlib.chdir(self.folder):
            for block, following in zip(shown_blocks, [*shown_blocks[1:], None], strict=True):
                place = f"{page}, line {block.line}"
                text = self._here(block.text)
                if block.file:
                    Path(block.file).parent.mkdir(parents=True, exist_ok=True)
                    Path(block.file).write_text(text, encoding="utf-8")
                elif block.language == "console":
                    code = 3 if following is not None and following.text.startswith("refused:") else 0
                    is_read = block.mark in self._marks and block.text.startswith(only)
                    typed = list(commands(text)) if is_read else []
                    printed = [self._run(command, code, place) for command in typed] if is_read else None
                elif block.language == "text" and printed is not None:
                    orders = [
                        "".join(each.stdout + each.stderr for each in printed),
                        "".join(each.stderr + each.stdout for each in printed),
                    ]
                    new = next((ids for order in orders if (ids := agrees(text, order)) is not None), None)
                    assert new is not None, f"{place}: it printed\n{orders[0]}"
                    self.names.update(new)
                    self.compared += 1
                elif block.language == "pycon":
                    self._session(text, session, place)

    @property
    def _marks(self) -> tuple[str | None, ...]:
        """Return the marks of the blocks that are run."""
        return (None, "minutes") if self.has_time else (None,)

    def _here(self, text: str) -> str:
        """Return ``text`` with the names of this place."""
        for shown, here in self.names.items():
            text = text.replace(shown, here)
        return text

    def _run(self, command: str, code: int, place: str) -> Printed:
        """Run a command; return what it printed."""
        if command in self.done:
            return Printed(self.done[command])
        words = shlex.split(command.replace("\\\n", " "))
        if words[0] == "export":
            os.environ.update(word.split("=", 1) for word in words[1:])
            return Printed("")
        if words[0] == "baekman" and "|" not in words and ">" not in words:
            register(app)
            result = CliRunner().invoke(app, words[1:])
            if isinstance(result.exception, InputRefused) and code == 3:
                return Printed("".join(f"refused: {problem}\n" for problem in result.exception.problems))
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
            assert result.exit_code == code, f"{place}: {command}\n{result.output}"
            return Printed(result.stdout, result.stderr)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-ec", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900 if self.has_time else 60,
            check=False,
            env=os.environ | {"PATH": path},
        )
        assert done.returncode == code, f"{place}: {command}\n{done.stdout}"
        return Printed(done.stdout)

    def _session(self, text: str, session: dict[str, Any], place: str) -> None:
        """Compare a session of Python with its answers, and keep its names in ``session``."""
        examples = doctest.DocTestParser().get_doctest(text, session, place, place, 0)
        differences: list[str] = []
        result = doctest.DocTestRunner(optionflags=_DOCTEST).run(examples, out=differences.append, clear_globs=False)
        session.update(examples.globs)
        assert result.failed == 0, "".join(differences)
        self.compared += result.attempted
