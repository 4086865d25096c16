"""Chromosomes are known by each of their names."""

from __future__ import annotations

import pytest
from baekman.genome.chromosomes import assembly_of, chromosome_kind, chromosome_of, is_autosome
from baekman.genome.par import known_par, sex_chromosomes_note
from baekman.genome.ploidy import pieces
from baekman.genome.regions import Region


@pytest.mark.parametrize(
    ("names", "chromosome"),
    [
        ("chrX X x NC_000023.11 NC_000023.10 CM000685.2 CM000685.1 NC_060947.1 CP068255.2", "X"),
        ("chrY Y NC_000024.10 NC_000024.9 CM000686.2 CM000686.1 NC_060948.1 CP086569.2", "Y"),
        ("chrM MT M chrMT NC_012920.1 J01415.2 CP068254.1", "MT"),
        ("chr1 1 NC_000001.11 NC_000001.10 CM000663.2 NC_060925.1 CP068277.2", "1"),
        ("chr22 22 NC_000022.11 CM000684.2 NC_060946.1 CP068256.2", "22"),
        ("chrUn_KI270302v1 chrEBV NT_187361.1 KI270302.1 c1 chr23 NC_060949.1 CM000687.2 chrX_KI270880v1_alt", ""),
    ],
)
def test_a_chromosome_has_many_names(names: str, chromosome: str) -> None:
    for name in names.split():
        assert chromosome_of(name) == chromosome, name
        assert chromosome_kind(name) == (chromosome if chromosome in ("X", "Y", "MT") else "autosome")
        assert is_autosome(name) == (chromosome in ("1", "22") or name == "chr23")


@pytest.mark.parametrize(
    ("contigs", "start", "end"),
    [
        ({"NC_000023.11": 156040895}, 10_001, 2_781_479),
        ({"CM000685.1": 155270560}, 60_001, 2_699_520),
        ({"NC_060947.1": 154259566, "NC_060948.1": 62460029}, 1, 2_394_410),
        ({"chrX": 154259566}, 1, 2_394_410),
        ({"X": 155270560, "Y": 59373566}, 60_001, 2_699_520),
    ],
)
def test_pseudo_autosomal_regions_are_known_by_accession_or_length(
    contigs: dict[str, int], start: int, end: int
) -> None:
    first = min(region for region in known_par("my-genome", contigs=contigs) if chromosome_kind(region.contig) == "X")
    assert (first.start, first.end) == (start, end)
    contig = next(iter(contigs))
    ploidies = [piece.ploidy for piece in pieces(Region(contig, 1, 5_000_000), sex="male", par=[first])]
    assert ploidies == ([1, 2, 1] if start > 1 else [2, 1])


def test_two_assemblies_and_unknown_lengths_have_no_regions() -> None:
    assert known_par("mixed", contigs={"NC_000023.11": 10, "NC_000024.9": 10}) == ()
    assert known_par("toy", contigs={"chrX": 100, "chrY": 100}) == ()
    assert assembly_of("chr7", 156040895) is None


def test_a_note_says_what_is_not_known_of_sex_chromosomes() -> None:
    assert sex_chromosomes_note(["chr1", "chr20", "MT"], par=()) == ""
    assert sex_chromosomes_note(["chrX"], par=[Region("chrX", 1, 2)]) == ""
    assert "pseudo-autosomal regions of chrX and chrY are not known" in sex_chromosomes_note(["chrX", "chrY"], par=())
    assert "no contig has a name of X or Y" in sex_chromosomes_note(["scaffold_23"], par=())
    assert "no contig has a name of X or Y" in sex_chromosomes_note(["1", "23", "24", "26"], par=())  # plink's names
