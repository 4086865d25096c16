"""The check of all projects: descriptions, keys of reviewers, signatures of decisions, and the key of releases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from baekman.errors import InputRefused
from baekman.projects.decisions import all_decisions
from baekman.projects.project import open_project, project_ids
from baekman.projects.release_key import PRIVATE, PUBLIC, release_key
from baekman.projects.reviewers import reviewer_keys
from baekman.workspace.paths import Workspace


def verify_projects(workspace: Path) -> Iterator[str]:
    """Yield a line for each part of the projects of ``workspace`` that was changed by hand, or is lost."""
    folder = Workspace(workspace).projects
    if any((folder / name).exists() for name in (PRIVATE, PUBLIC)):
        yield from _refusals(partial(release_key, workspace))
    if findings := list(_refusals(partial(reviewer_keys, workspace))):
        yield from findings
        return  # no signature can be verified
    for project_id in project_ids(workspace):
        yield from _refusals(partial(_look, workspace, project_id))


def _look(workspace: Path, project_id: str) -> None:
    all_decisions(open_project(workspace, project_id))


def _refusals(look: Callable[[], object]) -> Iterator[str]:
    try:
        look()
    except InputRefused as refused:
        yield from map(str, refused.problems)
