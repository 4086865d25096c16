"""A failure in words: its kind, what the operating system calls it, and where, if the place names nobody."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError

from baekman.errors import WorkerDied
from baekman.tools.pipes import PipeFailed, tool_name
from baekman.workspace.paths import PSEUDONYMOUS, Top

_ACTIONS = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give who runs this access to it"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room there"),
}
_OF_SQLITE = {
    "SQLITE_FULL": "make room on the disk of the registry or cohort",
    **dict.fromkeys(
        ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"),
        "give who runs this access to the registry or cohort and its folder",
    ),
}
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{32}\.tmp")


def told(failure: Exception, *, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """What went wrong, without a value, and what to do where that is known.

    A file is named where it lies in the workspace, cohort or output that ``arguments`` or ``environment`` name:
    never one of a delivery, nor one that bears an institution's name.
    """
    if isinstance(failure, (WorkerDied, PipeFailed)):
        return str(failure)
    if isinstance(failure, CalledProcessError):
        command = failure.cmd.split() if isinstance(failure.cmd, str) else failure.cmd
        return f"{tool_name(command)} ended with exit code {failure.returncode}"
    kind = type(failure).__name__
    # of SQLite's failures, SQLAlchemy's among them, the text may hold a value and the code never does
    if code := str(getattr(getattr(failure, "orig", failure), "sqlite_errorname", "")):
        advice = next((words for name, words in _OF_SQLITE.items() if code.startswith(name)), "")
        return f"{kind}: {code}" + (f"; {advice}, then run the same command again" if advice else "")
    if not isinstance(failure, OSError) or not failure.errno:
        return kind
    words = [f"{kind}: {os.strerror(failure.errno)}"]
    if isinstance(failure.filename, (str, Path)) and (place := _place(failure.filename, arguments, environment)):
        words.append(place)
    action = _ACTIONS.get(failure.errno)
    return ": ".join(words) + (f"; {action}, then run the same command again" if action else "")


def _place(file: str | Path, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    path = Path(file).resolve()
    if hidden := _TEMPORARY.fullmatch(path.name):
        path = path.with_name(hidden[1])
    given, others = _given(arguments, environment)
    if any(path.is_relative_to(Path(other).resolve()) for other in others):  # a delivery may lie in a workspace
        return ""
    for option, folder in given:
        root = Path(folder).resolve()
        top = path.relative_to(root).parts[:1] if path.is_relative_to(root) else ()
        if top == (Top.RETURNED,):
            path = root / Top.RETURNED
        elif not (root.is_relative_to(path) or (top and (option != "--workspace" or top[0] in PSEUDONYMOUS))):
            continue
        return str(path) if Path(folder).is_absolute() else os.path.relpath(path)
    return ""


def _given(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The folders that the command works in, each with the option that says so, and whatever else is given."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    given, others = [], []
    for option, word in zip(["", *words], words, strict=False):
        if option in ("--workspace", "--cohort", "--output"):
            given.append((option, word))
        elif not word.startswith("-"):
            others.append(word)
    if not given:
        given.append(("--workspace", environment.get("BAEKMAN_WORKSPACE", ".")))
    return given, others
