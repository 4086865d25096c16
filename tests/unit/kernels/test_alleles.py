"""Normalisation equals ``bcftools norm``; downcoded likelihoods equal a plain enumeration."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pysam.bcftools
import pytest
from baekman.kernels.alleles import downcode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.store_tools import line, read_lines, write_reference

BASES = "ACGT"
Allele = tuple[int, str, str]


@st.composite
def repetitive_bases(draw: Any) -> str:
    """Sixty bases with the tandem repeats in which an indel has many places."""
    units = st.tuples(st.text(BASES, min_size=1, max_size=4), st.sampled_from([1, 1, 2, 3, 6]))
    bases = "".join(unit * times for unit, times in draw(st.lists(units, min_size=4, max_size=12)))
    return (bases * 60)[:60]


@st.composite
def edited(draw: Any, ref: str) -> str:
    """REF with one to three substitutions, deletions and insertions; not always anchored."""
    alt = ref
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(alt) - 1, 0)))
        removed = draw(st.sampled_from([0, 0, 1, 1, 2, 4]))
        added = draw(st.one_of(st.just(""), st.sampled_from([*BASES, ref[:2], ref[:3]]), st.text(BASES, max_size=4)))
        alt = alt[:at] + added + alt[at + removed :]
    return alt


@st.composite
def records(draw: Any) -> tuple[str, int, str, list[str], tuple[int, int]]:
    """Return reference bases, POS, REF, ALTs and genotype."""
    bases = draw(repetitive_bases())
    pos = draw(st.one_of(st.integers(1, 3), st.integers(1, 50)))
    ref = bases[pos - 1 : pos - 1 + draw(st.sampled_from([1, 1, 2, 3, 5, 8]))]
    alts = draw(st.lists(edited(ref).filter(lambda alt: alt not in ("", ref)), min_size=1, max_size=3, unique=True))
    genotype = draw(st.tuples(st.integers(0, len(alts)), st.integers(0, len(alts))))
    return bases, pos, ref, alts, (min(genotype), max(genotype))


def by_bcftools(folder: Path, contigs: dict[str, str]) -> dict[str, dict[Allele, int]]:
    """Return copies of every allele of ``one.g.vcf`` after ``bcftools norm``."""
    reference = write_reference(folder / "reference.fa", contigs)
    Path(f"{reference}.fai").unlink(missing_ok=True)
    alleles_of: dict[str, dict[Allele, int]] = {name: {} for name in contigs}
    for row in pysam.bcftools.norm("-f", str(reference), "-a", "-m", "-any", str(folder / "one.g.vcf")).splitlines():
        if row.startswith("#"):
            continue
        contig, pos, _id, ref, alts, *_others, sample = row.split("\t")
        genotype = sample.split(":")[0].split("/")
        for number, alt in enumerate(alts.split(","), start=1):
            if alt not in ("*", "."):
                allele = (int(pos), ref, alt)
                alleles_of[contig][allele] = alleles_of[contig].get(allele, 0) + genotype.count(str(number))
    return alleles_of


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(cases=st.lists(records(), min_size=1, max_size=40))
def test_alleles_and_copies_equal_bcftools_norm(tmp_path_factory: pytest.TempPathFactory, cases: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("norm")
    contigs = {f"c{number}": case[0] for number, case in enumerate(cases)}
    lines = [
        line(
            pos,
            ref,
            ",".join(alts),
            f"{a}/{b}:50:30:{','.join(['10'] * (len(alts) + 1))}",
            contig=f"c{number}",
            format="GT:GQ:DP:AD",
        )
        for number, (_bases, pos, ref, alts, (a, b)) in enumerate(cases)
    ]
    alleles_of: dict[str, dict[Allele, int]] = {name: {} for name in contigs}
    for row in read_lines(folder, lines, contigs).rows:
        alleles_of[row.contig][row.allele] = row.copies
    assert alleles_of == by_bcftools(folder, contigs)


@pytest.mark.parametrize(
    ("bases", "pos", "ref", "alt", "expected"),
    [
        pytest.param("GAAAAC", 5, "AC", "C", [(1, "GA", "G")], id="a deletion in a repeat slides to its start"),
        pytest.param("AAAAC", 4, "AC", "C", [(1, "AA", "A")], id="and stops at the contig's first base"),
        pytest.param("AAAAC", 1, "A", "AA", [(1, "A", "AA")], id="an insertion at the contig's first base stays"),
        pytest.param("ACGT", 1, "ACGT", "TCGA", [(1, "A", "T"), (4, "T", "A")], id="an MNP is its mismatches"),
        pytest.param("CCCGC", 2, "CCG", "CA", [(3, "C", "A"), (3, "CG", "C")], id="SNV and deletion share a base"),
        pytest.param("ACGT", 2, "cg", "ca", [(3, "G", "A")], id="lower case"),
        pytest.param("NNNAC", 4, "A", "AN", [(4, "A", "AN")], id="N in an allele"),
    ],
)
def test_normal_form(tmp_path: Path, bases: str, pos: int, ref: str, alt: str, expected: list[Allele]) -> None:
    reading = read_lines(tmp_path, [line(pos, ref, alt, "0/1:50:30:15,15:99,0,99")], {"c1": bases})
    assert [row.allele for row in reading.rows] == expected


def test_an_atom_that_two_alts_share_is_one_row_with_the_copies_of_both(tmp_path: Path) -> None:
    reading = read_lines(tmp_path, [line(2, "CG", "TG,TA", "1/2:50:30:0,12,18:200,150,140,120,0,110")], {"c1": "ACGT"})
    shared, own = reading.rows
    assert (shared.allele, shared.copies, shared.other, shared.ad) == ((2, "C", "T"), 2, 0, (0, 30))
    assert shared.pl == (200, 120, 0)
    assert (own.allele, own.copies, own.other, own.ad) == ((3, "G", "A"), 1, 0, (0, 18))
    assert own.pl == (140, 0, 110)


def enumerated(pl: list[int], alleles: int, ploidy: int, members: set[int]) -> list[int]:
    """Return the definition: of k copies, the least PL over all genotypes with k of their alleles in ``members``."""
    genotypes = sorted(
        itertools.combinations_with_replacement(range(alleles), ploidy), key=lambda genotype: genotype[::-1]
    )
    least = [-1] * 3
    for genotype, value in zip(genotypes, pl, strict=True):
        copies = sum(allele in members for allele in genotype)
        least[copies] = value if least[copies] < 0 else min(least[copies], value)
    return least


@settings(max_examples=200, deadline=None)
@given(data=st.data(), alleles=st.integers(2, 6), ploidy=st.integers(1, 2))
def test_downcoded_likelihoods_equal_an_enumeration_of_all_genotypes(
    data: st.DataObject, alleles: int, ploidy: int
) -> None:
    size = alleles if ploidy == 1 else alleles * (alleles + 1) // 2
    pl = data.draw(st.lists(st.integers(0, 999), min_size=size, max_size=size))
    chosen = data.draw(st.sets(st.integers(1, alleles - 1), min_size=1))
    members = np.array([allele in chosen for allele in range(alleles)], np.uint8)
    likelihoods = downcode(np.array(pl, np.int64), alleles, ploidy, members)
    assert list(likelihoods) == enumerated(pl, alleles, ploidy, chosen)
