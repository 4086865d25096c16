"""Reads of a participant that come again in a later delivery: what a person may decide on them."""

from __future__ import annotations

from collections.abc import Iterator

from baekman.hold.specimens import HeldSpecimen
from baekman.intake.checks import accepted_before
from baekman.intake.reasons import REPEATED
from baekman.registry.records import Registry
from baekman.registry.verdict_history import verdict_history
from baekman.verdicts import REUSED
from baekman.workspace.paths import Workspace


def came_again(held: HeldSpecimen, *, registry: Registry) -> bool:
    """Return whether another delivery brought reads of the participant through, so that a person must choose."""
    codes = {reason.code for reason in held.failures}
    if REUSED in codes:
        return True
    if REPEATED not in codes:
        return False
    return any(
        accepted_before(verdict_history(registry, specimen.specimen_id), delivery_id=held.folder.id)
        for specimen in registry.specimens_of(str(held.participant_id))
    )


def reads_problems(held: HeldSpecimen, reads: str, *, is_again: bool) -> Iterator[dict[str, str]]:
    """Yield the problems of accepting ``held`` with the option ``reads`` (``merge``, ``replace`` or ""), in words."""
    workspace = Workspace(held.folder.path.parent.parent)
    if is_again and not reads:
        yield {
            "expected": "--merge or --replace: another delivery brought reads of the participant",
            "found": "neither",
            "action": "--merge adds these reads to the earlier ones, --replace uses these instead of them",
        }
    elif reads and not is_again:
        yield {
            "expected": f"reads of the participant in another delivery, with --{reads}",
            "found": "none",
            "action": f"leave --{reads} out",
        }
    elif reads == "merge" and not workspace.participant(str(held.participant_id)).cram.is_file():
        yield {
            "expected": "an alignment of the earlier reads to merge with",
            "found": "none: a gVCF was delivered, or the alignment was deleted",
            "action": "use --replace",
        }
