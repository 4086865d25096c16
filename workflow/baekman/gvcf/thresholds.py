"""The thresholds of a cohort store, and the rules of reading a gVCF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When a record or block is called; fixed in ``store.json`` for the store's life, but for the last.

    ``min_gq``: least GQ. ``min_dp``: least depth (reads); 0 is off.
    ``min_het_percent``: the least share (percent of AD) of the weaker allele of a heterozygote; 0 is off.
    ``gq_bands``: the lower ends of the GQ bands that reference blocks are merged in, ascending from 0.
    ``max_contradicting``: most fields of a gVCF that may contradict their header; each is read as missing. A batch may
    have another value: see ``GvcfRules``.
    """

    min_gq: int = 20
    min_dp: int = 0
    min_het_percent: int = 0
    gq_bands: tuple[int, ...] = (0, 1, 3, 6, 9, 12, 15, 20, 30, 40, 50, 60, 80)
    max_contradicting: int = 1000


@dataclass(frozen=True, kw_only=True)
class GvcfRules:
    """The names and contradictions that the gVCFs of a batch may have. They change no data of a gVCF that is read.

    ``aliases``: the reference's name of a contig by its name in a gVCF. ``ignored``: names of contigs that the
    reference lacks, the records of which are left out and counted; a ``*`` at the end stands for any ending.
    ``max_contradicting``: as in ``Thresholds``.
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    max_contradicting: int = 1000
