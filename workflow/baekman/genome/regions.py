"""Regions of the reference: stretches of one contig, 1-based, both ends included."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from baekman.errors import InputRefused, Problem
from baekman.genome.contigs import Contig


@dataclass(frozen=True, order=True)
class Region:
    """A stretch of a contig; ``start`` and ``end`` are 1-based and inclusive."""

    contig: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.contig}:{self.start}-{self.end}"


def parse_region(text: str, *, contigs: Sequence[Contig], aliases: Mapping[str, str]) -> Region:
    """Return the region that a person writes as ``chr20``, ``chr20:1,000`` or ``chr20:1,000-2,000``.

    ``aliases`` maps other names of a contig to its name in ``contigs``. An end past the contig is cut. Raises
    InputRefused when the reference has no such region.
    """
    lengths = {contig.name: contig.length for contig in contigs}

    def refused(expected: str, found: str) -> InputRefused:
        return InputRefused(Problem(file="--region", expected=expected, found=found, action="e.g. chr20:1000-2000"))

    if text in lengths:
        return Region(text, 1, lengths[text])
    matched = re.fullmatch(r"(.+):([\d,]{1,40})(-([\d,]{0,40}))?", text)
    contig = matched[1] if matched else text
    if contig not in lengths:
        if aliases.get(contig) in lengths:
            return parse_region(aliases[contig] + text[len(contig) :], contigs=contigs, aliases=aliases)
        raise refused("a contig of the store's reference, or contig:start-end", repr(text))
    assert matched is not None
    start = int(matched[2].replace(",", "") or 0)
    if matched[3] is None:
        end = start
    else:
        end = int(matched[4].replace(",", "")) if matched[4].replace(",", "") else lengths[contig]
    if start < 1 or end < start:
        raise refused("a start of at least 1 and an end at or after it", f"{start}-{end}")
    if start > lengths[contig]:
        raise refused(f"positions of {contig} up to {lengths[contig]}", f"{start}-{end}")
    return Region(contig, start, min(end, lengths[contig]))
