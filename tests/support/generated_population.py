"""A generated cohort of two populations, with families, for the tests of relatedness."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from baekman.cohort.add import add_batch
from baekman.cohort.gvcf_list import Member
from baekman.cohort.snapshot import Snapshot
from baekman.cohort.store import Store, create_store
from support.store_tools import block, gvcf_text, line, write_reference

PEOPLE, VARIANTS = 56, 1200  # of the cohort that tests share, without its children and twin
SPACING = 20  # bp between two variants
SAMPLES = {0: "0/0:30:50:30,0:0,60,900", 1: "0/1:40:60:20,20:600,0,600", 2: "1/1:40:60:0,40:900,60,0"}


@dataclass(frozen=True, kw_only=True)
class Population:
    """A store, its participants in order, and their copies of ALT: (participants, variants), -1 without a genotype.

    The last three are the children of (0, 1), of (0, 1) again, and of (2, 3); ``twin`` is the copy of participant 4.
    """

    store: Store
    ids: list[str]
    copies: npt.NDArray[np.int8]


def nobody(_: Snapshot) -> frozenset[str]:
    """Return no participant: everyone may be used."""
    return frozenset()


def _child(
    first: npt.NDArray[np.int8], second: npt.NDArray[np.int8], chance: np.random.Generator
) -> npt.NDArray[np.int8]:
    """Return a child of two people, with variants that are inherited apart from each other."""
    return (chance.binomial(1, first / 2) + chance.binomial(1, second / 2)).astype(np.int8)


def genotypes(people: int, *, variants: int, seed: int, apart: float = 0.08) -> npt.NDArray[np.int8]:
    """Return the copies of ``people`` of two populations, then two siblings, a child and a twin.

    ``apart``: the deviation of the populations' frequencies. The twin differs at ten variants, as errors of calling do.
    """
    chance = np.random.default_rng(seed)
    middle = chance.uniform(0.15, 0.85, variants)
    shift = chance.normal(0, apart, variants)
    half = people // 2
    frequencies = [np.clip(middle + sign * shift, 0.05, 0.95) for sign in (1, -1)]
    founders = np.concatenate(
        [
            chance.binomial(2, frequencies[0], (half, variants)),
            chance.binomial(2, frequencies[1], (people - half, variants)),
        ]
    ).astype(np.int8)
    children = [_child(founders[first], founders[second], chance) for first, second in ((0, 1), (0, 1), (2, 3))]
    twin = founders[4].copy()
    twin[:10] = 2 - twin[:10] // 2  # a copy of a file would be refused
    return np.concatenate([founders, np.stack([*children, twin])])


def write_population(
    folder: Path, copies: npt.NDArray[np.int8], *, contigs: tuple[str, ...] = ("chr1", "chr2"), seed: int = 1
) -> Population:
    """Write a store at ``folder``/cohort with participants that have ``copies``; everyone is in one of two batches."""
    people, variants = copies.shape
    each = -(-variants // len(contigs))
    chosen = random.Random(seed)
    bases = {name: "".join(chosen.choices("ACGT", k=SPACING * (each + 1))) for name in contigs}
    store = create_store(folder / "cohort", reference=write_reference(folder / "ref.fa", bases))
    ids = [f"P{number:03d}" for number in range(people)]
    members = []
    for participant_id, own in zip(ids, copies, strict=True):
        lines = []
        for contig, part in zip(contigs, np.split(own, range(each, variants, each)), strict=True):
            reference, start = bases[contig], 1
            for number, count in enumerate(part.tolist(), start=1):
                pos = SPACING * number
                if count == 0:
                    continue  # within the next block
                if start < pos:
                    lines.append(block(start, pos - 1, reference[start - 1], contig=contig))
                if count > 0:
                    base = reference[pos - 1]
                    alt = "ACGT"["ACGT".index(base) - 1]
                    lines.append(line(pos, base, alt, SAMPLES[count], contig=contig))
                start = pos + 1
            lines.append(block(start, len(reference), reference[start - 1], contig=contig))
        path = folder / f"{participant_id}.g.vcf"
        path.write_text(gvcf_text(lines, contigs={name: len(text) for name, text in bases.items()}))
        members.append(Member(participant_id=participant_id, gvcf=str(path)))
    add_batch(store, batch="b1", members=members[::2])
    add_batch(store, batch="b2", members=members[1::2])
    return Population(store=store, ids=ids, copies=copies)
