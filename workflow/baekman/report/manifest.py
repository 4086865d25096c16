"""The manifest of a run: with what software, settings, inputs and consent state its results were made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from baekman import __version__, verdicts
from baekman.config import loading as config
from baekman.files.atomic import write_text
from baekman.files.digests import sha256_of
from baekman.tools import programs as tools
from baekman.workspace.paths import Workspace

SCHEMA_VERSION = "1"


def write(workspace: Workspace, delivery_id: str, *, settings: Mapping[str, Any], output: Path) -> None:
    """Write the manifest of the run of ``delivery_id`` with ``settings`` to ``output`` (JSON).

    It has the SHA-256 of intake's list of the delivered files (``inputs.json``) and of the gVCFs in the batch.
    """
    delivery = workspace.delivery(delivery_id)
    sheet, batch = _read(delivery.summary), _read(delivery.batch)
    manifest = {
        "schema": SCHEMA_VERSION,
        "baekman": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "delivery": sheet,
        "consent_hash": sheet["consent_hash"],
        "snapshot": batch["snapshot"],
        "participants": len(batch["participants"]),
        "verdicts": {gate: _counts(delivery.verdicts(gate)) for gate in verdicts.GATES},
        "settings": settings,
        "config_hash": config.config_hash(settings),
        "inputs": {
            "delivered": sha256_of(delivery.inputs),
            "specimens": sha256_of(delivery.specimens),
            "reference": sha256_of(Path(settings["reference"])),
            "qc_thresholds": sha256_of(Path(settings["qc_thresholds"])),
            "gvcfs": {one: sha256_of(workspace.participant(one).gvcf) for one in batch["participants"]},
        },
        "versions": tools.versions(),
    }
    write_text(output, json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _counts(path: Path) -> dict[str, int]:
    """How many specimens were accepted, held and rejected."""
    decisions = [one.verdict for one in verdicts.read_verdicts(path)]
    return {decision: decisions.count(decision) for decision in verdicts.DECISIONS}
