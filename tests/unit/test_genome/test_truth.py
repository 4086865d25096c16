"""The truth of the small test genome: people as a population has them, and really what the reads come from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import make_test_genome
import numpy as np
import pysam
import pysam.bcftools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_genome import truth, variants
from test_genome.population import PEOPLE, Population, haplotype, make_population
from test_genome.reference import AUTOSOME, LENGTHS, MT, Reference, X, Y, make_reference, pars

World = tuple[Reference, Population]
Carried = dict[tuple[str, int, str, str], int]


@pytest.fixture(scope="module")
def world() -> World:
    """Return the reference and the population of the demo's size, without reads."""
    reference = make_reference(make_test_genome.SEED, scale=1)
    return reference, make_population(make_test_genome.SEED, reference)


@pytest.fixture(scope="module")
def written(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Truth and reference of the demo's size as files."""
    folder = tmp_path_factory.mktemp("written")
    reference, population = world
    truth.write_truth(folder / "truth", reference, population)
    text = "".join(f">{name}\n{bases.tobytes().decode()}\n" for name, bases in reference.contigs.items())
    (folder / "reference.fa").write_text(text)
    pysam.faidx(str(folder / "reference.fa"))
    return folder


def carried(folder: Path, key: str) -> Carried:
    """(contig, pos, ref, alt) -> copies, by an independent reader; several ALTs are split and trimmed."""
    found: Carried = {}
    split = pysam.bcftools.norm(
        "-m", "-any", "-f", str(folder / "reference.fa"), str(folder / "truth" / f"{key}.vcf.gz")
    )
    for line in split.splitlines():
        if not line.startswith("#"):
            fields = line.split("\t")
            found[fields[0], int(fields[1]), fields[3], fields[4]] = fields[9].count("1")
    return found


def test_another_seed_gives_another_genome() -> None:
    one, other = (make_reference(seed, scale=0.2).contigs[AUTOSOME] for seed in (1, 2))
    assert (one == other).mean() < 0.5


def test_consensus_of_the_truth_is_the_haplotype_that_is_sequenced(world: World, written: Path) -> None:
    reference, population = world
    for person in (PEOPLE[0], PEOPLE[2], PEOPLE[5]):
        for column in (0, 1):
            vcf = str(written / "truth" / f"{person.key}.vcf.gz")
            output = written / f"{person.key}.{column}.fa"
            pysam.bcftools.consensus(
                *("-f", str(written / "reference.fa"), "-H", str(column + 1), "-o", str(output), vcf),
                catch_stdout=False,
            )
            with pysam.FastaFile(str(output)) as consensus:
                for contig in reference.contigs:
                    haploid = population.carried[person.key][contig].columns.shape[1] == 1
                    if (contig == Y and person.sex == "female") or (haploid and column == 1):
                        continue
                    expected = haplotype(reference, population, person.key, contig, column).tobytes().decode()
                    assert consensus.fetch(contig) == expected, (person.key, column, contig)


def test_the_truth_is_left_aligned_and_trimmed(written: Path) -> None:
    for person in PEOPLE:
        path = str(written / "truth" / f"{person.key}.vcf.gz")
        before, after = (
            [line for line in text.splitlines() if not line.startswith("#")]
            for text in (
                pysam.bcftools.view(path),
                pysam.bcftools.norm("-f", str(written / "reference.fa"), "-c", "e", path),
            )
        )
        assert before == after


def test_children_have_one_allele_from_each_parent(world: World, written: Path) -> None:
    reference, _ = world
    par = [(one.start, one.end) for one in pars(reference, X)]
    gametes = {0: {0}, 1: {0, 1}, 2: {1}}
    for child in (person for person in PEOPLE if person.mother):
        own, mother, father = (carried(written, key) for key in (child.key, child.mother, child.father))
        for allele in own | mother | father:
            contig, pos = allele[:2]
            copies, of_mother, of_father = (person.get(allele, 0) for person in (own, mother, father))
            in_par = contig == X and any(start < pos <= end for start, end in par)
            if contig == MT:
                possible = {of_mother}
            elif contig == Y:
                possible = {of_father if child.sex == "male" else 0}
            elif contig == X and not in_par:
                from_father = of_father if child.sex == "female" else 0
                possible = {one + from_father for one in gametes[of_mother]}
            else:
                possible = {one + other for one in gametes[of_mother] for other in gametes[of_father]}
            assert copies in possible, (child.key, allele)


def test_genotypes_are_haploid_where_one_chromosome_is(world: World, written: Path) -> None:
    reference, _ = world
    par = [(one.start, one.end) for one in pars(reference, X)]
    for person in PEOPLE:
        with pysam.VariantFile(str(written / "truth" / f"{person.key}.vcf.gz")) as records:
            for record in records:
                in_par = any(start < record.pos <= end for start, end in par)
                haploid = record.contig in (Y, MT) or (record.contig == X and person.sex == "male" and not in_par)
                assert len(record.samples[0]["GT"]) == (1 if haploid else 2)
                assert not (record.contig == Y and person.sex == "female")
                assert not (record.contig == Y and in_par)


def test_frequencies_and_linkage_are_those_of_a_human_population(world: World) -> None:
    reference, population = world
    sites = population.sites[AUTOSOME]
    snvs = [site for site in sites if site.is_snv]
    assert 0.09 < 1 - len(snvs) / len(sites) < 0.17
    transitions = sum({site.ref, site.alts[0]} in ({"A", "G"}, {"C", "T"}) for site in snvs)
    assert 1.7 < transitions / (len(snvs) - transitions) < 2.4
    frequencies = np.array([shares[0] for shares in population.frequencies])
    minor = np.minimum(frequencies, 1 - frequencies)
    counts, _ = np.histogram(minor, bins=[0.0001, 0.01, 0.05, 0.15, 0.25, 0.35, 0.45])
    # rare alleles abound, and each band of common ones holds no more than twice the one before
    assert counts[0] > counts[1] and counts[0] > 0.3 * counts.sum()
    assert len(truth.common_snvs(reference, population)) > 1000
    for person in PEOPLE:
        columns = population.carried[person.key][AUTOSOME].columns
        differs = (columns[:, 0] != columns[:, 1]).sum() / LENGTHS[AUTOSOME]
        assert 1 / 800 < differs < 1 / 200
    matrix = np.hstack([population.carried[person.key][AUTOSOME].columns for person in PEOPLE if not person.mother])
    common = np.flatnonzero((minor > 0.2) & np.array([len(site.alts) == 1 for site in sites]))
    common = common[np.ptp(matrix[common], axis=1) > 0]
    squared = np.corrcoef(matrix[common]) ** 2
    places = np.array([sites[index].pos for index in common])
    apart = np.abs(places[:, None] - places[None, :])
    near, far = squared[(apart > 0) & (apart < 500)].mean(), squared[apart > 100_000].mean()
    assert near > 0.2 and far < near / 3


def test_the_hard_places_are_there(world: World) -> None:
    reference, population = world
    sites = population.sites[AUTOSOME]
    assert sum(len(site.alts) > 1 for site in sites) >= 20
    assert sum(site.overlapped and len(site.ref) > 1 for site in sites) >= 20
    kinds = Counter(region.kind for region in reference.regions)
    assert kinds["duplicate"] == 2 and min(kinds["homopolymer"], kinds["str"]) > 50
    one, other = (reference.contigs[AUTOSOME][region.start : region.end] for region in reference.of_kind("duplicate"))
    assert 0.98 < (one == other).mean() < 0.998
    assert all((reference.contigs[Y][par.start : par.end] == ord("N")).all() for par in pars(reference, Y))
    assert [par.end - par.start for par in pars(reference, X)] == [par.end - par.start for par in pars(reference, Y)]


def test_confident_regions_hold_no_hard_place(world: World) -> None:
    reference, population = world
    inside = {name: np.zeros(len(bases), dtype=bool) for name, bases in reference.contigs.items()}
    for contig, start, end in truth.confident_regions(reference, population):
        inside[contig][start:end] = True
    for region in reference.of_kind("N", "duplicate"):
        assert not inside[region.contig][region.start : region.end].any()
    for contig, sites in population.sites.items():
        assert not any(inside[contig][site.pos - 1 : site.end].any() for site in sites if site.overlapped)
    assert inside[AUTOSOME].mean() > 0.8 and inside[X].mean() > 0.8


def test_array_genotypes_differ_from_the_truth_at_one_site_in_two_hundred(
    world: World, tmp_path: Path, written: Path
) -> None:
    reference, population = world
    truth.write_array(tmp_path / "array.vcf.gz", np.random.default_rng(1), reference, population, "person02", name="x")
    true = carried(written, "person02")
    agreed = total = missing = 0
    with pysam.VariantFile(str(tmp_path / "array.vcf.gz")) as records:
        for record in records:
            genotype = record.samples[0]["GT"]
            if None in genotype:
                missing += 1
                continue
            total += 1
            key = (record.contig, record.pos, record.ref, record.alts[0])
            agreed += sum(genotype) == true.get(key, 0)
    assert total > 700 and missing < 20
    assert 1 - agreed / total == pytest.approx(0.005, abs=0.0015)


@given(data=st.data(), bases=st.text("AC", min_size=4, max_size=30))
def test_a_normalised_allele_spells_the_same_and_can_go_no_further_left(data: st.DataObject, bases: str) -> None:
    sequence = "G" + bases  # what is left-most can't roll off the contig
    start = data.draw(st.integers(1, len(bases) - 1))
    length = data.draw(st.integers(1, min(4, len(sequence) - start)))
    ref = sequence[start : start + length]
    alt = data.draw(st.text("AC", min_size=1, max_size=5).filter(lambda text: text != ref))
    array = np.frombuffer(sequence.encode(), dtype=np.uint8)
    pos, new_ref, new_alt = variants.normalise(array, start + 1, ref, alt)
    assert sequence[pos - 1 :].startswith(new_ref)
    before = sequence[:start] + alt + sequence[start + length :]
    assert sequence[: pos - 1] + new_alt + sequence[pos - 1 + len(new_ref) :] == before
    assert new_ref[-1] != new_alt[-1]
    assert min(len(new_ref), len(new_alt)) == 1 or new_ref[0] != new_alt[0]
