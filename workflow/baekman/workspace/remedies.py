"""The next step for a damaged file of a workspace, by the folder or name in its path."""

from __future__ import annotations

from pathlib import Path

_REMEDIES = {
    "tables": "write it again with `baekman tables --output TABLES`, or `baekman cohort freeze`",
    "sites": "make it again from the batches with `baekman cohort repair`",
    "batches": "restore the batch from a back-up, or withdraw its participants and add their gVCFs again",
    "work": "delete the folder `work` of the cohort, and run the same command again",
    "decisions.json": "restore it from a back-up, or delete it and decide again with `baekman hold`",
    "deliveries": "receive the delivery again: baekman receive DELIVERY --again",
    "receipts": "restore it from a back-up",
    "withdrawn": "run `baekman withdraw` with the participant's ID again",
    "denied.txt": "make it again with any command that opens the registry, such as `baekman registry show`",
}
RESTORE = "restore it from a back-up"


def remedy_of(path: Path) -> str:
    """Return the next step for the damaged file at ``path``, within its workspace, cohort or freeze."""
    if any((folder / "SHA256SUMS").is_file() for folder in path.parents):
        return "copy the freeze again, or write it again with `baekman cohort freeze`"
    return next((remedy for name, remedy in _REMEDIES.items() if name in path.parts), RESTORE)
