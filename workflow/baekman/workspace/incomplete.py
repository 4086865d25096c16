"""Specimens that lost reads or records after intake: their results go, so that the next run makes them again."""

from __future__ import annotations

from contextlib import suppress

from baekman.verdicts import GATES, INCOMPLETE, read_verdicts
from baekman.workspace.paths import Workspace
from baekman.workspace.specimens import superseded_in

INDEXES = (".crai", ".tbi")
LOST = INCOMPLETE - {"gvcf_refused"}  # a gVCF with a fault would be taken over with its fault again


def remove_incomplete(workspace: Workspace, delivery_id: str) -> list[str]:
    """Delete alignment and calls of each participant of a delivery whom a gate found incomplete.

    A result that is younger than the verdict stays: another run has made it since. Returns the participants, sorted.
    """
    participants = set()
    superseded = superseded_in(workspace, delivery_id)  # the files are those of a later delivery
    for gate in GATES:
        file = workspace.delivery(delivery_id).verdicts(gate)
        if not file.is_file():
            continue
        judged = file.stat().st_mtime_ns
        for verdict in read_verdicts(file):
            codes = {reason.code for reason in verdict.reasons}
            if gate == "intake" or verdict.participant_id is None or not codes & LOST:
                continue
            if verdict.participant_id in superseded:
                continue
            folder = workspace.participant(verdict.participant_id)
            for path in (folder.cram, folder.gvcf) if gate == "qc" else (folder.gvcf,):
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime_ns <= judged:
                        path.unlink()
                        participants.add(verdict.participant_id)
                        for ending in INDEXES:
                            path.with_name(path.name + ending).unlink(missing_ok=True)
    return sorted(participants)
