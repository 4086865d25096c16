"""Regions of the reference: stretches of one contig, 1-based, both ends included."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from baekman.errors import InputRefused, Problem
from baekman.genome.contigs import Contig

NAMED = 6  # contigs in a message


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

    def refused(expected: str, found: str, action: str = "") -> InputRefused:
        action = action or f"e.g. {contig}:{min(1000, lengths[contig])}-{min(2000, lengths[contig])}"
        return InputRefused(Problem(file="--region", expected=expected, found=found, action=action))

    if text in lengths:
        return Region(text, 1, lengths[text])
    matched = re.fullmatch(r"(.+):([\d,]{1,40})(-([\d,]{0,40}))?", text)
    contig = matched[1] if matched else text
    if contig not in lengths:
        if aliases.get(contig) in lengths:
            return parse_region(aliases[contig] + text[len(contig) :], contigs=contigs, aliases=aliases)
        expected = f"a contig of the store's reference ({_listed(list(lengths))}), or contig:start-end"
        raise refused(expected, repr(text), _likely(contig, list(lengths)))
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


def _listed(names: Sequence[str]) -> str:
    """Return the names of contigs as a message shows them: all of a few, else the first and the last ones."""
    return ", ".join(names if len(names) <= NAMED else [*names[: NAMED - 2], "…", names[-1]])


def _likely(contig: str, names: Sequence[str]) -> str:
    """Return the next step after an unknown contig: the likely name, where references name it in another way."""
    short = contig.removeprefix("chr")
    for name in (f"chr{short}", short, "chrM" if short == "MT" else "MT"):
        if name in names and (name not in ("chrM", "MT") or short in ("M", "MT")):
            return f"did you mean {name}? cohort.contig_aliases of the configuration gives contigs a second name"
    return f"e.g. {names[0]}:1000-2000" if names else ""
