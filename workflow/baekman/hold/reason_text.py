"""The text of a person's reason: the institution reads it, and it lies among pseudonyms. It has no identifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from baekman.errors import Problem
from baekman.hold.specimens import HeldSpecimen
from baekman.intake import return_report
from baekman.privacy.reason_text import reason_problems
from baekman.privacy.stream_search import found_in
from baekman.registry.records import Registry
from baekman.registry.specimen import SpecimenRecord
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.waiting import verdicts_of


def text_problems(workspace: Workspace, text: str, *, folders: Mapping[Any, DeliveryFolder]) -> Iterator[Problem]:
    """Yield the problems of the form of a reason's text, and of names of its institution and delivery."""
    names = {name for folder in folders.values() for name in return_report.names_of(workspace, folder.id)}
    yield from reason_problems(text, names=names, readers="the institution")


def registered_in_text(text: str, chosen: Sequence[HeldSpecimen], *, registry: Registry) -> Iterator[Problem]:
    """Yield a problem when the text has a registered identifier of somebody in the deliveries of ``chosen``."""
    participants = {
        verdict.participant_id
        for folder in {held.folder for held in chosen}
        for verdict in verdicts_of(folder)
        if verdict.participant_id
    }
    records: list[SpecimenRecord] = [
        record for participant_id in sorted(participants) for record in registry.specimens_of(participant_id)
    ]
    identifiers = {value for record in records for value in registry.identifiers_of(record)}
    if "registered" in found_in(text, identifiers, barcode=""):
        yield Problem(
            file="--reason",
            expected="a text without names, numbers, subject codes and barcodes",
            found="a registered one",
            action="write it in other words",
        )
