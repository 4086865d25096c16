"""The manifest of a run: the software, settings, inputs and consent state that its results were made with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from baekman import __version__
from baekman.config.loading import config_hash
from baekman.files.atomic import write_text
from baekman.files.digests import sha256_of
from baekman.files.sidecar import read_checked
from baekman.tools import programs as tools
from baekman.verdicts import DECISIONS, GATES, read_verdicts
from baekman.workspace.paths import Workspace

SCHEMA_VERSION = "1"
TARGETS = "target_regions_sha256"


def write_run_manifest(workspace: Workspace, delivery_id: str, *, settings: Mapping[str, Any], output: Path) -> None:
    """Write the manifest of the run of ``delivery_id`` with the configuration ``settings`` to ``output`` (JSON).

    Its ``settings`` are those that were applied: of the cohort, of the batch and of the snapshot where they have them,
    else of the configuration. ``not_applied`` has the configuration's values of the others. ``replaced`` counts the
    participants whose earlier gVCF was replaced, and ``waiting`` those who wait for ``more`` (``cohort.min_batch``).
    The manifest has the SHA-256 of intake's list of the delivered files (``inputs.json``) and of the gVCFs in the
    batch.
    """
    delivery = workspace.delivery(delivery_id)
    sheet, batch = _read(delivery.summary), _read(delivery.batch)
    made_with = batch.get("settings") or {}
    applied = apply(settings, made_with)
    applied["encrypt_tables"] = _read(delivery.report / "tables.json").get("encrypted", settings["encrypt_tables"])
    gvcfs = {participant_id: workspace.participant(participant_id).gvcf for participant_id in batch["participants"]}
    manifest = {
        "schema": SCHEMA_VERSION,
        "baekman": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "delivery": sheet,
        "consent_hash": sheet["consent_hash"],
        "snapshot": batch["snapshot"],
        "participants": len(batch["participants"]),
        "replaced": len(batch.get("replaced", [])),
        "waiting": len(batch.get("waiting", [])),
        "more": batch.get("more", 0),
        "remarks": batch.get("remarks", {}),
        "verdicts": {gate: _counts(delivery.verdicts(gate)) for gate in GATES},
        "settings": applied,
        "not_applied": dict(differences(settings, applied)),
        "cohort": {key: made_with.get(key) for key in ("reference_name", "par_regions", "shards_sha256", TARGETS)},
        "config_hash": config_hash(applied),
        "inputs": {
            "delivered": sha256_of(delivery.inputs),
            "specimens": sha256_of(delivery.specimens),
            "reference": sha256_of(Path(settings["reference"])),
            "qc_thresholds": sha256_of(Path(settings["qc_thresholds"])),
            "target_regions": sha256_of(Path(path)) if (path := settings["target_regions"]) else None,
            "gvcfs": {participant_id: sha256_of(gvcf) for participant_id, gvcf in gvcfs.items()},
        },
        "versions": tools.versions(),
    }
    write_text(output, json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def not_applied(workspace: Workspace, delivery_id: str) -> dict[str, Any]:
    """Return the settings of the configuration that the run of ``delivery_id`` did not apply, by dotted key."""
    manifest = workspace.delivery(delivery_id).run_manifest
    return dict(_read(manifest).get("not_applied", {})) if manifest.is_file() else {}


def apply(settings: Mapping[str, Any], made_with: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``settings`` with the sections ``cohort`` and ``sites`` of ``made_with`` on top (``batch.json``)."""
    sections = {name: {**settings[name], **made_with.get(name, {})} for name in ("cohort", "sites")}
    return {**settings, **sections}


def differences(settings: Mapping[str, Any], applied: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of each of the ``settings`` that has another value in ``applied``."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and isinstance(applied[key], Mapping) and key in ("cohort", "sites"):
            yield from differences(value, applied[key], f"{prefix}{key}.")
        elif value != applied[key]:
            yield prefix + key, value


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(read_checked(path))
    return content


def _counts(path: Path) -> dict[str, int]:
    """Return the number of specimens that were accepted, held and rejected."""
    decisions = [verdict.verdict for verdict in read_verdicts(path)]
    return {decision: decisions.count(decision) for decision in DECISIONS}
