"""The age of a workspace's parts: what is older than what the workspace has seen was restored from a back-up.

Such marks, lists and cohorts may hold people who have withdrawn or refused since, so every command refuses them until
`baekman restore check` has put them in order. Jobs and queries check this without the registry's key.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from baekman import audit
from baekman.audit import Seen
from baekman.errors import InputRefused, Problem
from baekman.workspace.paths import Workspace

ACTION = "run `baekman restore check`: a part of the workspace was restored from a back-up, or deleted"


def older(file: str, *, expected: str, found: str) -> Problem:
    """Return the problem of a part that is older than what was seen."""
    return Problem(file=file, expected=expected, found=found, action=ACTION)


def require_current(workspace: Workspace, *, marked: int, opens_registry: bool = False) -> None:
    """Raise InputRefused when a part of ``workspace`` is older than what the workspace has seen.

    ``marked`` is the number of marks of withdrawn participants. A command that ``opens_registry`` brings the list up to
    the registry itself.
    """
    seen = audit.read_seen(workspace.root)
    problems = _problems(workspace, seen, marked=marked)
    listed = listed_consent(workspace)
    if listed < seen.consent and not opens_registry:
        problems.append(older("denied.txt", expected=f"consent event {seen.consent} or later", found=f"{listed}"))
    recorded = 0 if opens_registry or not _has_settled_list(workspace) else _recorded_consent(workspace)
    # a change that ended since then has moved the list
    if recorded > listed and _has_settled_list(workspace) and recorded > (listed := listed_consent(workspace)):
        problems.append(
            older("denied.txt", expected=f"consent event {recorded}, the registry's last", found=f"event {listed}")
        )
    if problems:
        raise InputRefused(problems)


def _problems(workspace: Workspace, seen: Seen, *, marked: int) -> list[Problem]:
    problems = []
    newest = audit.newest(workspace.root)
    logged = int(newest.get("registry", 0)) if newest else 0
    if newest and newest["sequence"] < seen.audit:
        last = newest["sequence"]
        problems.append(older("audit log", expected=f"event {seen.audit} or later", found=f"{last} as the last"))
    if logged > seen.registry:
        problems.append(
            older("seen.json", expected=f"registry change {logged}, as in the audit log", found=f"{seen.registry}")
        )
    if marked < seen.withdrawn:
        problems.append(older("withdrawn", expected=f"{seen.withdrawn} marks or more", found=f"{marked}"))
    number = newest_snapshot(workspace)
    if number is not None and number < seen.snapshot:
        problems.append(older("cohort", expected=f"snapshot {seen.snapshot} or later", found=f"snapshot {number}"))
    return problems


def listed_consent(workspace: Workspace) -> int:
    """Return the registry's last consent event that both lists, of denials and grants, have; 0 without one of them."""
    return min(_listed_in(file, workspace) for file in (workspace.denied, workspace.granted))


def _listed_in(file: Path, workspace: Workspace) -> int:
    try:
        with file.open(encoding="utf-8") as lines:
            first = lines.readline()
        if first.startswith("#"):
            return int(json.loads(first[1:])["consent"])
        return int(workspace.denied_sequence.read_text("utf-8"))  # a list of an earlier version
    except (FileNotFoundError, ValueError, KeyError):
        return 0


def newest_snapshot(workspace: Workspace) -> int | None:
    """Return the number of the cohort's newest snapshot, 0 before the first; None without a cohort."""
    if not (workspace.cohort / "store.json").is_file():
        return None
    names = (path.name.partition(".")[0] for path in (workspace.cohort / "snapshots").glob("*.json"))
    return max((int(name) for name in names if name.isdecimal()), default=0)


def note_cohort(workspace: Workspace) -> None:
    """Note the cohort's newest snapshot as seen."""
    if number := newest_snapshot(workspace):
        audit.note_seen(workspace.root, snapshot=number)


def _has_settled_list(workspace: Workspace) -> bool:
    """Return whether there is a list and no change of consent that is not in it yet."""
    has_lists = workspace.denied.is_file() and workspace.granted.is_file()
    return has_lists and not workspace.pending_denials.is_file()


def _recorded_consent(workspace: Workspace) -> int:
    """Return the number of the last consent event in a registry in the workspace; 0 where it cannot be read now."""
    file = workspace.registry / "registry.sqlite"
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            return int(connection.execute("SELECT max(sequence) FROM consent_events").fetchone()[0] or 0)
    except sqlite3.Error:  # another place, no permission, or a change is under way
        return 0
