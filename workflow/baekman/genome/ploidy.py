"""Ploidy along the genome, by sex and pseudo-autosomal regions (PAR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from baekman import data
from baekman.errors import InputRefused, Problem
from baekman.genome.regions import Region

# names of a reference (as in config and deliveries, lower case) -> the PAR table that goes with it
PAR_TABLES = {
    **dict.fromkeys(
        (
            "grch38",
            "hg38",
            "hs38",
            "hs38dh",
            "grch38_no_alt",
            "homo_sapiens_assembly38",
            "grch38_full_analysis_set_plus_decoy_hla",
            "gca_000001405.15_grch38_no_alt_analysis_set",
        ),
        "par_GRCh38.bed",
    ),
    **dict.fromkeys(
        ("grch37", "hg19", "b37", "hs37d5", "hs37", "human_g1k_v37", "human_g1k_v37_decoy", "homo_sapiens_assembly19"),
        "par_GRCh37.bed",
    ),
}
SEXES = ("female", "male", "unknown")


@dataclass(frozen=True)
class Piece:
    """A region through which a participant has one ploidy, 1 or 2."""

    region: Region
    ploidy: int


def chromosome_kind(contig: str) -> str:
    """``X``, ``Y`` or ``MT`` for those contigs, with ``chr`` or without; ``autosome`` for every other name."""
    name = contig[3:] if contig[:3].lower() == "chr" else contig
    return {"X": "X", "Y": "Y", "M": "MT", "MT": "MT"}.get(name.upper(), "autosome")


def read_par(par: Path) -> list[Region]:
    """The pseudo-autosomal regions in a BED file (0-based, half-open); ``#`` starts a comment.

    Raises ``InputRefused`` with every line that is not an interval on X or Y.
    """
    regions, reasons = [], []
    for number, line in enumerate(par.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split()
        sound = len(fields) >= 3 and fields[1].isdigit() and fields[2].isdigit()
        if sound and int(fields[1]) < int(fields[2]) and chromosome_kind(fields[0]) in "XY":
            regions.append(Region(fields[0], int(fields[1]) + 1, int(fields[2])))
        else:
            reasons.append(
                Problem(
                    file=par.name,
                    place=f"line {number}",
                    expected="contig X or Y, start < end (BED: 0-based, half-open)",
                    found="something else",
                    action="correct the PAR table",
                )
            )
    if reasons:
        raise InputRefused(reasons)
    return regions


@cache
def par_of_reference(name: str) -> tuple[Region, ...]:
    """The PARs of a known reference by its name (``PAR_TABLES``); of any other, none."""
    table = PAR_TABLES.get(name.lower())
    return tuple(read_par(data.path(table))) if table else ()


def _in_par(region: Region, par: Sequence[Region]) -> list[Region]:
    kind = chromosome_kind(region.contig)
    overlaps = (
        Region(region.contig, max(region.start, p.start), min(region.end, p.end))
        for p in par
        if chromosome_kind(p.contig) == kind
    )
    return sorted(overlap for overlap in overlaps if overlap.start <= overlap.end)


def _ploidy(kind: str, sex: str, *, par: bool) -> int:
    """Ploidy of a stretch that lies in a PAR or outside wholly."""
    if kind == "MT":
        return 1
    if kind == "Y":
        # the PARs of Y are not called: reads from there align to X, whose PARs are called diploid
        return 1 if sex == "male" and not par else 0
    if kind == "X":
        return 1 if sex == "male" and not par else 2
    return 2


def pieces(region: Region, *, sex: str, par: Sequence[Region] = ()) -> list[Piece]:
    """Cut ``region`` where the ploidy changes; stretches of ploidy 0 are left out.

    Autosomes 2. X: 2, but 1 for males outside the PARs. Y: 1 for males outside its PARs, else 0 (PAR reads are
    called on X). MT 1. Sex ``unknown``: X 2 and Y 0, so that a male's X calls are homozygous diploid
    and nothing is claimed on Y. Contigs may be named with ``chr`` or without, here and in ``par``.
    """
    if sex not in SEXES:
        raise ValueError(f"sex is one of {', '.join(SEXES)}")
    kind = chromosome_kind(region.contig)
    stretches: list[tuple[Region, bool]] = []
    at = region.start
    for overlap in _in_par(region, par) if kind in "XY" else ():
        if at < overlap.start:
            stretches.append((Region(region.contig, at, overlap.start - 1), False))
        stretches.append((overlap, True))
        at = overlap.end + 1
    if at <= region.end:
        stretches.append((Region(region.contig, at, region.end), False))
    found: list[Piece] = []
    for stretch, in_par in stretches:
        ploidy = _ploidy(kind, sex, par=in_par)
        if found and found[-1].ploidy == ploidy and found[-1].region.end + 1 == stretch.start:
            found[-1] = Piece(Region(region.contig, found[-1].region.start, stretch.end), ploidy)
        elif ploidy:
            found.append(Piece(stretch, ploidy))
    return found


def one_copy_in_males(contig: str, positions: npt.NDArray[Any], par: Sequence[Region]) -> npt.NDArray[np.bool_]:
    """At which 1-based ``positions`` of ``contig`` a male has one copy: those of X and Y outside the PARs.

    At none when ``par`` is empty: where the PARs lie is not known then, and what lies in one cannot be told.
    """
    kind = chromosome_kind(contig)
    found = np.full(len(positions), bool(par) and kind in ("X", "Y"))
    for region in par:
        if chromosome_kind(region.contig) == kind:
            found &= (positions < region.start) | (positions > region.end)
    return found


def own_ploidy(ploidy: npt.NDArray[np.uint8], *, one_copy: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """The participants' own ploidy where a caller said ``ploidy``: 1 of those who have ``one_copy``."""
    return np.where(one_copy, np.uint8(1), ploidy)
