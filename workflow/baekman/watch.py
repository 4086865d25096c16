"""Deliveries that arrive in an inbox: which of them are complete, and each one delivered once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from baekman.errors import InputRefused
from baekman.intake import receive as intake
from baekman.intake.delivery import MANIFEST, SHEET, Delivery, read_delivery
from baekman.workspace.paths import Workspace

QUIET_SECONDS = 30.0
POLL_SECONDS = 15.0


def watch(
    inbox: Path,
    *,
    workspace: Path,
    deliver: Callable[[Path], bool],
    refuse: Callable[[InputRefused, str], None],
    once: bool = False,
    quiet_seconds: float = QUIET_SECONDS,
) -> None:
    """Call ``deliver`` with each delivery in ``inbox`` that is complete, and with each only once.

    ``deliver`` says whether it could; where another run is at work on the same files it is called again at the
    next look. What was delivered before, by this process or another, is known from the workspace. A delivery that
    is refused goes to ``refuse`` once, and again when its sheet or manifest changes. With ``once`` it returns after
    one look; else it never does.
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
            except InputRefused as refused:
                handled[folder] = state
                refuse(refused, place_of(folder))
        if once:
            return
        time.sleep(POLL_SECONDS)


def place_of(folder: Path) -> str:
    """How the operator finds ``folder``, whose name may be an institution's: by its number in the file system."""
    number = folder.stat().st_ino
    return f"the folder that `find INBOX -maxdepth 1 -inum {number}` prints"


def candidates(inbox: Path) -> Iterator[Path]:
    """The folders in ``inbox`` that have a sheet and a manifest, by name."""
    for folder in sorted(inbox.iterdir()):
        if (folder / SHEET).is_file() and (folder / MANIFEST).is_file():
            yield folder


def _is_due(folder: Path, workspace: Path, quiet_seconds: float) -> bool:
    try:
        is_there = _is_quiet(folder, quiet_seconds) and is_complete(read_delivery(folder))
    except OSError:  # of a file that was renamed meanwhile, or that cannot exist
        return False
    return is_there and not is_done(folder, workspace=workspace)


def is_complete(delivery: Delivery) -> bool:
    """Whether every file of the manifest is there in its full size (sums are intake's to check)."""
    for row in delivery.rows:
        file = delivery.folder / row.file
        if not file.is_file() or (not row.encrypted and file.stat().st_size < row.size):
            return False
    return True


def is_done(folder: Path, *, workspace: Path) -> bool:
    """Whether the delivery in ``folder`` went all the way: its run manifest is there."""
    home = Workspace(workspace)
    delivery_id = intake.known(folder, workspace=home)
    return delivery_id is not None and home.delivery(delivery_id).run_manifest.is_file()


def _is_quiet(folder: Path, seconds: float) -> bool:
    """Whether nothing in ``folder`` changed for so many seconds: an upload may still be under way."""
    changed = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    return time.time() - changed >= seconds


def _state(folder: Path) -> tuple[int, ...]:
    """When sheet and manifest were last written."""
    return tuple((folder / name).stat().st_mtime_ns for name in (SHEET, MANIFEST))
