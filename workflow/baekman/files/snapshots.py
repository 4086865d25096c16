"""Snapshots of a store: numbered files ``snapshots/00000007.json`` that appear whole, each number once.

A snapshot lists the batches of the store at one moment. Two writers cannot both create a number.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.files.atomic import fsync_folder
from baekman.files.digests import read_sealed, sealed_text


class Named(Protocol):
    """A batch as a snapshot lists it."""

    @property
    def name(self) -> str:
        """The batch's name."""
        ...


class Listing(Protocol):
    """A snapshot: its batches, and the batches that a withdrawal or a compaction drops with it."""

    @property
    def batches(self) -> Sequence[Named]:
        """The batches of the snapshot."""
        ...

    @property
    def tombstones(self) -> Sequence[str]:
        """The names of the dropped batches; the older snapshots that name them are deleted."""
        ...


SnapshotType = TypeVar("SnapshotType", bound=Listing)


class SnapshotGone(InputRefused):
    """A withdrawal or a compaction deleted a snapshot while it was read."""


def snapshot_file(folder: Path, number: int) -> Path:
    """Return the file of the snapshot ``number`` in the folder of snapshots."""
    return folder / f"{number:08d}.json"


def existing_numbers(folder: Path) -> list[int]:
    """Return the numbers of the snapshots in ``folder``, ascending."""
    names = (entry.name for entry in folder.iterdir())
    return sorted(int(name[:8]) for name in names if re.fullmatch(r"\d{8}\.json", name))


def create_numbered(folder: Path, number: int, body: Mapping[str, Any]) -> None:
    """Create the file of the snapshot ``number``; raise FileExistsError when another writer has that number already."""
    temporary = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("w") as out:
            out.write(sealed_text({"number": number, **body}))
            out.flush()
            os.fsync(out.fileno())
        os.link(temporary, snapshot_file(folder, number))
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(folder)


def load_numbered(folder: Path, number: int) -> dict[str, Any]:
    """Return the body of a snapshot with its ``number``; raise DamagedFile for other bytes than were written."""
    path = snapshot_file(folder, number)
    body = read_sealed(path)
    if body["number"] != number:  # a file under another name
        raise DamagedFile(path)
    return body


def refuse_unknown(existing: Sequence[int], number: int, *, of: str) -> InputRefused:
    """Return the refusal of a snapshot that is not there; ``of`` names the store."""
    return InputRefused(
        Problem(
            file="--snapshot",
            expected=f"one of the {of}'s snapshots ({', '.join(map(str, existing)) or 'there are none'})",
            found=str(number),
        )
    )


def refuse_damaged(number: int) -> InputRefused:
    """Return the refusal of a damaged snapshot."""
    return InputRefused(
        Problem(
            file=f"snapshots/{number:08d}.json",
            expected="the description of a snapshot",
            found="something else",
            action="restore it from a copy",
        )
    )


def standing(snapshots: Sequence[SnapshotType]) -> list[SnapshotType]:
    """Return those of ``snapshots`` (oldest first) without a batch that a later one dropped.

    A withdrawal or a compaction deletes the others at its end. A replacement drops no batch.
    """
    staying, dropped = [], set[str]()
    for snapshot in reversed(snapshots):
        if not dropped.intersection(entry.name for entry in snapshot.batches):
            staying.append(snapshot)
        dropped.update(snapshot.tombstones)
    return staying[::-1]


@contextmanager
def reading_numbered(folder: Path, number: int, *, missing: type[Exception] = FileNotFoundError) -> Iterator[None]:
    """Raise SnapshotGone if the block misses a file and the snapshot ``number`` is deleted.

    ``missing``: another exception, next to FileNotFoundError, that means a missing file.
    """
    try:
        yield
    except (FileNotFoundError, missing):
        if number:
            refuse_gone_numbers(folder, [number])
        raise


def refuse_gone_numbers(folder: Path, existed: Sequence[int]) -> None:
    """Raise SnapshotGone when one of the snapshots ``existed`` is deleted."""
    gone = set(existed).difference(existing_numbers(folder))
    if gone:
        raise SnapshotGone(
            Problem(
                file=f"snapshot {min(gone)}",
                expected="one that stays while it is read",
                found="one that a withdrawal or compaction deleted",
                action="run the same command again",
            )
        )
