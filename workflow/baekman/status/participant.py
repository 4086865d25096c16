"""The state of one participant: the verdicts of each delivery on the specimens, and the results that are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from baekman import pseudonyms
from baekman.errors import DamagedFile, InputRefused, Problem
from baekman.verdicts import Verdict
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.waiting import verdicts_of


@dataclass(frozen=True, kw_only=True)
class ParticipantStatus:
    """A specimen of a participant in a delivery. ``stage``: ``intake``, ``align``, ``call`` or ``tables``.

    ``verdicts`` has an object for each gate: ``gate``, ``verdict`` and ``reasons`` (codes).
    """

    participant: str
    specimen: str
    delivery: str
    stage: str
    verdicts: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return asdict(self)


def participant_statuses(
    workspace: Workspace, folders: Iterable[DeliveryFolder], chosen: Iterable[str]
) -> list[ParticipantStatus]:
    """Return the state of the ``chosen`` participants in each delivery of ``folders``.

    Raises:
        InputRefused: A participant is in none of the deliveries, or the text is no ID.
    """
    wanted = set(chosen)
    statuses = [status for folder in folders for status in _in_delivery(workspace, folder, wanted)] if wanted else []
    absent = wanted - {status.participant for status in statuses}
    if absent:
        raise InputRefused(
            Problem(
                file="--participant",
                place=name if pseudonyms.is_valid(name, "P") else "",
                expected="the ID of a participant in a delivery of this workspace",
                found=pseudonyms.slip(name, "P") or "another",
                action="check the ID; a withdrawn participant is in no delivery",
            )
            for name in sorted(absent)
        )
    return statuses


def _in_delivery(workspace: Workspace, folder: DeliveryFolder, wanted: set[str]) -> Iterator[ParticipantStatus]:
    by_specimen: dict[tuple[str, str], list[Verdict]] = {}
    try:
        for verdict in verdicts_of(folder):
            if verdict.participant_id in wanted:
                by_specimen.setdefault((str(verdict.participant_id), verdict.specimen_id), []).append(verdict)
    except (DamagedFile, ValueError, KeyError):
        return
    for (participant, specimen), verdicts in by_specimen.items():
        yield ParticipantStatus(
            participant=participant,
            specimen=specimen,
            delivery=folder.id,
            stage=_stage(workspace, participant),
            verdicts=tuple(
                {
                    "gate": verdict.gate,
                    "verdict": verdict.verdict,
                    "reasons": list(dict.fromkeys(reason.code for reason in verdict.reasons)),
                }
                for verdict in verdicts
            ),
        )


def _stage(workspace: Workspace, participant: str) -> str:
    """Return the last stage with a result of ``participant``."""
    home = workspace.participant(participant)
    tables = workspace.tables / "variants"
    results = ((home.gvcf, "call"), (home.cram, "align"))
    if any(tables.glob(f"*/{participant}.parquet")):
        return "tables"
    return next((stage for file, stage in results if file.is_file()), "intake")
