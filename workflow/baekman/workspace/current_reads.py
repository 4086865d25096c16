"""The reads of a participant that count, where several deliveries brought some: ``participants/<P…>/reads.json``.

A person decides on the reads of a later delivery (``baekman hold accept --merge`` or ``--replace``). Intake then writes
the file, and from there on the participant's files are of that delivery. Without it no decision was needed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from baekman.files.atomic import atomic_file
from baekman.files.digests import read_sealed, write_sealed
from baekman.workspace.paths import ParticipantFolder, Workspace

ReadsUse = Literal["merge", "replace"]


@dataclass(frozen=True, kw_only=True)
class CurrentReads:
    """The delivery of a participant's files.

    Attributes:
        delivery: The ID of the delivery.
        use: ``merge``: its reads together with those in ``earlier.cram``; ``replace``: its reads alone.
        earlier: The number of reads in ``earlier.cram``; secondary and supplementary alignments are no reads.
    """

    delivery: str
    use: ReadsUse
    earlier: int = 0


def read_current(folder: ParticipantFolder) -> CurrentReads | None:
    """Return the reads that count of the participant of ``folder``; None where only one delivery brought some.

    Raises:
        DamagedFile: The file has other bytes than were written.
    """
    if not folder.reads.is_file():
        return None
    return CurrentReads(**read_sealed(folder.reads))


def note_reads(folder: ParticipantFolder, *, delivery_id: str, use: ReadsUse, count: Callable[[], int]) -> None:
    """Let the reads of the delivery ``delivery_id`` count from now on; nothing to do where they do.

    For ``merge`` the alignment that is there gets a second name, ``earlier.cram``, before a job makes a new one;
    ``count`` returns the number of its reads. A process that is killed leaves the earlier reads as they were.
    """
    current = read_current(folder)
    if current is not None and (current.delivery, current.use) == (delivery_id, use):
        return
    if use == "merge" and (current is None or current.delivery != delivery_id):
        _keep_earlier(folder)
    note = CurrentReads(delivery=delivery_id, use=use, earlier=count() if use == "merge" else 0)
    write_sealed(folder.reads, asdict(note))
    if use == "replace":
        folder.earlier_cram.unlink(missing_ok=True)


def _keep_earlier(folder: ParticipantFolder) -> None:
    with atomic_file(folder.earlier_cram) as temporary:
        try:
            os.link(folder.cram, temporary)
        except OSError:
            shutil.copyfile(folder.cram, temporary)


def alignment_before(folder: ParticipantFolder, *, delivery_id: str) -> Path:
    """Return the alignment of the reads that the delivery's are, or will be, merged with; it need not exist."""
    current = read_current(folder)
    is_taken_over = current is not None and (current.delivery, current.use) == (delivery_id, "merge")
    return folder.earlier_cram if is_taken_over else folder.cram


def merged_reads(workspace: Workspace, participant_id: str, *, delivery_id: str) -> CurrentReads | None:
    """Return the note of a participant whose earlier reads are merged with those of the delivery, else None."""
    current = read_current(workspace.participant(participant_id))
    is_merged = current is not None and current.delivery == delivery_id and current.use == "merge"
    return current if is_merged else None
