"""The watch over an inbox: which deliveries in it are complete, each of which is delivered once.

Each folder that is not delivered yet has a reason (``Wait``), which is reported once and is in the state of the inbox
(``workspace.inbox_state``). Neither has a name of the delivery.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from baekman.errors import InputRefused, Problem
from baekman.files.untrusted import FileFault, open_inside
from baekman.intake.delivery import SHEET, Delivery, read_delivery
from baekman.intake.manifest import MANIFEST, ManifestRow
from baekman.intake.receive import received_id
from baekman.workspace.decisions import revision
from baekman.workspace.inbox_state import FolderState, InboxFolder, InboxRecorder
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.waiting import has_new_decision

QUIET_SECONDS = 30.0
POLL_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Why a delivery is not started yet: a fixed word, and a message without any name of the delivery."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Calls:
    """The functions that a watch calls.

    ``deliver`` delivers a complete folder; it returns False where another run works on the same files. ``refuse`` gets
    a refusal with the folder, ``wait`` a reason to wait with the place of the folder (``place_of``), once each.
    ``looked`` gets the number of folders by state after each look.
    """

    deliver: Callable[[Path], bool]
    refuse: Callable[[InputRefused, Path], None]
    wait: Callable[[Wait, str], None] = lambda wait, place: None
    looked: Callable[[Mapping[str, int]], None] = lambda counts: None


@dataclass
class _Inbox:
    """The memory of a watch: the folders that were handled, by their state, and what was reported of each."""

    workspace: Workspace
    calls: Calls
    quiet_seconds: float
    handled: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    taken_on: dict[Path, int] = field(default_factory=dict)
    refused: set[Path] = field(default_factory=set)
    noted: dict[Path, InboxFolder] = field(default_factory=dict)
    reported: set[tuple[Path, str]] = field(default_factory=set)

    def look_at(self, folder: Path) -> FolderState:
        """Deliver ``folder`` if it is due; return its state."""
        state: tuple[int, ...] | None = ()
        decisions = 0
        try:
            state = _state(folder)
            if state is None:
                return self._wait(folder, _missing_part(folder))
            if self.handled.get(folder) == state and not self._is_decided(folder):
                return "refused" if folder in self.refused else "delivered"
            wait = reason_to_wait(folder, quiet_seconds=self.quiet_seconds)
            if wait and not self._is_finished(folder):
                return self._wait(folder, wait)
            self.noted.pop(folder, None)
            is_decided = self._is_decided(folder) and (wait is None or wait.reason == "incomplete")  # files may be gone
            if (wait or is_done(folder, workspace=self.workspace)) and not is_decided:
                return "finished"
            decisions = self._revision(folder)
            self.refused.discard(folder)
            if not self.calls.deliver(folder):
                return "busy"
            self.handled[folder], self.taken_on[folder] = state, decisions
            return "delivered"
        except InputRefused as refusal:
            if self.handled.get(folder) != state or folder not in self.refused:
                self.calls.refuse(refusal, folder)
            self.handled[folder], self.taken_on[folder] = state or (), decisions
            self.refused.add(folder)
            problems = refusal.problems
            message = f"refused: {problems[0]}" + (f"; {len(problems) - 1} more" if len(problems) > 1 else "")
            self._note(folder, "refused", Wait(reason="refused", message=message))
            return "refused"

    def _is_finished(self, folder: Path) -> bool:
        """Return whether the delivery in ``folder``, which may be read in part only, is finished."""
        try:
            return is_done(folder, workspace=self.workspace)
        except (InputRefused, OSError):
            return False

    def _is_decided(self, folder: Path) -> bool:
        """Return whether a person has decided on a specimen of ``folder`` since it was delivered last by this watch.

        A delivery is given for each change of its decisions once, whether the run takes them on or not.
        """
        home = _received_home(folder, workspace=self.workspace)
        if home is None or not home.run_manifest.is_file() or not home.decisions.is_file():
            return False
        return self.taken_on.get(folder) != revision(home) and has_new_decision(home)

    def _revision(self, folder: Path) -> int:
        """Return the number of changes of the decisions on ``folder``; 0 without any."""
        home = _received_home(folder, workspace=self.workspace)
        return revision(home) if home is not None and home.decisions.is_file() else 0

    def _wait(self, folder: Path, wait: Wait | None) -> FolderState:
        """Note and report that ``folder`` waits; None stands for a folder that is no delivery."""
        if wait is None:
            self.noted.pop(folder, None)
            return "no_delivery"
        self._note(folder, "waits", wait)
        if (folder, wait.reason) not in self.reported:
            self.reported.add((folder, wait.reason))
            self.calls.wait(wait, place_of(folder))
        return "waits"

    def _note(self, folder: Path, state: FolderState, wait: Wait) -> None:
        before = self.noted.get(folder)
        is_same = before is not None and before.reason == wait.reason
        since = before.since if before and is_same else datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError):  # the folder was moved at this moment
            number = folder.stat().st_ino
            self.noted[folder] = InboxFolder(
                number=number, state=state, reason=wait.reason, message=wait.message, since=since
            )

    def folders_of(self, inbox: Path) -> list[Path]:
        """Return the folders in ``inbox`` by name; none while it cannot be listed, as on a disk that is away."""
        wait = Wait(reason="inbox_unreadable", message="it cannot be listed: is its disk there, and may it be read?")
        try:
            folders = sorted(path for path in inbox.iterdir() if path.is_dir())
        except OSError:
            if (inbox, wait.reason) not in self.reported:
                self.calls.wait(wait, "INBOX")
            self.reported.add((inbox, wait.reason))
            return []
        self.reported.discard((inbox, wait.reason))
        return folders

    def forget_others(self, folders: list[Path]) -> None:
        """Forget the folders that are no longer in the inbox."""
        present = set(folders)
        self.noted = {folder: note for folder, note in self.noted.items() if folder in present}


def watch(
    inbox: Path, *, workspace: Workspace, calls: Calls, once: bool = False, quiet_seconds: float = QUIET_SECONDS
) -> None:
    """Deliver each complete delivery in ``inbox``, once, by ``calls``.

    A delivery on which another run works is tried again at the next look. The
    workspace records what was delivered before, by this process or another. A decision of a person on a specimen of a
    finished delivery (``baekman hold``) lets it be delivered again, once. A refused delivery is reported once, and
    again when its sheet or manifest changes. A folder that cannot be read is
    refused in the same way, and stops no other. With ``once`` the function returns after one look, else never.
    """
    memory = _Inbox(workspace, calls, quiet_seconds)
    recorder = InboxRecorder(inbox, workspace=workspace)
    try:
        while True:
            folders = memory.folders_of(inbox)
            counts: Counter[str] = Counter()
            for folder in folders:
                counts[memory.look_at(folder)] += 1
            memory.forget_others(folders)
            recorder.write(list(memory.noted.values()), counts=dict(counts))
            calls.looked(counts)
            if once:
                return
            time.sleep(POLL_SECONDS)
    finally:
        recorder.close()


def place_of(folder: Path) -> str:
    """Return how the operator finds ``folder``: by its inode number, as its name may be an institution's."""
    try:
        number = folder.stat().st_ino
    except FileNotFoundError:
        return "a folder that is no longer in INBOX"
    return f"the folder that `find INBOX -maxdepth 1 -inum {number}` prints"


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


def is_whole(delivery: Delivery, row: ManifestRow) -> bool:
    """Return whether the file of ``row`` is there in its full size; intake checks the sums."""
    file = delivery.folder / row.file
    if file.is_file():
        return row.encrypted or file.stat().st_size >= row.size
    if row.file.isascii():
        return False
    try:
        # a name in another Unicode form
        with open_inside(delivery.folder, row.file) as opened:
            return row.encrypted or os.fstat(opened.fileno()).st_size >= row.size
    except FileFault:
        return False


def _received_home(folder: Path, *, workspace: Workspace) -> DeliveryFolder | None:
    """Return the delivery in ``folder`` as the workspace has it; None where its intake is not complete."""
    try:
        delivery_id = received_id(folder, workspace=workspace)
    except (InputRefused, OSError):
        return None
    return workspace.delivery(delivery_id) if delivery_id else None


def is_done(folder: Path, *, workspace: Workspace) -> bool:
    """Return whether the delivery in ``folder`` is finished: its run manifest is there."""
    delivery_id = received_id(folder, workspace=workspace)
    return delivery_id is not None and workspace.delivery(delivery_id).run_manifest.is_file()


def reason_to_wait(folder: Path, *, quiet_seconds: float) -> Wait | None:
    """Return why the delivery in ``folder`` is not complete and quiet yet; None when it is.

    Raises:
        InputRefused: Its sheet or manifest is malformed.
    """
    try:
        return _unrest(folder, quiet_seconds) or _missing_files(read_delivery(folder))
    except PermissionError:
        return Wait(
            reason="folder_unreadable",
            message="a folder in it may not be read; give the user of this process access to it",
        )
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return Wait(reason="name_too_long", message="the manifest has a file name that no file can have; mend it")
        return Wait(reason="changing", message="a file was renamed at this moment")


def _unrest(folder: Path, quiet_seconds: float) -> Wait | None:
    """Return the reason to wait that the links and times in ``folder`` give: an upload may still be under way."""
    newest = folder.stat().st_mtime
    for path in folder.rglob("*"):
        try:
            newest = max(newest, path.stat().st_mtime)
        except OSError as error:
            if path.is_symlink() and error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                return Wait(reason="link_dangling", message="a link in it leads nowhere; put the file in its place")
            raise
    quiet = time.time() - newest
    if quiet < -1.0:
        until = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d %H:%M UTC")
        message = f"a time in it lies in the future, {until}; compare the clocks, or `touch` the files"
        return Wait(reason="time_in_future", message=message)
    if quiet < quiet_seconds:
        return Wait(reason="changing", message=f"something in it changed in the last {quiet_seconds:g} seconds")
    return None


def _missing_files(delivery: Delivery) -> Wait | None:
    count = sum(not is_whole(delivery, row) for row in delivery.rows)
    message = f"{count} of {len(delivery.rows)} files of the manifest are not there in full size"
    return Wait(reason="incomplete", message=message) if count else None


def _missing_part(folder: Path) -> Wait | None:
    """Return the reason to wait of a folder with only one of sheet and manifest; None with neither of them."""
    present = [name for name in (SHEET, MANIFEST) if (folder / name).exists()]
    if not present:
        links = [name for name in (SHEET, MANIFEST) if (folder / name).is_symlink()]
        return Wait(reason="link_dangling", message=f"{links[0]} is a link that leads nowhere") if links else None
    (absent,) = {SHEET, MANIFEST} - {*present} or {MANIFEST}
    return Wait(reason="part_missing", message=f"{absent} is not there yet")


def _state(folder: Path) -> tuple[int, ...] | None:
    """Return the times at which the sheet and the manifest of ``folder`` were last written; None without them.

    Raises InputRefused when they cannot be read.
    """
    try:
        _require_readable(folder)
        return tuple((folder / name).stat().st_mtime_ns for name in (SHEET, MANIFEST))
    except FileNotFoundError:  # also while they are moved
        return None
