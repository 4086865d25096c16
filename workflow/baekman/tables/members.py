"""The check of participants that a person names."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence

from baekman.errors import InputRefused, Problem

SHOWN_PLACES = 10


def require_members(participants: Sequence[str], *, known: Container[str], of: str) -> None:
    """Raise InputRefused when one of ``participants`` is not ``known``, or there is none; ``of`` names the cohort."""
    places = [str(place) for place, participant in enumerate(participants, start=1) if participant not in known]
    if places or not participants:
        more = "" if len(places) <= SHOWN_PLACES else " …"
        is_file = len(participants) == 1 and os.path.isfile(participants[0])  # noqa: PTH113 - any text is a path here
        raise InputRefused(
            Problem(
                file="--participants",
                expected=f"IDs of participants of {of}",
                found=f"{len(places)} of {len(participants)} others: number {', '.join(places[:SHOWN_PLACES])}{more}"
                if places
                else "none",
                action='`baekman query --sql "SELECT participant_id FROM participants"` lists them'
                + ("; a file of IDs is @FILE" if is_file else ""),
            )
        )
