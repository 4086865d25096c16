"""The sentence of a delivery's reports on the target regions within which its reads were judged."""

from __future__ import annotations

from baekman.qc.metrics import read_metrics
from baekman.workspace import specimens
from baekman.workspace.paths import Workspace


def targets_sentence(workspace: Workspace, delivery_id: str) -> str:
    """Return the sentence by the metrics of a delivery's participants; "" where none were judged within targets."""
    rows = specimens.read(workspace.delivery(delivery_id).specimens)
    for participant_id in sorted({row.participant_id for row in rows}):
        path = workspace.participant(participant_id).metrics
        targets = read_metrics(path).details.get("targets") if path.is_file() else None
        if targets:
            regions, bases, padding = (targets[key] for key in ("regions", "bases", "padding"))
            word = "region" if regions == 1 else "regions"
            return (
                f"Depth, breadth and sex are judged within {regions:,} target {word} ({bases:,} bases). "
                f"Variants are called within them and {padding:,} bases around them; elsewhere nothing is called."
            )
    return ""
