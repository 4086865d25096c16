"""Counts of few people, which a report does not show."""

from __future__ import annotations

from collections.abc import Mapping

THRESHOLD = 11  # people: the least that releases show too (docs/releases.md)


def hidden(counts: Mapping[str, int], *, threshold: int) -> frozenset[str]:
    """Return the names of ``counts`` (of people, with a known total) that are not shown.

    These are counts below ``threshold`` but 0. Where it is a single one, the next smallest is hidden too: the total
    would give it away.
    """
    small = {name for name, count in counts.items() if 0 < count < threshold}
    if len(small) == 1:
        others = [(count, name) for name, count in counts.items() if name not in small and count]
        small |= {min(others)[1]} if others else set()
    return frozenset(small)
