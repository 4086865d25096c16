"""The manifest of a run: the software, settings, inputs and consent state that its results were made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from baekman import __version__
from baekman.config.loading import config_hash
from baekman.files.atomic import write_text
from baekman.files.digests import sha256_of
from baekman.tools import programs as tools
from baekman.verdicts import DECISIONS, GATES, read_verdicts
from baekman.workspace.paths import Workspace

SCHEMA_VERSION = "1"


def write_run_manifest(workspace: Workspace, delivery_id: str, *, settings: Mapping[str, Any], output: Path) -> None:
    """Write the manifest of the run of ``delivery_id`` with ``settings`` to ``output`` (JSON).

    It has the SHA-256 of intake's list of the delivered files (``inputs.json``) and of the gVCFs in the batch.
    """
    delivery = workspace.delivery(delivery_id)
    sheet, batch = _read(delivery.summary), _read(delivery.batch)
    gvcfs = {participant_id: workspace.participant(participant_id).gvcf for participant_id in batch["participants"]}
    manifest = {
        "schema": SCHEMA_VERSION,
        "baekman": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "delivery": sheet,
        "consent_hash": sheet["consent_hash"],
        "snapshot": batch["snapshot"],
        "participants": len(batch["participants"]),
        "remarks": batch.get("remarks", {}),
        "verdicts": {gate: _counts(delivery.verdicts(gate)) for gate in GATES},
        "settings": settings,
        "config_hash": config_hash(settings),
        "inputs": {
            "delivered": sha256_of(delivery.inputs),
            "specimens": sha256_of(delivery.specimens),
            "reference": sha256_of(Path(settings["reference"])),
            "qc_thresholds": sha256_of(Path(settings["qc_thresholds"])),
            "gvcfs": {participant_id: sha256_of(gvcf) for participant_id, gvcf in gvcfs.items()},
        },
        "versions": tools.versions(),
    }
    write_text(output, json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _counts(path: Path) -> dict[str, int]:
    """Return the number of specimens that were accepted, held and rejected."""
    decisions = [verdict.verdict for verdict in read_verdicts(path)]
    return {decision: decisions.count(decision) for decision in DECISIONS}
