"""Ploidy along the genome, by sex and pseudo-autosomal regions (PAR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from baekman.genome.chromosomes import chromosome_kind
from baekman.genome.regions import Region

SEXES = ("female", "male", "unknown")


@dataclass(frozen=True)
class Piece:
    """A region through which a participant has one ploidy, 1 or 2."""

    region: Region
    ploidy: int


def pieces(region: Region, *, sex: str, par: Sequence[Region] = ()) -> list[Piece]:
    """Cut ``region`` where the ploidy changes; stretches of ploidy 0 are left out.

    Autosomes have ploidy 2, MT has 1. X has 2, but 1 for males outside the PARs. Y has 1 for males outside its PARs,
    else 0: reads of the PARs of Y are called on X. For sex ``unknown``, X has 2 and Y has 0, so that a male's calls
    on X are homozygous diploid and nothing is claimed on Y. Contigs may be named with ``chr`` or without, in ``par``
    too. Raises ``ValueError`` for any other ``sex``.
    """
    if sex not in SEXES:
        raise ValueError(f"sex is one of {', '.join(SEXES)}")
    kind = chromosome_kind(region.contig)
    cut: list[Piece] = []
    for stretch, in_par in _stretches(region, _in_par(region, par) if kind in "XY" else ()):
        ploidy = _ploidy(kind, sex, in_par=in_par)
        if cut and cut[-1].ploidy == ploidy and cut[-1].region.end + 1 == stretch.start:
            cut[-1] = Piece(Region(region.contig, cut[-1].region.start, stretch.end), ploidy)
        elif ploidy:
            cut.append(Piece(stretch, ploidy))
    return cut


def one_copy_in_males(contig: str, positions: npt.NDArray[Any], par: Sequence[Region]) -> npt.NDArray[np.bool_]:
    """Return at which 1-based ``positions`` of ``contig`` a male has one copy: those of X and Y outside the PARs.

    All are False when ``par`` is empty: the PARs are unknown then, and any position may lie in one.
    """
    kind = chromosome_kind(contig)
    one_copy = np.full(len(positions), bool(par) and kind in ("X", "Y"))
    for region in par:
        if chromosome_kind(region.contig) == kind:
            one_copy &= (positions < region.start) | (positions > region.end)
    return one_copy


def own_ploidy(ploidy: npt.NDArray[np.uint8], *, one_copy: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Return the caller's ``ploidy`` with 1 where a participant has ``one_copy``."""
    return np.where(one_copy, np.uint8(1), ploidy)


def _stretches(region: Region, overlaps: Sequence[Region]) -> list[tuple[Region, bool]]:
    """Return ``region`` cut at the borders of ``overlaps`` (sorted), each stretch with whether it is one of them."""
    stretches: list[tuple[Region, bool]] = []
    at = region.start
    for overlap in overlaps:
        if at < overlap.start:
            stretches.append((Region(region.contig, at, overlap.start - 1), False))
        stretches.append((overlap, True))
        at = overlap.end + 1
    if at <= region.end:
        stretches.append((Region(region.contig, at, region.end), False))
    return stretches


def _in_par(region: Region, par: Sequence[Region]) -> list[Region]:
    kind = chromosome_kind(region.contig)
    overlaps = (
        Region(region.contig, max(region.start, p.start), min(region.end, p.end))
        for p in par
        if chromosome_kind(p.contig) == kind
    )
    return sorted(overlap for overlap in overlaps if overlap.start <= overlap.end)


def _ploidy(kind: str, sex: str, *, in_par: bool) -> int:
    """Return the ploidy of a stretch that lies wholly in a PAR or wholly outside."""
    if kind == "MT":
        return 1
    if kind == "Y":
        # the PARs of Y are not called: reads from there align to X, whose PARs are called diploid
        return 1 if sex == "male" and not in_par else 0
    if kind == "X":
        return 1 if sex == "male" and not in_par else 2
    return 2
