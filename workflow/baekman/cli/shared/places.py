"""The places that a command works in: one way to say where, ``--workspace``, and ``--cohort`` for a bare store."""

from __future__ import annotations

import os
from pathlib import Path


def cohort_folder(cohort: Path | None, workspace: Path | None) -> Path:
    """Return the folder of the cohort store that the options of a command mean.

    Args:
        cohort: ``--cohort``: a store, or a workspace, which means its ``cohort``.
        workspace: ``--workspace``; without it ``BAEKMAN_WORKSPACE``, else the current directory.

    Raises:
        InputRefused: Without ``cohort``, the workspace has no cohort, or the folder is no workspace.
    """
    from baekman.cohort.store import no_store, store_folder
    from baekman.workspace.identity import no_workspace
    from baekman.workspace.paths import Workspace

    if cohort is not None:
        return store_folder(cohort)
    place = _workspace_folder(workspace)
    folder = Workspace(place).cohort
    if (folder / "store.json").exists():
        return folder
    raise no_store(folder) if _is_workspace(place) else no_workspace(place)


def new_cohort_folder(cohort: Path | None, workspace: Path | None) -> Path:
    """Return the folder of a cohort store to create, as ``cohort_folder`` does; without ``cohort``, of a workspace."""
    from baekman.cohort.store import store_folder
    from baekman.workspace.identity import require_workspace
    from baekman.workspace.paths import Workspace

    if cohort is not None:
        return store_folder(cohort)
    place = _workspace_folder(workspace)
    require_workspace(place)
    return Workspace(place).cohort


def _workspace_folder(workspace: Path | None) -> Path:
    return workspace if workspace is not None else Path(os.environ.get("BAEKMAN_WORKSPACE") or "")


def _is_workspace(place: Path) -> bool:
    from baekman.workspace.identity import is_workspace

    return place.is_dir() and is_workspace(place)
