"""The watch over an inbox: which deliveries in it are complete, each of which is delivered once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from baekman.errors import InputRefused, Problem
from baekman.intake.delivery import SHEET, Delivery, read_delivery
from baekman.intake.manifest import MANIFEST
from baekman.intake.receive import received_id
from baekman.workspace.paths import Workspace

QUIET_SECONDS = 30.0
POLL_SECONDS = 15.0


def watch(
    inbox: Path,
    *,
    workspace: Workspace,
    deliver: Callable[[Path], bool],
    refuse: Callable[[InputRefused, str], None],
    once: bool = False,
    quiet_seconds: float = QUIET_SECONDS,
) -> None:
    """Call ``deliver`` with each complete delivery in ``inbox``, once.

    ``deliver`` returns False where another run works on the same files; it is called again at the next look. The
    workspace records what was delivered before, by this process or another. A refused delivery goes to ``refuse``
    with its place (``place_of``), once, and again when its sheet or manifest changes. A folder that cannot be read is
    refused in the same way, and stops no other. With ``once`` the function returns after one look, else never.
    """
    handled: dict[Path, tuple[int, ...]] = {}
    while True:
        for folder in _folders(inbox):
            state: tuple[int, ...] | None = ()
            try:
                state = _state(folder)
                if state is None or handled.get(folder) == state or not _is_due(folder, workspace, quiet_seconds):
                    continue
                if deliver(folder):
                    handled[folder] = state
            except InputRefused as refusal:
                if handled.get(folder) != state:
                    refuse(refusal, place_of(folder))
                handled[folder] = state or ()
        if once:
            return
        time.sleep(POLL_SECONDS)


def place_of(folder: Path) -> str:
    """Return how the operator finds ``folder``: by its inode number, as its name may be an institution's."""
    try:
        number = folder.stat().st_ino
    except FileNotFoundError:
        return "a folder that is no longer in INBOX"
    return f"the folder that `find INBOX -maxdepth 1 -inum {number}` prints"


def _folders(inbox: Path) -> list[Path]:
    """Return the folders in ``inbox`` by name; none while the inbox cannot be listed, as on a disk that is away."""
    try:
        return sorted(path for path in inbox.iterdir() if path.is_dir())
    except OSError:
        return []


def _require_readable(folder: Path) -> None:
    """Raise InputRefused for a folder, sheet or manifest that the user of this process may not read."""
    paths = (folder, folder / SHEET, folder / MANIFEST)
    try:
        readable = os.access(folder, os.R_OK | os.X_OK) and all(
            os.access(path, os.R_OK) for path in paths[1:] if path.exists()
        )
        if readable:
            os.scandir(folder).close()
    except FileNotFoundError:
        raise
    except OSError:
        readable = False
    if not readable:
        raise InputRefused(
            Problem(
                file="a folder of the inbox",
                expected="a folder, sheet and manifest that may be read",
                found="one that may not",
                action="give the user of this process access to it, and touch manifest.tsv",
            )
        )


def is_complete(delivery: Delivery) -> bool:
    """Return whether every file of the manifest is there in its full size; intake checks the sums."""
    for row in delivery.rows:
        file = delivery.folder / row.file
        if not file.is_file() or (not row.encrypted and file.stat().st_size < row.size):
            return False
    return True


def is_done(folder: Path, *, workspace: Workspace) -> bool:
    """Return whether the delivery in ``folder`` is finished: its run manifest is there."""
    delivery_id = received_id(folder, workspace=workspace)
    return delivery_id is not None and workspace.delivery(delivery_id).run_manifest.is_file()


def _is_due(folder: Path, workspace: Workspace, quiet_seconds: float) -> bool:
    """Return whether the delivery in ``folder`` is complete, quiet and not finished."""
    try:
        is_there = _is_quiet(folder, quiet_seconds) and is_complete(read_delivery(folder))
    except OSError:  # a file was renamed at this moment, or a name is one that no file can have
        return False
    return is_there and not is_done(folder, workspace=workspace)


def _is_quiet(folder: Path, seconds: float) -> bool:
    """Return whether nothing in ``folder`` changed for ``seconds``: an upload may still be under way."""
    changed = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    return time.time() - changed >= seconds


def _state(folder: Path) -> tuple[int, ...] | None:
    """Return the times at which the sheet and the manifest of ``folder`` were last written; None without them.

    Raises InputRefused when they cannot be read.
    """
    try:
        _require_readable(folder)
        return tuple((folder / name).stat().st_mtime_ns for name in (SHEET, MANIFEST))
    except FileNotFoundError:  # also while they are moved
        return None
