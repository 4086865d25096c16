"""The made-up reference: an autosome, X with its PARs, Y and MT, with the features that make mapping hard.

All positions here are 0-based half-open, as in BED.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Sequence = npt.NDArray[np.uint8]

BASES = np.frombuffer(b"ACGT", dtype=np.uint8)
N = ord("N")

AUTOSOME, X, Y, MT = "chr21", "chrX", "chrY", "chrM"
# At scale 1. They have to stay small: some eighteen specimens at 30x go through the demo on two cores.
LENGTHS = {AUTOSOME: 220_000, X: 80_000, Y: 40_000, MT: 4_000}
MIN_SCALE = 0.2

# Base composition: CpG is four times rarer than C and G alone would make it, as in human DNA, and the GC
# content changes along the genome (isochores; Bernardi 2000 gives 35-55 % for human).
_CPG_DEPLETION = 0.25
_ISOCHORE = 10_000

_TELOMERE = 1_000
_ALU_LENGTH, _ALU_SPACING, _ALU_DIVERGENCE = 300, 9_000, 0.14
_REPEAT_SPACING = 1_300
DUPLICATE_DIVERGENCE = 0.01


@dataclass(frozen=True)
class Region:
    """0-based half-open; ``kind`` is one of N PAR1 PAR2 duplicate homopolymer str interspersed."""

    contig: str
    start: int
    end: int
    kind: str
    unit: int = 0


@dataclass
class Reference:
    """Upper-case bases of each contig as bytes, and the regions that were planted in them."""

    contigs: dict[str, Sequence]
    regions: list[Region] = field(default_factory=list)

    def of_kind(self, *kinds: str, contig: str | None = None) -> list[Region]:
        """Return the regions of these kinds, in genome order."""
        return [r for r in self.regions if r.kind in kinds and contig in (None, r.contig)]


def make_reference(seed: int, *, scale: float) -> Reference:
    """Make the reference of a seed; ``scale`` multiplies all lengths but MT's (the demo has 1).

    Raises ValueError below ``MIN_SCALE``, where fragments no longer fit between the masked ends.
    """
    if scale < MIN_SCALE:
        raise ValueError(f"a scale of at least {MIN_SCALE} is needed")
    reference = Reference({})
    alu = _composition(np.random.default_rng([seed, 1]), _ALU_LENGTH, gc=0.6)
    for number, (contig, length) in enumerate(LENGTHS.items()):
        rng = np.random.default_rng([seed, 2, number])
        fixed = contig == MT
        bases = _isochores(rng, length if fixed else round(length * scale), gc=0.44 if fixed else None)
        if contig != MT:
            reference.regions += _plant_interspersed(rng, contig, bases, alu)
            reference.regions += _plant_repeats(rng, contig, bases)
        reference.contigs[contig] = bases
    rng = np.random.default_rng([seed, 3])
    reference.regions += _plant_duplicate(rng, reference.contigs[AUTOSOME])
    for contig in (AUTOSOME, X, Y):
        reference.regions += _mask(contig, reference.contigs[contig])
    _shape_sex_chromosomes(reference)
    order = list(LENGTHS)
    reference.regions.sort(key=lambda r: (order.index(r.contig), r.start, r.end, r.kind))
    return reference


def soft_masked(reference: Reference, contig: str) -> Sequence:
    """Return the contig as in public references: repeats in lower case."""
    bases = reference.contigs[contig].copy()
    for region in reference.of_kind("interspersed", "str", "homopolymer", contig=contig):
        part = bases[region.start : region.end]
        part[part != N] |= 0x20
    return bases


def pars(reference: Reference, contig: str) -> list[Region]:
    """Return the pseudo-autosomal regions of X or Y."""
    return reference.of_kind("PAR1", "PAR2", contig=contig)


def _composition(rng: np.random.Generator, length: int, *, gc: float) -> Sequence:
    """Draw bases of a first-order Markov chain with this GC content before CpG depletion."""
    at, c = (1 - gc) / 2, gc / 2
    row = np.array([at, c, c, at])
    after_c = row * np.array([1, 1, _CPG_DEPLETION, 1])
    plain, depleted = np.cumsum(row), np.cumsum(after_c / after_c.sum())
    draws = rng.random(length)
    codes_plain = np.minimum(np.searchsorted(plain, draws), 3).tolist()
    codes_after_c = np.minimum(np.searchsorted(depleted, draws), 3).tolist()
    codes = []
    previous = 0
    for code, code_after_c in zip(codes_plain, codes_after_c, strict=True):
        previous = code_after_c if previous == 1 else code
        codes.append(previous)
    return BASES[np.array(codes)]


def _isochores(rng: np.random.Generator, length: int, *, gc: float | None) -> Sequence:
    pieces = [
        _composition(rng, min(_ISOCHORE, length - start), gc=gc or float(rng.beta(8, 11)))
        for start in range(0, length, _ISOCHORE)
    ]
    return np.concatenate(pieces)


def _plant_interspersed(rng: np.random.Generator, contig: str, bases: Sequence, element: Sequence) -> Iterator[Region]:
    """Plant copies of one element, each with its own substitutions, so that reads of each can be mapped."""
    for start in range(_ALU_SPACING // 2, len(bases) - _ALU_SPACING // 2, _ALU_SPACING):
        begin = start + int(rng.integers(_ALU_SPACING // 2))
        bases[begin : begin + len(element)] = mutate(rng, element, _ALU_DIVERGENCE)
        yield Region(contig, begin, begin + len(element), "interspersed")


def _plant_repeats(rng: np.random.Generator, contig: str, bases: Sequence) -> Iterator[Region]:
    """Plant homopolymers of 8 to 24 bases (mostly A and T) and tandem repeats of units of 2 to 4 bases."""
    for start in range(_REPEAT_SPACING, len(bases) - _REPEAT_SPACING, _REPEAT_SPACING):
        begin = start + int(rng.integers(_REPEAT_SPACING - 120))
        if rng.random() < 0.5:
            unit = np.full(1, rng.choice(BASES, p=[0.42, 0.08, 0.08, 0.42]))
            copies = 8 + min(int(rng.geometric(0.22)) - 1, 16)
        else:
            unit = rng.permutation(BASES)[: int(rng.choice([2, 3, 4], p=[0.55, 0.2, 0.25]))]
            copies = 5 + min(int(rng.geometric(0.15)) - 1, 15)
        repeat = np.tile(unit, copies)
        bases[begin : begin + len(repeat)] = repeat
        kind = "homopolymer" if len(unit) == 1 else "str"
        yield Region(contig, begin, begin + len(repeat), kind, unit=len(unit))


def _plant_duplicate(rng: np.random.Generator, bases: Sequence) -> Iterator[Region]:
    """Copy one segment of the autosome to another place with 1 % substitutions."""
    length = len(bases) // 40
    source, target = len(bases) * 3 // 10, len(bases) * 8 // 10
    bases[target : target + length] = mutate(rng, bases[source : source + length], DUPLICATE_DIVERGENCE)
    for start in (source, target):
        yield Region(AUTOSOME, start, start + length, "duplicate")


def mutate(rng: np.random.Generator, bases: Sequence, rate: float) -> Sequence:
    """Return a copy with substitutions at ``rate``."""
    copy = bases.copy()
    places = np.flatnonzero(rng.random(len(copy)) < rate)
    codes = np.searchsorted(BASES, copy[places])
    copy[places] = BASES[(codes + rng.integers(1, 4, size=len(places))) % 4]
    return copy


def _mask(contig: str, bases: Sequence) -> Iterator[Region]:
    """Put N at both ends, and one gap inside the autosome."""
    places = [(0, _TELOMERE), (len(bases) - _TELOMERE, len(bases))]
    if contig == AUTOSOME:
        places.append((len(bases) * 55 // 100, len(bases) * 55 // 100 + 2 * _TELOMERE))
    for start, end in places:
        bases[start:end] = N
        yield Region(contig, start, end, "N")


def _shape_sex_chromosomes(reference: Reference) -> None:
    """Add PAR1 at the start and PAR2 at the end of X and Y; Y's copies become N, as in analysis sets.

    Every aligner sees the PARs once, on X, where males are diploid.
    """
    x, y = reference.contigs[X], reference.contigs[Y]
    first, second = len(x) * 15 // 100, len(x) * 5 // 100
    for contig, bases in ((X, x), (Y, y)):
        end = len(bases) - _TELOMERE
        reference.regions += [
            Region(contig, _TELOMERE, _TELOMERE + first, "PAR1"),
            Region(contig, end - second, end, "PAR2"),
        ]
    for region in pars(reference, Y):
        y[region.start : region.end] = N
    reference.regions = [r for r in reference.regions if not (r.contig == Y and _within_par(reference, r))]


def _within_par(reference: Reference, region: Region) -> bool:
    if region.kind in ("PAR1", "PAR2", "N"):
        return False
    return any(region.start < par.end and par.start < region.end for par in pars(reference, Y))
