"""A region of the reference as people write it: ``chr20``, ``chr20:1,000-2,000`` (1-based, both ends included)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from baekman.cohort.store import Store
from baekman.errors import InputRefused, Reason


@dataclass(frozen=True, kw_only=True)
class Region:
    """Positions ``start`` to ``end`` of a contig, 1-based and inclusive; what lies there has its POS there."""

    contig: str
    start: int
    end: int


def parse_region(text: str, *, store: Store) -> Region:
    """The region that ``text`` names; raises InputRefused when the store's reference has none such."""
    lengths = {contig.name: contig.length for contig in store.contigs}

    def refused(expected: str, found: str) -> InputRefused:
        return InputRefused(Reason(file="--region", expected=expected, found=found, action="e.g. chr20:1000-2000"))

    if text in lengths:
        return Region(contig=text, start=1, end=lengths[text])
    matched = re.fullmatch(r"(.+):([\d,]{1,40})(-([\d,]{0,40}))?", text)
    contig = matched[1] if matched else text
    if contig not in lengths:
        if store.aliases.get(contig) in lengths:
            return parse_region(store.aliases[contig] + text[len(contig) :], store=store)
        raise refused("a contig of the store's reference, or contig:start-end", repr(text))
    assert matched is not None
    start = int(matched[2].replace(",", "") or 0)
    if matched[3] is None:
        end = start
    else:
        end = int(matched[4].replace(",", "")) if matched[4].replace(",", "") else lengths[contig]
    if start < 1 or end < start:
        raise refused("a start of at least 1 and an end at or behind it", f"{start}-{end}")
    if start > lengths[contig]:
        raise refused(f"positions of {contig} up to {lengths[contig]}", f"{start}-{end}")
    return Region(contig=contig, start=start, end=min(end, lengths[contig]))


def shards_in(store: Store, region: Region | None) -> list[int]:
    """Indices of the shards that the region touches; all of them without a region."""
    return [
        index
        for index, shard in enumerate(store.shards)
        if region is None or (shard.contig == region.contig and shard.start <= region.end and region.start <= shard.end)
    ]
