"""The text of a person's reason: the institution reads it, and it lies among pseudonyms. It has no identifier."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from baekman import pseudonyms
from baekman.errors import Problem
from baekman.hold.specimens import HeldSpecimen
from baekman.intake import return_report
from baekman.privacy.stream_search import found_in
from baekman.registry.records import Registry
from baekman.registry.specimen import SpecimenRecord
from baekman.workspace.paths import DeliveryFolder, Workspace
from baekman.workspace.waiting import verdicts_of

LONGEST_REASON = 500  # characters


def text_problems(workspace: Workspace, text: str, *, folders: Mapping[Any, DeliveryFolder]) -> Iterator[Problem]:
    """Yield the problems of the form of a reason's text, and of names of its institution and delivery."""

    def problem(expected: str, found: str) -> Problem:
        return Problem(file="--reason", expected=expected, found=found, action="write it in other words")

    words = text.split()
    if not words or len(text) > LONGEST_REASON or not text.isprintable():
        yield problem(f"a line of text, 1 to {LONGEST_REASON} characters", "no such text")
    if any(pseudonyms.is_valid(word) for word in re.findall("[0-9A-Za-z]+", text)):
        yield problem("a text for the institution, without pseudonymous IDs", "an ID")
    if kinds := found_in(text, (), barcode=""):
        yield problem("a text without identifiers of a person", ", ".join(sorted(kinds)))
    names = {name for folder in folders.values() for name in return_report.names_of(workspace, folder.id)}
    if found_in(text, names, barcode="") - kinds:
        yield problem("a text without the name of an institution or a delivery", "such a name")


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
