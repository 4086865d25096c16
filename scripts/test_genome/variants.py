"""From simulated mutations to alleles on the reference: SNVs, indels, several alleles at a site, overlaps."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from test_genome.reference import N, Reference, Sequence

# About one variant in eight is an indel, half of them a change in the length of a repeat nearby, and their
# lengths fall off geometrically (Montgomery et al. 2013, Genome Res 23:749). Transitions are twice as
# frequent as transversions.
_INDEL_SHARE, _REPEAT_SHARE, _LENGTH_DECAY, _LONGEST = 0.13, 0.45, 0.4, 40
_TRANSITION_SHARE = 0.67
_TRANSITION = {"A": "G", "G": "A", "C": "T", "T": "C"}
_REPEAT_REACH = 700
# Common neighbours up to this far apart are made to overlap, one pair in this many bases.
_OVERLAP_REACH, _OVERLAP_EVERY = 25, 11_000
# Common neighbours up to this far apart become one site with two ALTs, one pair in this many bases: at human
# rates the same base seldom mutates twice, but repeats do.
_JOIN_REACH, _JOIN_EVERY, _JOINED_INDEL_SHARE = 200, 5_000, 0.5
_COMMON = 0.1
# The pressed genome (population.py) puts variants closer together than a human genome: most close
# neighbours of indels are left out again, or callers would meet far more tangles than in life.
_CLOSE, _CLOSE_KEPT = 15, 0.25


@dataclass(frozen=True)
class Alleles:
    """One site: 1-based ``pos``, the reference allele and the alternatives, each left-aligned and trimmed.

    ``overlapped`` marks a deletion that other sites lie under, and the sites under it.
    """

    pos: int
    ref: str
    alts: tuple[str, ...]
    overlapped: bool = False

    @property
    def end(self) -> int:
        """The last base of the reference allele, 1-based."""
        return self.pos + len(self.ref) - 1

    @property
    def is_snv(self) -> bool:
        """True if every allele is a single base."""
        return len(self.ref) == 1 and all(len(alt) == 1 for alt in self.alts)


def join_neighbours(positions: Ordered[int], matrix: npt.NDArray[np.uint8]) -> tuple[list[int], npt.NDArray[np.uint8]]:
    """Make one site with two ALTs of some pairs of common neighbours; a haplotype with both keeps the second."""
    kept = np.ones(len(positions), dtype=bool)
    matrix = matrix.copy()
    last = 0
    for index in range(len(positions) - 1):
        left, right = positions[index], positions[index + 1]
        if right - left > _JOIN_REACH or left - last < _JOIN_EVERY or matrix[index : index + 2].max() > 1:
            continue
        joined = np.where(matrix[index + 1] == 1, 2, matrix[index])
        if min((joined == 1).mean(), (joined == 2).mean()) >= _COMMON:
            matrix[index] = joined
            kept[index + 1] = False
            last = right
    return [pos for pos, keep in zip(positions, kept, strict=True) if keep], matrix[kept]


def draw(
    rng: np.random.Generator,
    reference: Reference,
    contig: str,
    positions: Ordered[int],
    matrix: npt.NDArray[np.uint8],
) -> list[Alleles | None]:
    """Draw alleles for the mutations at ``positions`` (1-based, rising); None where they do not fit.

    ``matrix`` has a row per mutation with the allele number of each haplotype.
    """
    bases = reference.contigs[contig]
    repeats = reference.of_kind("homopolymer", "str", contig=contig)
    starts = np.array([repeat.start for repeat in repeats])
    taken: set[int] = set()
    drawn: list[Alleles | None] = []
    for pos, row in zip(positions, matrix, strict=True):
        count = int(row.max())
        if count == 0:
            drawn.append(None)
        elif rng.random() >= (_INDEL_SHARE if count == 1 else _JOINED_INDEL_SHARE):
            drawn.append(_snv(rng, bases, pos, count))
        else:
            near = int(np.argmin(np.abs(starts - pos))) if len(starts) else -1
            reachable = near >= 0 and abs(int(starts[near]) - pos) < _REPEAT_REACH and near not in taken
            if reachable and rng.random() < _REPEAT_SHARE:
                taken.add(near)
                repeat = repeats[near]
                drawn.append(_length_change(rng, bases, repeat.start, repeat.unit, count))
            else:
                drawn.append(_length_change(rng, bases, pos, 0, count))
    _overlap(rng, bases, drawn, matrix)
    return drawn


def resolve(
    rng: np.random.Generator,
    drawn: Ordered[Alleles | None],
    matrix: npt.NDArray[np.uint8],
    *,
    boundaries: Ordered[int],
) -> tuple[list[Alleles], npt.NDArray[np.uint8]]:
    """Sort the sites and make every haplotype consistent.

    A haplotype with a deletion has none of the alleles that lie under it. Two sites never share a POS, an
    anchor base of an indel is never changed by another site, and none crosses one of ``boundaries``
    (0-based edges).
    """
    order = sorted((site.pos, index) for index, site in enumerate(drawn) if site is not None)
    sites: list[Alleles] = []
    rows: list[npt.NDArray[np.uint8]] = []
    for _, index in order:
        site = drawn[index]
        assert site is not None
        if any(site.pos <= edge < site.end for edge in boundaries):
            continue
        if sites and sites[-1].pos == site.pos:
            continue
        if sites and _crowded(sites[-1], site) and rng.random() >= _CLOSE_KEPT:
            continue
        row = matrix[index].copy()
        under = [i for i in range(max(0, len(sites) - 60), len(sites)) if sites[i].end >= site.pos]
        for i in under:
            row[_deleted(sites[i], rows[i], site.pos)] = 0
            sites[i] = replace(sites[i], overlapped=True)
        sites.append(replace(site, overlapped=bool(under)))
        rows.append(row)
    return sites, np.array(rows)


def normalise(bases: Sequence, pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Trim and left-align one allele against the reference (Tan et al. 2015, Bioinformatics 31:2202)."""
    while ref[-1] == alt[-1] and (len(ref) > 1 or len(alt) > 1):
        ref, alt = ref[:-1], alt[:-1]
        if not ref or not alt:
            pos -= 1
            before = chr(bases[pos - 1])
            ref, alt = before + ref, before + alt
    while len(ref) > 1 and len(alt) > 1 and ref[0] == alt[0]:
        pos, ref, alt = pos + 1, ref[1:], alt[1:]
    return pos, ref, alt


def join(alleles: Ordered[tuple[str, str]]) -> tuple[str, tuple[str, ...]]:
    """Join several (ref, alt) pairs at one POS to one REF with several ALTs."""
    longest = max((ref for ref, _ in alleles), key=len)
    return longest, tuple(alt + longest[len(ref) :] for ref, alt in alleles)


def _crowded(before: Alleles, site: Alleles) -> bool:
    """Return True if an indel and another site lie close to each other without overlapping."""
    return not (before.is_snv and site.is_snv) and before.end < site.pos <= before.end + _CLOSE


def _deleted(site: Alleles, row: npt.NDArray[np.uint8], pos: int) -> npt.NDArray[np.bool_]:
    """Return a mask of the haplotypes that lack the base at ``pos`` because of their allele at ``site``."""
    gone = np.zeros(len(row), dtype=bool)
    for number, alt in enumerate(site.alts, start=1):
        lost = len(site.ref) - len(alt)
        # The trimmed allele loses the bases right after its anchor. An allele of a joined site replaces
        # the whole REF, so the sites under it may not change either.
        if lost > 0 or len(site.alts) > 1:
            gone |= row == number
    return gone if site.end >= pos else np.zeros(len(row), dtype=bool)


def _snv(rng: np.random.Generator, bases: Sequence, pos: int, count: int) -> Alleles:
    ref = chr(bases[pos - 1])
    transition = _TRANSITION[ref]
    others = [base for base in "ACGT" if base not in (ref, transition)]
    rng.shuffle(others)
    ordered = [transition, *others] if rng.random() < _TRANSITION_SHARE else [others[0], transition, others[1]]
    return Alleles(pos, ref, tuple(ordered[:count]))


def _length_change(rng: np.random.Generator, bases: Sequence, pos: int, unit: int, count: int) -> Alleles | None:
    """Make ``count`` different insertions or deletions after base ``pos``, in whole repeat units if ``unit``."""
    changes: list[int] = []
    while len(changes) < count:
        length = min(int(rng.geometric(0.6 if unit else _LENGTH_DECAY)), _LONGEST) * max(unit, 1)
        change = length if rng.random() < 0.5 else -length
        if change not in changes and abs(change) <= _LONGEST:
            changes.append(change)
    if pos < 1 or pos + _LONGEST + 1 >= len(bases) or (bases[pos - 1 : pos + _LONGEST] == N).any():
        return None
    anchor = chr(bases[pos - 1])
    normalised = []
    for change in changes:
        if change < 0:
            ref = anchor + bases[pos : pos - change].tobytes().decode()
            normalised.append(normalise(bases, pos, ref, anchor))
        elif unit:
            added = (bases[pos : pos + unit].tobytes().decode() * (change // unit))[:change]
            normalised.append(normalise(bases, pos, anchor, anchor + added))
        else:
            added = "".join(rng.choice(list("ACGT"), size=change))
            normalised.append(normalise(bases, pos, anchor, anchor + added))
    first = normalised[0][0]
    same = [(ref, alt) for at, ref, alt in normalised if at == first]
    if len(same) < count:
        return None
    ref, alts = join(same)
    return Alleles(first, ref, alts)


def _overlap(
    rng: np.random.Generator, bases: Sequence, drawn: list[Alleles | None], matrix: npt.NDArray[np.uint8]
) -> None:
    """Turn some pairs of common neighbours into a deletion over the other site, or two that overlap."""
    share = _minor_share(matrix)
    last = 0
    for index in range(len(drawn) - 1):
        left, right = drawn[index], drawn[index + 1]
        if left is None or right is None or len(left.alts) > 1 or len(right.alts) > 1:
            continue
        if not left.is_snv or not right.is_snv or left.pos - last < _OVERLAP_EVERY:
            continue
        distance = right.pos - left.pos
        if not 2 <= distance <= _OVERLAP_REACH or share[index : index + 2].min() < _COMMON:
            continue
        last = left.pos
        drawn[index] = _deletion(bases, left.pos, distance + int(rng.integers(1, 8)))
        if rng.random() < 0.6:
            drawn[index + 1] = _deletion(bases, right.pos, int(rng.integers(10, 20)))


def _deletion(bases: Sequence, pos: int, length: int) -> Alleles | None:
    if (bases[pos - 1 : pos + length] == N).any():
        return None
    ref = bases[pos - 1 : pos + length].tobytes().decode()
    at, ref, alt = normalise(bases, pos, ref, ref[0])
    return Alleles(at, ref, (alt,))


def _minor_share(matrix: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    carried = (matrix > 0).mean(axis=1)
    return np.minimum(carried, 1 - carried)
