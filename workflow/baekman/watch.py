"""The watch over an inbox: which deliveries in it are complete, each of which is delivered once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from baekman.errors import InputRefused
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
    with its place (``place_of``), once, and again when its sheet or manifest changes. With ``once`` the function
    returns after one look, else never.
    """
    handled: dict[Path, tuple[int, ...]] = {}
    while True:
        for folder in candidates(inbox):
            state = _state(folder)
            try:
                if handled.get(folder) == state or not _is_due(folder, workspace, quiet_seconds):
                    continue
                if deliver(folder):
                    handled[folder] = state
            except InputRefused as refusal:
                handled[folder] = state
                refuse(refusal, place_of(folder))
        if once:
            return
        time.sleep(POLL_SECONDS)


def place_of(folder: Path) -> str:
    """Return how the operator finds ``folder``: by its inode number, as its name may be an institution's."""
    number = folder.stat().st_ino
    return f"the folder that `find INBOX -maxdepth 1 -inum {number}` prints"


def candidates(inbox: Path) -> Iterator[Path]:
    """Yield the folders in ``inbox`` that have a sheet and a manifest, by name."""
    for folder in sorted(inbox.iterdir()):
        if (folder / SHEET).is_file() and (folder / MANIFEST).is_file():
            yield folder


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


def _state(folder: Path) -> tuple[int, ...]:
    """Return the times at which the sheet and the manifest of ``folder`` were last written."""
    return tuple((folder / name).stat().st_mtime_ns for name in (SHEET, MANIFEST))
