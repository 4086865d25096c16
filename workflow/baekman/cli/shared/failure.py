"""The words for a failure: its kind, the message of the operating system, and the file if its path names nobody."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError

from baekman.errors import DamagedFile, WorkerDied
from baekman.tools.pipes import PipeFailed, kind_of
from baekman.workspace.paths import PSEUDONYMOUS, Top
from baekman.workspace.remedies import remedy_of

_AGAIN = "then run the same command again"
_ACTIONS = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give the user who runs this access to it"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room there"),
    **dict.fromkeys(
        (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS),
        "its file system has to support locks (flock): mount it so, or move the workspace",
    ),
    errno.ENOMEM: "give the command more memory",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
_SQLITE_ACTIONS = {
    "SQLITE_FULL": "make room on the disk of the registry or cohort",
    **dict.fromkeys(
        ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"),
        "give the user who runs this access to the registry or cohort and its folder",
    ),
}
_VERIFY = "`baekman verify` finds every damaged file"
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{32}\.tmp")


def describe(failure: Exception, *, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the words for ``failure``, without a value, and with the next step where it is known.

    A file is named where it lies in a workspace, cohort or output that ``arguments`` or ``environment`` name. A file
    of a delivery is never named, nor one with an institution's name.
    """
    if isinstance(failure, (WorkerDied, PipeFailed, CalledProcessError)):
        return kind_of(failure)
    filename = getattr(failure, "filename", None) or ""
    is_missing = isinstance(failure, FileNotFoundError) and str(filename).endswith(".parquet")
    if isinstance(failure, DamagedFile) or is_missing:
        place = _place(filename, arguments, environment)
        remedy = remedy_of(Path(filename))
        state = f"a stored file is {'missing' if is_missing else 'damaged'}"
        return ": ".join([state, *([place] if place else [])]) + f"; {remedy}. {_VERIFY}"
    kind = type(failure).__name__
    # The text of an error of SQLite, or of SQLAlchemy with SQLite, may hold a value; its code never does.
    if code := str(getattr(getattr(failure, "orig", failure), "sqlite_errorname", "")):
        action = next((action for name, action in _SQLITE_ACTIONS.items() if code.startswith(name)), "")
        return f"{kind}: {code}" + (f"; {action}, {_AGAIN}" if action else "")
    if isinstance(failure, ImportError):  # its text names modules and libraries only
        return f"{kind}: {failure.msg}"
    if not isinstance(failure, OSError) or not failure.errno:
        return kind
    parts = [kind_of(failure)]
    if isinstance(failure.filename, (str, Path)) and (place := _place(failure.filename, arguments, environment)):
        parts.append(place)
    action = _ACTIONS.get(failure.errno, "")
    return ": ".join(parts) + (f"; {action}, {_AGAIN}" if action else "")


def _place(file: str | Path, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the path of ``file`` as the command line names its folder; "" where a message may not show it."""
    path = Path(file).resolve()
    if hidden := _TEMPORARY.fullmatch(path.name):
        path = path.with_name(hidden[1])
    folders, others = _folders(arguments, environment)
    if any(path.is_relative_to(Path(other).resolve()) for other in others):  # a delivery may lie in a workspace
        return ""
    for option, folder in folders:
        root = Path(folder).resolve()
        top = path.relative_to(root).parts[:1] if path.is_relative_to(root) else ()
        if top == (Top.RETURNED,):
            path = root / Top.RETURNED
        elif not (root.is_relative_to(path) or (top and (option != "--workspace" or top[0] in PSEUDONYMOUS))):
            continue
        return str(path) if Path(folder).is_absolute() else os.path.relpath(path)
    return ""


def _folders(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the folders that the command works in, each with its option, and the other arguments."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    folders, others = [], []
    for option, word in zip(["", *words], words, strict=False):
        if option in ("--workspace", "--cohort", "--output"):
            folders.append((option, word))
        elif not word.startswith("-"):
            others.append(word)
    if not folders:
        folders.append(("--workspace", environment.get("BAEKMAN_WORKSPACE", ".")))
    return folders, others
