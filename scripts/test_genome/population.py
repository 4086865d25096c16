"""The made-up population: haplotypes with a human frequency spectrum and linkage, and families."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from dataclasses import dataclass, replace

import msprime
import numpy as np
import numpy.typing as npt

from test_genome import variants
from test_genome.reference import AUTOSOME, MT, N, Reference, Sequence, X, Y, pars
from test_genome.variants import Alleles

# The East Asian branch of Gravel et al. 2011 (PNAS 108:11983, table 2): sizes in diploids, times in
# generations of 25 years, with exponential growth after the split from Europe.
_ANCESTRAL, _AFRICAN, _OUT_OF_AFRICA, _EAST_ASIAN = 7_310, 14_474, 1_861, 554
_GROWTH_OF_AFRICA, _EXODUS, _SPLIT, _GROWTH = 5_920, 2_040, 920, 0.0048

# Human rates (mutations and crossovers per base and generation), both times the same factor: the test
# genome is a stretch of a human genome, longer by this factor and pressed together. A person then differs
# from the reference at one base in about 250 (1,000 in a human). A couple of hundred kilobases so hold the
# thousand common SNVs that contamination and identity need, with linkage per SNV as in a human genome.
_MUTATION, _RECOMBINATION, _PRESSED = 1.44e-8, 1.0e-8, 8
_MT_MUTATION = 2.0e-6
# Relative sizes of the populations of chromosomes.
_SIZE = {AUTOSOME: 1.0, X: 0.75, Y: 0.25, MT: 0.25}

PANEL = 300  # further people; the allele frequencies of the population are theirs


@dataclass(frozen=True)
class Person:
    """A participant; ``key`` names the person in truth files and nowhere in a delivery."""

    key: str
    sex: str
    mother: str = ""
    father: str = ""


# Two trios (one daughter, one son) and fourteen others.
PEOPLE = (
    Person("person01", "male"),
    Person("person02", "female"),
    Person("person03", "female", mother="person02", father="person01"),
    Person("person04", "male"),
    Person("person05", "female"),
    Person("person06", "male", mother="person05", father="person04"),
    Person("person07", "male"),
    Person("person08", "female"),
    Person("person09", "male"),
    Person("person10", "female"),
    Person("person11", "male"),
    Person("person12", "female"),
    Person("person13", "male"),
    Person("person14", "female"),
    Person("person15", "male"),
    Person("person16", "female"),
    Person("person17", "male"),
    Person("person18", "female"),
    Person("person19", "female"),
    Person("person20", "male"),
)


@dataclass(frozen=True)
class Carried:
    """The alleles of one person on one contig: a column of allele numbers per haplotype (0 is reference).

    ``ploidy`` is the ploidy outside the PARs; a male's second column on X is his Y's PARs.
    """

    columns: npt.NDArray[np.uint8]
    ploidy: int


@dataclass
class Population:
    """The sites of each contig, the alleles of each person, and the allele frequencies in the panel."""

    sites: dict[str, list[Alleles]]
    carried: dict[str, dict[str, Carried]]
    frequencies: list[tuple[float, ...]]


def make_population(seed: int, reference: Reference) -> Population:
    """Simulate every contig, lay the variants on the reference and pass them on to the children."""
    population = Population({}, {person.key: {} for person in PEOPLE}, [])
    founders = [person for person in PEOPLE if not person.mother]
    children = [person for person in PEOPLE if person.mother]
    for number, contig in enumerate(reference.contigs):
        rng = np.random.default_rng([seed, 10, number])
        haplotypes = 2 * len(founders) if contig in (AUTOSOME, X) else len(founders)
        panel = 2 * PANEL if contig == AUTOSOME else 40
        sites, matrix = _simulate(rng, reference, contig, haplotypes + panel)
        if contig == X:
            _clear_outside_pars(reference, sites, matrix, founders)
        sites, matrix = _drop_unseen(sites, matrix)
        population.sites[contig] = sites
        if contig == AUTOSOME:
            population.frequencies = _frequencies(sites, matrix[:, haplotypes:])
        for index, person in enumerate(founders):
            columns = matrix[:, 2 * index : 2 * index + 2] if contig in (AUTOSOME, X) else matrix[:, [index]]
            population.carried[person.key][contig] = Carried(columns, _ploidy(contig, person.sex))
        for person in children:
            mother = population.carried[person.mother][contig]
            father = population.carried[person.father][contig]
            columns = _inherit(rng, reference, contig, sites, person.sex, mother.columns, father.columns)
            population.carried[person.key][contig] = Carried(columns, _ploidy(contig, person.sex))
    return population


def haplotype(
    reference: Reference,
    population: Population,
    key: str,
    contig: str,
    column: int,
    *,
    start: int = 0,
    end: int | None = None,
) -> Sequence:
    """Return one haplotype of one person: the reference with the alleles of that column.

    ``start`` and ``end`` are 0-based edges that no site crosses; by default the whole contig.
    """
    bases = reference.contigs[contig]
    end = len(bases) if end is None else end
    chosen = population.carried[key][contig].columns[:, column]
    pieces: list[bytes] = []
    done = start
    for index in np.flatnonzero(chosen):
        site = population.sites[contig][index]
        if start < site.pos and site.end <= end:
            pieces += [bases[done : site.pos - 1].tobytes(), site.alts[chosen[index] - 1].encode()]
            done = site.end
    pieces.append(bases[done:end].tobytes())
    return np.frombuffer(b"".join(pieces), dtype=np.uint8)


def _ploidy(contig: str, sex: str) -> int:
    if contig == Y:
        return 1 if sex == "male" else 0
    if contig == X:
        return 1 if sex == "male" else 2
    return 1 if contig == MT else 2


def _demography(size: float) -> msprime.Demography:
    demography = msprime.Demography()
    now = _EAST_ASIAN * np.exp(_GROWTH * _SPLIT)
    demography.add_population(name="A", initial_size=now * size, growth_rate=_GROWTH)
    for time, people in ((_SPLIT, _OUT_OF_AFRICA), (_EXODUS, _AFRICAN), (_GROWTH_OF_AFRICA, _ANCESTRAL)):
        demography.add_population_parameters_change(time=time, initial_size=people * size, growth_rate=0)
    return demography


def _simulate(
    rng: np.random.Generator, reference: Reference, contig: str, haplotypes: int
) -> tuple[list[Alleles], npt.NDArray[np.uint8]]:
    """Return the sites on the reference and, per site, the allele number of each haplotype."""
    bases = reference.contigs[contig]
    seeds = rng.integers(1, 2**31 - 1, size=2)
    recombines = contig in (AUTOSOME, X)
    trees = msprime.sim_ancestry(
        samples=haplotypes + 1,
        ploidy=1,
        sequence_length=len(bases),
        recombination_rate=_RECOMBINATION * _PRESSED if recombines else 0,
        demography=_demography(2 * _SIZE[contig]),
        random_seed=int(seeds[0]),
    )
    mutation = _MT_MUTATION if contig == MT else _MUTATION * _PRESSED
    trees = msprime.sim_mutations(trees, rate=mutation, model="jc69", random_seed=int(seeds[1]))
    positions, rows = [], []
    for variant in trees.variants(copy=False):
        if bases[int(variant.site.position)] != N:
            positions.append(int(variant.site.position) + 1)
            rows.append(variant.genotypes.astype(np.uint8))
    # The reference was made from the last haplotype: its allele is number 0.
    matrix = np.array([_renumber(row) for row in rows])[:, :-1]
    positions, matrix = variants.join_neighbours(positions, matrix)
    drawn = variants.draw(rng, reference, contig, positions, matrix)
    return variants.resolve(rng, drawn, matrix, boundaries=_boundaries(reference, contig))


def _renumber(row: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the alleles as numbers by order of appearance, with the last haplotype's allele as 0."""
    order = [int(row[-1])] + [int(allele) for allele in np.unique(row) if allele != row[-1]]
    lookup = np.zeros(256, dtype=np.uint8)
    lookup[order] = np.arange(len(order), dtype=np.uint8)
    return lookup[row]


def _boundaries(reference: Reference, contig: str) -> list[int]:
    return [edge for par in pars(reference, contig) for edge in (par.start, par.end)] if contig == X else []


def _clear_outside_pars(
    reference: Reference, sites: Ordered[Alleles], matrix: npt.NDArray[np.uint8], founders: Ordered[Person]
) -> None:
    """Clear a man's second column of X outside the PARs: it stands for his Y."""
    outside = np.array([not _in_par(reference, site.pos) for site in sites])
    for index, person in enumerate(founders):
        if person.sex == "male":
            matrix[outside, 2 * index + 1] = 0


def _in_par(reference: Reference, pos: int) -> bool:
    return any(par.start < pos <= par.end for par in pars(reference, X))


def _drop_unseen(sites: Ordered[Alleles], matrix: npt.NDArray[np.uint8]) -> tuple[list[Alleles], npt.NDArray[np.uint8]]:
    """Leave out alleles that no haplotype carries, and sites without any."""
    kept: list[Alleles] = []
    rows = []
    for site, row in zip(sites, matrix, strict=True):
        seen = [number for number in range(1, len(site.alts) + 1) if (row == number).any()]
        if not seen:
            continue
        lookup = np.zeros(len(site.alts) + 1, dtype=np.uint8)
        lookup[seen] = np.arange(1, len(seen) + 1)
        kept.append(replace(site, alts=tuple(site.alts[number - 1] for number in seen)))
        rows.append(lookup[row])
    return kept, np.array(rows)


def _frequencies(sites: Ordered[Alleles], panel: npt.NDArray[np.uint8]) -> list[tuple[float, ...]]:
    return [
        tuple(float((row == number).mean()) for number in range(1, len(site.alts) + 1))
        for site, row in zip(sites, panel, strict=True)
    ]


def _inherit(
    rng: np.random.Generator,
    reference: Reference,
    contig: str,
    sites: Ordered[Alleles],
    sex: str,
    mother: npt.NDArray[np.uint8],
    father: npt.NDArray[np.uint8],
) -> npt.NDArray[np.uint8]:
    """Return a child's columns, with one crossover per gamete; the father's X and Y cross over in PAR1."""
    if contig == MT:
        return mother
    if contig == Y:
        return father
    from_mother = _recombine(rng, sites, mother, range(len(sites)))
    if contig == AUTOSOME:
        return np.column_stack([_recombine(rng, sites, father, range(len(sites))), from_mother])
    par1 = pars(reference, X)[0]
    inside = [index for index, site in enumerate(sites) if par1.start < site.pos <= par1.end]
    carries_x = sex == "female"
    from_father = _recombine(rng, sites, father if carries_x else father[:, ::-1], inside, ends_with=0)
    return np.column_stack([from_mother, from_father])


def _recombine(
    rng: np.random.Generator,
    sites: Ordered[Alleles],
    columns: npt.NDArray[np.uint8],
    inside: Ordered[int],
    *,
    ends_with: int | None = None,
) -> npt.NDArray[np.uint8]:
    """Return one gamete: one column up to a crossover at a site of ``inside``, then the other column.

    No crossover falls within a deletion: a haplotype could get two alleles of the same bases there.
    """
    reach = np.maximum.accumulate([0, *(site.end for site in sites)])
    free = [index for index in inside if reach[index] < sites[index].pos]
    crossover = free[int(rng.integers(len(free)))] if free else 0
    second = int(rng.integers(2)) if ends_with is None else ends_with
    return np.concatenate([columns[:crossover, 1 - second], columns[crossover:, second]])
