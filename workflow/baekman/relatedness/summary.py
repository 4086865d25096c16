"""The relatedness of a snapshot in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baekman.cohort.snapshot import Snapshot
from baekman.relatedness.schema import USUAL_PEOPLE, USUAL_VARIANTS


def lines_of(snapshot: Snapshot, note: Mapping[str, Any], degrees: Mapping[str, int]) -> list[str]:
    """Return the lines that the command prints; ``degrees``: pairs by degree."""
    variants, components = note["variants"], note["components"]
    lines = [
        f"snapshot {snapshot.number}: {note['participants']} participants, {variants['used']} variants "
        f"of {variants['candidates']} common ones; {components} components",
        "pairs: " + ", ".join(f"{count} {name}" for name, count in degrees.items()),
    ]
    return lines + doubts(note)


def doubts(note: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each reason to doubt the values."""
    sentences = {
        "variants": f"fewer than {USUAL_VARIANTS:,} variants: the degrees of pairs are uncertain, the third most of "
        "all",
        "participants": f"fewer than {USUAL_PEOPLE} participants: allele frequencies are uncertain, so linked variants "
        "stay and nobody is called an outlier",
    }
    return [sentences[doubt] for doubt in note["doubts"]]
