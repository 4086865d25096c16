"""The pages of the documentation, run as a reader runs them: files are written, commands run, answers compared.

A page has these blocks:

- a block after a line that begins with a file's path in backquotes and ends with a colon is the content of this file;
- ``console``: one command a line, or over several lines within quotes; ``baekman`` runs in this process;
- ``text`` after ``console``: all that the last ``console`` block printed. Blanks between words do not count. ``…``
  stands for any text, and a line of ``…`` for any lines. A text that begins with ``refused:`` is of a command that
  ends with 3;
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
from support import PROJECT
from typer.testing import CliRunner

_FENCE = re.compile(
    r"(?:^`(?P<file>[\w./-]+\.\w+)`[^\n]*:\n\n)?^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_SPECIMEN = re.compile(r"S[0-9A-Z]{13} (?:accept|hold|reject) ")
_DOCTEST = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; ``line`` is that of its fence, ``file`` the path of the file that it shows."""

    language: str
    text: str
    line: int
    file: str | None = None


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [
        Block(found["language"], found["text"], text[: found.start("language")].count("\n") + 1, found["file"])
        for found in _FENCE.finditer(text)
    ]


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a console block; an open quote or a backslash at the end of a line continues a command."""
    command = ""
    for line in text.splitlines():
        command = f"{command}\n{line}" if command else line
        with contextlib.suppress(ValueError):
            shlex.split(command)
            if not command.endswith("\\"):
                yield command
                command = ""
    assert not command, f"a command without an end: {command}"


def agrees(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed."""
    pattern = "".join(
        "(?:.*\n)*?" if words == "…" else re.escape(words).replace("…", ".*?") + "\n" for words in _lines(shown)
    )
    return re.fullmatch(pattern, "".join(f"{words}\n" for words in _lines(printed))) is not None


def _lines(text: str) -> list[str]:
    """Return the words of each line. Lines of specimens in a row are sorted: their order is that of random IDs."""
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    runs = itertools.groupby(lines, key=lambda words: _SPECIMEN.match(words) is not None)
    return [words for is_run, run in runs for words in (sorted(run) if is_run else run)]


@dataclass
class Reader:
    """Somebody who types a page in ``folder``.

    Attributes:
        folder: The working directory.
        names: What stands in the page, and what stands for it here, such as IDs.
        done: Commands that were run before, and what they printed.
        compared: The number of answers that were compared.
    """

    folder: Path
    names: Mapping[str, str] = field(default_factory=dict)
    done: Mapping[str, str] = field(default_factory=dict)
    compared: int = 0

    def read(self, page: str) -> None:
        """Do what the page ``docs/<page>`` shows; raise AssertionError at the first block that is not true."""
        text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
        for shown, here in self.names.items():
            text = text.replace(shown, here)
        session: dict[str, Any] = {}
        printed = ""
        shown_blocks = blocks(text)
        with contextlib.chdir(self.folder):
            for block, following in zip(shown_blocks, [*shown_blocks[1:], None], strict=True):
                place = f"{page}, line {block.line}"
                if block.file:
                    Path(block.file).parent.mkdir(parents=True, exist_ok=True)
                    Path(block.file).write_text(block.text, encoding="utf-8")
                elif block.language == "console":
                    refused = following is not None and following.text.startswith("refused:")
                    printed = "".join(
                        self._run(command, 3 if refused else 0, place) for command in commands(block.text)
                    )
                elif block.language == "text":
                    assert agrees(block.text, printed), f"{place}: it printed\n{printed}"
                    self.compared += 1
                elif block.language == "pycon":
                    self._session(block, session, place)

    def _run(self, command: str, code: int, place: str) -> str:
        """Run a command; return what it printed on stdout and stderr."""
        if command in self.done:
            return self.done[command]
        words = shlex.split(command)
        if words[0] == "export":
            os.environ.update(word.split("=", 1) for word in words[1:])
            return ""
        if words[0] == "baekman" and "|" not in words and ">" not in words:
            register(app)
            result = CliRunner().invoke(app, words[1:], catch_exceptions=False)
            assert result.exit_code == code, f"{place}: {command}\n{result.output}"
            return result.output
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-ec", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"PATH": path},
        )
        assert done.returncode == code, f"{place}: {command}\n{done.stdout}"
        return done.stdout

    def _session(self, block: Block, session: dict[str, Any], place: str) -> None:
        """Compare a session of Python with its answers, and keep its names in ``session``."""
        examples = doctest.DocTestParser().get_doctest(block.text, session, place, place, block.line)
        told: list[str] = []
        result = doctest.DocTestRunner(optionflags=_DOCTEST).run(examples, out=told.append, clear_globs=False)
        session.update(examples.globs)
        assert result.failed == 0, "".join(told)
        self.compared += result.attempted
