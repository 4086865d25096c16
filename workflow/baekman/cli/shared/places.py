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


def is_here() -> bool:
    """Return whether ``BAEKMAN_WORKSPACE``, else the current directory, is a workspace."""
    return _is_workspace(_workspace_folder(None))


def _is_workspace(place: Path) -> bool:
    from baekman.workspace.identity import is_workspace

    return place.is_dir() and is_workspace(place)


def refuse_other_than_workspace(folder: Path) -> None:
    """Raise InputRefused for a delivery, a store, tables or a package in the place of a workspace."""
    from baekman.workspace.identity import kind_of, no_workspace

    if kind_of(folder) not in ("a workspace", "another folder"):
        raise no_workspace(folder)


def refuse_other_than_delivery(folder: Path, *, sheet: str) -> None:
    """Raise InputRefused for a workspace, a folder of deliveries, or a delivery of the other kind.

    ``sheet`` is the description that the delivery has: ``delivery.yaml`` or ``records.yaml``.
    """
    from baekman.errors import InputRefused, Problem
    from baekman.workspace.identity import kind_of

    if (folder / sheet).exists():
        return
    other = next((name for name in DELIVERIES if name != sheet and (folder / name).exists()), "")
    if other:
        found, action = DELIVERIES[other]
    elif kind_of(folder) == "a workspace":
        found, action = "a workspace", f"give the folder that an institution sent, with {sheet}"
    elif any((inside / name).exists() for inside in folder.iterdir() for name in DELIVERIES):
        found, action = "a folder of deliveries", "give one of them, or all to `baekman watch INBOX`"
    else:
        return  # its files are refused by name
    raise InputRefused(Problem(file="DELIVERY", expected="the folder of one delivery", found=found, action=action))


DELIVERIES = {
    "delivery.yaml": ("a delivery of sequencing data", "`baekman deliver` takes it"),
    "records.yaml": ("a delivery of records", "`baekman records receive` takes it"),
}


def refuse_other_than_inbox(folder: Path) -> None:
    """Raise InputRefused for a delivery or a workspace in the place of an inbox."""
    from baekman.errors import InputRefused, Problem
    from baekman.workspace.identity import kind_of

    kind = kind_of(folder)
    if kind in ("a delivery", "a workspace"):
        action = "give the folder around it" if kind == "a delivery" else "give the folder in which deliveries arrive"
        more = "; `baekman deliver` takes one delivery" if kind == "a delivery" else ""
        problem = Problem(file="INBOX", expected="a folder of deliveries", found=kind, action=action + more)
        raise InputRefused(problem)


def refuse_other_than_tables(folder: Path) -> None:
    """Raise InputRefused for a folder that would be no longer what it is with tables in it."""
    from baekman.errors import InputRefused, Problem
    from baekman.workspace.identity import kind_of

    kind = kind_of(folder)
    if kind not in ("a folder of tables", "another folder", "no such folder"):
        action = "add a name: the tables of a workspace are in its folder tables" if kind == "a workspace" else ""
        expected = "a new folder, or a folder of tables"
        raise InputRefused(Problem(file="--output", expected=expected, found=kind, action=action))


def refuse_other_than_freeze(folder: Path) -> None:
    """Raise InputRefused for a folder that is known to be something else than a freeze; a damaged one passes."""
    from baekman.errors import InputRefused, Problem
    from baekman.workspace.identity import kind_of

    kind = kind_of(folder)
    if kind not in ("a freeze", "another folder"):
        action = "give the folder that `baekman cohort freeze` wrote"
        raise InputRefused(Problem(file="--freeze", expected="a freeze", found=kind, action=action))
