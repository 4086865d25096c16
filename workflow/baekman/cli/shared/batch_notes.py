"""The notes on a batch that was added to a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from baekman.api.cohort import Cohort
    from baekman.cohort.snapshot import Snapshot

ALL_REMARKS = "SELECT participant_id, unnest(map_entries(remarks), recursive := true) FROM participants"


def notes_on(opened: Cohort, snapshot: Snapshot, batch: str, *, config: Path | None) -> list[str]:
    """Return the lines on a batch after its addition: remarks, equal gVCFs, who waits, and settings not applied."""
    from baekman.cohort.add import repeated_contents, waiting_sentence
    from baekman.cohort.roster import read_remarks
    from baekman.cohort.settings import not_applied, read_settings
    from baekman.gvcf.remarks import describe

    cohort = opened.store.path
    is_there = snapshot.entry(batch) is not None
    lines = describe(read_remarks(opened.store, batch)) if is_there else []
    if lines:
        lines.append(f'all remarks: baekman query --cohort {cohort} --sql "{ALL_REMARKS}"')
    alike = repeated_contents(opened.store, batch) if is_there else []
    lines += [f"note: the gVCFs of {', '.join(participants)} have the same content" for participants in alike]
    settings = read_settings(cohort, config)
    if settings and not is_there and (waiting := opened.waiting):
        lines.append(waiting_sentence(waiting, more=settings["cohort"]["min_batch"] - waiting))
    if settings:
        unused = not_applied(snapshot.filters, settings, snapshot=snapshot.number)
        lines += [f"note: {sentence}" for sentence in unused]
    return lines
